"""What a running session tells whoever watches it: a display, a terminal, the demo."""

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

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
    """A repetition was completed; ``number`` counts from 1."""

    number: int
    rom_deg: float | None


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
class Trouble:
    """Something is wrong that a person should know of; the session goes on."""

    text: str


SessionEvent: TypeAlias = SessionStarted | LiveAngle | RepCounted | RepsKept | SensorLost | SensorBack | Trouble
Listener: TypeAlias = Callable[[SessionEvent], None]
