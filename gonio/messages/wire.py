"""What all messages share: limits, types of fields, kinds, errors, and how a payload is written."""

import math
import uuid
from enum import StrEnum
from typing import Annotated, Final, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, ValidationError

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
SensorAddress: TypeAlias = Annotated[
    str, Field(pattern=r"^[0-9A-Za-z][0-9A-Za-z:-]{1,63}$", description="a Bluetooth address, or what stands for it")
]
ExerciseName: TypeAlias = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,47}$")]


class Wire(BaseModel):
    """A value as it crosses the wire: frozen, finite, and without fields that its reader does not know."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


def payload_text(payload: BaseModel) -> str:
    """Write a payload as the JSON text that is stored, signed and sent: compact, without fields at their default."""
    return payload.model_dump_json(exclude_defaults=True)


def reason_of(error: ValidationError) -> str:
    """Say in one line what is wrong with a record, without repeating its content (it may be a patient's)."""
    parts = []
    for fault in error.errors()[:3]:
        known = fault["loc"][:-1] if fault["type"] == "extra_forbidden" else fault["loc"]  # a stray name is content too
        said = "no such choice" if fault["type"].startswith("union_tag") else fault["msg"]  # its text repeats the tag
        parts.append(f"{'.'.join(str(part) for part in known) or 'record'}: {said[:100]}")
    more = error.error_count() - len(parts)
    return "; ".join(parts) + (f"; and {more} more" if more > 0 else "")


def degrees(radians: float) -> float | None:
    """Convert an angle for the wire: degrees to a tenth, None for what is no number."""
    return round(math.degrees(radians), 1) if math.isfinite(radians) else None
