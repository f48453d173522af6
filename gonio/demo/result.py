"""What a demo came to: counted against true, as one JSON object."""

import logging
from dataclasses import asdict, dataclass


@dataclass(frozen=True, slots=True)
class Latency:
    """From the arrival of a notification to the angle computed from it, ms; None when no angle came."""

    p50: float | None
    p95: float | None


@dataclass(frozen=True, slots=True)
class DemoResult:
    """The last line of ``gonio demo --json``.

    Attributes:
        device: family of the virtual sensors.
        source: "simulated", or the name of the recording.
        exercise: the exercise done (simulated) or found (recording).
        true_reps: repetitions really done; None when nobody counted.
        counted_reps: repetitions that the kit counted.
        true_max_flexion_deg: largest true flexion in the repetitions; None without a reference.
        max_flexion_deg: the same as the kit saw it; None when no angle was known.
        records_kit: records that the kit committed to its disk.
        records_clinic: of these, how many the clinic's book holds.
        records_doubled: of these, how many it holds more than once.
        notifications_lost: samples that the radio or the queue lost, as counted by the kit.
        errors: errors in the log.
        latency_ms: from notification to angle.
        seconds: how long the motion lasted, on the kit's clock.
        flags: what limits the trust in the session, as its record says it.
    """

    device: str
    source: str
    exercise: str
    true_reps: int | None
    counted_reps: int
    true_max_flexion_deg: float | None
    max_flexion_deg: float | None
    records_kit: int
    records_clinic: int
    records_doubled: int
    notifications_lost: int
    errors: int
    latency_ms: Latency
    seconds: float
    flags: tuple[str, ...]

    def as_json(self) -> dict[str, object]:
        """Give the object with the keys that scripts rely on."""
        return asdict(self)


class ErrorCount(logging.Handler):
    """Counts what the log calls an error, so that a demo cannot look well while something failed."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.count = 0

    def emit(self, record: logging.LogRecord) -> None:
        """Count one."""
        del record
        self.count += 1
