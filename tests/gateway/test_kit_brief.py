"""A session in a line or two."""

import uuid

import pytest

from gonio.gateway.brief import counted, manner_of
from gonio.messages import RepReport, SessionSummary


def rep(**changes: object) -> RepReport:
    values: dict[str, object] = {
        "start_s": 1.0,
        "peak_s": 2.0,
        "end_s": 3.0,
        "signal": "knee",
        "peak_flexion_deg": 90.0,
        "min_flexion_deg": 2.0,
        "rom_deg": 88.0,
    }
    return RepReport.model_validate(values | changes)


def session(*reps: RepReport) -> SessionSummary:
    values: dict[str, object] = {
        "sitting_id": uuid.uuid4(),
        "exercise": "heel-slide",
        "side": "left",
        "source": "simulated",
        "duration_s": 60.0,
        "reps": reps,
        "max_flexion_deg": None,
        "min_flexion_deg": None,
        "zero": "standing",
        "calibrated_at_s": 3.0,
        "ok_fraction": 0.9,
        "sensors": (),
        "curve": None,
        "software": "gonio test",
    }
    return SessionSummary.model_validate(values)


FULL = rep(concentric_s=1.0, hold_s=2.0, eccentric_s=1.5, peak_velocity_dps=80.0, on_target=True)
PART = rep(concentric_s=2.0, hold_s=0.0, eccentric_s=1.5, peak_velocity_dps=60.0, on_target=False, complete=False)


@pytest.mark.parametrize(
    ("reps", "words"),
    [
        ((), "0 repetitions"),
        ((rep(),), "1 repetition"),
        ((FULL, PART), "2 repetitions (1 partial, 1 of 2 on target)"),
        ((FULL, rep()), "2 repetitions (1 of 1 on target)"),
    ],
)
def test_the_count_says_what_was_partial_and_on_target(reps: tuple[RepReport, ...], words: str) -> None:
    assert counted(session(*reps)) == words


def test_the_manner_is_the_mean_of_what_was_measured() -> None:
    gap = rep(measured=False, concentric_s=50.0)
    assert manner_of(session(FULL, PART, gap, rep())) == (
        "a repetition on average: 1.5 s concentric, 1.0 s held, 1.5 s eccentric, peak velocity 70°/s"
    )
    assert manner_of(session(rep(hold_s=3.0))) == "a repetition on average: 3.0 s held"
    assert manner_of(session(rep())) is None
