"""The small parts of a profile: names, units, identity, GATT table, link, time, quirks, evidence."""

from typing import Annotated, Literal, Self, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, model_validator

Name: TypeAlias = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,47}$")]
Uuid: TypeAlias = Annotated[str, Field(pattern=r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")]
Unit: TypeAlias = Literal[
    "none", "raw", "m/s2", "g", "mg", "dps", "rad/s", "deg", "m/s", "mm/s", "um", "us", "ms", "s", "min",
    "Hz", "percent", "V", "mV", "degC", "uT", "au",
]  # fmt: skip
Property: TypeAlias = Literal["read", "write", "write-without-response", "notify", "indicate"]
Evidence: TypeAlias = Literal["hardware", "vendor-spec", "third-party"]
Number: TypeAlias = int | float


class Part(BaseModel):
    """Base of all that a profile holds: nothing unknown, nothing changeable, no NaN."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Match(Part):
    """How an advertisement shows the family: any one of these is enough.

    Attributes:
        names: beginnings of the advertised name.
        name_contains: texts anywhere in the advertised name.
        not_names: beginnings that rule the family out, whatever else fits.
        services: service UUIDs that are advertised.
        company_id: Bluetooth SIG number in the manufacturer data.
    """

    names: tuple[str, ...] = ()
    name_contains: tuple[str, ...] = ()
    not_names: tuple[str, ...] = ()
    services: tuple[Uuid, ...] = ()
    company_id: int | None = Field(default=None, ge=0, le=0xFFFF)


class Characteristic(Part):
    """One characteristic; ``size`` is its value's length in bytes where that is fixed."""

    uuid: Uuid
    properties: tuple[Property, ...] = Field(min_length=1)
    size: int | None = Field(default=None, ge=1, le=512)


class Service(Part):
    """One GATT service and its characteristics by role."""

    uuid: Uuid
    characteristics: dict[Name, Characteristic] = Field(min_length=1)


class Link(Part):
    """What the radio link should be like. The MTU follows from the packet (``Packet.min_mtu``)."""

    interval_ms: float | None = Field(default=None, gt=0, description="preferred connection interval")
    max_links: int | None = Field(default=None, ge=1, description="sensors at once, as the maker says")


class Time(Part):
    """What is known about when a sample was taken.

    Attributes:
        source: "field" when the packet carries the sensor's clock, "host" when only the arrival is known.
        tick_s: seconds a count of the clock.
        bits: width of the clock, after which it wraps to 0.
        marks: which sample of a packet the time belongs to.
        restarts: when the clock begins anew.
    """

    source: Literal["field", "host"]
    tick_s: float | None = Field(default=None, gt=0)
    bits: Literal[16, 32, 64] | None = None
    marks: Literal["first", "last"] | None = None
    restarts: str = ""

    @model_validator(mode="after")
    def _clock_is_whole(self) -> Self:
        if self.source == "field" and None in (self.tick_s, self.bits, self.marks):
            raise ValueError("a clock in the packets needs tick_s, bits and marks")
        return self


class Quirk(Part):
    """Something that one has to know about the family, and where it is known from."""

    text: str
    source: str


class Vectors(Part):
    """Ids of the packets with known content that the tests decode, by what they are worth as evidence."""

    captured: tuple[str, ...] = ()
    vendor_test: tuple[str, ...] = ()
    vendor_doc: tuple[str, ...] = ()
    constructed: tuple[str, ...] = ()
