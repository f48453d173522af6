"""Whether one element of a publish may enter the book: pure, and before any transaction is open."""

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID

from gonio.cloud_sink.admission import OPEN, Admission
from gonio.cloud_sink.alarm import Alarm
from gonio.cloud_sink.model import Unreadable
from gonio.messages import BadRecord, Envelope, MessageError, Payload, read_payload

#: No kit of ours captured anything before this: an earlier moment from a synchronised clock is a fault.
EARLIEST: Final = datetime(2020, 1, 1, tzinfo=UTC)
#: How far a synchronised kit's clock may be ahead of ours; more is a fault of one of the two.
MAX_AHEAD: Final = timedelta(hours=24)
#: What a clock that was never set can show; within it every time zone's date exists.
CLOCK_YEARS: Final = range(1970, 9999)

MAX_REASON: Final = 400  # below what Ack and the quarantine take


@dataclass(frozen=True, slots=True)
class Accepted:
    """A record that may be stored, with its payload as a value."""

    envelope: Envelope
    captured_utc: datetime
    received_at: datetime
    content_hash: bytes
    payload: Payload


@dataclass(frozen=True, slots=True)
class Refused:
    """Something that goes to the quarantine.

    ``record_id`` is whom to answer, where one could be read; ``alarm`` says why somebody has to look at it, where
    somebody has to.
    """

    reason: str
    content: bytes
    record_id: UUID | None
    outbox_id: UUID | None = None
    sequence: int | None = None
    alarm: Alarm | None = None


def judge(
    kit_id: str | None,
    item: Envelope | BadRecord | Unreadable,
    received_at: datetime,
    admission: Admission = OPEN,
) -> Accepted | Refused:
    """Judge one element that came on a kit's topic: whose it is, whether that kit signed it, whether it can be read.

    A clock that says it was not synchronised may say any time: that is evidence, not a fault, and is kept. A
    synchronised one must lie between EARLIEST and MAX_AHEAD after ``received_at``.
    """
    if isinstance(item, Unreadable):
        return Refused(_one_line(item.reason), item.data, None)
    if isinstance(item, BadRecord):
        return Refused(_one_line(item.reason), item.text.encode(), item.record_id)
    if item.kit_id != kit_id:
        return refuse(item, "the record names another kit than the topic it came on", Alarm.OTHER_KIT)
    if (refusal := admission.refusal(item)) is not None:
        return refuse(item, *refusal)
    try:
        return _accept(item, received_at)
    except MessageError as error:
        return refuse(item, str(error))


def refuse(envelope: Envelope, reason: str, alarm: Alarm | None = None) -> Refused:
    """Refuse a record that could be read; its payload is kept to the letter."""
    return Refused(
        _one_line(reason),
        envelope.model_dump_json(exclude_none=True).encode(),
        envelope.record_id,
        envelope.outbox_id,
        envelope.sequence,
        alarm,
    )


def _accept(envelope: Envelope, received_at: datetime) -> Accepted:
    if not (envelope.key_id or "").isprintable() or not (envelope.signature or "").isprintable():
        raise MessageError("key_id or signature has characters that are no text")
    try:
        captured_utc = envelope.captured.astimezone(UTC)
    except OverflowError as error:
        raise MessageError("captured_at lies outside the calendar") from error
    if captured_utc.year not in CLOCK_YEARS:
        raise MessageError("captured_at lies outside what a clock can show")
    if envelope.clock == "synchronised":
        if captured_utc < EARLIEST:
            raise MessageError(f"captured_at is before {EARLIEST.year} though the clock was synchronised")
        if captured_utc > received_at + MAX_AHEAD:
            raise MessageError("captured_at is over a day in the future though the clock was synchronised")
    return Accepted(
        envelope,
        captured_utc,
        received_at,
        hashlib.sha256(envelope.signed_bytes()).digest(),
        read_payload(envelope),
    )


def _one_line(reason: str) -> str:
    """Bound a reason, which may repeat a peer's field names, to what an acknowledgement and a terminal can take."""
    return "".join(c if c.isprintable() else "?" for c in reason[:MAX_REASON])
