"""Repetitions: found against done in the recordings, and those found where nothing was done."""

from functools import partial

import numpy as np
from measures import f1, matches
from ours import Outcome, run
from sections import Aim, Bench, Section
from tables import Table, number
from trials import Trial, is_gait

from gonio.signal.consts import EXERCISES

_F1_AIM, _COUNT_AIM = 0.97, 1
#: Executions of each type in a physiotherapy set, in this order.
_TYPES = ("correct", "fast", "low amplitude")
_EACH = 10


def measure(bench: Bench, trials: list[Trial]) -> Section:
    """Count in all recordings where somebody counted."""
    counted = [trial for trial in trials if trial.count]
    gait = [trial for trial in trials if is_gait(trial)]
    tables, aims = [], []
    if counted:
        told = bench.spread(_told, counted)
        untold = bench.spread(partial(run, exercise=None), counted)
        tables.append(_counted_table(told, untold))
        aims += _set_aim(
            [one for one in told if one.trial.name.startswith("pt-") and one.trial.name.endswith("exercise")]
        )
    if gait or counted:
        jobs = [(trial, exercise) for trial in gait for exercise in (None, *EXERCISES)]
        false = bench.spread(_false, jobs)
        walks = bench.spread(_before_sets, [t for t in counted if t.name.startswith("bends")])
        tables.append(_false_table(jobs, false, walks))
        aims.append(_false_aim(jobs, false, walks))
    return Section(tables, aims)


def _told(trial: Trial) -> Outcome:
    return run(trial, exercise=trial.exercise)


def _hits(one: Outcome) -> list[bool] | None:
    return None if one.trial.reps is None else matches(one.reps, one.trial.reps)


def score(one: Outcome) -> float:
    """Give F1 against the marked repetitions; NaN where they were only counted."""
    hits = _hits(one)
    return float("nan") if hits is None else f1(len(one.reps), len(hits), sum(hits))


def _counted_table(told: list[Outcome], untold: list[Outcome]) -> Table:
    rows = []
    for one, other in zip(told, untold, strict=True):
        hits = _hits(one)
        types = "-"
        if hits is not None and len(hits) == _EACH * len(_TYPES):
            parts = [sum(hits[k * _EACH : (k + 1) * _EACH]) for k in range(len(_TYPES))]
            types = " / ".join(map(str, parts))
        rows.append(
            (
                one.trial.name,
                one.trial.exercise or "-",
                str(one.trial.count),
                str(len(one.reps)),
                number(score(one), 3),
                types,
                f"{sum(rep.complete for rep in one.reps)} / {sum(not rep.complete for rep in one.reps)}",
                f"{len(other.reps)} as {other.result.exercise}",
                ", ".join(one.result.flags) or "-",
            )
        )
    return Table(
        "Repetitions of the recordings",
        (
            "recording",
            "exercise",
            "done",
            "counted",
            "F1",
            "found of each type",
            "complete / partial",
            "not told",
            "flags",
        ),
        rows,
        f"Types: {_EACH} {', '.join(_TYPES)}, in this order. A found repetition matches a true one when they overlap "
        "by 30 % of the shorter.",
    )


def _set_aim(sets: list[Outcome]) -> list[Aim]:
    if not sets:
        return []
    scores = [score(one) for one in sets]
    off = [len(one.reps) - (one.trial.count or 0) for one in sets]
    met = min(scores) >= _F1_AIM and max(map(abs, off)) <= _COUNT_AIM
    reached = f"F1 {', '.join(f'{s:.3f}' for s in scores)}; counts {', '.join(f'{o:+d}' for o in off)}"
    return [Aim("Repetitions, F1 and counts", "pt-s1", "F1 ≥ 0.97, within ±1", reached, met)]


def _false(job: tuple[Trial, str | None]) -> tuple[int, int, float]:
    trial, exercise = job
    result = run(trial, exercise=exercise).result
    return len(result.reps), result.steps, result.walking_s


def _before_sets(trial: Trial) -> tuple[str, int, float]:
    """Count what was found outside of the sets; a set's margin of 2 s is the person's, who begins before the mark."""
    one = run(trial, exercise=trial.exercise)
    spans = trial.sets
    false = [
        rep for rep in one.reps if not any(rep.start_s < end + 2.0 and rep.end_s > start - 2.0 for start, end in spans)
    ]
    return trial.name, len(false), one.t_s[-1] - one.t_s[0] - sum(end - start for start, end in spans)


def _false_table(
    jobs: list[tuple[Trial, str | None]], false: list[tuple[int, int, float]], walks: list[tuple[str, int, float]]
) -> Table:
    rows = []
    for trial in dict.fromkeys(trial for trial, _ in jobs):
        mine = {exercise: found for (one, exercise), found in zip(jobs, false, strict=True) if one is trial}
        worst = max(EXERCISES, key=lambda name: mine[name][0])
        minutes = float(np.ptp(trial.grid().t_s)) / 60.0
        rows.append(
            (
                trial.name,
                f"{minutes:.1f} min",
                str(mine[None][0]),
                f"{sum(mine[name][0] for name in EXERCISES)}" + (f" (most as {worst})" if mine[worst][0] else ""),
                f"{mine[None][1]}",
                f"{mine[None][2] / 60.0:.1f} min",
            )
        )
    rows += [
        (f"{name}, outside its sets", f"{s / 60.0:.1f} min", str(count), "-", "-", "-") for name, count, s in walks
    ]
    return Table(
        "Repetitions found where none were done",
        ("recording", "length", "nothing told", f"told each of {len(EXERCISES)} exercises, in all", "steps", "walking"),
        rows,
        "Treadmill walking, normal and with a stiff knee. Told an exercise, the chain expects it. The bends are told "
        "their exercise.",
    )


def _false_aim(
    jobs: list[tuple[Trial, str | None]], false: list[tuple[int, int, float]], walks: list[tuple[str, int, float]]
) -> Aim:
    untold = sum(found[0] for (_, exercise), found in zip(jobs, false, strict=True) if exercise is None)
    told = sum(found[0] for (_, exercise), found in zip(jobs, false, strict=True) if exercise is not None)
    bends = sum(count for _, count, _ in walks)
    reached = (
        f"{untold} in gait (told an exercise: {told} in {len(jobs) - len({t.name for t, _ in jobs})} runs); {bends}"
    )
    return Aim("False repetitions", "gait; bends outside its sets", "0", reached + " in bends", untold + bends == 0)
