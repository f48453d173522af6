"""Envelopes, and the publishes that carry them."""

import json
import re
import secrets
import time
import uuid
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Literal, Self

from pydantic import Field, TypeAdapter, ValidationError, field_validator, model_validator

from gonio.messages.wire import (
    ENVELOPE_VERSION,
    MAX_ENVELOPES,
    MAX_INFLATED_BYTES,
    MAX_PAYLOAD_BYTES,
    MAX_PUBLISH_BYTES,
    Kind,
    KitId,
    MessageError,
    RecordId,
    Wire,
    reason_of,
)

_WIRE_TIME = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}[+-]\d\d:\d\d$", re.ASCII)


def wire_time(moment: datetime) -> str:
    """Write an aware moment as the envelope wants it: milliseconds, and the UTC offset in force at capture."""
    if moment.tzinfo is None:
        raise ValueError("a captured moment needs its UTC offset")
    return moment.isoformat(timespec="milliseconds")


def is_wire_time(text: str) -> bool:
    """Tell whether a text is a moment as ``wire_time`` writes it, of a day that exists."""
    if not _WIRE_TIME.match(text):
        return False
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return False
    return True


class Envelope(Wire):
    """One record on the wire.

    ``sequence`` is gapless within ``outbox_id`` (new whenever an outbox is created), which makes completeness
    provable. ``boot_id`` and ``monotonic_ns`` let a clock that was wrong at capture be repaired later. ``health`` has
    neither sequence nor outbox: the newest replaces the older.
    """

    record_id: RecordId
    kind: Kind
    kit_id: KitId
    outbox_id: uuid.UUID | None = None
    sequence: int | None = Field(default=None, ge=1, lt=2**53)
    boot_id: uuid.UUID
    monotonic_ns: int = Field(ge=0, lt=2**63)
    captured_at: str = Field(description="ISO 8601 with milliseconds and UTC offset")
    clock: Literal["synchronised", "unsynchronised"]
    schema_version: int = Field(ge=1, le=65_535)
    key_id: str | None = Field(default=None, max_length=64)
    signature: str | None = Field(default=None, max_length=256, description="base64 over signed_bytes()")
    payload: str = Field(description="the JSON text as stored and signed, never re-made")

    @field_validator("captured_at")
    @classmethod
    def _captured_at_is_exact(cls, value: str) -> str:
        if not is_wire_time(value):
            raise ValueError("captured_at must be ISO 8601 with milliseconds and UTC offset")
        return value

    @field_validator("payload")
    @classmethod
    def _payload_is_bounded(cls, value: str) -> str:
        if len(value.encode()) > MAX_PAYLOAD_BYTES:
            raise ValueError(f"the payload is over {MAX_PAYLOAD_BYTES} bytes")
        return value

    @model_validator(mode="after")
    def _sequence_fits_kind(self) -> Self:
        numbered = self.sequence is not None and self.outbox_id is not None
        bare = self.sequence is None and self.outbox_id is None
        if not (bare if self.kind is Kind.HEALTH else numbered):
            raise ValueError("health has neither sequence nor outbox_id, every other kind has both")
        return self

    @property
    def captured(self) -> datetime:
        """The moment of capture, aware."""
        return datetime.fromisoformat(self.captured_at)

    def signed_bytes(self) -> bytes:
        """Give the bytes that a signature covers: the header's fields, one a line, then the payload's very text.

        The header is included so that a signed payload cannot be passed off as another kit's, day's or sequence's.
        """
        head = (
            f"gonio-record-v{ENVELOPE_VERSION}",
            str(self.record_id),
            self.kind.value,
            self.kit_id,
            str(self.outbox_id or "-"),
            str(self.sequence or "-"),
            str(self.boot_id),
            str(self.monotonic_ns),
            self.captured_at,
            self.clock,
            str(self.schema_version),
            self.key_id or "-",
        )
        return "\n".join((*head, self.payload)).encode()


def new_record_id() -> uuid.UUID:
    """Make a UUIDv7 (RFC 9562): milliseconds of wall time first, so that ids sort by creation, the rest random."""
    millis = time.time_ns() // 1_000_000
    value = (
        (millis & 0xFFFF_FFFF_FFFF) << 80 | 0x7 << 76 | secrets.randbits(12) << 64 | 0b10 << 62 | secrets.randbits(62)
    )
    return uuid.UUID(int=value)


def pack(envelopes: Sequence[Envelope]) -> bytes:
    """Write a publish.

    Raises:
        MessageError: no envelope, more than MAX_ENVELOPES, over MAX_INFLATED_BYTES as text, or over
            MAX_PUBLISH_BYTES once compressed.
    """
    if not 1 <= len(envelopes) <= MAX_ENVELOPES:
        raise MessageError(f"a publish holds 1 to {MAX_ENVELOPES} records, not {len(envelopes)}")
    text = ("[" + ",".join(e.model_dump_json(exclude_none=True) for e in envelopes) + "]").encode()
    packed = zlib.compress(text, 9)
    if len(text) > MAX_INFLATED_BYTES or len(packed) > MAX_PUBLISH_BYTES:
        raise MessageError(f"the publish is over {MAX_PUBLISH_BYTES} bytes: send fewer records at once")
    return packed


def inflate(data: bytes) -> bytes:
    """Unpack a publish to its text, within bounds.

    Raises:
        MessageError: too large, cut short, not zlib, or with something after its end.
    """
    if len(data) > MAX_PUBLISH_BYTES:
        raise MessageError(f"the publish is over {MAX_PUBLISH_BYTES} bytes")
    inflater = zlib.decompressobj()
    try:
        text = inflater.decompress(data, MAX_INFLATED_BYTES)
    except zlib.error as error:
        raise MessageError("the publish is not zlib data") from error
    if inflater.unconsumed_tail:
        raise MessageError(f"the publish inflates to over {MAX_INFLATED_BYTES} bytes")
    if not inflater.eof:
        raise MessageError("the publish is cut short")
    if inflater.unused_data:
        raise MessageError("the publish has bytes after its end")
    return text


@dataclass(frozen=True, slots=True)
class BadRecord:
    """One element of a publish that is no valid envelope: its JSON, why, and its id if it has a readable one."""

    text: str
    reason: str
    record_id: uuid.UUID | None


#: A publish without fault, read in one step: a third of the time.
_ENVELOPES = TypeAdapter(Annotated[list[Envelope], Field(min_length=1, max_length=MAX_ENVELOPES)])


def unpack(data: bytes) -> list[Envelope | BadRecord]:
    """Read a publish; a bad element comes with its reason and does not spoil the good ones beside it.

    Raises:
        MessageError: the publish as a whole cannot be read (not zlib, too large, not a JSON list, too long a list).
    """
    text = inflate(data)
    try:
        return list(_ENVELOPES.validate_json(text))
    except ValidationError:
        pass  # once more, element by element
    try:
        items = json.loads(text)
    except (ValueError, RecursionError) as error:  # ValueError: also broken UTF-8 and integers beyond bounds
        raise MessageError("the publish is not JSON") from error
    if not isinstance(items, list) or not 1 <= len(items) <= MAX_ENVELOPES:
        raise MessageError(f"a publish is a list of 1 to {MAX_ENVELOPES} records")
    return [_read_item(item) for item in items]


def _read_item(item: object) -> Envelope | BadRecord:
    try:
        envelope = Envelope.model_validate(item)
    except ValidationError as error:
        return BadRecord(text=json.dumps(item), reason=reason_of(error), record_id=_record_id_of(item))
    return envelope


def _record_id_of(item: object) -> uuid.UUID | None:
    try:
        return uuid.UUID(item["record_id"]) if isinstance(item, dict) else None
    except (KeyError, ValueError, TypeError, AttributeError):
        return None
