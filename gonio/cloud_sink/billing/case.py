"""What a charge is decided from: an episode of care with all that was recorded of it, as one value.

Dates are calendar dates, times have their offset. Every ``to`` is inclusive, and null is open-ended.
"""

from datetime import date
from typing import Annotated, Final, Literal, Self, TypeAlias
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, ValidationError, model_validator

from gonio.errors import UsageError

#: Far beyond an episode of years; what is read stays bounded.
MAX_ROWS: Final = 200_000
_FIRST, _LAST = date(2000, 1, 1), date(2100, 1, 1)

Credential: TypeAlias = Literal["PT", "PTA", "OT", "OTA", "SLP"]
THERAPISTS: Final = frozenset({"PT", "OT", "SLP"})
ASSISTANTS: Final = frozenset({"PTA", "OTA"})


def _zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        raise ValueError(f"{name!r} is no time zone: write one like America/Chicago") from error
    return name


def _sane(day: date) -> date:
    if not _FIRST <= day <= _LAST:
        raise ValueError(f"{day} is no date of an episode of care")
    return day


def _sane_time(moment: AwareDatetime) -> AwareDatetime:
    _sane(moment.date())
    return moment


Zone: TypeAlias = Annotated[str, AfterValidator(_zone)]
Day: TypeAlias = Annotated[date, AfterValidator(_sane)]
Moment: TypeAlias = Annotated[AwareDatetime, AfterValidator(_sane_time)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class _Span(_Part):
    first: Day = Field(alias="from")
    last: Day | None = Field(default=None, alias="to")

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.last is not None and self.last < self.first:
            raise ValueError(f"it ends on {self.last}, before it begins on {self.first}")
        return self

    def covers(self, day: date) -> bool:
        """Tell whether a day is within it."""
        return self.first <= day and (self.last is None or day <= self.last)

    def overlaps(self, first: date, last: date) -> bool:
        """Tell whether it has a day in common with a period."""
        return self.first <= last and (self.last is None or first <= self.last)


class Patient(_Part):
    """Where the patient lives: it decides on which date a session counts."""

    time_zone: Zone


class Settings(_Part):
    """What sources dispute, cautious unless the clinic decides otherwise."""

    anchor: Literal["activation", "setup", "first-data-day"] = "activation"
    self_report_counts: bool = False
    extra_contact_per_98981: bool = True


class SetUp(_Part):
    """The set-up of the devices, and the patient's education about them."""

    date: Day
    education_documented: bool
    by: Credential


class Episode(_Part):
    """An episode of care; open on all dates from ``activation`` to ``closed``."""

    id: str = Field(max_length=200)
    activation: Day
    setup: SetUp | None = None
    closed: Day | None = None


class Consent(_Part):
    """In force from the day on which it was given to the day before it was withdrawn."""

    given: Day
    withdrawn: Day | None = None


class Plan(_Span):
    """A certified plan of care."""

    names_rtm: bool
    discipline: Literal["PT", "OT", "SLP"]


class Device(_Part):
    """Whether the clinic attests that the device is a medical device as the law defines it."""

    attested: bool


class PriorCharge(_Part):
    """What was billed of this episode already."""

    code: str = Field(max_length=10)
    period_start: Day
    period_end: Day


class Span(_Span):
    """Some days, both inclusive."""


class OtherService(_Span):
    """Another service of the patient's, by its code."""

    code: str = Field(max_length=10)


class Record(_Part):
    """What a kit sent, or somebody entered."""

    kind: str = Field(max_length=40)
    captured_at: Moment
    received_at: Moment
    source: Literal["sensor", "self-report"]
    test: bool = False
    clock: Literal["synchronised", "unsynchronised"] = "synchronised"
    entered_by: Literal["patient", "kit", "staff"] = "kit"
    voided: bool = False


class Interval(_Part):
    """Time that a member of staff spent, from ``start`` up to ``end``."""

    clinician: str = Field(max_length=200)
    credential: str = Field(max_length=20)
    start: Moment
    end: Moment
    kind: Literal["work", "call", "visit"]
    mode: Literal["phone", "video", "message"] | None = None
    with_: Literal["patient", "caregiver", "other"] | None = Field(default=None, alias="with")
    answered: bool | None = None

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.end < self.start:
            raise ValueError("an interval ends before it begins")
        return self


class Case(_Part):
    """All that is known of an episode on a day."""

    case: str = ""
    as_of: Day
    payer: str = Field(max_length=100)
    clinic_time_zone: Zone
    patient: Patient
    settings: Settings = Settings()
    episode: Episode
    consents: tuple[Consent, ...] = Field(default=(), max_length=MAX_ROWS)
    plans: tuple[Plan, ...] = Field(default=(), max_length=MAX_ROWS)
    device: Device
    prior_charges: tuple[PriorCharge, ...] = Field(default=(), max_length=MAX_ROWS)
    other_practitioners: tuple[Span, ...] = Field(default=(), max_length=MAX_ROWS)
    other_services: tuple[OtherService, ...] = Field(default=(), max_length=MAX_ROWS)
    surgeon_global: Span | None = None
    records: tuple[Record, ...] = Field(default=(), max_length=MAX_ROWS)
    intervals: tuple[Interval, ...] = Field(default=(), max_length=MAX_ROWS)


def read_case(text: str | bytes) -> Case:
    """Read a case from JSON.

    Raises:
        UsageError: it is none; the text names the field.
    """
    try:
        return Case.model_validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        more = f" ({error.error_count() - 1} more)" if error.error_count() > 1 else ""
        raise UsageError(f"this is no billing case: {where}: {first['msg']}{more}") from error
