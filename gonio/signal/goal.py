"""What a repetition is to reach: the therapist's target and the patient's own template."""

from dataclasses import dataclass

from gonio.signal.chunks import RepEvent


@dataclass(frozen=True, slots=True)
class Template:
    """One guided repetition, as the patient does it well.

    Attributes:
        rom: its range in the counted signal, rad.
        duration_s: from start to end, s.
        hold_s: at the far end, s; NaN when not told.
    """

    rom: float
    duration_s: float
    hold_s: float


@dataclass(frozen=True, slots=True)
class Goal:
    """What is asked of every repetition; whatever is None is not asked.

    Attributes:
        flexion: to be bent to at least, rad.
        extension: to be straightened to at most, rad.
        height: to be raised by at least (exercises counted by the leg's tilt), rad.
        hold_s: to be held at least, s.
        template: the patient's own repetition, that thresholds and completeness go by.
    """

    flexion: float | None = None
    extension: float | None = None
    height: float | None = None
    hold_s: float | None = None
    template: Template | None = None


def template_of(rep: RepEvent) -> Template:
    """Make a template of a guided repetition."""
    return Template(rep.rom, rep.end_s - rep.start_s, rep.hold_s)
