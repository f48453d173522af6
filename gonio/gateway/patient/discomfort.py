"""What to advise when it hurts: by zones of pain and red flags. It never says what somebody has.

Zones for exercise (Physiotherapy practice; facts on pain): 0 to 3 go on, 4 and 5 are acceptable if they settle within a
day, 6 to 10 call for a change. Two points above the week's usual are a change that matters (numeric rating scale,
Salaffi 2004). All of it can be set by a clinic; the limits here are the defaults.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from statistics import median
from typing import Final

from gonio.messages.check_in import CheckIn


class Advice(IntEnum):
    """What to do, mildest first."""

    GO_ON = 0
    EASE = 1  # fewer, smaller, slower; fine if it settles within a day
    STOP_AND_ASK = 2  # rest today; the therapist is asked
    DOCTOR_TODAY = 3  # call the clinic or a doctor today
    EMERGENCY = 4  # call the emergency number


@dataclass(frozen=True, slots=True)
class Limits:
    """Where advice changes, on the scale from 0 to 10: ``ease`` and ``stop`` from that pain on; ``rise`` in points."""

    ease: int = 4
    stop: int = 6
    rise: float = 2.0

    def __post_init__(self) -> None:
        if not 0 < self.ease <= self.stop <= 10 or self.rise <= 0:  # noqa: PLR2004 - the scale's end
            raise ValueError("limits of pain stand in order, within 0 to 10")


DEFAULT_LIMITS: Final = Limits()
#: Cannot wait for a doctor's hours.
EMERGENCIES: Final = frozenset({"chest-pain", "shortness-of-breath", "fainting"})
#: All that the page offers to tick; what is not among them and comes as a red flag is taken as seriously.
RED_FLAGS: Final = (
    *sorted(EMERGENCIES),
    "calf-swelling",
    "calf-pain",
    "fever",
    "wound-drainage",
    "sudden-swelling",
    "cannot-bear-weight",
    "numbness",
)


@dataclass(frozen=True, slots=True)
class Guidance:
    """What to advise, and what led to it.

    Attributes:
        advice: what to do.
        pain: the worst that was told now, or None.
        above_usual: by how much that is above the week's usual, or None where either is not known.
        red_flags: those that were told.
    """

    advice: Advice
    pain: int | None
    above_usual: float | None
    red_flags: tuple[str, ...]

    @property
    def may_praise(self) -> bool:
        """Whether a best is worth a word: nobody is driven to one through pain."""
        return self.advice is Advice.GO_ON


def advise(check_in: CheckIn, usual: Sequence[int] = (), *, limits: Limits = DEFAULT_LIMITS) -> Guidance:
    """Advise.

    Args:
        check_in: what was told now.
        usual: the worst pains of the check-ins of the seven days before, 0 to 10.
        limits: the clinic's.
    """
    pain = check_in.worst_pain
    above = None if pain is None or not usual else pain - median(usual)
    advice = Advice.GO_ON
    if check_in.red_flags:
        urgent = EMERGENCIES.intersection(check_in.red_flags)
        advice = Advice.EMERGENCY if urgent else Advice.DOCTOR_TODAY
    elif pain is not None and pain >= limits.stop:
        advice = Advice.STOP_AND_ASK
    elif (
        (pain is not None and pain >= limits.ease)
        or (above is not None and above >= limits.rise)
        or check_in.stop_reason == "pain"
    ):
        advice = Advice.EASE
    return Guidance(advice, pain, above, tuple(check_in.red_flags))
