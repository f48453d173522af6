"""What a session came to, as a kit tells its clinic.

Schema versions of kind ``session``
    1: repetitions with start, peak, end and range.
    2: how each repetition was done, sets, goal, steps and walking, likeness, tilt, clipped samples, and whether a
    kept calibration was used. Every field that is new in it has a default that says "not told", so that a record of
    version 1 reads as the same value with less in it.
    3: for how long each sensor was away.
"""

import uuid
from typing import Annotated, ClassVar, Final, Literal, Self, TypeAlias

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
    clipped: int = Field(default=0, ge=0, description="samples at the end of the sensor's range")
    restarts: int = Field(default=0, ge=0)
    reconnects: int = Field(default=0, ge=0)
    away_s: Seconds = Field(default=0.0, description="without a link, from the first to the session's end")


class GoalReport(Wire):
    """What was asked of each repetition; what is None was not asked."""

    flexion_deg: Degrees | None = Field(default=None, description="to be bent to at least")
    extension_deg: Degrees | None = Field(default=None, description="to be straightened to at most")
    height_deg: Degrees | None = Field(default=None, description="to be raised by at least")
    hold_s: Seconds | None = Field(default=None, description="to be held at least")


class RepReport(Wire):
    """One repetition; times in seconds after ``captured_at``, angles in degrees; None where it could not be told."""

    start_s: Seconds
    peak_s: Seconds
    end_s: Seconds
    signal: Literal["knee", "thigh"]
    peak_flexion_deg: Degrees | None
    min_flexion_deg: Degrees | None
    rom_deg: Degrees
    measured: bool = True
    concentric_s: Seconds | None = None
    hold_s: Seconds | None = None
    eccentric_s: Seconds | None = None
    peak_velocity_dps: float | None = Field(default=None, ge=0, le=10_000, description="degrees per second")
    smoothness: float | None = Field(default=None, ge=-1000, le=0, description="spectral arc length, no unit")
    extensor_lag_deg: Degrees | None = Field(default=None, description="largest flexion while the leg is raised")
    complete: bool = Field(default=True, description="False: it moved but fell clearly short")
    on_target: bool | None = Field(default=None, description="None: no target, or it could not be judged")

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if not self.start_s <= self.peak_s <= self.end_s:
            raise ValueError("a repetition starts before its peak and ends after it")
        return self


class SetReport(Wire):
    """Consecutive repetitions without a long rest between them; None where there were too few to tell."""

    start_s: Seconds
    end_s: Seconds
    complete: int = Field(ge=0, le=2000)
    partial: int = Field(default=0, ge=0, le=2000)
    on_target: int | None = Field(default=None, ge=0, le=2000)
    rom_mean_deg: Degrees | None = None
    rom_cv: float | None = Field(default=None, ge=0, le=1000, description="standard deviation over mean of the ranges")
    rep_s: Seconds | None = Field(default=None, description="mean duration of a complete repetition")
    tempo_trend: float | None = Field(
        default=None, ge=-1000, le=1000, description="change of the duration per repetition, share of the mean"
    )


_WholeDegrees: TypeAlias = Annotated[int, Field(ge=-360, le=360)]


class AngleCurve(Wire):
    """The session at whole steps after ``captured_at``, in whole degrees; null where it is not known."""

    step_s: float = Field(gt=0, le=600)
    flexion_deg: tuple[_WholeDegrees | None, ...] = Field(max_length=2000)
    tilt_deg: tuple[_WholeDegrees | None, ...] = Field(
        default=(), max_length=2000, description="the leg's tilt from its rest, where that is what is counted"
    )


class SessionSummary(Wire):
    """One exercise on one side from start to stop. Payload of kind ``session``, schema version 3."""

    SCHEMA_VERSION: ClassVar[int] = 3

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
    zero: Literal["standing", "pose", "range", "stored", "none"]
    calibration: Literal["fresh", "stored"] = Field(
        default="fresh", description="stored: begun with what an earlier session found, as the motion agreed"
    )
    calibrated_at_s: Seconds | None
    ok_fraction: float = Field(ge=0, le=1)
    flags: tuple[Flag, ...] = Field(default=(), max_length=64)
    sensors: tuple[SensorReport, ...] = Field(max_length=2)
    curve: AngleCurve | None
    goal: GoalReport | None = None
    sets: tuple[SetReport, ...] = Field(default=(), max_length=600)
    steps: int = Field(default=0, ge=0, le=1_000_000, description="of this leg, while walking")
    walking_s: Seconds = 0.0
    likeness: float | None = Field(default=None, ge=0, le=1, description="how well the motion fits the exercise")
    software: ShortText = Field(description="gonio's version on the kit")

    @property
    def simulated(self) -> bool:
        """Whether no patient's sensor made this: every screen must say so."""
        return self.source != "sensor"


#: The schema versions that this software can read.
READABLE: Final = frozenset({1, 2, SessionSummary.SCHEMA_VERSION})


def read_session(envelope: Envelope) -> SessionSummary:
    """Parse the payload of a ``session`` record.

    Raises:
        MessageError: another kind, a schema version this software does not know, or a payload against its schema.
    """
    if envelope.kind is not Kind.SESSION:
        raise MessageError(f"a {envelope.kind.value} is no session")
    if envelope.schema_version not in READABLE:
        raise MessageError(f"schema version {envelope.schema_version} of session is not known here")
    try:
        return SessionSummary.model_validate_json(envelope.payload)
    except ValidationError as error:
        raise MessageError(reason_of(error)) from error
