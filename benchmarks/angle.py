"""The angle of the recordings: gonio calibrating itself, and its peers with everything given."""

from functools import partial

import numpy as np
from ours import Outcome, run
from peers import METHODS, PeerError, olsson_axes, peer_error, signed
from sections import Aim, Bench, Section
from tables import Table, angle, number
from trials import Trial

#: Offset-free RMSE to be reached, degrees, by how a recording's name begins.
_AIMS = {"bends": ("bends", 1.2), "cutting": ("cutting", 1.3), "hinge-rig": ("rig", 1.2)}
_ZERO_AIM_DEG = 3.0
_WITHIN_S = 60.0
_WINDOWS_S = (10.0, 30.0)
_TURNING, _ACTIVE_SHARE = 0.5, 0.3


def measure(bench: Bench, trials: list[Trial]) -> Section:
    """Measure all recordings that have a reference."""
    trials = [trial for trial in trials if len(trial.truth_s)]
    if not trials:
        return Section()
    told = bench.spread(_declared, trials)
    untold = bench.spread(_undeclared, [trial for trial in trials if trial.exercise is not None])
    jobs = [(k, trial, one.t_s[one.ok]) for k in range(len(METHODS)) for trial, one in zip(trials, told, strict=True)]
    errors = bench.spread(_peer, jobs)
    by_method = [errors[k * len(trials) : (k + 1) * len(trials)] for k in range(len(METHODS))]
    tables = [_own_table(told, untold), _peers_table(told, by_method)]
    if human := [trial for trial in trials if not trial.rig]:
        tables.append(_signs_table(human, bench.spread(_olsson_signs, human)))
    return Section(tables, _aims(told))


def _declared(trial: Trial) -> Outcome:
    return run(trial, exercise=trial.exercise)


_undeclared = partial(run, exercise=None)


def _peer(job: tuple[int, Trial, np.typing.NDArray[np.float64]]) -> PeerError:
    number_of, trial, ok_s = job
    return peer_error(METHODS[number_of], trial, ok_s)


def _olsson_signs(trial: Trial) -> list[tuple[int, int]]:
    """Count the windows of each length in which Olsson's relative sign is that of the whole trial's; and all."""
    grid = trial.grid()
    right = signed(olsson_axes(grid), grid, trial)
    counts = []
    for seconds in _WINDOWS_S:
        length = round(seconds * grid.rate_hz)
        good = every = 0
        for first in range(0, len(grid.t_s) - length + 1, length):
            part = grid.part(first, first + length)
            if np.mean(np.linalg.norm(part.gyr[1], axis=1) > _TURNING) < _ACTIVE_SHARE:
                continue
            one, two = olsson_axes(part)
            good += bool((one @ right[0]) * (two @ right[1]) > 0)
            every += 1
        counts.append((good, every))
    return counts


def _signs_table(trials: list[Trial], counts: list[list[tuple[int, int]]]) -> Table:
    rows = [
        (trial.name, *(f"{good} of {every}" if every else "-" for good, every in row))
        for trial, row in zip(trials, counts, strict=True)
    ]
    return Table(
        "The relative sign of the two axes by Olsson's estimator (qmt), window by window",
        ("recording", *(f"right in windows of {seconds:g} s" for seconds in _WINDOWS_S)),
        rows,
        "Windows in which the shank turns faster than 0.5 rad/s for at least 30 % of the time.",
    )


def _own_table(told: list[Outcome], untold: list[Outcome]) -> Table:
    rows = []
    for told_what, outcomes in (("yes", told), ("no", untold)):
        for one in outcomes:
            peaks = one.peak_errors()
            sign = one.sign_right()
            rows.append(
                (
                    one.trial.name,
                    told_what if one.trial.exercise is not None else "no",
                    number(one.calibrated_after_s, 0, " s"),
                    f"{100 * one.result.ok_fraction:.0f} %",
                    angle(one.offset_free(lag=False)),
                    angle(one.offset_free(lag=True)),
                    angle(one.own_zero()),
                    one.result.zero,
                    angle(float(np.mean(peaks)) if len(peaks) else float("nan"), 1),
                    "-" if sign is None else "right" if sign else "WRONG",
                    str(one.wrong()),
                )
            )
    return Table(
        "The angle of the recordings, calibrated by itself",
        (
            "recording",
            "exercise told",
            "angle from",
            "ok",
            "RMSE without offset",
            "and without lag",
            "RMSE with its own zero",
            "zero from",
            "peak flexion, measured - true",
            "sign",
            "samples ok and > 10° wrong",
        ),
        rows,
        "Against the optical reference, wherever the angle is ok. A rig's reference has no zero and no sign: its axes "
        "must only fit each other, and wrong means off by more than 10° with the best offset.",
    )


def _peers_table(told: list[Outcome], by_method: list[list[PeerError]]) -> Table:
    rows = [("gonio", "yes", "nothing", *(angle(one.offset_free(lag=True)) for one in told))]
    for method, errors in zip(METHODS, by_method, strict=True):
        cells = [f"{angle(one.shared)} ({angle(one.whole)}; {angle(one.best)})" for one in errors]
        rows.append((method.name, "yes" if method.causal else "no", method.given, *cells))
    return Table(
        "Beside other methods: RMSE without offset and lag",
        ("method", "causal", "is given", *(one.trial.name for one in told)),
        rows,
        "Each cell: over the samples where gonio's angle is ok (in brackets: over the whole trial; over gonio's "
        "samples with both axes fitted to the reference itself). gonio learns axes and signs while it runs; the others "
        "get their axes from the whole trial (Seel's from his estimator, all others' from Olsson's as in qmt) and both "
        "signs from the reference.",
    )


def _aims(told: list[Outcome]) -> list[Aim]:
    aims = []
    for begin, (on, wanted) in _AIMS.items():
        mine = [one for one in told if one.trial.name.startswith(begin)]
        figures = [one.offset_free(lag=True) for one in mine]
        late = max((one.calibrated_after_s for one in mine), default=float("nan"))
        what = "RMSE without offset, calibrated by itself within 60 s"
        reached = ", ".join(map(angle, figures)) + f"; angle from {number(late, 0)} s on"
        met = all(f <= wanted for f in figures) and late <= _WITHIN_S if mine else None
        aims.append(Aim(what, on, f"≤ {wanted}°", reached if mine else "no recording", met))
    bends = [one.own_zero() for one in told if one.trial.name.startswith("bends")]
    met = all(one <= _ZERO_AIM_DEG for one in bends) if bends else None
    aims.append(
        Aim("RMSE with the zero from standing", "bends", "≤ 3°", ", ".join(map(angle, bends)) or "no recording", met)
    )
    return aims
