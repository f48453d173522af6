"""The repetitions of a session as a table, and its sets."""

from collections.abc import Sequence
from typing import Final

from gonio.cloud_sink.review.measures import measures, raises, tilt_name
from gonio.cloud_sink.review.table import Cell, Column, Table, texts
from gonio.messages import GoalReport, RepReport, SessionSummary, SetReport
from gonio.web.charts_bar import range_bar
from gonio.web.words import UNKNOWN, Level, degrees, number, percent, seconds

#: Change of the tempo from one repetition to the next below which it counts as steady: ten repetitions whose durations
#: scatter by a tenth leave the trend uncertain by 1.1 %.
STEADY: Final = 0.015


def repetitions(summary: SessionSummary) -> Table:
    """Make the table of the repetitions: what was told of none of them has no column."""
    reps = summary.reps
    asked = summary.goal or GoalReport()
    return Table.of(
        [
            Column("No.", texts([number(position) for position in range(1, len(reps) + 1)])),
            Column("Start", texts([_moment(rep.start_s) for rep in reps]), css="n c-start"),
            Column("Result", _results(reps), css="c-result"),
            *(_raised(summary, asked) if raises(summary) else _knee(reps, asked)),
            *_phases(reps),
            Column("Speed", texts([speed(rep.peak_velocity_dps) for rep in reps]), meaning="Peak velocity"),
            Column(
                "Smooth",
                texts([UNKNOWN if rep.smoothness is None else number(rep.smoothness, 1) for rep in reps]),
                meaning="Smoothness",
            ),
            Column(
                "Note",
                texts(["" if rep.measured else "not measured throughout: no evidence" for rep in reps]),
                css="c-note",
            ),
        ]
    )


def sets(summary: SessionSummary) -> Table:
    """Make the table of the sets."""
    own = summary.sets
    return Table.of(
        [
            Column("Set", texts([number(position) for position in range(1, len(own) + 1)])),
            Column("Start", texts([_moment(one.start_s) for one in own]), css="n c-start"),
            Column("Complete", texts([number(one.complete) for one in own])),
            Column("Partial", texts([number(one.partial) if one.partial else "0" for one in own])),
            Column("On target", texts([_on_target(one) for one in own])),
            Column(
                tilt_name(summary) if raises(summary) else "Range",
                texts([degrees(one.rom_mean_deg) for one in own]),
                meaning="Mean of the complete repetitions",
            ),
            Column(
                "Varies by",
                texts([UNKNOWN if one.rom_cv is None else percent(one.rom_cv) for one in own]),
                meaning="Coefficient of variation of the range: the lower, the more consistent",
            ),
            Column("A repetition", texts([seconds(one.rep_s) for one in own]), meaning="Mean duration"),
            Column("Tempo", texts([tempo_words(one.tempo_trend) for one in own]), css="c-words"),
        ]
    )


def tempo_words(trend: float | None) -> str:
    """Say how the tempo changed over a set: "slowing 2 % each repetition"."""
    if trend is None:
        return UNKNOWN
    if abs(trend) < STEADY:
        return "steady"
    return f"{'slowing' if trend > 0 else 'quickening'} {percent(abs(trend))} each repetition"


def _phases(reps: Sequence[RepReport]) -> list[Column]:
    if all(rep.concentric_s is None and rep.hold_s is None and rep.eccentric_s is None for rep in reps):
        return [  # a kit before schema version 2, or an exercise whose muscle is not known
            Column("Out", texts([seconds(rep.peak_s - rep.start_s) for rep in reps])),
            Column("Back", texts([seconds(rep.end_s - rep.peak_s) for rep in reps])),
        ]
    return [
        Column("Con.", texts([seconds(rep.concentric_s) for rep in reps]), meaning="Concentric"),
        Column("Hold", texts([seconds(rep.hold_s) for rep in reps])),
        Column("Ecc.", texts([seconds(rep.eccentric_s) for rep in reps]), meaning="Eccentric"),
    ]


def _judged(values: Sequence[float | None], asked: float | None) -> tuple[Cell, ...]:
    """Write angles that were judged against a target to a tenth: 37.6° is off one of 38°, and must not read 38°."""
    return texts([degrees(value, 0 if asked is None else 1) for value in values])


def _knee(reps: Sequence[RepReport], asked: GoalReport) -> list[Column]:
    bars = [Cell(range_bar(rep.min_flexion_deg, rep.peak_flexion_deg, sure=rep.measured)) for rep in reps]
    known = any(rep.peak_flexion_deg is not None for rep in reps)
    smallest = _judged([rep.min_flexion_deg for rep in reps], asked.extension_deg)
    largest = _judged([rep.peak_flexion_deg for rep in reps], asked.flexion_deg)
    return [
        Column("Smallest", smallest, meaning="Smallest flexion"),
        *([Column("Range as a bar", tuple(bars), css="c-bar", hidden=True)] if known else []),
        Column("Largest", largest, meaning="Largest flexion"),
        Column("Range", texts([degrees(rep.rom_deg) for rep in reps])),
    ]


def _raised(summary: SessionSummary, asked: GoalReport) -> list[Column]:
    """Give the height, and what the knee did meanwhile: its lag, or just its flexion where a lag means nothing."""
    reps = summary.reps
    height = Column(tilt_name(summary), _judged([rep.rom_deg for rep in reps], asked.height_deg))
    if "extensor-lag" in measures(summary):
        return [height, Column("Lag", texts([degrees(rep.extensor_lag_deg) for rep in reps]), meaning="Extensor lag")]
    return [height, Column("Knee", texts([degrees(rep.peak_flexion_deg) for rep in reps]), meaning="Largest flexion")]


def _results(reps: Sequence[RepReport]) -> tuple[Cell, ...]:
    if all(rep.complete and rep.on_target is None for rep in reps):
        return texts([""] * len(reps))
    return tuple(_result(rep) for rep in reps)


def _result(rep: RepReport) -> Cell:
    if not rep.complete:
        return Cell("partial", Level.WATCH)
    if rep.on_target is None:
        return Cell("complete")
    return Cell("on target", Level.GOOD) if rep.on_target else Cell("off target", Level.WATCH)


def _on_target(one: SetReport) -> str:
    return UNKNOWN if one.on_target is None else f"{one.on_target} of {one.complete + one.partial}"


def speed(dps: float | None) -> str:
    """Write an angular velocity in whole degrees per second."""
    return UNKNOWN if dps is None else f"{number(dps)}°/s"


def _moment(value_s: float) -> str:
    minutes, rest = divmod(value_s, 60)
    return f"{int(minutes)}:{rest:04.1f}"
