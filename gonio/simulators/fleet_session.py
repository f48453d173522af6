"""What a simulated patient's session came to.

A session is a pure function of the fleet's seed, the kit's number and the record's number, and says of itself that it
is simulated, as its sensors do.
"""

import math
import random
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from gonio import __version__
from gonio.messages import (
    AngleCurve,
    RepReport,
    SensorReport,
    SessionSummary,
    SetReport,
)
from gonio.simulators.fleet_history import Happening, Patient

SOFTWARE: Final = f"gonio {__version__} (simulated fleet)"
_RATE_HZ: Final = 60.0
_CURVE_POINTS: Final = 240
_REST_S: Final = 45.0  # between two sets
_BEGIN_S: Final = 5.0  # before the first repetition
_LONGEST_SHARE: Final = 0.9  # of the time until the next session
_STIFFER_DEG: Final = 12.0  # that the worst flare takes from the flexion


@dataclass(frozen=True, slots=True)
class _Exercise:
    """How far a repetition of an exercise goes: between the deficit and a share of the flexion, at most a limit."""

    name: str
    from_day: int
    share: float
    limit_deg: float


_EXERCISES: Final = (
    _Exercise("heel-slide", 0, 1.0, 140.0),
    _Exercise("short-arc-quad", 0, 0.6, 40.0),
    _Exercise("long-arc-quad", 5, 1.0, 92.0),
    _Exercise("terminal-knee-extension", 10, 0.5, 35.0),
    _Exercise("sit-to-stand", 14, 1.0, 98.0),
    _Exercise("hamstring-curl", 21, 0.85, 110.0),
    _Exercise("mini-squat", 28, 0.6, 60.0),
)


@dataclass(frozen=True, slots=True)
class _Rep:
    start_s: float
    peak_s: float
    hold_s: float
    end_s: float
    low_deg: float
    high_deg: float
    complete: bool


def simulated_session(rng: random.Random, who: Patient, happening: Happening, sitting_id: uuid.UUID) -> SessionSummary:
    """Draw a session.

    Args:
        rng: from which all that varies follows.
        who: the patient.
        happening: when it was, and how the knee was.
        sitting_id: of its sitting.
    """
    moment = happening.moment
    exercise = rng.choice([one for one in _EXERCISES if one.from_day <= moment.day])
    longest_s = moment.room_s * _LONGEST_SHARE
    sets = _sets(rng, who, exercise, happening, longest_s)
    reps = [rep for one in sets for rep in one]
    ends_s = reps[-1].end_s if reps else 0.0
    duration_s = round(min(longest_s, ends_s + rng.uniform(1, 6)), 2)
    return SessionSummary(
        sitting_id=sitting_id,
        exercise=exercise.name,
        side=who.side,
        source="simulated",
        duration_s=max(duration_s, ends_s),
        interrupted=rng.random() < 0.01,  # noqa: PLR2004 - a flat battery
        reps=tuple(_rep_report(rng, rep) for rep in reps),
        max_flexion_deg=max((rep.high_deg for rep in reps), default=None),
        min_flexion_deg=min((rep.low_deg for rep in reps), default=None),
        zero="standing",
        calibrated_at_s=round(min(longest_s, rng.uniform(2, 4)), 2),
        ok_fraction=round(rng.uniform(0.9, 1.0), 4),
        sensors=tuple(_sensor_report(rng, segment, duration_s) for segment in ("thigh", "shank")),
        curve=_curve(reps, duration_s),
        sets=tuple(_set_report(one) for one in sets if one),
        likeness=round(rng.uniform(0.75, 0.99), 2),
        software=SOFTWARE,
    )


def _sets(
    rng: random.Random, who: Patient, exercise: _Exercise, happening: Happening, longest_s: float
) -> list[list[_Rep]]:
    """Move the knee: one or two sets, which end where the time does."""
    done = who.recovered(happening.moment.day)
    low = who.deficit_deg[0] + (who.deficit_deg[1] - who.deficit_deg[0]) * done + rng.gauss(0, 1.0)
    flexion = who.flexion_deg[0] + (who.flexion_deg[1] - who.flexion_deg[0]) * done + rng.gauss(0, 2.5)
    flexion -= _STIFFER_DEG * happening.flare
    high = max(low + 15.0, min(exercise.limit_deg, exercise.share * flexion))
    at_s = _BEGIN_S
    sets: list[list[_Rep]] = []
    for size in rng.choice(((10,), (12,), (15,), (8, 8), (10, 10))):
        one: list[_Rep] = []
        for _ in range(size):
            rep = _rep(rng, at_s, low, high)
            if rep.end_s > longest_s:
                break
            one.append(rep)
            at_s = rep.end_s + rng.uniform(0.3, 1.2)
        sets.append(one)
        at_s += _REST_S
    return sets


def _rep(rng: random.Random, start_s: float, low: float, high: float) -> _Rep:
    complete = rng.random() > 0.05  # noqa: PLR2004 - now and then one falls short
    reached = high if complete else low + 0.5 * (high - low)
    peak_s = start_s + rng.uniform(1.0, 2.0)
    hold_s = rng.uniform(0.1, 1.0)
    return _Rep(
        start_s=round(start_s, 2),
        peak_s=round(peak_s, 2),
        hold_s=round(hold_s, 2),
        end_s=round(peak_s + hold_s + rng.uniform(1.0, 2.0), 2),
        low_deg=round(low + abs(rng.gauss(0, 1.0)), 1),
        high_deg=round(reached - abs(rng.gauss(0, 2.0)), 1),
        complete=complete,
    )


def _rep_report(rng: random.Random, rep: _Rep) -> RepReport:
    rom = rep.high_deg - rep.low_deg
    rising_s = rep.peak_s - rep.start_s
    return RepReport(
        start_s=rep.start_s,
        peak_s=rep.peak_s,
        end_s=rep.end_s,
        signal="knee",
        peak_flexion_deg=rep.high_deg,
        min_flexion_deg=rep.low_deg,
        rom_deg=round(rom, 1),
        concentric_s=round(rising_s, 2),
        hold_s=rep.hold_s,
        eccentric_s=round(max(0.0, rep.end_s - rep.peak_s - rep.hold_s), 2),
        peak_velocity_dps=round(abs(rom) * math.pi / 2 / rising_s, 1),
        smoothness=round(rng.uniform(-3.5, -1.6), 2),
        complete=rep.complete,
    )


def _set_report(reps: Sequence[_Rep]) -> SetReport:
    ranges = [rep.high_deg - rep.low_deg for rep in reps if rep.complete]
    return SetReport(
        start_s=reps[0].start_s,
        end_s=reps[-1].end_s,
        complete=len(ranges),
        partial=len(reps) - len(ranges),
        rom_mean_deg=round(sum(ranges) / len(ranges), 1) if ranges else None,
    )


def _sensor_report(rng: random.Random, segment: str, duration_s: float) -> SensorReport:
    lost = rng.randrange(1, 40) if rng.random() < 0.1 else 0  # noqa: PLR2004 - a tenth of the sessions has a gap
    return SensorReport.model_validate(
        {
            "segment": segment,
            "family": "simulated",
            "name": f"simulated {segment}",
            "battery_percent": rng.randrange(15, 101),
            "rate_hz": round(rng.gauss(_RATE_HZ, 0.02), 3),
            "samples": max(0, int(duration_s * _RATE_HZ) - lost),
            "lost": lost,
            "gaps": int(lost > 0),
            "longest_gap_s": round(lost / _RATE_HZ, 2),
        }
    )


def _curve(reps: Sequence[_Rep], duration_s: float) -> AngleCurve | None:
    """Draw the flexion: each repetition rises and falls as half a wave, and the leg rests between them."""
    if not reps:
        return None
    step_s = max(0.2, math.ceil(duration_s / _CURVE_POINTS * 10) / 10)
    t_s = np.arange(0.0, duration_s, step_s)
    knots_s = [at_s for rep in reps for at_s in (rep.start_s, rep.peak_s, rep.peak_s + rep.hold_s, rep.end_s)]
    share = (1 - np.cos(math.pi * np.interp(t_s, knots_s, [0.0, 1.0, 1.0, 0.0] * len(reps)))) / 2
    which = np.searchsorted([rep.end_s for rep in reps[:-1]], t_s)
    low = np.array([rep.low_deg for rep in reps])[which]
    high = np.array([rep.high_deg for rep in reps])[which]
    points = np.rint(low + (high - low) * share).astype(int).tolist()
    return AngleCurve(step_s=round(step_s, 1), flexion_deg=tuple(points))
