"""Sensors without a gyroscope: what an angle of inclination alone would be worth, and what the count is.

The angle is given what it would have to learn: both axes and the zero come from the same trial with its gyroscopes.
"""

from dataclasses import replace
from functools import partial

import numpy as np
from measures import degrees_rms, f1, matches, wrapped
from ours import run
from sections import Bench, Section
from tables import Table, number
from trials import Trial, is_gait

from gonio.signal.consts import EXERCISES
from gonio.signal.inclination import InclinationFilter
from gonio.signal.knee.tracker import inclination

#: Without these gait counts nothing anyway: a quad set moves the leg too little to be seen.
_GAIT_EXERCISES = tuple(name for name in EXERCISES if name != "quad-set")


def measure(bench: Bench, trials: list[Trial]) -> Section:
    """Measure angle and count of the recordings with their gyroscopes taken away."""
    referenced = [trial for trial in trials if len(trial.truth_s) and not trial.rig]
    counted = [trial for trial in trials if trial.count and not trial.name.endswith("template")]
    gait = [trial for trial in trials if is_gait(trial)]
    tables = []
    if referenced:
        rows = [(trial.name, *row) for trial, row in zip(referenced, bench.spread(_angle, referenced), strict=True)]
        title = "Without gyroscopes: the angle that is not shown (axes and zero given, offset removed)"
        tables.append(Table(title, ("trial", "RMSE", "99 %", "largest"), rows))
    if counted:
        rows = list(zip(*(bench.spread(partial(_count, told=told), counted) for told in (True, False)), strict=True))
        lines = [
            (trial.name, str(trial.count), *one, other[0]) for trial, (one, other) in zip(counted, rows, strict=True)
        ]
        tables.append(
            Table("Without gyroscopes: repetitions", ("trial", "done", "found", "F1", "found, not declared"), lines)
        )
    if gait:
        false = bench.spread(_false, [(trial, exercise) for trial in gait for exercise in (None, *_GAIT_EXERCISES)])
        each = np.reshape(false, (len(gait), -1))
        lines = [
            (trial.name, str(np.count_nonzero(row)), str(row.max())) for trial, row in zip(gait, each, strict=True)
        ]
        heads = ("trial", f"of {each.shape[1]} declarations that count something", "most")
        tables.append(Table("Without gyroscopes: repetitions in walking", heads, lines))
    return Section(tables)


def without_gyroscopes(trial: Trial) -> Trial:
    """Give the same trial from sensors that have none."""
    bare = {segment: replace(one, gyr=np.full_like(one.gyr, np.nan)) for segment, one in trial.samples.items()}
    return replace(trial, samples=bare)


def _angle(trial: Trial) -> tuple[str, str, str]:
    known = run(trial, exercise=trial.exercise).result.calibration
    if known is None:
        return "-", "-", "-"
    grid = trial.grid()
    ways = [
        inclination(InclinationFilter(grid.rate_hz).feed(acc).up, np.array(axis))
        for acc, axis in zip(grid.acc, (known.thigh, known.shank), strict=True)
    ]
    error = wrapped(ways[1] - ways[0] - known.straight - trial.reference(grid.t_s))
    error = error[np.isfinite(error)]
    error = wrapped(error - np.median(error))
    far = np.degrees(np.abs(error))
    return f"{degrees_rms(error):.1f}°", f"{np.percentile(far, 99):.0f}°", f"{far.max():.0f}°"


def _count(trial: Trial, *, told: bool) -> tuple[str, str]:
    reps = run(without_gyroscopes(trial), exercise=trial.exercise if told else None).reps
    if trial.reps is None:
        return str(len(reps)), "-"
    hits = matches(reps, trial.reps)
    return str(len(reps)), number(f1(len(reps), len(hits), sum(hits)), 3)


def _false(job: tuple[Trial, str | None]) -> int:
    trial, exercise = job
    return len(run(without_gyroscopes(trial), exercise=exercise).reps)
