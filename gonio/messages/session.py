"""What a session came to, as a kit tells its clinic."""

import uuid
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, ValidationError, model_validator

from gonio.messages.envelope import Envelope
from gonio.messages.wire import Degrees, ExerciseName, Flag, Kind, MessageError, Seconds, ShortText, Wire, reason_of


class SensorReport(Wire):
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


class RepReport(Wire):
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


class AngleCurve(Wire):
    """The session's flexion at whole steps after ``captured_at``, in whole degrees; null where it is not known."""

    step_s: float = Field(gt=0, le=600)
    flexion_deg: tuple[Annotated[int, Field(ge=-360, le=360)] | None, ...] = Field(max_length=2000)


class SessionSummary(Wire):
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
