"""The clinic's word on what it received."""

import uuid
import zlib
from enum import StrEnum

from pydantic import Field, ValidationError

from gonio.messages.envelope import inflate
from gonio.messages.wire import MAX_ENVELOPES, MessageError, Wire, reason_of


class AckStatus(StrEnum):
    """What became of a record at the clinic."""

    STORED = "stored"
    REPEATED = "repeated"
    REJECTED = "rejected"


class Ack(Wire):
    """The clinic's word on one record, given only after its transaction is committed."""

    record_id: uuid.UUID
    status: AckStatus
    reason: str | None = Field(default=None, max_length=500)


class AckBatch(Wire):
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
        return AckBatch.model_validate_json(inflate(data))
    except ValidationError as error:
        raise MessageError(reason_of(error)) from error
