# ruff: noqa: INP001 - a script's helper, no package
"""A made-up clinic to look at the review pages with: nothing in it was measured on anybody."""

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Literal
from uuid import UUID

from gonio.cloud_sink.model import PatientRow, SessionRow
from gonio.messages import AngleCurve, RepReport, SensorReport, SessionSummary

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
        source: as the kit would say.
        seed: of the small differences between repetitions.
        changes: fields of the summary to set otherwise.
    """
    chance = random.Random(seed)  # noqa: S311 - no secret
    peaks = [peak_deg + chance.gauss(0, peak_deg * 0.02) for _ in range(reps)]
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

    reports = tuple(
        RepReport(
            start_s=round(start, 2),
            peak_s=round(start + rep_s / 2, 2),
            end_s=round(start + rep_s, 2),
            signal="knee",
            peak_flexion_deg=round(peak, 1) if clear(start) else None,
            min_flexion_deg=round(min_deg, 1) if clear(start) else None,
            rom_deg=round(peak - min_deg, 1),
            measured=clear(start),
        )
        for start, peak in zip(starts, peaks, strict=True)
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
        "software": "0.1.0",
        **changes,
    }
    return SessionSummary.model_validate(values)


@dataclass
class SampleBook:
    """A book in memory, with the reading side of the clinic's store."""

    people: dict[UUID, tuple[str, str]] = field(default_factory=dict)
    rows: list[SessionRow] = field(default_factory=list)

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
        newest = book.add(
            patient_id,
            make_session(exercise="heel-slide", peak_deg=peak, min_deg=short, seed=done, **unsure),  # type: ignore[arg-type]
            morning,
        )
        book.add(
            patient_id,
            make_session(exercise="long-arc-quad", peak_deg=84, min_deg=short + 2, reps=12, rep_s=3.4, seed=40 + done),
            morning - timedelta(minutes=9),
        )
        if days_ago % 2 == 0:
            squat = make_session(exercise="mini-squat", peak_deg=38 + done, min_deg=short, reps=8, seed=80 + done)
            book.add(patient_id, squat, morning - timedelta(hours=5, minutes=7))
    return newest
