"""What a repetition is to reach: the therapist's target and the patient's own template."""

import math
from dataclasses import dataclass

from gonio.signal.chunks import RepEvent


@dataclass(frozen=True, slots=True)
class Template:
    """One guided repetition, as the patient does it well.

    Attributes:
        rom: its range in the counted signal, rad.
    """

    rom: float


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

    @property
    def asks(self) -> bool:
        """Whether anything is asked that a repetition can meet or miss."""
        return any(wanted is not None for wanted in (self.flexion, self.extension, self.height, self.hold_s))

    def met(self, most: float, least: float, height: float, hold_s: float) -> bool | None:
        """Tell whether a repetition reached all that is asked; None when nothing is asked, or it cannot be told.

        Args:
            most: its largest flexion, rad; NaN: not known.
            least: its smallest flexion, rad; NaN likewise.
            height: how far the leg was raised, rad; NaN likewise.
            hold_s: the hold at the far end, s; NaN likewise.
        """
        pairs = ((most, self.flexion), (height, self.height), (hold_s, self.hold_s))
        short = [wanted - reached for reached, wanted in pairs if wanted is not None]
        if self.extension is not None:
            short.append(least - self.extension)
        if any(lack > 0.0 for lack in short):
            return False
        return True if short and not any(map(math.isnan, short)) else None


def template_of(rep: RepEvent) -> Template:
    """Make a template of a guided repetition."""
    return Template(rep.rom)
