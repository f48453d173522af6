"""What a firmware profile may say: the model behind the YAML files in this folder, and the checks made at loading.

A profile describes one family of sensors as data: how to recognise it, its GATT table by role, its packets field by
field, its settings with their codes on the wire, its commands as byte templates, and the sequences that make a stream
of it. Multi-byte numbers are little-endian. Whatever is no flat structure names a codec of ``gonio.drivers``.

Templates of commands
    ``"FF AA 03 {rate_hz:u8} 00"``: bytes in hexadecimal, ``00*6`` for six equal ones, and parameters in braces with
    their type. ``{visit_index:u8=16}`` is a named byte that is always 16. A parameter named like a setting takes that
    setting's values and their codes; any other must have its bounds under ``parameters``.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal, Self, TypeAlias

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from gonio.errors import UsageError

SCHEMA_VERSION: Final = 1
ATT_HEADER_BYTES: Final = 3  # of each notification; the rest of the MTU is payload

#: Sizes of the field types in bytes. ``ascii`` is text padded with zeros, ``mac`` an address as sent (most significant
#: byte first), ``mac_le`` one sent in reverse, ``version`` bytes shown with points between them.
TYPE_BYTES: Final[Mapping[str, int]] = {
    "u8": 1,
    "i8": 1,
    "u16": 2,
    "i16": 2,
    "u32": 4,
    "i32": 4,
    "u64": 8,
    "f32": 4,
    "bool": 1,
    "ascii": 1,
    "version": 1,
    "mac": 6,
    "mac_le": 6,
}

Name: TypeAlias = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,47}$")]
Uuid: TypeAlias = Annotated[str, Field(pattern=r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")]
FieldType: TypeAlias = Literal[
    "u8", "i8", "u16", "i16", "u32", "i32", "u64", "f32", "bool", "ascii", "version", "mac", "mac_le"
]
Unit: TypeAlias = Literal[
    "none", "raw", "m/s2", "g", "mg", "dps", "rad/s", "deg", "m/s", "mm/s", "um", "us", "ms", "s", "min",
    "Hz", "percent", "V", "mV", "degC", "uT", "au",
]  # fmt: skip
Property: TypeAlias = Literal["read", "write", "write-without-response", "notify", "indicate"]
Evidence: TypeAlias = Literal["hardware", "vendor-spec", "third-party"]
Number: TypeAlias = int | float


def _hex_bytes(value: object) -> object:
    if not isinstance(value, str):
        raise ValueError("write the bytes as a text in hexadecimal, as in '55 61'")  # noqa: TRY004 - pydantic's way
    try:
        return bytes.fromhex(value)
    except ValueError as error:
        raise ValueError(f"{value!r} is not hexadecimal") from error


HexBytes: TypeAlias = Annotated[bytes, BeforeValidator(_hex_bytes)]


class ProfileError(UsageError):
    """A profile that cannot be used; its text names the file, the place in it, and what to mend."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Match(_Part):
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


class Characteristic(_Part):
    """One characteristic; ``size`` is its value's length in bytes where that is fixed."""

    uuid: Uuid
    properties: tuple[Property, ...] = Field(min_length=1)
    size: int | None = Field(default=None, ge=1, le=512)


class Service(_Part):
    """One GATT service and its characteristics by role."""

    uuid: Uuid
    characteristics: dict[Name, Characteristic] = Field(min_length=1)


class Link(_Part):
    """What the radio link should be like. The MTU follows from the packet (``Packet.min_mtu``)."""

    interval_ms: float | None = Field(default=None, gt=0, description="preferred connection interval")
    max_links: int | None = Field(default=None, ge=1, description="sensors at once, as the maker says")


class Time(_Part):
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


class PacketField(_Part):
    """One quantity in a packet: value = number * scale + bias, in ``unit``.

    Attributes:
        name: the key in decoded packets; ends with its unit where it has one.
        offset: of its first byte.
        type: on the wire.
        count: how many of them follow each other.
        scale: unit per count on the wire.
        bias: added after scaling.
        unit: of the decoded value.
        labels: names of whole numbers (then the decoded value is the name).
        steps: a falling table of (at least, value), for what is told by thresholds; its unit is that of the value.
        parts: names of the single elements, used where a packet is cut inside the field.
        limit: largest magnitude that the sensor can mean; beyond it a packet is foreign.
        carries: what the field gives to the stream of samples.
        union: the field looks at bytes that another field covers too.
    """

    name: Name
    offset: int = Field(ge=0, le=511)
    type: FieldType
    count: int = Field(default=1, ge=1, le=256)
    scale: float = 1.0
    bias: float = 0.0
    unit: Unit = "none"
    labels: dict[int, str] = {}
    steps: tuple[tuple[float, int], ...] = ()
    parts: tuple[Name, ...] = ()
    limit: float | None = Field(default=None, gt=0)
    carries: Literal["time", "acceleration", "angular_velocity"] | None = None
    union: bool = False

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
        allowed = {"acceleration": ("m/s2", "g", "mg"), "angular_velocity": ("dps", "rad/s")}
        if self.carries in allowed and (self.unit not in allowed[self.carries] or self.count != 3):  # noqa: PLR2004
            raise ValueError(f"{self.carries} needs count 3 and a unit of {', '.join(allowed[self.carries])}")
        if self.carries == "time" and (self.count != 1 or not self.type.startswith("u")):
            raise ValueError("a clock is one unsigned number")
        return self


class Packet(_Part):
    """One kind of packet that the sensor sends or lets be read.

    Attributes:
        title: for people.
        role: the characteristic that carries it.
        size: bytes with meaning.
        padded_to: bytes on the wire, filled with zeros, where that is more.
        prefix: bytes that it begins with, by which it is told from others of the same role.
        when: the setting, by name and value, under which the characteristic carries this packet.
        fields: in the order of the decoded keys.
        frames_per_notification: rate in Hz -> frames that the firmware puts into one notification (1 where absent).
        codec: name of a codec in ``gonio.drivers`` that finds or decodes the packet; "struct" needs no more than
            the fields.
    """

    title: str
    role: Name
    size: int = Field(ge=1, le=512)
    padded_to: int | None = Field(default=None, ge=1, le=512)
    prefix: HexBytes = b""
    when: dict[Name, int] = {}
    fields: tuple[PacketField, ...] = ()
    frames_per_notification: dict[float, int] = {}
    codec: Literal["struct", "wit_stream", "dot_message"] = "struct"

    @property
    def wire_size(self) -> int:
        """Bytes on the wire, padding included."""
        return self.padded_to or self.size

    def field(self, carries: str) -> PacketField | None:
        """Give the field that carries time, acceleration or angular_velocity to the stream, or None."""
        return next((f for f in self.fields if f.carries == carries), None)

    @property
    def streams_motion(self) -> bool:
        """Whether it carries acceleration and angular velocity, which a knee angle needs."""
        return self.field("acceleration") is not None and self.field("angular_velocity") is not None

    def frames_at(self, rate_hz: float) -> int:
        """Frames in one notification at a rate."""
        return self.frames_per_notification.get(rate_hz, 1)

    def min_mtu(self, rate_hz: float) -> int:
        """Smallest ATT MTU that carries a notification whole, at a rate."""
        return max(23, ATT_HEADER_BYTES + self.wire_size * self.frames_at(rate_hz))

    def problems(self) -> Iterator[str]:
        """Tell what is wrong with the layout."""
        if self.padded_to is not None and self.padded_to < self.size:
            yield f"padded_to {self.padded_to} is below size {self.size}"
        taken = dict.fromkeys(range(len(self.prefix)), "the prefix")
        names: set[str] = set()
        for field in self.fields:
            if field.name in names:
                yield f"field {field.name}: the name is used twice"
            names.add(field.name)
            if field.end > self.size:
                yield f"field {field.name}: bytes {field.offset} to {field.end - 1} reach beyond size {self.size}"
            span = range(field.offset, field.end)
            if not field.union:
                other = next((taken[i] for i in span if i in taken), None)
                if other:
                    yield f"field {field.name}: overlaps {other} (say union: true if it is meant)"
                taken.update(dict.fromkeys(span, field.name))


class Setting(_Part):
    """Something that can be chosen.

    Attributes:
        title: for people.
        unit: of the values.
        default: what the product chooses.
        values: value -> code on the wire.
        names: names of the values, for people and for ``gonio decode``.
        name_key: the key under which a decoded command tells the value's name.
    """

    title: str
    unit: Unit = "none"
    default: Number
    values: dict[Number, int] = Field(min_length=1)
    names: dict[Number, Name] = {}
    name_key: Name | None = None

    @model_validator(mode="after")
    def _known(self) -> Self:
        if self.default not in self.values:
            raise ValueError(f"the default {self.default} is not among the values")
        unknown = sorted(set(self.names) - set(self.values))
        if unknown:
            raise ValueError(f"names for values that are not listed: {unknown}")
        return self

    def code_value(self, code: int) -> Number | None:
        """Give the value whose code on the wire this is, or None (the first one where several share it)."""
        return next((value for value, known in self.values.items() if known == code), None)


class Parameter(_Part):
    """Bounds of a command's parameter, both inclusive."""

    min: int
    max: int

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.min > self.max:
            raise ValueError(f"min {self.min} is above max {self.max}")
        return self


@dataclass(frozen=True, slots=True)
class Slot:
    """A named place in a command's template; ``fixed`` is its value where it never varies."""

    name: str
    type: str
    size: int
    fixed: int | None


_TOKEN = re.compile(
    r"(?P<byte>[0-9A-Fa-f]{2})(\*(?P<times>\d{1,3}))?"
    r"|\{(?P<name>[a-z][a-z0-9_]*):(?P<type>u8|u16|u32|ascii(?P<chars>\d{1,2}))(=(?P<fixed>\d+))?\}"
)


def parse_template(text: str) -> tuple[bytes | Slot, ...]:
    """Split a command's template into fixed bytes and named places.

    Raises:
        ValueError: a word of it is neither.
    """
    parts: list[bytes | Slot] = []
    for word in text.split():
        match = _TOKEN.fullmatch(word)
        if match is None:
            raise ValueError(f"{word!r} is neither a byte (FF, 00*6) nor a parameter ({{name:u8}}, {{name:u8=1}})")
        if match["byte"]:
            parts.append(bytes.fromhex(match["byte"]) * int(match["times"] or 1))
        else:
            size = int(match["chars"]) if match["chars"] else TYPE_BYTES[match["type"]]
            fixed = int(match["fixed"]) if match["fixed"] else None
            parts.append(Slot(match["name"], "ascii" if match["chars"] else match["type"], size, fixed))
    return tuple(parts)


class Command(_Part):
    """Bytes that the host writes.

    Attributes:
        title: for people.
        role: the characteristic written to.
        written: the template, under the key ``bytes`` (see the head of this module).
        parameters: bounds of the parameters that are no settings.
        shown_as: how a decoded one is called, when not by its name; may hold parameters in braces.
    """

    title: str
    role: Name
    written: str = Field(alias="bytes")
    parameters: dict[Name, Parameter] = {}
    shown_as: str | None = None

    @property
    def template(self) -> tuple[bytes | Slot, ...]:
        """The template's parts in order."""
        return parse_template(self.written)

    @property
    def size(self) -> int:
        """Bytes written."""
        return sum(len(part) if isinstance(part, bytes) else part.size for part in self.template)

    @model_validator(mode="after")
    def _readable(self) -> Self:
        parse_template(self.written)
        return self


class Step(_Part):
    """One step of a sequence: exactly one of these.

    A role may be ``stream``: the characteristic that carries the chosen packet.

    Attributes:
        subscribe: role whose notifications are switched on.
        unsubscribe: role whose notifications are switched off.
        write: command that is written; its parameters come from the settings.
        read: role that is read.
        wait_s: pause.
    """

    subscribe: Name | None = None
    unsubscribe: Name | None = None
    write: Name | None = None
    read: Name | None = None
    wait_s: float | None = Field(default=None, gt=0, le=60)

    @model_validator(mode="after")
    def _one_action(self) -> Self:
        if len(self.model_fields_set) != 1:
            raise ValueError("a step does exactly one of subscribe, unsubscribe, write, read, wait_s")
        return self


class Sequences(_Part):
    """What to do when: ``prepare`` after connecting, ``start`` and ``stop`` of a stream, ``recover`` first of all
    after connecting, because the sensor may still be doing what it did before the link was lost.
    """  # noqa: D205 - one sentence

    recover: tuple[Step, ...] = ()
    prepare: tuple[Step, ...] = ()
    start: tuple[Step, ...]
    stop: tuple[Step, ...]


class Reading(_Part):
    """A quantity that is asked for once, not streamed: battery, firmware.

    Attributes:
        packet: that carries it.
        value: name of the field (or of a part of the decoded packet) that is it.
        command: what to write first, where the answer then comes as a notification on the packet's role;
            without it the packet's role is simply read.
        timeout_s: how long to wait for the answer.
    """

    packet: Name
    value: Name
    command: Name | None = None
    timeout_s: float = Field(default=2.0, gt=0, le=60)


class Quirk(_Part):
    """Something that one has to know about the family, and where it is known from."""

    text: str
    source: str


class Vectors(_Part):
    """Ids of the packets with known content that the tests decode, by what they are worth as evidence."""

    captured: tuple[str, ...] = ()
    vendor_test: tuple[str, ...] = ()
    vendor_doc: tuple[str, ...] = ()
    constructed: tuple[str, ...] = ()


class Profile(_Part):
    """One family of sensors. See the YAML files for what each part looks like."""

    schema_version: Literal[1] = Field(alias="schema")
    family: Name
    title: str
    revision: int = Field(ge=1)
    evidence: Evidence
    sources: tuple[str, ...] = Field(min_length=1)
    match: Match
    gatt: dict[Name, Service] = Field(min_length=1)
    link: Link = Link()
    time: Time
    settings: dict[Name, Setting] = {}
    packets: dict[Name, Packet] = Field(min_length=1)
    commands: dict[Name, Command] = {}
    sequences: Sequences | None = Field(default=None, description="absent where the family gives no motion stream")
    readings: dict[Literal["battery", "firmware"], Reading] = {}
    quirks: tuple[Quirk, ...] = ()
    vectors: Vectors = Vectors()

    @property
    def characteristics(self) -> dict[str, Characteristic]:
        """All characteristics by role."""
        return {role: c for service in self.gatt.values() for role, c in service.characteristics.items()}

    def characteristic(self, role: str) -> Characteristic:
        """Give the characteristic of a role.

        Raises:
            UsageError: the profile has no such role.
        """
        try:
            return self.characteristics[role]
        except KeyError:
            known = ", ".join(self.characteristics)
            raise UsageError(f"{self.family} has no role {role!r}; it has {known}") from None

    def role_of(self, uuid: str) -> str:
        """Give the role of a characteristic by its UUID or the beginning of it (``15172004``, ``ffe4``).

        Raises:
            UsageError: none or several begin so.
        """
        text = uuid.lower()
        found = [r for r, c in self.characteristics.items() if c.uuid.startswith((text, f"0000{text}"))] if text else []
        if len(found) == 1:
            return found[0]
        if text in self.characteristics:
            return text
        listed = "\n".join(f"  {c.uuid}  {role}" for role, c in self.characteristics.items())
        what = "several characteristics" if found else "no characteristic"
        raise UsageError(f"{self.family} has {what} {uuid!r}; these are known:\n{listed}")

    def resolve(self, chosen: Mapping[str, Any] | None = None) -> dict[str, Number]:
        """Complete a choice of settings with the defaults.

        Args:
            chosen: values by setting; a value may be given by its name (``payload_mode="rate_quantities"``).

        Raises:
            UsageError: a setting or value that the family does not have.
        """
        settings: dict[str, Number] = {name: setting.default for name, setting in self.settings.items()}
        for name, value in (chosen or {}).items():
            if name not in self.settings:
                known = ", ".join(self.settings) or "none"
                raise UsageError(f"{self.family} has no setting {name!r}; it has {known}")
            settings[name] = self._value_of(name, value)
        return settings

    def _value_of(self, name: str, value: object) -> Number:
        setting = self.settings[name]
        for known in setting.values:
            if value == known or str(value) in (str(known), setting.names.get(known)):
                return known
        listed = ", ".join(f"{v} ({setting.names[v]})" if v in setting.names else str(v) for v in setting.values)
        raise UsageError(f"{self.family} has no {name} {value}; it has {listed}")

    def stream_packet(self, settings: Mapping[str, Number]) -> tuple[str, Packet]:
        """Give name and layout of the packet that streams motion under the settings (as ``resolve`` gives them).

        Raises:
            UsageError: under these settings no packet carries both acceleration and angular velocity.
        """
        for name, packet in self.packets.items():
            if packet.streams_motion and all(settings.get(k) == v for k, v in packet.when.items()):
                return name, packet
        fit = [f"{k}={v} ({n})" for n, p in self.packets.items() if p.streams_motion for k, v in p.when.items()]
        asked = ", ".join(f"{k}={v}" for k, v in settings.items())
        hint = f"; choose {', '.join(fit)}" if fit else ""
        raise UsageError(
            f"{self.family} with {asked} carries no acceleration together with angular velocity, which a knee angle "
            f"needs{hint}"
        )

    def min_mtu(self, settings: Mapping[str, Number]) -> int:
        """Smallest ATT MTU for the motion stream under the settings (as ``resolve`` gives them)."""
        return self.stream_packet(settings)[1].min_mtu(settings.get("rate_hz", 0))

    def problems(self) -> Iterator[str]:
        """Tell everything that is wrong between the parts; each part's own form is checked before."""
        yield from self._gatt_problems()
        roles = set(self.characteristics)
        for name, packet in self.packets.items():
            if packet.role not in roles:
                yield f"packet {name}: unknown role {packet.role}"
            for setting, value in packet.when.items():
                if setting not in self.settings or value not in self.settings[setting].values:
                    yield f"packet {name}: when {setting} is {value}: the settings have no such value"
            if packet.field("time") and self.time.source != "field":
                yield f"packet {name}: has a clock, but time.source is host"
            yield from (f"packet {name}: {problem}" for problem in packet.problems())
        for name, command in self.commands.items():
            yield from (f"command {name}: {problem}" for problem in self._command_problems(command))
        if self.sequences:
            yield from self._sequence_problems(self.sequences)
        yield from self._reading_problems()

    def _gatt_problems(self) -> Iterator[str]:
        roles = [role for service in self.gatt.values() for role in service.characteristics]
        for role in sorted({role for role in roles if roles.count(role) > 1}):
            yield f"gatt: role {role} is given twice"
        uuids = [c.uuid for c in self.characteristics.values()]
        for uuid in sorted({uuid for uuid in uuids if uuids.count(uuid) > 1}):
            yield f"gatt: UUID {uuid} is given twice"

    def _command_problems(self, command: Command) -> Iterator[str]:
        characteristic = self.characteristics.get(command.role)
        if characteristic is None:
            yield f"unknown role {command.role}"
        elif not {"write", "write-without-response"} & set(characteristic.properties):
            yield f"role {command.role} cannot be written"
        elif characteristic.size is not None and command.size > characteristic.size:
            yield f"{command.size} bytes are more than the {characteristic.size} of {command.role}"
        slots = [part for part in command.template if isinstance(part, Slot) and part.type != "ascii"]
        for slot in slots:
            numbers = self._numbers_of(slot, command)
            if not numbers:
                yield f"parameter {slot.name}: is no setting and has no bounds (parameters: {{min, max}})"
            elif not 0 <= min(numbers) <= max(numbers) < 256**slot.size:
                yield f"parameter {slot.name}: {min(numbers)} to {max(numbers)} does not fit into {slot.type}"
        for unused in sorted(set(command.parameters) - {slot.name for slot in slots}):
            yield f"parameter {unused}: has bounds, but the template does not use it"

    def _numbers_of(self, slot: Slot, command: Command) -> tuple[int, ...]:
        """Give the numbers that a parameter can take on the wire, or their bounds."""
        if slot.fixed is not None:
            return (slot.fixed,)
        if slot.name in self.settings:
            return tuple(self.settings[slot.name].values.values())
        bounds = command.parameters.get(slot.name)
        return (bounds.min, bounds.max) if bounds else ()

    def _sequence_problems(self, sequences: Sequences) -> Iterator[str]:
        for which in ("recover", "prepare", "start", "stop"):
            steps: tuple[Step, ...] = getattr(sequences, which)
            for number, step in enumerate(steps, 1):
                place = f"sequence {which}, step {number}"
                role = step.subscribe or step.unsubscribe or step.read
                if role and role != "stream" and role not in self.characteristics:
                    yield f"{place}: unknown role {role}"
                if step.write and step.write not in self.commands:
                    yield f"{place}: unknown command {step.write}"
                loose = self._loose_parameters(step.write)
                if loose:
                    yield f"{place}: command {step.write} needs {', '.join(loose)}, which no setting gives"
        yield from _order_problems(sequences)

    def _loose_parameters(self, name: str | None) -> list[str]:
        command = self.commands.get(name or "")
        slots = [part for part in command.template if isinstance(part, Slot)] if command else []
        return [slot.name for slot in slots if slot.fixed is None and slot.name not in self.settings]

    def _reading_problems(self) -> Iterator[str]:
        for name, reading in self.readings.items():
            packet = self.packets.get(reading.packet)
            if packet is None:
                yield f"reading {name}: unknown packet {reading.packet}"
            elif reading.value not in {field.name for field in packet.fields}:
                yield f"reading {name}: packet {reading.packet} has no field {reading.value}"
            if reading.command and reading.command not in self.commands:
                yield f"reading {name}: unknown command {reading.command}"


def _order_problems(sequences: Sequences) -> Iterator[str]:
    """Tell what is wrong in the order: notifications before the start, and for every start a stop."""
    subscribed = [s.subscribe for s in (*sequences.prepare, *sequences.start) if s.subscribe]
    unsubscribed = {s.unsubscribe for s in sequences.stop if s.unsubscribe}
    first = next((i for i, s in enumerate(sequences.start) if s.subscribe == "stream"), None)
    writes = [i for i, s in enumerate(sequences.start) if s.write]
    if first is None:
        yield "sequence start: does not subscribe to stream"
    elif writes and writes[-1] < first:
        yield "sequence start: the command comes before the notifications are on"
    if writes and not any(s.write for s in sequences.stop):
        yield "sequence stop: start writes a command, but nothing stops it"
    for role in subscribed:
        if role not in unsubscribed:
            yield f"sequence stop: does not unsubscribe from {role}"
    seen_unsubscribe = False
    for step in sequences.stop:
        seen_unsubscribe |= step.unsubscribe == "stream"
        if step.write and seen_unsubscribe:
            yield "sequence stop: writes a command after the notifications are off"
