"""Everything that crosses the wire between kit and clinic.

A *publish* is zlib of a JSON list of 1 to ``MAX_ENVELOPES`` envelopes. An *envelope* carries one record: what it is,
where it stands in its kit's gapless sequence, when it was captured, and the payload as the very text that the kit
stored (and signs). Nobody re-makes that text: the clinic stores, verifies and parses the same bytes.

Versioning
    The topic carries the envelope's version (``gonio/v1/...``); ``schema_version`` is the version of the payload of
    that kind. A reader refuses a version it does not know, with its reason: it never guesses. Unknown *fields* are
    refused too, so that a newer kit is told and keeps its copy, in place of a clinic that silently drops a finding.

Limits
    What a peer can make us allocate is bounded before it is allocated: see the constants.
"""

import json
import math
import re
import secrets
import time
import uuid
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Annotated, ClassVar, Final, Literal, Self, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from gonio.errors import GonioError

ENVELOPE_VERSION: Final = 1
MAX_ENVELOPES: Final = 100  # in one publish: a day of a busy kit is under 20 records
MAX_PAYLOAD_BYTES: Final = 131_072  # one record: an hour of repetitions with its curve is under 40 kB
MAX_PUBLISH_BYTES: Final = 1_048_576  # compressed; 100 records of 1.5 kB are 150 kB
MAX_INFLATED_BYTES: Final = 2_097_152  # what a zip bomb can reach; as JSON of empty lists it still takes 60 MB


class MessageError(GonioError):
    """A publish or a record that cannot be accepted: its text is the reason given to the peer."""


class Kind(StrEnum):
    """What a record from a kit is."""

    SESSION = "session"
    CHECK_IN = "check-in"
    VOID = "void"
    MESSAGE = "message"
    PREFERENCE = "preference"
    HEALTH = "health"
    RECEIPT = "receipt"


class DownKind(StrEnum):
    """What a clinic sends to a kit."""

    ACK = "ack"
    PROGRAM = "program"
    MESSAGE = "message"
    COMMAND = "command"


KitId: TypeAlias = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{2,63}$")]
RecordId: TypeAlias = Annotated[uuid.UUID, Field(description="UUIDv7, made once on the kit")]
Degrees: TypeAlias = Annotated[float, Field(ge=-360, le=360, allow_inf_nan=False)]
Seconds: TypeAlias = Annotated[float, Field(ge=0, le=86_400, allow_inf_nan=False)]
ShortText: TypeAlias = Annotated[str, Field(min_length=1, max_length=64)]
Flag: TypeAlias = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,47}$")]
ExerciseName: TypeAlias = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,47}$")]


class _Wire(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


# --- session ---------------------------------------------------------------------------------------------------------


class SensorReport(_Wire):
    """What one sensor was and how well it was heard during a session."""

    segment: Literal["thigh", "shank"]
    family: ShortText
    name: str = Field(max_length=64, description="advertised name; never a person's")
    firmware: str = Field(default="", max_length=32)
    battery_percent: int | None = Field(default=None, ge=0, le=100)
    rate_hz: float | None = Field(default=None, gt=0, le=10_000, description="real rate on the kit's clock")
    samples: int = Field(ge=0)
    lost: int = Field(default=0, ge=0)
    repeated: int = Field(default=0, ge=0)
    malformed: int = Field(default=0, ge=0, description="packets that could not be decoded")
    gaps: int = Field(default=0, ge=0)
    longest_gap_s: Seconds = 0.0
    restarts: int = Field(default=0, ge=0)
    reconnects: int = Field(default=0, ge=0)


class RepReport(_Wire):
    """One completed repetition; times in seconds after ``captured_at``, angles in degrees."""

    start_s: Seconds
    peak_s: Seconds
    end_s: Seconds
    signal: Literal["knee", "thigh"]
    peak_flexion_deg: Degrees | None
    min_flexion_deg: Degrees | None
    rom_deg: Degrees
    measured: bool = True

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if not self.start_s <= self.peak_s <= self.end_s:
            raise ValueError("a repetition starts before its peak and ends after it")
        return self


class AngleCurve(_Wire):
    """The session's flexion at whole steps after ``captured_at``, in whole degrees; null where it is not known."""

    step_s: float = Field(gt=0, le=600)
    flexion_deg: tuple[Annotated[int, Field(ge=-360, le=360)] | None, ...] = Field(max_length=2000)


class SessionSummary(_Wire):
    """One exercise on one side from start to stop. Payload of kind ``session``, schema version 1."""

    SCHEMA_VERSION: ClassVar[int] = 1

    sitting_id: uuid.UUID
    exercise: ExerciseName
    recognised: bool = Field(default=False, description="the exercise was recognised, not declared")
    side: Literal["left", "right"]
    source: Literal["sensor", "simulated", "recording"]
    duration_s: Seconds
    interrupted: bool = Field(default=False, description="cut off by power or crash and closed at the next start")
    reps: tuple[RepReport, ...] = Field(max_length=2000)
    max_flexion_deg: Degrees | None
    min_flexion_deg: Degrees | None = Field(description="the extension deficit where positive")
    zero: Literal["standing", "pose", "range", "none"]
    calibrated_at_s: Seconds | None
    ok_fraction: float = Field(ge=0, le=1)
    flags: tuple[Flag, ...] = Field(default=(), max_length=32)
    sensors: tuple[SensorReport, ...] = Field(max_length=2)
    curve: AngleCurve | None
    software: ShortText = Field(description="gonio's version on the kit")

    @property
    def simulated(self) -> bool:
        """Whether no patient's sensor made this: every screen must say so."""
        return self.source != "sensor"


# --- health ----------------------------------------------------------------------------------------------------------


class HealthReport(_Wire):
    """How a kit is doing. Payload of kind ``health``, schema version 1; the newest replaces the older."""

    SCHEMA_VERSION: ClassVar[int] = 1

    software: ShortText = Field(description="gonio's version on the kit")
    platform: str = Field(default="", max_length=64, description="operating system and machine type")
    pending: int = Field(ge=0, description="records that wait for the clinic's acknowledgement")
    rejected: int = Field(default=0, ge=0, description="records that the clinic refused and the kit still holds")
    batteries_percent: dict[Literal["thigh", "shank"], Annotated[int, Field(ge=0, le=100)]] = Field(
        default_factory=dict, description="last known charge of each sensor"
    )
    troubles: tuple[Annotated[str, Field(max_length=200)], ...] = Field(default=(), max_length=8)


# --- envelope --------------------------------------------------------------------------------------------------------

_CAPTURED = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}[+-]\d\d:\d\d$")


def wire_time(moment: datetime) -> str:
    """Write an aware moment as the envelope wants it: milliseconds, and the UTC offset in force at capture."""
    if moment.tzinfo is None:
        raise ValueError("a captured moment needs its UTC offset")
    return moment.isoformat(timespec="milliseconds")


class Envelope(_Wire):
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
        if not _CAPTURED.match(value):
            raise ValueError("captured_at must be ISO 8601 with milliseconds and UTC offset")
        datetime.fromisoformat(value)
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


def payload_text(payload: BaseModel) -> str:
    """Write a payload as the JSON text that is stored, signed and sent: compact, without fields at their default."""
    return payload.model_dump_json(exclude_defaults=True)


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


def _inflate(data: bytes) -> bytes:
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


def unpack(data: bytes) -> list[Envelope | BadRecord]:
    """Read a publish; a bad element comes with its reason and does not spoil the good ones beside it.

    Raises:
        MessageError: the publish as a whole cannot be read (not zlib, too large, not a JSON list, too long a list).
    """
    try:
        items = json.loads(_inflate(data))
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


def reason_of(error: ValidationError) -> str:
    """Say in one line what is wrong with a record, without repeating its content (it may be a patient's)."""
    parts = []
    for fault in error.errors()[:3]:
        known = fault["loc"][:-1] if fault["type"] == "extra_forbidden" else fault["loc"]  # a stray name is content too
        parts.append(f"{'.'.join(str(part) for part in known) or 'record'}: {fault['msg'][:100]}")
    more = error.error_count() - len(parts)
    return "; ".join(parts) + (f"; and {more} more" if more > 0 else "")


def read_session(envelope: Envelope) -> SessionSummary:
    """Parse the payload of a ``session`` record.

    Raises:
        MessageError: another kind, a schema version this software does not know, or a payload against its schema.
    """
    if envelope.kind is not Kind.SESSION:
        raise MessageError(f"a {envelope.kind.value} is no session")
    if envelope.schema_version != SessionSummary.SCHEMA_VERSION:
        raise MessageError(f"schema version {envelope.schema_version} of session is not known here")
    try:
        return SessionSummary.model_validate_json(envelope.payload)
    except ValidationError as error:
        raise MessageError(reason_of(error)) from error


# --- acknowledgement -------------------------------------------------------------------------------------------------


class AckStatus(StrEnum):
    """What became of a record at the clinic."""

    STORED = "stored"
    REPEATED = "repeated"
    REJECTED = "rejected"


class Ack(_Wire):
    """The clinic's word on one record, given only after its transaction is committed."""

    record_id: uuid.UUID
    status: AckStatus
    reason: str | None = Field(default=None, max_length=500)


class AckBatch(_Wire):
    """Payload of ``down/ack``."""

    acks: tuple[Ack, ...] = Field(max_length=MAX_ENVELOPES)


def pack_acks(batch: AckBatch) -> bytes:
    """Write a ``down/ack`` publish."""
    return zlib.compress(batch.model_dump_json(exclude_none=True).encode())


def unpack_acks(data: bytes) -> AckBatch:
    """Read a ``down/ack`` publish.

    Raises:
        MessageError: it cannot be read.
    """
    try:
        return AckBatch.model_validate_json(_inflate(data))
    except ValidationError as error:
        raise MessageError(reason_of(error)) from error


# --- topics ----------------------------------------------------------------------------------------------------------


def up_topic(kit_id: str, kind: Kind) -> str:
    """Name the topic on which a kit publishes records of a kind."""
    return f"gonio/v{ENVELOPE_VERSION}/{kit_id}/up/{kind.value}"


def down_topic(kit_id: str, kind: DownKind) -> str:
    """Name the topic on which the clinic speaks to a kit."""
    return f"gonio/v{ENVELOPE_VERSION}/{kit_id}/down/{kind.value}"


UP_FILTER: Final = f"gonio/v{ENVELOPE_VERSION}/+/up/+"


def kit_of_topic(topic: str) -> str | None:
    """Give the kit whose ``up`` topic this is, or None when it is none of ours."""
    match = re.match(rf"^gonio/v{ENVELOPE_VERSION}/([a-z0-9][a-z0-9-]{{2,63}})/up/[a-z-]+$", topic)
    return match.group(1) if match else None


def degrees(radians: float) -> float | None:
    """Convert an angle for the wire: degrees to a tenth, None for NaN."""
    return None if math.isnan(radians) else round(math.degrees(radians), 1)
