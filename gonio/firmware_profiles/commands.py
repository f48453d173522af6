"""What can be chosen and what the host does: settings, commands as byte templates, sequences, readings.

Templates of commands
    ``"FF AA 03 {rate_hz:u8} 00"``: bytes in hexadecimal, ``00*6`` for six equal ones, and parameters in braces with
    their type. ``{visit_index:u8=16}`` is a named byte that is always 16. A parameter named like a setting takes that
    setting's values and their codes; any other must have its bounds under ``parameters``.
"""

import re
from dataclasses import dataclass
from typing import Self

from pydantic import Field, model_validator

from gonio.firmware_profiles.packets import TYPE_BYTES
from gonio.firmware_profiles.parts import Name, Number, Part, Unit


class Setting(Part):
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
    names: dict[Number, Name] = Field(default_factory=dict)
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


class Parameter(Part):
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


class Command(Part):
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
    parameters: dict[Name, Parameter] = Field(default_factory=dict)
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


class Step(Part):
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


class Sequences(Part):
    """What to do when: ``prepare`` after connecting, ``start`` and ``stop`` of a stream, ``recover`` first of all
    after connecting, because the sensor may still be doing what it did before the link was lost.
    """  # noqa: D205 - one sentence

    recover: tuple[Step, ...] = ()
    prepare: tuple[Step, ...] = ()
    start: tuple[Step, ...]
    stop: tuple[Step, ...]


class Reading(Part):
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
