# ruff: noqa: INP001 - a script's helper, no package
"""A made-up clinic to look at the review pages with: nothing in it was measured on anybody."""

import math
import random
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from statistics import fmean, pstdev
from typing import Any, Literal
from uuid import UUID

from examples.completeness_sample import SILENT, TROUBLED, SampleProof
from gonio.cloud_sink.model import PatientRow, SessionRow
from gonio.cloud_sink.said import CheckInRow, VoidRow
from gonio.messages import AngleCurve, GoalReport, RepReport, SensorReport, SessionSummary, SetReport

#: The moment at which the samples are looked at.
NOW = datetime(2026, 11, 23, 15, 30, tzinfo=UTC)
STEP_S = 0.25


def sample_id(number: int) -> UUID:
    """Make a UUIDv7 that is the same in each run."""
    return UUID(int=(0x0199 << 112) | (7 << 76) | (2 << 62) | number)


def make_sensor(segment: Literal["thigh", "shank"], duration_s: float, *, lost: int = 0) -> SensorReport:
    """Make the report of a sensor that was heard well, but for so many lost samples."""
    return SensorReport(
        segment=segment,
        family="movella_dot",
        name="Movella DOT",
        firmware="2.2.0",
        battery_percent=81 if segment == "thigh" else 76,
        rate_hz=59.98 if segment == "thigh" else 60.02,
        samples=max(0, round(60 * duration_s) - lost),
        lost=lost,
    )


def make_session(  # noqa: PLR0913 - each tells another session apart
    *,
    exercise: str = "mini-squat",
    side: Literal["left", "right"] = "left",
    reps: int = 10,
    peak_deg: float = 90.0,
    min_deg: float = 2.0,
    rep_s: float = 4.0,
    still_s: float = 6.0,
    gap_s: tuple[float, float] | None = None,
    partial: Sequence[int] = (),
    source: Literal["sensor", "simulated", "recording"] = "simulated",
    seed: int = 1,
    **changes: object,
) -> SessionSummary:
    """Make a session of even repetitions: stand still, bend and straighten, stand still.

    Args:
        exercise: its name.
        side: which knee.
        reps: how many.
        peak_deg: about the largest flexion of each.
        min_deg: about the smallest.
        rep_s: duration of each.
        still_s: standing before the first, in which the angle gets known.
        gap_s: from when to when nothing was measured.
        partial: numbers of those that fell clearly short.
        source: as the kit would say.
        seed: of the small differences between repetitions.
        changes: fields of the summary to set otherwise.
    """
    chance = random.Random(seed)  # noqa: S311 - no secret
    peaks = [peak_deg + chance.gauss(0, peak_deg * 0.02) for _ in range(reps)]
    peaks = [0.55 * peak if number in partial else peak for number, peak in enumerate(peaks, 1)]
    starts = [still_s + k * (rep_s + 1.0) for k in range(reps)]
    duration_s = still_s + reps * (rep_s + 1.0) + 3.0
    step_s = max(STEP_S, math.ceil(duration_s / 1990 * 100) / 100)
    curve = []
    for k in range(int(duration_s / step_s) + 1):
        t = k * step_s
        angle = min_deg + 0.4 * math.sin(t)
        for start, peak in zip(starts, peaks, strict=True):
            if start <= t < start + rep_s:
                angle += (peak - min_deg) * 0.5 * (1 - math.cos(2 * math.pi * (t - start) / rep_s))
        unknown = t < still_s - 2 or (gap_s is not None and gap_s[0] <= t <= gap_s[1])
        curve.append(None if unknown else max(-360, min(360, round(angle))))

    def clear(start: float) -> bool:
        return gap_s is None or gap_s[1] < start or gap_s[0] > start + rep_s

    manner = random.Random(seed + 1000)  # noqa: S311 - no secret
    reports = tuple(
        RepReport(
            start_s=round(start, 2),
            peak_s=round(start + rep_s / 2, 2),
            end_s=round(start + rep_s, 2),
            signal="knee",
            peak_flexion_deg=round(peak, 1) if clear(start) else None,
            min_flexion_deg=round(min_deg, 1) if clear(start) else None,
            rom_deg=round(max(0.0, peak - min_deg), 1),
            measured=clear(start),
            complete=number not in partial,
            **_manner(manner, rep_s, peak - min_deg),
        )
        for number, (start, peak) in enumerate(zip(starts, peaks, strict=True), 1)
    )
    values: dict[str, object] = {
        "sitting_id": sample_id(900_000 + seed),
        "exercise": exercise,
        "side": side,
        "source": source,
        "duration_s": duration_s,
        "reps": reports,
        "max_flexion_deg": round(max(peaks), 1) if reps else None,
        "min_flexion_deg": min_deg if reps else None,
        "zero": "standing",
        "calibrated_at_s": still_s - 2,
        "ok_fraction": sum(value is not None for value in curve) / len(curve),
        "sensors": (make_sensor("thigh", duration_s), make_sensor("shank", duration_s)),
        "curve": AngleCurve(step_s=step_s, flexion_deg=tuple(curve)),
        "sets": (make_set(reports),) if reports else (),
        "likeness": 0.94 if reports else None,
        "software": "0.1.0",
        **changes,
    }
    return SessionSummary.model_validate(values)


def _manner(chance: random.Random, rep_s: float, range_deg: float) -> dict[str, Any]:
    """Make the figures of how a repetition was done, that of an even one with small differences."""
    held = 0.15 * rep_s * chance.uniform(0.7, 1.3)
    return {
        "concentric_s": round(0.42 * rep_s * chance.uniform(0.9, 1.1), 2),
        "hold_s": round(held, 2),
        "eccentric_s": round(0.40 * rep_s * chance.uniform(0.9, 1.1), 2),
        "peak_velocity_dps": round(abs(range_deg) * math.pi / rep_s * chance.uniform(0.95, 1.1), 1),
        "smoothness": round(-1.6 - chance.uniform(0, 0.25), 2),
    }


def make_set(reps: Sequence[RepReport], trend: float | None = 0.004) -> SetReport:
    """Sum repetitions up as one set; the tempo's trend is as given."""
    ranges = [rep.rom_deg for rep in reps if rep.complete]
    middle = fmean(ranges) if ranges else 0.0
    judged = [rep.on_target for rep in reps if rep.on_target is not None]
    return SetReport(
        start_s=reps[0].start_s,
        end_s=reps[-1].end_s,
        complete=len(ranges),
        partial=len(reps) - len(ranges),
        on_target=sum(judged) if judged else None,
        rom_mean_deg=round(middle, 1) if ranges else None,
        rom_cv=round(pstdev(ranges) / middle, 3) if middle > 0 else None,
        rep_s=round(fmean(rep.end_s - rep.start_s for rep in reps), 2),
        tempo_trend=trend if len(reps) > 3 else None,  # noqa: PLR2004 - as the chain
    )


def aim(summary: SessionSummary, goal: GoalReport) -> SessionSummary:
    """Let a session have had a target to bend to, and two sets, the second of which tires."""
    least = goal.flexion_deg or 0.0
    reps = [rep.model_copy(update={"on_target": (rep.peak_flexion_deg or 0.0) >= least}) for rep in summary.reps]
    half = len(reps) // 2
    own = (make_set(reps[:half], 0.006), make_set(reps[half:], 0.031))
    return summary.model_copy(update={"goal": goal, "reps": tuple(reps), "sets": own})


def make_raise(*, side: Literal["left", "right"] = "left", known: bool = True, seed: int = 1) -> SessionSummary:
    """Make a session of straight-leg raises of about 40°, with a small lag; or without a knee angle."""
    base = make_session(exercise="straight-leg-raise", side=side, peak_deg=9.0, min_deg=3.0, rep_s=5.0, seed=seed)
    chance = random.Random(seed + 2000)  # noqa: S311 - no secret
    heights = [40 + chance.gauss(0, 2.5) for _ in base.reps]
    reps = tuple(
        rep.model_copy(
            update={
                "signal": "thigh",
                "rom_deg": round(height, 1),
                "peak_velocity_dps": round(height * 1.4, 1),
                "hold_s": round(chance.uniform(2.2, 3.4), 2),
                "concentric_s": 1.1,
                "eccentric_s": 1.4,
                "extensor_lag_deg": rep.peak_flexion_deg if known else None,
                "peak_flexion_deg": rep.peak_flexion_deg if known else None,
                "min_flexion_deg": rep.min_flexion_deg if known else None,
                "on_target": height >= 38,  # noqa: PLR2004 - the target below
            }
        )
        for rep, height in zip(base.reps, heights, strict=True)
    )
    assert base.curve is not None  # noqa: S101 - made above
    step_s = base.curve.step_s
    tilt = []
    for k in range(len(base.curve.flexion_deg)):
        up = next((r for r in reps if r.start_s <= k * step_s < r.end_s), None)
        share = 0.0 if up is None else math.sin(math.pi * (k * step_s - up.start_s) / (up.end_s - up.start_s))
        tilt.append(0 if up is None else round(up.rom_deg * min(1.0, 1.6 * share)))
    flexion = base.curve.flexion_deg if known else (None,) * len(tilt)
    changes: dict[str, Any] = {
        "reps": reps,
        "sets": (make_set(reps, 0.022),),
        "goal": GoalReport(height_deg=38, hold_s=2.0),
        "curve": AngleCurve(step_s=step_s, flexion_deg=flexion, tilt_deg=tuple(tilt)),
    }
    if not known:
        changes |= {"calibrated_at_s": None, "zero": "none", "ok_fraction": 0.0, "flags": ("not-calibrated",)}
        changes |= {"max_flexion_deg": None, "min_flexion_deg": None}
    return base.model_copy(update=changes)


def as_version_1(summary: SessionSummary) -> SessionSummary:
    """Leave out all that schema version 2 brought: what an older kit would have said."""
    new = set(RepReport.model_fields) - {
        "start_s", "peak_s", "end_s", "signal", "peak_flexion_deg", "min_flexion_deg", "rom_deg", "measured",
    }  # fmt: skip
    blank: dict[str, Any] = {name: RepReport.model_fields[name].default for name in new}
    reps = tuple(rep.model_copy(update=blank) for rep in summary.reps)
    return summary.model_copy(update={"reps": reps, "sets": (), "likeness": None})


@dataclass
class SampleBook:
    """A book in memory, with the reading side of the clinic's store."""

    people: dict[UUID, tuple[str, str]] = field(default_factory=dict)
    rows: list[SessionRow] = field(default_factory=list)
    proof: SampleProof = field(default_factory=SampleProof)
    noted: list[tuple[str, UUID, str, str]] = field(default_factory=list)
    said: dict[UUID, list[CheckInRow]] = field(default_factory=dict)
    struck: dict[UUID, list[VoidRow]] = field(default_factory=dict)

    def add_patient(self, name: str, time_zone: str = "America/New_York") -> UUID:
        """Add a patient and give the id."""
        patient_id = sample_id(100 + len(self.people))
        self.people[patient_id] = (name, time_zone)
        return patient_id

    def add(
        self, patient_id: UUID | None, summary: SessionSummary, captured: datetime, *, clock: str = "synchronised"
    ) -> UUID:
        """Add a session and give its record's id."""
        record_id = sample_id(10_000 + len(self.rows))
        self.rows.append(
            SessionRow(
                record_id=record_id,
                patient_id=patient_id,
                kit_id="kit-sample",
                captured=captured,
                received_at=captured + timedelta(seconds=summary.duration_s + 2),
                clock=clock,
                summary=summary,
            )
        )
        return record_id

    def data_days(self, first: date, last: date, /) -> Mapping[UUID, int]:  # noqa: ARG002 - the store's
        """As the store; a sample is no evidence of any day."""
        return {}

    def note_read(self, actor: str, patient_id: UUID, page: str, reason: str = "", /) -> None:
        """As the store."""
        self.noted.append((actor, patient_id, page, reason))

    def note(self, actor: str, action: str, reason: str = "", /) -> None:
        """As the store; nothing is kept."""

    def log_rows(self, *, before: int | None = None, subject_id: str | None = None) -> Sequence[Mapping[str, Any]]:  # noqa: ARG002 - the store's
        """As the store; a sample has no log."""
        return []

    def log_lines(self) -> Sequence[str]:
        """As the store."""
        return []

    def patients(self) -> Sequence[PatientRow]:
        """As the store."""
        return [row for patient_id in self.people if (row := self.patient(patient_id)) is not None]

    def patient(self, patient_id: UUID, /) -> PatientRow | None:
        """As the store."""
        if patient_id not in self.people:
            return None
        name, time_zone = self.people[patient_id]
        captured = [row.captured for row in self.rows if row.patient_id == patient_id]
        return PatientRow(patient_id, name, time_zone, len(captured), max(captured, default=None))

    def sessions(
        self, patient_id: UUID, /, *, limit: int = 100, before: datetime | None = None
    ) -> Sequence[SessionRow]:
        """As the store."""
        rows = [row for row in self.rows if row.patient_id == patient_id and (before is None or row.captured < before)]
        return sorted(rows, key=lambda row: row.captured, reverse=True)[:limit]

    def check_ins(
        self, patient_id: UUID, /, *, limit: int = 100, before: datetime | None = None
    ) -> Sequence[CheckInRow]:
        """As the store."""
        said = self.said.get(patient_id, [])
        return [row for row in said if before is None or row.head.captured < before][:limit]

    def struck_out(self, record_ids: Collection[UUID], /) -> Mapping[UUID, Sequence[VoidRow]]:
        """As the store."""
        return {record_id: self.struck[record_id] for record_id in record_ids if record_id in self.struck}

    def session(self, record_id: UUID, /) -> SessionRow | None:
        """As the store."""
        return next((row for row in self.rows if row.record_id == record_id), None)


@dataclass(frozen=True, slots=True)
class Sample:
    """A filled book and the addresses worth looking at, by a short name."""

    book: SampleBook
    pages: dict[str, str]


def sample_clinic() -> Sample:
    """Fill a book with nothing, one, many and absurd."""
    book = SampleBook()
    alex = book.add_patient("Alex Example")
    pages = {"patients": "/patients", "patient": f"/patients/{alex}", "missing": f"/sessions/{sample_id(1)}"}
    pages["session"] = f"/sessions/{_weeks(book, alex)}"

    rae = book.add_patient("Rae Raise")
    pages["session-raise"] = f"/sessions/{book.add(rae, make_raise(), NOW - timedelta(days=1))}"
    blind = make_raise(known=False, seed=2)
    pages["session-raise-only"] = f"/sessions/{book.add(rae, blind, NOW - timedelta(days=1, minutes=8))}"
    old = as_version_1(make_session(exercise="heel-slide", peak_deg=64, min_deg=7, seed=3))
    pages["session-old"] = f"/sessions/{book.add(rae, old, NOW - timedelta(days=40))}"
    faulty = make_session(
        exercise="long-arc-quad", seed=4, peak_deg=80, zero="stored", calibration="stored", likeness=0.31,
        flags=("other-exercise", "sensor-moved", "shank-gyroscope-dead", "thigh-saturated"),
    )  # fmt: skip
    pages["session-faults"] = f"/sessions/{book.add(rae, faulty, NOW - timedelta(days=2))}"

    newcomer = book.add_patient("Noor Newcomer", "Europe/Berlin")
    pages["patient-nothing"] = f"/patients/{newcomer}"

    one = book.add_patient("Olu Once", "Africa/Lagos")
    summary = make_session(
        exercise="heel-slide", reps=8, peak_deg=71, min_deg=6, gap_s=(24.0, 31.0), interrupted=True, source="recording",
        flags=("flag-of-newer-software",),
        sensors=(make_sensor("thigh", 49, lost=420), make_sensor("shank", 49)),
    )  # fmt: skip
    pages["session-gap"] = f"/sessions/{book.add(one, summary, NOW - timedelta(hours=3))}"
    pages["patient-one"] = f"/patients/{one}"

    long_name = "Bartholomew-Maximilian O'Shaughnessy-Featherstonehaugh <b>&amp; Sons</b> " * 2
    absurd = book.add_patient(long_name.strip(), "Mars/Olympus_Mons")
    wild = make_session(
        exercise="x" + "-very-long-exercise-name" * 1, reps=400, peak_deg=170, min_deg=-35, rep_s=1.0, still_s=5.0,
        curve=AngleCurve(
            step_s=0.5, flexion_deg=tuple(360 if k % 97 == 0 else -360 if k % 89 == 0 else k % 140 for k in range(1600))
        ),
        max_flexion_deg=360, min_flexion_deg=-360, flags=tuple(f"flag-{k}" for k in range(8)),
    )  # fmt: skip
    pages["session-absurd"] = f"/sessions/{book.add(absurd, wild, NOW + timedelta(days=400), clock='unsynchronised')}"
    pages["patient-absurd"] = f"/patients/{absurd}"
    nothing = make_session(
        reps=0, curve=None, calibrated_at_s=None, zero="none", ok_fraction=0, exercise="none", recognised=True,
        sensors=(make_sensor("thigh", 9), make_sensor("shank", 0)),
    )  # fmt: skip
    pages["session-nothing"] = f"/sessions/{book.add(None, nothing, NOW - timedelta(minutes=30))}"
    pages["completeness"] = "/completeness"
    pages["kit-troubled"] = f"/completeness/kits/{TROUBLED}"
    pages["kit-silent"] = f"/completeness/kits/{SILENT}"
    pages["quarantine"] = "/completeness/quarantine"
    pages["audit-log"] = "/log/check"
    return Sample(book, pages)


def _weeks(book: SampleBook, patient_id: UUID) -> UUID:
    """Add three weeks of a knee that gets better, with days missed; give the newest heel slide."""
    newest = sample_id(0)
    for days_ago in range(20, -1, -1):
        if days_ago in (16, 15, 9, 3):
            continue
        done = 20 - days_ago
        morning = datetime(2026, 11, 23, 14, 40, tzinfo=UTC) - timedelta(days=days_ago)
        peak, short = 62 + 1.9 * done + 3 * math.sin(done * 2.1), max(1.0, 9 - 0.4 * done)
        unsure = {"zero": "range"} if days_ago in (12, 5) else {}
        tired = (6, 9) if days_ago == 0 else ()
        slide = make_session(exercise="heel-slide", peak_deg=peak, min_deg=short, seed=done, partial=tired, **unsure)  # type: ignore[arg-type]
        if days_ago == 0:
            walked = {"steps": 14, "walking_s": 11.0}
            slide = aim(slide, GoalReport(flexion_deg=95, hold_s=0.5)).model_copy(update=walked)
            right = make_session(
                exercise="heel-slide", side="right", peak_deg=131, min_deg=0, seed=120, sitting_id=slide.sitting_id
            )
            book.add(patient_id, right, morning + timedelta(minutes=4))
        newest = book.add(patient_id, slide, morning)
        book.add(
            patient_id,
            make_session(exercise="long-arc-quad", peak_deg=84, min_deg=short + 2, reps=12, rep_s=3.4, seed=40 + done),
            morning - timedelta(minutes=9),
        )
        if days_ago % 2 == 0:
            squat = make_session(exercise="mini-squat", peak_deg=38 + done, min_deg=short, reps=8, seed=80 + done)
            book.add(patient_id, squat, morning - timedelta(hours=5, minutes=7))
    return newest
