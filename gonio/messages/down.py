"""What a clinic sends to a kit: programs, messages and commands, each in an envelope of its own.

The clinic has an outbox of its own, with a gapless sequence for each kit, and sends a record again until the kit's
``receipt`` comes. A publish on ``down/program``, ``down/message`` or ``down/command`` is, as upwards, zlib of a JSON
list of envelopes; ``down/ack`` alone is not numbered (see ``acks``).
"""

import json
import uuid
import zlib
from collections.abc import Sequence
from datetime import date, time
from typing import Annotated, ClassVar, Final, Literal, Self, TypeAlias

from pydantic import BaseModel, Field, TypeAdapter, ValidationError, field_validator, model_validator

from gonio.messages.envelope import inflate, is_wire_time
from gonio.messages.patient import EVERY_DAY, Weekdays
from gonio.messages.session import GoalReport
from gonio.messages.wire import (
    ENVELOPE_VERSION,
    MAX_ENVELOPES,
    MAX_INFLATED_BYTES,
    MAX_PAYLOAD_BYTES,
    MAX_PUBLISH_BYTES,
    DownKind,
    ExerciseName,
    KitId,
    MessageError,
    RecordId,
    Seconds,
    SensorAddress,
    ShortText,
    Wire,
    reason_of,
)


class DownEnvelope(Wire):
    """One record of the clinic's on its way to a kit; ``sequence`` is gapless for the kit within ``outbox_id``."""

    record_id: RecordId
    kind: DownKind
    kit_id: KitId
    outbox_id: uuid.UUID
    sequence: int = Field(ge=1, lt=2**53)
    created_at: str = Field(description="ISO 8601 with milliseconds and UTC offset")
    schema_version: int = Field(ge=1, le=65_535)
    key_id: str | None = Field(default=None, max_length=64)
    signature: str | None = Field(default=None, max_length=256, description="base64 over signed_bytes()")
    payload: str = Field(description="the JSON text as stored and signed, never re-made")

    @field_validator("created_at")
    @classmethod
    def _created_at_is_exact(cls, value: str) -> str:
        if not is_wire_time(value):
            raise ValueError("created_at must be ISO 8601 with milliseconds and UTC offset")
        return value

    @field_validator("payload")
    @classmethod
    def _payload_is_bounded(cls, value: str) -> str:
        if len(value.encode()) > MAX_PAYLOAD_BYTES:
            raise ValueError(f"the payload is over {MAX_PAYLOAD_BYTES} bytes")
        return value

    @field_validator("kind")
    @classmethod
    def _is_a_record(cls, value: DownKind) -> DownKind:
        if value is DownKind.ACK:
            raise ValueError("an acknowledgement is no record")
        return value

    def signed_bytes(self) -> bytes:
        """Give the bytes that a signature covers: the header's fields, one a line, then the payload's very text."""
        head = (
            f"gonio-down-v{ENVELOPE_VERSION}",
            str(self.record_id),
            self.kind.value,
            self.kit_id,
            str(self.outbox_id),
            str(self.sequence),
            self.created_at,
            str(self.schema_version),
            self.key_id or "-",
        )
        return "\n".join((*head, self.payload)).encode()


class Prescribed(Wire):
    """One exercise of a program, with its dose."""

    exercise: ExerciseName
    side: Literal["left", "right"]
    sets: int = Field(default=1, ge=1, le=50)
    reps: int | None = Field(default=None, ge=1, le=500, description="of each set; None: by time")
    duration_s: Seconds | None = Field(default=None, description="of each set, where it is done by time")
    rest_s: Seconds | None = None
    times_a_day: int = Field(default=1, ge=1, le=12)
    weekdays: Weekdays = EVERY_DAY
    at: tuple[time, ...] = Field(default=(), max_length=12, description="local times that are suggested")
    goal: GoalReport | None = None
    ceiling_deg: float | None = Field(default=None, ge=0, le=180, description="never to be bent beyond: the surgeon's")
    note: str = Field(default="", max_length=1000)

    @model_validator(mode="after")
    def _has_a_dose(self) -> Self:
        if self.reps is None and self.duration_s is None:
            raise ValueError("an exercise is prescribed by repetitions or by time")
        return self


class Program(Wire):
    """What is prescribed from a day on, whole; a newer version replaces it. Payload of ``program``, version 1."""

    SCHEMA_VERSION: ClassVar[int] = 1

    program_id: uuid.UUID
    version: int = Field(ge=1)
    valid_from: date
    valid_to: date | None = Field(default=None, description="inclusive; None is open")
    exercises: tuple[Prescribed, ...] = Field(max_length=32)
    paused: bool = False
    note: str = Field(default="", max_length=2000, description="to the patient")
    clinic: ShortText | None = Field(default=None, description="the clinic's name, as its patients know it")
    telephone: str | None = Field(default=None, pattern=r"^[0-9+(][0-9 ()./-]{2,31}$", description="the clinic's")
    surgery: date | None = Field(default=None, description="of the knee replacement that milestones count from")
    simulated: bool = Field(default=False, description="made by a simulator: every screen must say so")


class ClinicMessage(Wire):
    """A message to the patient. Payload of kind ``message``, schema version 1."""

    SCHEMA_VERSION: ClassVar[int] = 1

    text: str = Field(min_length=1, max_length=4000)
    sender: ShortText = Field(description="as the patient knows the sender, such as 'Your physiotherapist'")
    answers: uuid.UUID | None = Field(default=None, description="the patient's message that it answers")
    simulated: bool = False


class Identify(Wire):
    """Blink, sound, show: which kit is this?"""

    do: Literal["identify"]


class Capture(Wire):
    """Record raw motion for a while, for a clinician who asked for it."""

    do: Literal["capture"]
    duration_s: float = Field(gt=0, le=3600)


class RotateCredentials(Wire):
    """Make a new key and ask for a new certificate."""

    do: Literal["rotate-credentials"]


class Wipe(Wire):
    """Forget everything of this patient, after what is unsent was acknowledged."""

    do: Literal["wipe"]
    at_once: bool = Field(default=False, description="also what is unsent: the kit is lost")
    decommission: bool = Field(default=False, description="also who the kit is: its key and its certificate")


class AllowSensors(Wire):
    """From now on these two sensors belong to this kit, and it connects to and pairs no others."""

    do: Literal["sensors"]
    thigh: SensorAddress
    shank: SensorAddress

    @model_validator(mode="after")
    def _are_two(self) -> Self:
        if self.thigh.upper() == self.shank.upper():
            raise ValueError("thigh and shank have a sensor each, not the same one")
        return self


class Resend(Wire):
    """Send these records again, though they were acknowledged: the clinic's book was restored from an older copy."""

    do: Literal["resend"]
    outbox_id: uuid.UUID
    first: int = Field(ge=1, lt=2**53)
    last: int = Field(ge=1, lt=2**53, description="inclusive")

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.last < self.first:
            raise ValueError("first is at most last")
        return self


AnyCommand: TypeAlias = Identify | Capture | RotateCredentials | Wipe | AllowSensors | Resend
Command: TypeAlias = Annotated[AnyCommand, Field(discriminator="do")]  # payload of kind ``command``, schema version 1

#: The schema version of every command.
COMMAND_VERSION: Final = 1

DownPayload: TypeAlias = Program | ClinicMessage | AnyCommand

_COMMAND: Final[TypeAdapter[AnyCommand]] = TypeAdapter(Command)
_BY_KIND: Final[dict[DownKind, type[BaseModel]]] = {DownKind.PROGRAM: Program, DownKind.MESSAGE: ClinicMessage}
_LIST: Final[TypeAdapter[list[DownEnvelope]]] = TypeAdapter(
    Annotated[list[DownEnvelope], Field(min_length=1, max_length=MAX_ENVELOPES)]
)


def read_down(envelope: DownEnvelope) -> DownPayload:
    """Parse the payload of a clinic's record.

    Raises:
        MessageError: a schema version that this software does not know, or a payload against its schema.
    """
    if envelope.schema_version != 1:
        raise MessageError(f"schema version {envelope.schema_version} of {envelope.kind.value} is not known here")
    try:
        if envelope.kind is DownKind.COMMAND:
            return _COMMAND.validate_json(envelope.payload)
        return _BY_KIND[envelope.kind].model_validate_json(envelope.payload)  # type: ignore[return-value]
    except ValidationError as error:
        raise MessageError(reason_of(error)) from error


def pack_down(envelopes: Sequence[DownEnvelope]) -> bytes:
    """Write a publish.

    Raises:
        MessageError: no envelope, more than MAX_ENVELOPES, or too large.
    """
    if not 1 <= len(envelopes) <= MAX_ENVELOPES:
        raise MessageError(f"a publish holds 1 to {MAX_ENVELOPES} records, not {len(envelopes)}")
    text = ("[" + ",".join(e.model_dump_json(exclude_none=True) for e in envelopes) + "]").encode()
    packed = zlib.compress(text, 9)
    if len(text) > MAX_INFLATED_BYTES or len(packed) > MAX_PUBLISH_BYTES:
        raise MessageError(f"the publish is over {MAX_PUBLISH_BYTES} bytes: send fewer records at once")
    return packed


def unpack_down(data: bytes) -> list[DownEnvelope]:
    """Read a publish of the clinic's; as the clinic wrote it whole, one bad element spoils it.

    Raises:
        MessageError: it cannot be read.
    """
    try:
        return _LIST.validate_python(json.loads(inflate(data)))
    except ValidationError as error:
        raise MessageError(reason_of(error)) from error
    except (ValueError, RecursionError) as error:
        raise MessageError("the publish is not JSON") from error
