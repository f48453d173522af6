"""Sets of repetitions, and what a set says: how many, how consistent, how the pace changes.

Where a set ends
    At a rest clearly longer than those within it: above 10 s and above three times the median rest of the session, so
    that slow patients' rests between two repetitions end nothing; a minute's rest always ends one.
What its figures rest on
    Complete and measured repetitions only: a partial one tells nothing of how alike the complete ones were. The trend
    of the pace is the median of the slopes between all pairs (Theil and Sen: Sen 1968, J Am Stat Assoc 63:1379), so
    that one interrupted repetition makes no fatigue.
"""

import math
from itertools import pairwise
from statistics import fmean, median, stdev
from typing import Final

from gonio.signal.chunks import RepEvent, SetMetrics
from gonio.signal.reps.goal import Goal

_REST_S, _TIMES_USUAL, _ALWAYS_S = 10.0, 3.0, 60.0
_FEWEST_FOR_TREND: Final = 4


def sets_of(reps: tuple[RepEvent, ...], goal: Goal | None = None) -> tuple[SetMetrics, ...]:
    """Cut a session's repetitions into sets and sum each up.

    Args:
        reps: in order.
        goal: what every repetition was to reach.
    """
    if not reps:
        return ()
    rests = [later.start_s - earlier.end_s for earlier, later in pairwise(reps)]
    longest = min(_ALWAYS_S, max(_REST_S, _TIMES_USUAL * median(rests))) if rests else math.inf
    cuts = [0, *(k + 1 for k, rest in enumerate(rests) if rest > longest), len(reps)]
    asked = goal is not None and goal.asks
    return tuple(_summed(reps[first:last], asked=asked) for first, last in pairwise(cuts))


def symmetry(involved: float, other: float) -> float:
    """Give the involved leg's range in percent of the other's (any one unit for both); NaN where that says nothing."""
    return 100.0 * involved / other if other > 0.0 and not math.isnan(involved) else math.nan


def _summed(reps: tuple[RepEvent, ...], *, asked: bool) -> SetMetrics:
    whole = [rep for rep in reps if rep.complete and rep.measured]
    roms = [rep.rom for rep in whole]
    times = [rep.end_s - rep.start_s for rep in whole]
    complete = sum(rep.complete for rep in reps)
    return SetMetrics(
        start_s=reps[0].start_s,
        end_s=reps[-1].end_s,
        complete=complete,
        partial=len(reps) - complete,
        on_target=sum(rep.on_target is True for rep in reps) if asked else None,
        rom_mean=fmean(roms) if roms else math.nan,
        rom_cv=stdev(roms) / fmean(roms) if len(roms) > 1 else math.nan,
        rep_s=fmean(times) if times else math.nan,
        tempo_trend=_slope(times) / fmean(times) if len(times) >= _FEWEST_FOR_TREND else math.nan,
    )


def _slope(values: list[float]) -> float:
    """Give the median slope between all pairs, in units of the values a repetition."""
    return median((values[k] - values[j]) / (k - j) for k in range(1, len(values)) for j in range(k))
