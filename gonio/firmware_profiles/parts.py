"""The small parts of a profile: names, units, identity, GATT table, link, time, quirks, evidence."""

from datetime import date as Date  # noqa: N812 - a type; the attribute beside it is the date
from typing import Annotated, Literal, Self, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, model_validator

Name: TypeAlias = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,47}$")]
Uuid: TypeAlias = Annotated[str, Field(pattern=r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")]
Unit: TypeAlias = Literal[
    "none", "raw", "m/s2", "g", "mg", "dps", "rad/s", "deg", "rad", "m/s", "mm/s", "m", "mm", "um", "ns", "us", "ms",
    "s", "min", "Hz", "bpm", "percent", "V", "mV", "mA", "degC", "K", "Pa", "hPa", "lux", "T", "uT", "G", "mG", "au",
]  # fmt: skip
Property: TypeAlias = Literal["read", "write", "write-without-response", "notify", "indicate"]
Evidence: TypeAlias = Literal["hardware", "vendor-spec", "third-party"]
#: Names of the codecs in ``gonio.drivers.codecs``; a test holds the two lists against each other.
CodecName: TypeAlias = Literal["struct", "wit_stream", "dot_message", "mbient_frame", "polar_pmd", "movesense_gsp"]
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


class Learned(Part):
    """A number that the sensor tells while it is connected and prepared, and that its stream cannot be read without.

    Attributes:
        title: for people.
        default: what holds where the sensor does not tell.
    """

    title: str
    default: Number


class Stream(Part):
    """What a session streams, where that is not just one flat packet with acceleration and angular velocity.

    Attributes:
        role: the characteristic that carries it.
        codec: that reads it.
        when: settings and learned values, by name, under which it is this one; the first stream that fits is taken.
        min_mtu: smallest ATT MTU that carries its notifications whole, bytes.
        counted: whether its packets carry a clock or a counter, so that one that comes twice is known as such.
        samples_per_notification: samples that one notification completes, one number or rate in Hz -> number (1 for
            a rate that is not there); where acceleration and angular velocity take turns, those of one of them.
    """

    role: Name
    codec: CodecName = "struct"
    when: dict[Name, Number] = Field(default_factory=dict)
    min_mtu: int = Field(default=23, ge=23, le=517)
    counted: bool = False
    samples_per_notification: int | dict[float, int] = 1

    def samples_at(self, rate_hz: float) -> int:
        """Samples that one notification completes at a rate."""
        each = self.samples_per_notification
        return each if isinstance(each, int) else each.get(rate_hz, 1)


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


class Regulatory(Part):
    """What the maker says of the product as a medical device. A clinic bills the supply of a medical device only.

    Attributes:
        statement: in the maker's words or a summary of them; "none found" where there is none.
        source: where it stands; "" for none.
        date: when it was looked for, or read.
    """

    statement: str = "not searched"
    source: str = ""
    date: Date | None = None

    @model_validator(mode="after")
    def _dated(self) -> Self:
        if self.statement != "not searched" and self.date is None:
            raise ValueError("give the date on which the statement was looked for")
        if self.statement not in ("not searched", "none found") and not self.source:
            raise ValueError("give the source of the maker's statement")
        return self
