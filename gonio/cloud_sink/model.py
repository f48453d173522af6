"""What goes into the book and what is read from it, as values."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from gonio.messages import BadRecord, Envelope, SessionSummary

#: How much of a refused publish or record is kept: over twice the largest valid record; the rest is told by its size.
QUARANTINE_BYTES: Final = 262_144


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A publish that could not be read at all, and why."""

    data: bytes
    reason: str


@dataclass(frozen=True, slots=True)
class Delivery:
    """What one publish brought.

    Attributes:
        kit_id: the kit on whose topic it came, or None when the topic was no kit's; a broker's ACL lets a kit write
            to its own topics only, so this is who really sent it.
        items: the elements of the publish, in its order.
        received_at: when it arrived here, aware.
    """

    kit_id: str | None
    items: tuple[Envelope | BadRecord | Unreadable, ...]
    received_at: datetime


@dataclass(frozen=True, slots=True)
class PatientRow:
    """A patient in a list: sessions of every source are counted, simulated ones too, but none that is struck out."""

    patient_id: UUID
    name: str
    time_zone: str
    sessions: int
    last_session_at: datetime | None


@dataclass(frozen=True, slots=True)
class SessionRow:
    """One session as the kit sent it, and as it is placed in time by now.

    Attributes:
        record_id: the record's id.
        patient_id: who had the kit when it was captured; None when nobody did, or nobody can say.
        kit_id: the kit.
        captured: when it started, aware, with the offset that the kit sent: as captured, or as repaired.
        received_at: when it arrived, UTC.
        clock: ``synchronised`` at capture; ``repaired`` since, by another record of the same boot; ``unsynchronised``.
        summary: its content.
        voided: struck out: it is shown as such and never counts.
    """

    record_id: UUID
    patient_id: UUID | None
    kit_id: str
    captured: datetime
    received_at: datetime
    clock: str
    summary: SessionSummary
    voided: bool = False


@dataclass(frozen=True, slots=True)
class QuarantineRow:
    """Something refused: from whom, why, how often, and its bytes (at most QUARANTINE_BYTES of them)."""

    topic_kit: str
    record_id: UUID | None
    reason: str
    content: bytes
    content_bytes: int
    last_received_at: datetime
    times: int
