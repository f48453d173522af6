"""A session in a line or two, for a terminal."""

from collections.abc import Iterable
from statistics import fmean

from gonio.messages import SessionSummary


def counted(summary: SessionSummary) -> str:
    """Say how many repetitions there were, how many of them were partial, and how many met the target."""
    reps = summary.reps
    text = f"{len(reps)} repetition{'' if len(reps) == 1 else 's'}"
    partial = sum(not rep.complete for rep in reps)
    judged = [rep.on_target for rep in reps if rep.on_target is not None]
    notes = [f"{partial} partial"] if partial else []
    if judged:
        notes.append(f"{sum(judged)} of {len(judged)} on target")
    return f"{text} ({', '.join(notes)})" if notes else text


def absences(summary: SessionSummary) -> str:
    """Say for how long each sensor was away, as the end of a sentence; "" where none was."""
    away = [f"the {one.segment} sensor was away for {one.away_s:.1f} s" for one in summary.sensors if one.away_s > 0]
    return f"; {', '.join(away)}" if away else ""


def manner_of(summary: SessionSummary) -> str | None:
    """Say how the repetitions were done on average; None when nothing of it is known."""
    reps = [rep for rep in summary.reps if rep.measured]
    raising, holding, lowering, velocity = (
        _mean(values)
        for values in (
            (rep.concentric_s for rep in reps),
            (rep.hold_s for rep in reps),
            (rep.eccentric_s for rep in reps),
            (rep.peak_velocity_dps for rep in reps),
        )
    )
    parts = []
    if raising is not None:
        parts.append(f"{raising:.1f} s concentric")
    if holding is not None:
        parts.append(f"{holding:.1f} s held")
    if lowering is not None:
        parts.append(f"{lowering:.1f} s eccentric")
    if velocity is not None:
        parts.append(f"peak velocity {velocity:.0f}°/s")
    return f"a repetition on average: {', '.join(parts)}" if parts else None


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return fmean(known) if known else None
