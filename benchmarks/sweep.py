"""The simulated leg: every exercise in every quality, told and not told, and five minutes without drift."""

from collections import defaultdict
from dataclasses import dataclass

import numpy as np
from measures import f1, matches
from ours import Outcome, run
from sections import Aim, Bench, Section
from tables import Table, angle, number
from trials import Trial, simulated

from gonio.signal.consts import EXERCISES
from gonio.simulators.leg import LegMotion
from gonio.simulators.leg_exercises import QUALITIES, Quality

_SECONDS = 60.0
_DRIFT_SECONDS = 300.0
_DRIFT_EXERCISES = ("long-arc-quad", "heel-slide", "mini-squat", "straight-leg-raise-side")
_DRIFT_AIM_DEG = 1.0


@dataclass(frozen=True, slots=True)
class _Case:
    exercise: str
    quality: Quality
    seed: int
    walk_s: float
    standing_s: float


@dataclass(frozen=True, slots=True)
class _Found:
    free: float
    zeroed: float
    worst: float  # largest error while ok, degrees
    wrong: int
    sign: bool | None
    after_s: float
    peaks: tuple[float, ...]
    done: int
    counted: int
    hits: int


def measure(bench: Bench, recorded_wrong: tuple[int, int]) -> Section:
    """Sweep over exercises and qualities; ``recorded_wrong``: samples ok and wrong in recordings, and all ok ones."""
    seeds = range(4 if bench.full else 1)
    motions = [
        _Case(exercise, quality, 31 * k + seed, walk_s, standing_s)
        for k, exercise in enumerate(EXERCISES)
        for quality in QUALITIES
        for seed in seeds
        for walk_s, standing_s in ((0.0, 3.0), (10.0, 3.0), (0.0, 0.0))
    ]
    both = bench.spread(_sweep, motions)
    cases = [(case, told) for case in motions for told in (True, False)]
    found = [one for pair in both for one in pair]
    drifts = bench.spread(_drift, _DRIFT_EXERCISES)
    wrong = sum(one.wrong for one in found)
    runs = sum(one.wrong > 0 for one in found)
    tables = [_table(cases, found, told=told) for told in (True, False)]
    tables += [_wrong_table(cases, found), _drift_table(drifts)]
    drift = max((abs(one[1]) for one in drifts if not np.isnan(one[1])), default=float("nan"))
    samples = (
        f"{wrong} samples in {runs} of {len(found)} simulated runs; {recorded_wrong[0]} of {recorded_wrong[1]} recorded"
    )
    aims = [
        Aim("ok and wrong by more than 10°", "all", "never", samples, wrong + recorded_wrong[0] == 0),
        Aim("Drift over 5 min", "simulator", "none", f"{drift:.2f}° at most", bool(drift < _DRIFT_AIM_DEG)),
    ]
    return Section(tables, aims)


def _motion(case: _Case) -> LegMotion:
    return LegMotion(
        case.exercise,
        duration_s=_SECONDS + case.walk_s,
        quality=case.quality,
        seed=case.seed,
        walk_s=case.walk_s,
        standing_s=case.standing_s,
    )


def _sweep(case: _Case) -> tuple[_Found, _Found]:
    """Give what came of a motion with its exercise told, and not told."""
    trial = simulated(_motion(case), case.exercise, case.seed)
    return _found(run(trial, exercise=case.exercise)), _found(run(trial, exercise=None))


def _found(one: Outcome) -> _Found:
    error = np.abs(np.degrees(one.error()))
    reps = one.trial.reps or ()
    return _Found(
        free=one.offset_free(lag=False),
        zeroed=one.own_zero(),
        worst=float(error.max(initial=0.0)),
        wrong=one.wrong(),
        sign=one.sign_right(),
        after_s=one.calibrated_after_s,
        peaks=tuple(one.peak_errors().tolist()),
        done=len(reps),
        counted=len(one.reps),
        hits=sum(matches(one.reps, reps)),
    )


def _table(cases: list[tuple[_Case, bool]], found: list[_Found], *, told: bool) -> Table:
    by_exercise: dict[str, list[_Found]] = defaultdict(list)
    for (case, was_told), one in zip(cases, found, strict=True):
        if was_told is told:
            by_exercise[case.exercise].append(one)
    rows = []
    for exercise, mine in by_exercise.items():
        known = [one for one in mine if not np.isnan(one.free)]
        peaks = np.array([peak for one in mine for peak in one.peaks])
        signs = [one.sign for one in mine if one.sign is not None]
        done, counted = sum(one.done for one in mine), sum(one.counted for one in mine)
        rows.append(
            (
                exercise,
                f"{len(known)} of {len(mine)}",
                number(_median([one.after_s for one in known]), 0, " s"),
                angle(_median([one.free for one in known])),
                angle(_median([one.zeroed for one in known])),
                f"{number(float(peaks.mean()), 1)} ± {number(float(peaks.std()), 1)}°" if len(peaks) else "-",
                angle(max((one.worst for one in known), default=float("nan")), 1),
                str(signs.count(False)),
                f"{counted} of {done}",
                number(f1(counted, done, sum(one.hits for one in mine)), 3),
            )
        )
    return Table(
        f"The simulated leg, exercise {'told' if told else 'not told'}",
        (
            "exercise",
            "an angle in",
            "from (median)",
            "RMSE without offset",
            "with its own zero",
            "peak, measured - true",
            "largest error while ok",
            "wrong signs",
            "counted of done",
            "F1",
        ),
        rows,
        f"One minute each, every quality ({', '.join(QUALITIES)}), after 3 s of standing, after 10 s of walking, and "
        "without any standing. Medians over the runs that had an angle; mounting at random, sensors with errors.",
    )


def _wrong_table(cases: list[tuple[_Case, bool]], found: list[_Found]) -> Table:
    rows = []
    for (case, was_told), one in zip(cases, found, strict=True):
        if one.wrong:
            before = "walk" if case.walk_s else "standing" if case.standing_s else "none"
            told = "yes" if was_told else "no"
            rows.append(
                (case.exercise, case.quality, before, told, str(case.seed), str(one.wrong), angle(one.worst, 1))
            )
    return Table(
        "Simulated runs in which the angle was ok and wrong by more than 10°",
        ("exercise", "quality", "before it", "told", "seed", "samples", "largest error"),
        rows or [("none", "", "", "", "", "", "")],
        f"Of {len(found)} runs.",
    )


def _median(values: list[float]) -> float:
    known = [v for v in values if not np.isnan(v)]
    return float(np.median(known)) if known else float("nan")


def _drift(exercise: str) -> tuple[str, float, float, float]:
    """Give the exercise and, over its five minutes, the change of the mean error, the RMSE and the share ok."""
    one = run(simulated(LegMotion(exercise, duration_s=_DRIFT_SECONDS, seed=5), exercise, 5), exercise=exercise)
    error, t = np.degrees(one.error()), one.t_s[one.use]
    if not len(t) or t[-1] - t[0] < _DRIFT_SECONDS / 2:
        return exercise, float("nan"), float("nan"), one.result.ok_fraction
    slope = float(np.polyfit(t, error, 1)[0]) * _DRIFT_SECONDS
    return exercise, slope, one.offset_free(lag=False), one.result.ok_fraction


def _drift_table(drifts: list[tuple[str, float, float, float]]) -> Table:
    rows = [(name, angle(slope), angle(free), f"{100 * ok:.0f} %") for name, slope, free, ok in drifts]
    return Table(
        "Five minutes of one exercise on the simulated leg",
        ("exercise", "drift of the error in 5 min", "RMSE without offset", "ok"),
        rows,
        "Drift: the slope of a line through the error, times 5 min.",
    )


def link_trials() -> list[Trial]:
    """Give simulated trials of exercises that calibrate well, for the links' table."""
    names = ("heel-slide", "long-arc-quad", "mini-squat", "sit-to-stand")
    return [simulated(LegMotion(name, duration_s=_SECONDS, seed=3), f"simulated {name}", 3) for name in names]


def count_wrong(outcomes: list[Outcome]) -> tuple[int, int]:
    """Give the samples that were ok and wrong, and all that were ok and could be judged."""
    return sum(one.wrong() for one in outcomes), sum(int(np.count_nonzero(one.use)) for one in outcomes)
