"""How a kit is doing, and how far its outbox has come."""

import uuid
from typing import Annotated, ClassVar, Final, Literal

from pydantic import Field, ValidationError

from gonio.messages.envelope import Envelope
from gonio.messages.wire import Kind, MessageError, ShortText, Wire, reason_of


class EndedOutbox(Wire):
    """An outbox that was damaged and set aside: what is known of it."""

    outbox_id: uuid.UUID
    last_sequence: int = Field(ge=0, description="the last number that is known to have been given")
    saved: int = Field(ge=0, description="records that could be read and are kept")
    lost: tuple[tuple[int, int], ...] = Field(
        default=(), max_length=64, description="numbers (first, last) of records that could not be read"
    )


class HealthReport(Wire):
    """How a kit is doing. Payload of kind ``health``; the newest replaces the older.

    Schema versions
        1: software, counts, batteries, troubles.
        2: how far the outbox has come, so that the clinic knows what it lacks beyond the last record that it has;
        outboxes that were set aside; the disk.
    """

    SCHEMA_VERSION: ClassVar[int] = 2

    software: ShortText = Field(description="gonio's version on the kit")
    platform: str = Field(default="", max_length=64, description="operating system and machine type")
    outbox_id: uuid.UUID | None = Field(default=None, description="the outbox that takes new records")
    last_sequence: int | None = Field(default=None, ge=0, description="the last number given in it")
    pending: int = Field(ge=0, description="records that wait for the clinic's acknowledgement")
    oldest_pending: int | None = Field(
        default=None, ge=1, description="the smallest number in outbox_id that waits; None: none waits"
    )
    rejected: int = Field(default=0, ge=0, description="records that the clinic refused and the kit still holds")
    ended: tuple[EndedOutbox, ...] = Field(default=(), max_length=16, description="newest first")
    disk_free_mb: int | None = Field(default=None, ge=0)
    days_left: int | None = Field(default=None, ge=0, description="of records that the disk has room for, at most 9999")
    batteries_percent: dict[Literal["thigh", "shank"], Annotated[int, Field(ge=0, le=100)]] = Field(
        default_factory=dict, description="last known charge of each sensor"
    )
    troubles: tuple[Annotated[str, Field(max_length=200)], ...] = Field(default=(), max_length=8)
    simulated: bool = Field(default=False, description="of a virtual kit: every screen must say so")


#: The schema versions that this software can read.
READABLE_HEALTH: Final = frozenset({1, HealthReport.SCHEMA_VERSION})


def read_health(envelope: Envelope) -> HealthReport:
    """Parse the payload of a ``health`` record.

    Raises:
        MessageError: another kind, a schema version this software does not know, or a payload against its schema.
    """
    if envelope.kind is not Kind.HEALTH:
        raise MessageError(f"a {envelope.kind.value} is no health report")
    if envelope.schema_version not in READABLE_HEALTH:
        raise MessageError(f"schema version {envelope.schema_version} of health is not known here")
    try:
        return HealthReport.model_validate_json(envelope.payload)
    except ValidationError as error:
        raise MessageError(reason_of(error)) from error
