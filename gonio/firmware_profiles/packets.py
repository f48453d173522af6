"""Packets that a sensor sends or lets be read, field by field. Multi-byte numbers are little-endian."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Final, Literal, Self, TypeAlias

from pydantic import BeforeValidator, Field, model_validator

from gonio.firmware_profiles.parts import CodecName, Name, Number, Part, Unit
from gonio.firmware_profiles.versions import FirmwareRange

ATT_HEADER_BYTES: Final = 3  # of each notification; the rest of the MTU is payload
LONGEST_VALUE: Final = 512  # bytes of an attribute, by the Bluetooth specification

#: Sizes of the field types in bytes. ``ascii`` is text padded with zeros, ``mac`` an address as sent (most significant
#: byte first), ``mac_le`` one sent in reverse, ``version`` bytes shown with points between them, ``hex`` bytes as they
#: are, ``datetime`` the Bluetooth SIG's date and time; ``text`` is UTF-8 up to the packet's end, however long.
TYPE_BYTES: Final[Mapping[str, int]] = {
    "u8": 1,
    "i8": 1,
    "u16": 2,
    "i16": 2,
    "u24": 3,
    "i24": 3,
    "u32": 4,
    "i32": 4,
    "u64": 8,
    "i64": 8,
    "f32": 4,
    "f64": 8,
    "bool": 1,
    "ascii": 1,
    "version": 1,
    "mac": 6,
    "mac_le": 6,
    "hex": 1,
    "datetime": 7,
    "text": 0,
}

FieldType: TypeAlias = Literal[
    "u8", "i8", "u16", "i16", "u24", "i24", "u32", "i32", "u64", "i64", "f32", "f64", "bool", "ascii", "version",
    "mac", "mac_le", "hex", "datetime", "text",
]  # fmt: skip
#: Types that are no number.
TEXTS: Final = ("ascii", "version", "mac", "mac_le", "hex", "datetime", "text")


def _hex_bytes(value: object) -> object:
    if not isinstance(value, str):
        raise ValueError("write the bytes as a text in hexadecimal, as in '55 61'")  # noqa: TRY004 - pydantic's way
    try:
        return bytes.fromhex(value)
    except ValueError as error:
        raise ValueError(f"{value!r} is not hexadecimal") from error


HexBytes: TypeAlias = Annotated[bytes, BeforeValidator(_hex_bytes)]


class PacketField(Part):
    """One quantity in a packet: value = number * scale + bias, in ``unit``.

    Attributes:
        name: the key in decoded packets; ends with its unit where it has one.
        offset: of its first byte.
        type: on the wire.
        count: how many of them follow each other.
        scale: unit per count on the wire.
        scale_by: a setting whose value the scale is multiplied by, where the range that was chosen decides it.
        bias: added after scaling.
        unit: of the decoded value.
        labels: names of whole numbers (then the decoded value is the name).
        flags: names of bits, the lowest being 0 (then the decoded value is the list of those that are set).
        steps: a falling table of (at least, value), for what is told by thresholds; its unit is that of the value.
        parts: names of the single elements, used where a packet is cut inside the field.
        apart: the elements are always shown each by its name, never as a list.
        rows: how many lists of equal length they are shown in, where that is not one.
        limit: largest magnitude that the sensor can mean; beyond it a packet is foreign.
        valid: the least and the most that is allowed; another value is an error of the packet.
        carries: what the field gives to the stream of samples; a "period" is the time from sample to sample of a
            batch, in counts of the clock; a "counter" is the number of the (first) sample.
        union: the field looks at bytes that another field covers too.
    """

    name: Name
    offset: int = Field(ge=0, le=511)
    type: FieldType
    count: int = Field(default=1, ge=1, le=256)
    scale: float = 1.0
    scale_by: Name | None = None
    bias: float = 0.0
    unit: Unit = "none"
    labels: dict[int, str] = Field(default_factory=dict)
    flags: dict[int, str] = Field(default_factory=dict)
    steps: tuple[tuple[float, int], ...] = ()
    parts: tuple[Name, ...] = ()
    apart: bool = False
    rows: int | None = Field(default=None, ge=2)
    limit: float | None = Field(default=None, gt=0)
    valid: tuple[float, float] | None = None
    carries: Literal["time", "period", "counter", "acceleration", "angular_velocity"] | None = None
    union: bool = False

    @property
    def derived(self) -> bool:
        """Whether it only interprets bytes that another field gives as they are, so that it cannot be written."""
        return bool(self.steps or self.flags)

    @property
    def size(self) -> int:
        """Bytes on the wire."""
        return TYPE_BYTES[self.type] * self.count

    @property
    def end(self) -> int:
        """Offset behind the last byte."""
        return self.offset + self.size

    @model_validator(mode="after")
    def _sane(self) -> Self:
        if self.scale == 0:
            raise ValueError("scale is 0")
        if self.parts and len(self.parts) != self.count:
            raise ValueError(f"{len(self.parts)} parts are named, but count is {self.count}")
        if self.rows and self.count % self.rows:
            raise ValueError(f"{self.count} elements do not make {self.rows} rows")
        allowed = {"acceleration": ("m/s2", "g", "mg"), "angular_velocity": ("dps", "rad/s")}
        if self.carries in allowed and (self.unit not in allowed[self.carries] or self.count != 3):  # noqa: PLR2004
            raise ValueError(f"{self.carries} needs count 3 and a unit of {', '.join(allowed[self.carries])}")
        if self.flags and (self.count != 1 or not self.type.startswith("u")):
            raise ValueError("flags are bits of one unsigned number")
        if any(not 0 <= bit < self.size * 8 for bit in self.flags):
            raise ValueError(f"a flag lies outside the {self.size * 8} bits of the field")
        if self.carries and self.type in ("bool", "u24", "i24", *TEXTS):
            raise ValueError(f"{self.carries} must be a number, not {self.type}")
        if self.carries in ("time", "period", "counter") and (self.count != 1 or not self.type.startswith("u")):
            raise ValueError("a clock is one unsigned number")
        return self


class Batch(Part):
    """Samples that follow each other at the end of a packet, as many as it holds.

    Attributes:
        size: bytes of one.
        max: of them in one packet.
        fields: of one; offsets count from its first byte. A decoded packet gives each as a list over the samples.
    """

    size: int = Field(ge=1, le=256)
    max: int = Field(ge=1, le=256)
    fields: tuple[PacketField, ...] = Field(min_length=1)


class Example(Part):
    """A packet with known content, beside its layout.

    Attributes:
        kind: what it is worth: captured from hardware, of a maker's test or document, or built from the layout.
        data: its bytes, under the key ``hex``.
        decoded: what ``gonio decode`` must say of it, or a part of that.
        settings: what it does not carry itself (as ``gonio decode --set``).
        source: where it is from.
    """

    kind: Literal["captured", "vendor_test", "vendor_doc", "constructed"]
    data: HexBytes = Field(alias="hex")
    decoded: dict[str, Any] = Field(min_length=1)
    settings: dict[Name, Number] = Field(default_factory=dict)
    source: str


class Packet(Part):
    """One kind of packet that the sensor sends or lets be read.

    Attributes:
        title: for people.
        role: the characteristic that carries it.
        size: bytes with meaning; of one with a text or a batch at its end, those before it.
        padded_to: bytes on the wire, filled with zeros, where that is more.
        prefix: bytes that it begins with, by which it is told from others of the same role.
        size_key: the key under which a decoded packet tells its size, if it is to.
        when: the setting, by name and value, under which the characteristic carries this packet.
        fields: in the order of the decoded keys.
        batch: samples at the packet's end, if it has them.
        firmware: the versions that send it, where not all do.
        examples: packets of this kind with known content.
        vectors: ids of such packets in the tests of gonio; each is listed in the profile's ``vectors`` too.
        frames_per_notification: rate in Hz -> frames that the firmware puts into one notification, samples of a batch
            (1 where absent).
        frames_by: the setting that says how many, where the rate does not.
        codec: name of a codec in ``gonio.drivers`` that finds or decodes the packet; "struct" needs no more than
            the fields.
    """

    title: str
    role: Name
    size: int = Field(ge=0, le=512)
    padded_to: int | None = Field(default=None, ge=1, le=512)
    prefix: HexBytes = b""
    size_key: Name | None = None
    when: dict[Name, int] = Field(default_factory=dict)
    fields: tuple[PacketField, ...] = ()
    batch: Batch | None = None
    frames_per_notification: dict[float, int] = Field(default_factory=dict)
    frames_by: Name | None = None
    codec: CodecName = "struct"
    firmware: FirmwareRange | None = None
    examples: tuple[Example, ...] = ()
    vectors: tuple[str, ...] = ()

    @property
    def open_ended(self) -> bool:
        """Whether its length varies: a text or a batch of samples stands at its end."""
        return self.batch is not None or any(field.type == "text" for field in self.fields)

    @property
    def wire_size(self) -> int:
        """Bytes on the wire at most, padding included."""
        if self.batch:
            return self.size + self.batch.max * self.batch.size
        return LONGEST_VALUE if self.open_ended else self.padded_to or self.size

    @property
    def sample_fields(self) -> tuple[PacketField, ...]:
        """Every field, those of a batch's samples included."""
        return self.fields + (self.batch.fields if self.batch else ())

    def field(self, carries: str) -> PacketField | None:
        """Give the field that carries time, period, acceleration or angular_velocity to the stream, or None."""
        return next((f for f in self.sample_fields if f.carries == carries), None)

    @property
    def streams_motion(self) -> bool:
        """Whether it carries acceleration and angular velocity, which a knee angle needs."""
        return self.field("acceleration") is not None and self.field("angular_velocity") is not None

    def frames_in(self, settings: Mapping[str, Number]) -> int:
        """Frames (samples of a batch) in one notification under the settings."""
        if self.frames_by:
            return int(settings[self.frames_by])
        return self.frames_per_notification.get(settings.get("rate_hz", 0), 1)

    def min_mtu(self, frames: int = 1) -> int:
        """Smallest ATT MTU that carries a notification of so many frames whole."""
        size = self.size + self.batch.size * frames if self.batch else self.wire_size * frames
        return max(23, ATT_HEADER_BYTES + size)

    def problems(self) -> Iterator[str]:
        """Tell what is wrong with the layout."""
        if self.padded_to is not None and self.padded_to < self.size:
            yield f"padded_to {self.padded_to} is below size {self.size}"
        yield from _overlaps(self.fields, self.size, dict.fromkeys(range(len(self.prefix)), "the prefix"))
        if self.batch:
            yield from _overlaps(self.batch.fields, self.batch.size, {})
            if any(field.carries in ("time", "period", "counter") for field in self.batch.fields):
                yield "batch: time, period and counter stand before the samples, not in them"
            if any(field.apart for field in self.batch.fields):
                yield "batch: its fields are shown as lists over the samples, so none can be apart"
        ends = [field.name for field in self.sample_fields if field.type == "text"]
        if len(ends) > 1 or (ends and (self.batch or self.fields[-1].name != ends[0])):
            yield f"field {ends[0]}: a text goes up to the packet's end, so nothing can follow it"


def _overlaps(fields: tuple[PacketField, ...], size: int, taken: dict[int, str]) -> Iterator[str]:
    """Tell which fields overlap others or the end; ``taken`` says what lies at which byte before them."""
    names: set[str] = set()
    for field in fields:
        if field.name in names:
            yield f"field {field.name}: the name is used twice"
        names.add(field.name)
        if field.end > size:
            yield f"field {field.name}: bytes {field.offset} to {field.end - 1} reach beyond size {size}"
        span = range(field.offset, field.end)
        if not field.union:
            other = next((taken[i] for i in span if i in taken), None)
            if other:
                yield f"field {field.name}: overlaps {other} (say union: true if it is meant)"
            taken.update(dict.fromkeys(span, field.name))
