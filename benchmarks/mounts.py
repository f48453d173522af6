"""The same motion with both sensors strapped on in any way: what changes."""

from dataclasses import dataclass

import numpy as np
from measures import free_of_offset, wrapped
from ours import Outcome, run
from peers import inclination_difference, olsson_axes, up_of, vqf_quaternions
from sections import Aim, Bench, Section
from tables import Table, angle
from trials import Trial, is_gait

#: VQF begins with any heading and settles; a change before that is shown, too.
SETTLED_S = 20.0
_MOST_DEG = 0.2


@dataclass(frozen=True, slots=True)
class _Mounted:
    change: float  # largest of the angle where both are ok, degrees
    settled: float  # the same after SETTLED_S
    peaks: float  # largest of a repetition's peak flexion, degrees
    ok_differs: int  # samples ok in one mounting only
    same_count: bool
    sign: bool | None
    olsson: bool | None


def measure(bench: Bench, trials: list[Trial]) -> Section:
    """Turn every trial but gait and templates, which have next to nothing to change."""
    trials = [trial for trial in trials if not is_gait(trial) and not trial.name.endswith("template")]
    bases = bench.spread(_run, trials)
    jobs = [(base, seed) for base in bases for seed in range(bench.mounts)]
    found = bench.spread(_mounted, jobs)
    rows, most, wrong, counts = [], [], 0, 0
    for k, base in enumerate(bases):
        mine = found[k * bench.mounts : (k + 1) * bench.mounts]
        signs = [one.sign for one in mine if one.sign is not None]
        olsson = [one.olsson for one in mine if one.olsson is not None]
        wrong += signs.count(False)
        same = sum(one.same_count for one in mine)
        counts += bench.mounts - same
        ever = base.result.calibrated_at_s is not None
        if ever:
            most.append(max(one.change for one in mine))
        rows.append(
            (
                base.trial.name,
                angle(max(one.change for one in mine)) if ever else "no angle",
                angle(max(one.settled for one in mine)) if ever else "-",
                angle(max(one.peaks for one in mine)) if ever else "-",
                str(max(one.ok_differs for one in mine)),
                f"{same} of {bench.mounts}",
                f"{signs.count(True)} of {len(signs)}" if signs else "-",
                f"{olsson.count(True)} of {len(olsson)}" if olsson else "-",
            )
        )
    table = Table(
        f"{bench.mounts} random mountings of both sensors",
        (
            "trial",
            "largest change of the angle",
            "after 20 s",
            "of a peak",
            "samples ok in one only",
            "same count",
            "sign right",
            "Olsson's (qmt) sign right",
        ),
        rows,
        "Against the mounting as recorded, exercise told. Olsson's estimator has the whole trial, gonio what came "
        "until then.",
    )
    reached = (
        f"{angle(max(most, default=float('nan')))}; counts changed in {counts}, sign wrong in {wrong} of {len(jobs)}"
    )
    met = max(most, default=np.inf) <= _MOST_DEG and not wrong and not counts
    return Section(
        [table], [Aim(f"Result under {bench.mounts} random mountings", "all", "≤ 0.2°, sign right", reached, met)]
    )


def _run(trial: Trial) -> Outcome:
    return run(trial, exercise=trial.exercise)


def _mounted(job: tuple[Outcome, int]) -> _Mounted:
    base, seed = job
    trial = base.trial.turned(seed)
    other = run(trial, exercise=trial.exercise)
    both = base.ok & other.ok
    change = np.abs(np.degrees(wrapped(base.flexion - other.flexion)))
    peaks = [
        abs(np.degrees(a.peak_flexion - b.peak_flexion))
        for a, b in zip(base.result.reps, other.result.reps, strict=False)
        if np.isfinite(a.peak_flexion + b.peak_flexion)
    ]
    return _Mounted(
        change=float(change[both].max(initial=0.0)),
        settled=float(change[both & (base.t_s - base.t_s[0] > SETTLED_S)].max(initial=0.0)),
        peaks=float(max(peaks, default=0.0)),
        ok_differs=int(np.count_nonzero(base.ok != other.ok)),
        same_count=len(base.result.reps) == len(other.result.reps),
        sign=other.sign_right(),
        olsson=_olsson_right(trial) if len(trial.truth_s) else None,
    )


def _olsson_right(trial: Trial) -> bool:
    grid = trial.grid()
    one, two = olsson_axes(grid)
    angle_of = inclination_difference([up_of(quat) for quat in vqf_quaternions(grid)])
    known = np.isfinite(trial.reference(grid.t_s))

    def best(axes: tuple[np.typing.NDArray[np.float64], np.typing.NDArray[np.float64]]) -> float:
        whichever = (axes, (-axes[0], -axes[1]))  # which way is flexion is not asked for
        return min(free_of_offset(grid.t_s, angle_of(pair), known, trial, lag=False) for pair in whichever)

    return best((one, two)) < best((one, -two))
