"""The figures that stand large at the head of a session's page: those that mean something in its exercise."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

from gonio.cloud_sink.review.measures import goal_words, measures, raises, tilt_name
from gonio.cloud_sink.review.rows import extension, largest_lag
from gonio.cloud_sink.review.words import has_absolute_angle
from gonio.messages import RepReport, SessionSummary
from gonio.signal.consts import INCLINATION_ONLY
from gonio.web.words import UNKNOWN, degrees, duration, number, percent


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure that stands large at the head of the page: its name, its value, and a word beside it.

    A wide one takes the room of two.
    """

    name: str
    value: str
    note: str = ""
    wide: bool = False


def figures(summary: SessionSummary) -> tuple[Figure, ...]:
    """Choose and write the figures of a session."""
    reps = [rep for rep in summary.reps if rep.measured]
    own = measures(summary)
    chosen = [Figure("Repetitions", number(len(summary.reps)), _count_note(summary))]
    if summary.goal is not None:
        chosen.append(_on_target(summary))
    if raises(summary):
        if INCLINATION_ONLY in summary.flags:
            chosen.append(Figure("Knee angle", UNKNOWN, "inclination only: it takes gyroscopes"))
        raised = tilt_name(summary) == "Height"
        chosen.append(Figure("Height of a raise" if raised else "Tilt a repetition", *_range(reps)))
        if raised and "extensor-lag" in own and INCLINATION_ONLY not in summary.flags:
            chosen.append(_lag(summary))
    else:
        chosen.append(Figure("Largest flexion", degrees(summary.max_flexion_deg)))
        chosen.append(Figure("Extension", _extension_value(summary), _extension_note(summary)))
        chosen.append(Figure("Range a repetition", *_range(reps)))
    chosen.append(_tempo(reps))
    velocity = mean(rep.peak_velocity_dps for rep in reps)
    if velocity is not None:
        chosen.append(Figure("Peak velocity", f"{number(velocity)}°/s", "mean"))
    chosen.append(Figure("Duration", duration(summary.duration_s), _walking(summary)))
    return tuple(chosen)


def mean(values: Iterable[float | None]) -> float | None:
    """Give the mean of what is known; None when nothing is."""
    known = [value for value in values if value is not None]
    return fmean(known) if known else None


def _count_note(summary: SessionSummary) -> str:
    partial = sum(not rep.complete for rep in summary.reps)
    unsure = sum(not rep.measured for rep in summary.reps)
    notes = [f"{partial} of them partial"] if partial else []
    if unsure:
        notes.append(f"{unsure} not measured throughout")
    return "; ".join(notes)


def _on_target(summary: SessionSummary) -> Figure:
    judged = [rep.on_target for rep in summary.reps if rep.on_target is not None]
    asked = goal_words(summary.goal) if summary.goal is not None else ""
    if not judged:
        return Figure("On target", UNKNOWN, f"asked: {asked}")
    return Figure("On target", f"{sum(judged)} of {len(judged)}", f"asked: {asked}")


def _lag(summary: SessionSummary) -> Figure:
    lags = [rep.extensor_lag_deg for rep in summary.reps if rep.measured and rep.extensor_lag_deg is not None]
    if not lags:
        return Figure("Extensor lag", UNKNOWN, "the knee's angle was not known while it was raised")
    if not has_absolute_angle(summary):
        return Figure("Extensor lag", UNKNOWN, "cannot be told without a zero")
    return Figure("Extensor lag", degrees(largest_lag(summary)), f"the largest; mean {degrees(fmean(lags))}")


def _extension_value(summary: SessionSummary) -> str:
    return extension(summary).removesuffix(" short").removesuffix(" beyond straight").replace("straight", "0°")


def _extension_note(summary: SessionSummary) -> str:
    text = extension(summary)
    if text == UNKNOWN:
        return "cannot be told without a zero" if not has_absolute_angle(summary) else "not measured"
    if text == "straight":
        return "straight"
    return "short of straight" if text.endswith("short") else "beyond straight"


def _range(reps: Sequence[RepReport]) -> tuple[str, str]:
    """Write the mean range of the complete repetitions, as the sets do; of all where none was complete."""
    if not reps:
        return UNKNOWN, ""
    ranges = [rep.rom_deg for rep in reps if rep.complete] or [rep.rom_deg for rep in reps]
    middle = fmean(ranges)
    if len(ranges) == 1 or middle <= 0:
        return degrees(middle), ""
    spread = stdev(ranges)
    return degrees(middle), f"mean; SD {number(spread, 1)}°, CV {percent(spread / middle)}"


def _tempo(reps: Sequence[RepReport]) -> Figure:
    raising, lowering = mean(rep.concentric_s for rep in reps), mean(rep.eccentric_s for rep in reps)
    if raising is not None and lowering is not None:
        held = mean(rep.hold_s for rep in reps) or 0.0
        value = f"{number(raising, 1)} / {number(held, 1)} / {number(lowering, 1)} s"
        return Figure("Tempo", value, "concentric, hold, eccentric; mean", wide=True)
    if not reps:
        return Figure("Tempo", UNKNOWN)
    out, back = fmean(rep.peak_s - rep.start_s for rep in reps), fmean(rep.end_s - rep.peak_s for rep in reps)
    return Figure("Tempo, out and back", f"{number(out, 1)} / {number(back, 1)} s", "mean")


def _walking(summary: SessionSummary) -> str:
    if not summary.steps:
        return ""
    return f"walked {duration(summary.walking_s)} of it, {number(summary.steps)} steps of this leg"
