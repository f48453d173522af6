"""The words of the domain, as the pages say them: exercises, sides, sources, and where an angle's zero came from."""

from typing import Final

from gonio.messages import SessionSummary
from gonio.signal.consts import NO_EXERCISE

_EXERCISES: Final = {
    NO_EXERCISE: "No exercise recognised",
    "straight-leg-raise": "Straight-leg raise",
    "straight-leg-raise-side": "Straight-leg raise, to the side",
    "straight-leg-raise-prone": "Straight-leg raise, prone",
    "short-arc-quad": "Short-arc quad",
    "long-arc-quad": "Long-arc quad",
    "sit-to-stand": "Sit-to-stand",
    "step-up": "Step-up",
}

#: Where the angle's zero came from, and what that means for its reader.
ZERO: Final = {
    "standing": (
        "Standing leg",
        (
            "The angle was set while the patient stood still; a relaxed knee is taken to be a few degrees short of "
            "straight then. One that cannot be straightened lacks more extension than the figures say."
        ),
    ),
    "pose": ("Known pose", "Zero comes from a pose of known angle that the patient was asked to take."),
    "range": (
        "Straightest seen",
        (
            "No standing or known pose was found, so the straightest angle of the session was taken as nearly "
            "straight. Ranges and counts hold; the extension deficit cannot be told, and the largest flexion is "
            "short by it."
        ),
    ),
    "stored": (
        "An earlier session",
        (
            "Zero was taken over from what the kit kept of an earlier session with the same sensors; the motion of "
            "this one agreed with the axis. A sensor strapped on a little turned shifts all angles by as much."
        ),
    ),
    "none": (
        "None",
        "No zero was found. Angles are not against the straight leg; only counts and times can be used.",
    ),
}

#: What stands in the striped band of every page that shows such data.
BANDS: Final = {
    "simulated": ("Simulated data — not a patient", "Made by gonio's leg simulator. Never use it as evidence."),
    "recording": (
        "Recording played back — not a patient",
        "Motion recorded earlier, sent through the system again. Never use it as evidence.",
    ),
}

#: Exercises that straighten the knee: what counts is the smallest flexion they reach, not the largest.
STRAIGHTENING: Final = frozenset({"quad-set", "short-arc-quad", "long-arc-quad", "terminal-knee-extension"})

#: Exercises that raise the straight leg: what counts is how far the knee sags meanwhile.
RAISING: Final = frozenset({"straight-leg-raise", "straight-leg-raise-side", "straight-leg-raise-prone"})

SOURCE_TAGS: Final = {"simulated": "Simulated", "recording": "Recording", "sensor": ""}


def exercise_name(name: str) -> str:
    """Name an exercise for people; an unknown one by its own name."""
    return _EXERCISES.get(name) or name.replace("-", " ").capitalize()


def session_name(summary: SessionSummary) -> str:
    """Name what was done and on which side: "Heel slide, left knee"."""
    return f"{exercise_name(summary.exercise)}, {summary.side} knee"


def has_absolute_angle(summary: SessionSummary) -> bool:
    """Whether the session's angles are against the straight leg, so that an extension deficit can be told."""
    return summary.zero in ("standing", "pose", "stored")
