"""Which figures mean something in an exercise, and what was asked of it."""

from typing import Final

from gonio.messages import GoalReport, SessionSummary
from gonio.signal.reps.exercises import RULES, Measure
from gonio.web.words import degrees, seconds

_ALL: Final = frozenset[Measure]({"flexion", "extension-deficit", "extensor-lag", "height", "hold"})


def measures(summary: SessionSummary) -> frozenset[Measure]:
    """Give the figures that mean something in a session's exercise; all of them in one that is not known here."""
    rule = RULES.get(summary.exercise)
    return frozenset(rule.measures) if rule is not None and rule.measures else _ALL


def raises(summary: SessionSummary) -> bool:
    """Whether the leg's tilt was counted, not the knee's flexion."""
    if summary.reps:
        return summary.reps[0].signal == "thigh"
    return summary.curve is not None and bool(summary.curve.tilt_deg)


def tilt_name(summary: SessionSummary) -> str:
    """Name the range of a repetition that was counted by the leg's tilt: a height is only that of a raised leg."""
    return "Height" if "height" in measures(summary) and summary.exercise in RULES else "Tilt"


def goal_words(goal: GoalReport) -> str:
    """Say what was asked: "bend to 100°, hold 5 s"."""
    parts = []
    if goal.flexion_deg is not None:
        parts.append(f"bend to {degrees(goal.flexion_deg)}")
    if goal.extension_deg is not None:
        parts.append(f"straighten to {degrees(goal.extension_deg)}")
    if goal.height_deg is not None:
        parts.append(f"raise by {degrees(goal.height_deg)}")
    if goal.hold_s is not None:
        parts.append(f"hold {seconds(goal.hold_s).replace('.0 s', ' s')}")
    return ", ".join(parts)
