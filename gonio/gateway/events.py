"""What a running session tells whoever watches it: a display, a terminal, the demo."""

import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from gonio.signal.consts import Segment


@dataclass(frozen=True, slots=True)
class SessionStarted:
    """Both sensors stream; the patient may begin."""

    record_id: uuid.UUID


@dataclass(frozen=True, slots=True)
class LiveAngle:
    """The newest angle.

    Attributes:
        t_s: seconds after the session's start.
        flexion_deg: knee flexion, or None while it is not known.
        reps: repetitions counted so far.
        latency_ms: from the arrival of the last notification to this angle.
    """

    t_s: float
    flexion_deg: float | None
    reps: int
    latency_ms: float


@dataclass(frozen=True, slots=True)
class RepCounted:
    """A repetition was completed.

    Attributes:
        number: counts from 1.
        rom_deg: its range of motion.
        complete: whether it went as far as the others.
    """

    number: int
    rom_deg: float | None
    complete: bool = True


@dataclass(frozen=True, slots=True)
class RepsKept:
    """The repetitions up to this number are on the disk and survive a power cut."""

    number: int


@dataclass(frozen=True, slots=True)
class SensorLost:
    """A sensor went silent or away; the session waits for it."""

    segment: Segment
    reason: str


@dataclass(frozen=True, slots=True)
class SensorBack:
    """A lost sensor streams again."""

    segment: Segment


@dataclass(frozen=True, slots=True)
class Noticed:
    """What the session's result would be marked with if it ended now (``SessionSummary.flags``); it has changed."""

    flags: tuple[str, ...]


Concern: TypeAlias = Literal["session", "disk", "thigh-battery", "shank-battery"]


@dataclass(frozen=True, slots=True)
class Trouble:
    """Something is wrong that a person should know of; the session goes on.

    Attributes:
        text: what, in English.
        about: what it concerns, for those who say it in other words.
    """

    text: str
    about: Concern = field(default="session", compare=False)


SessionEvent: TypeAlias = (
    SessionStarted | LiveAngle | RepCounted | RepsKept | SensorLost | SensorBack | Noticed | Trouble
)
Listener: TypeAlias = Callable[[SessionEvent], None]
