"""What a kit keeps of a calibration: from which session, for how long, and when it lets go of it."""

import math
import sqlite3
import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gonio.cli.gateway import _shown
from gonio.errors import UsageError
from gonio.gateway import kit as kit_module
from gonio.gateway.calibrations import (
    DROPPED,
    MAX_AGE,
    SPOILT,
    KeptCalibration,
    Mounting,
    after_session,
    calibration_text,
    fresh_enough,
    read_calibration,
)
from gonio.gateway.database import DATABASE_NAME, StoreWriteError
from gonio.gateway.events import SessionStarted
from gonio.gateway.kit import Kit
from gonio.gateway.records import PairedSensor
from gonio.gateway.session import FinishedSession
from gonio.gateway.settings import KitSettings
from gonio.gateway.store import KitStore
from gonio.gateway.summary import SessionPlan
from gonio.gateway.tables import APPLICATION_ID, MIGRATIONS
from gonio.messages import SessionSummary
from gonio.signal.consts import Segment
from gonio.signal.knee.stored import StoredCalibration

NOW = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
STANDING = StoredCalibration((0.6, 0.8, 0.0), (0.0, 0.0, 1.0), 0.05, -0.1, "standing")
RANGE = replace(STANDING, zero="range", upright=math.nan)
LEG = Mounting("AA:01", "AA:02", "left")

unit = st.tuples(st.floats(0, 2 * math.pi), st.floats(-1, 1)).map(
    lambda v: (math.cos(v[0]) * math.sqrt(1 - v[1] ** 2), math.sin(v[0]) * math.sqrt(1 - v[1] ** 2), v[1])
)


def kept(calibration: StoredCalibration = STANDING, taken_at: datetime = NOW) -> KeptCalibration:
    return KeptCalibration(calibration, taken_at, uuid.uuid4())


def summary(**changes: Any) -> SessionSummary:  # noqa: ANN401 - fields of the model
    values: dict[str, Any] = {
        "sitting_id": uuid.uuid4(),
        "exercise": "heel-slide",
        "side": "left",
        "source": "simulated",
        "duration_s": 1.0,
        "reps": (),
        "max_flexion_deg": None,
        "min_flexion_deg": None,
        "zero": "standing",
        "calibrated_at_s": 3.0,
        "ok_fraction": 0.9,
        "sensors": (),
        "curve": None,
        "software": "gonio test",
    }
    return SessionSummary.model_validate({**values, **changes})


@given(unit, unit, st.floats(-3, 3), st.one_of(st.just(math.nan), st.floats(-3, 3)), st.sampled_from(["pose", "range"]))
def test_a_calibration_comes_back_as_it_was(
    thigh: tuple[float, float, float],
    shank: tuple[float, float, float],
    straight: float,
    upright: float,
    zero: str,
) -> None:
    sent = StoredCalibration(thigh, shank, straight, upright, zero)
    got = read_calibration(calibration_text(sent))
    assert (got.thigh, got.shank, got.straight, got.zero) == (thigh, shank, straight, zero)
    assert got.upright == upright or (math.isnan(got.upright) and math.isnan(upright))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        '{"thigh": [1, 0, 0], "shank": [1, 0, 0], "zero": "standing"}',
        '{"thigh": [1, 0, 0], "shank": [1, 0.5, 0], "straight_rad": 0, "upright_rad": null, "zero": "standing"}',
        '{"thigh": [1, 0], "shank": [1, 0, 0], "straight_rad": 0, "upright_rad": null, "zero": "standing"}',
        '{"thigh": [1, 0, 0], "shank": [1, 0, 0], "straight_rad": 30, "upright_rad": null, "zero": "standing"}',
        '{"thigh": [1, 0, 0], "shank": [1, 0, 0], "straight_rad": 0, "upright_rad": null, "zero": "guess"}',
        '{"thigh": [1, 0, NaN], "shank": [1, 0, 0], "straight_rad": 0, "upright_rad": null, "zero": "standing"}',
        "[" * 100_000,
    ],
)
def test_what_is_no_calibration_is_refused(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - many texts
        read_calibration(text)


def test_it_may_be_proposed_for_thirty_days() -> None:
    assert fresh_enough(kept(), NOW)
    assert fresh_enough(kept(), NOW + MAX_AGE)
    assert not fresh_enough(kept(), NOW + MAX_AGE + timedelta(seconds=1))
    assert not fresh_enough(kept(), NOW - timedelta(seconds=1))  # a clock was wrong


def test_the_newest_with_a_sure_zero_is_kept() -> None:
    old, new = kept(taken_at=NOW - timedelta(days=2)), kept()
    assert after_session(None, summary(), new) is new
    assert after_session(old, summary(), new) is new
    assert after_session(old, summary(), None) is old
    posed = kept(replace(STANDING, zero="pose"))
    assert after_session(old, summary(), posed) is posed


def test_an_assumed_zero_never_takes_the_place_of_a_sure_one() -> None:
    sure, assumed = kept(taken_at=NOW - timedelta(days=2)), kept(RANGE)
    assert after_session(None, summary(), assumed) is assumed
    assert after_session(sure, summary(), assumed) is sure
    assert after_session(kept(RANGE), summary(), assumed) is assumed
    assert after_session(kept(taken_at=NOW - 2 * MAX_AGE), summary(), assumed) is assumed


@pytest.mark.parametrize(("zero", "renewed"), [("stored", False), ("range", False), ("standing", True), ("pose", True)])
def test_a_session_on_a_kept_calibration_renews_it_by_a_zero_of_its_own(zero: str, renewed: bool) -> None:  # noqa: FBT001 - a case
    old, new = kept(taken_at=NOW - timedelta(days=2)), kept()
    assert after_session(old, summary(calibration="stored", zero=zero), new) is (new if renewed else old)


@pytest.mark.parametrize("flag", [*sorted(SPOILT), "thigh-units", "shank-dropped"])
def test_nothing_is_kept_of_a_session_that_was_wrong_about_the_leg(flag: str) -> None:
    old = kept()
    assert after_session(old, summary(flags=(flag,)), kept()) is old
    assert after_session(None, summary(flags=(flag,)), kept()) is None


def test_one_that_the_motion_contradicted_is_forgotten() -> None:
    assumed = kept(RANGE)
    assert after_session(kept(), summary(flags=(DROPPED,)), None) is None
    assert after_session(kept(), summary(flags=(DROPPED,)), assumed) is assumed


def test_the_store_keeps_one_for_each_pair_and_leg(tmp_path: Path) -> None:
    with KitStore.open(tmp_path) as store:
        one, other = kept(), kept(replace(STANDING, straight=0.2))
        store.keep_calibration(LEG, kept(RANGE))
        store.keep_calibration(LEG, one)
        store.keep_calibration(replace(LEG, side="right"), other)
    with KitStore.open(tmp_path) as store:
        assert store.calibration(replace(LEG, thigh="aa:01")) == one
        assert store.calibration(replace(LEG, side="right")) == other
        assert store.calibration(Mounting("AA:02", "AA:01", "left")) is None
        store.keep_calibration(LEG, None)
        assert store.calibration(LEG) is None
        assert store.calibration(replace(LEG, side="right")) == other


def test_one_that_cannot_be_read_is_as_good_as_none(tmp_path: Path) -> None:
    with KitStore.open(tmp_path) as store:
        store.keep_calibration(LEG, kept())
        store._db.execute("UPDATE calibration SET calibration = '{}'")
        assert store.calibration(LEG) is None


def test_a_kit_of_the_first_schema_is_brought_up_to_date_with_what_it_holds(tmp_path: Path) -> None:
    db = sqlite3.connect(tmp_path / DATABASE_NAME)
    db.executescript(f"{MIGRATIONS[0]}; PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = 1;")
    db.execute("INSERT INTO sensor VALUES ('thigh', 'AA:01', 'movella_dot', 'DOT')")
    db.commit()
    db.close()
    with pytest.raises(UsageError, match="another version"):
        KitStore.peek(tmp_path)
    with KitStore.open(tmp_path) as store:
        assert store.pairing()["thigh"].address == "AA:01"
        store.keep_calibration(LEG, kept())
        assert store.calibration(LEG) is not None


class Runner:
    """Stands for a session; ends at once with what it was told to find."""

    plans: list[SessionPlan]
    finds: KeptCalibration | None
    poses: list[tuple[float, float]]

    def __init__(self, _store: object, _keeper: object, plan: SessionPlan, _links: object, **_options: object) -> None:
        self.plans.append(plan)

    def pose(self, seconds: float, flexion_deg: float = 0.0) -> None:
        self.poses.append((seconds, flexion_deg))

    async def run(self) -> FinishedSession:
        return FinishedSession(summary(), None, None, None, self.finds)


@asynccontextmanager
async def kit_with(
    directory: Path, finds: KeptCalibration | None, monkeypatch: pytest.MonkeyPatch, **settings: object
) -> AsyncIterator[tuple[Kit, type[Runner]]]:
    """Open a kit with two paired sensors whose sessions are no sessions."""
    runner = type("Stub", (Runner,), {"plans": [], "poses": [], "finds": finds})
    monkeypatch.setattr(kit_module, "SessionRunner", runner)
    given = {"data_dir": directory, "broker": "mqtt://127.0.0.1:1", "side": "left"}
    async with Kit(KitSettings.load(**given, **settings), source="simulated") as kit:

        @asynccontextmanager
        async def worn(_pairing: Mapping[Segment, PairedSensor]) -> AsyncIterator[tuple[object, object]]:
            yield {}, {}

        monkeypatch.setattr(kit._sensors, "worn", worn)
        thigh, shank = PairedSensor("thigh", "AA:01", "x", "a"), PairedSensor("shank", "AA:02", "x", "b")
        kit.store.pair([thigh, shank])
        yield kit, runner


async def test_a_session_begins_with_what_the_last_one_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = kept(taken_at=datetime.now(UTC))
    async with kit_with(tmp_path, found, monkeypatch) as (kit, runner):
        for side in ("left", "left", "right"):
            await kit.run_session("heel-slide", side)
        assert [plan.stored for plan in runner.plans] == [None, STANDING, None]
        assert kit.store.calibration(LEG) == found


async def test_an_old_one_is_not_proposed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with kit_with(tmp_path, None, monkeypatch) as (kit, runner):
        kit.store.keep_calibration(LEG, kept(taken_at=datetime.now(UTC) - MAX_AGE - timedelta(hours=1)))
        await kit.run_session("heel-slide")
        assert [plan.stored for plan in runner.plans] == [None]


async def test_it_can_be_switched_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GONIO_KIT_KEEP_CALIBRATION", "false")
    async with kit_with(tmp_path, kept(taken_at=datetime.now(UTC)), monkeypatch) as (kit, runner):
        await kit.run_session("heel-slide")
        await kit.run_session("heel-slide")
        assert [plan.stored for plan in runner.plans] == [None, None]
        assert kit.store.calibration(LEG) is None


async def test_a_disk_that_refuses_it_costs_no_session(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*_: object) -> None:
        raise StoreWriteError("the disk is full")

    async with kit_with(tmp_path, kept(taken_at=datetime.now(UTC)), monkeypatch) as (kit, _):
        monkeypatch.setattr(kit.store, "keep_calibration", refuse)
        assert (await kit.run_session("heel-slide")).summary.exercise == "heel-slide"
    assert "the calibration is not kept: the disk is full" in caplog.text


async def test_the_settings_goal_and_a_program_reach_the_session(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = {"target_flexion_deg": 90.0, "target_extension_deg": 0.0, "target_hold_s": 5.0}
    async with kit_with(tmp_path, None, monkeypatch, **options) as (kit, runner):
        await kit.run_session(program=("heel-slide", "quad-set"))
        (plan,) = runner.plans
        assert plan.goal is not None
        assert plan.goal.flexion == pytest.approx(math.pi / 2)
        assert (plan.goal.extension, plan.goal.height, plan.goal.hold_s) == (0.0, None, 5.0)
        assert plan.program == ("heel-slide", "quad-set")
        with pytest.raises(UsageError, match="juggling is not known"):
            await kit.run_session(program=("heel-slide", "juggling"))


def test_without_a_target_nothing_is_asked() -> None:
    assert KitSettings.load().goal() is None


async def test_a_pose_goes_to_the_session_that_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with kit_with(tmp_path, None, monkeypatch) as (kit, runner):
        with pytest.raises(UsageError, match="no session runs"):
            kit.pose(3.0)

        async def run(_self: Runner) -> FinishedSession:
            kit.pose(3.0, 10.0)
            return FinishedSession(summary(), None, None, None, None)

        monkeypatch.setattr(runner, "run", run)
        await kit.run_session("heel-slide")
        assert runner.poses == [(3.0, 10.0)]


@pytest.mark.parametrize(("pose_s", "poses", "words"), [(None, [], "Stand still"), (5.0, [(5.0, 30.0)], "at 30°")])
async def test_the_command_begins_a_session_with_the_pose_that_is_asked_for(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    pose_s: float | None,
    poses: list[tuple[float, float]],
    words: str,
) -> None:
    async with kit_with(tmp_path, None, monkeypatch) as (kit, runner):
        listener = _shown(kit, pose_s, 30.0)

        async def run(_self: Runner) -> FinishedSession:
            listener(SessionStarted(uuid.uuid4()))
            return FinishedSession(summary(), None, None, None, None)

        monkeypatch.setattr(runner, "run", run)
        await kit.run_session("heel-slide", listener=listener)
        assert runner.poses == poses
    assert words in capsys.readouterr().out
