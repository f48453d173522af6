"""What can be chosen and what the host does: settings, commands as byte templates, sequences, readings.

Templates of commands
    ``"FF AA 03 {rate_hz:u8} 00"``: bytes in hexadecimal, ``00*6`` for six equal ones, and parameters in braces with
    their type. ``{visit_index:u8=16}`` is a named byte that is always 16. A parameter named like a setting takes that
    setting's values and their codes (or the codes that the command gives under ``parameters``); any other must have
    its bounds there. ``'/Meas/IMU6/'`` is text, ``{rate_hz:dec}`` a number written in decimal digits, of any length.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Final, Self, TypeAlias

from pydantic import Field, model_validator

from gonio.firmware_profiles.packets import TYPE_BYTES
from gonio.firmware_profiles.parts import Name, Number, Part, Unit
from gonio.firmware_profiles.versions import FirmwareRange

#: One value of a decoded packet.
Said: TypeAlias = bool | int | float | str


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
    """What a command's parameter can be: numbers from min to max, both inclusive, or values with their codes.

    Attributes:
        min: smallest number.
        max: largest number.
        codes: value -> code on the wire, where the command has other codes for a setting than the setting itself.
        step: the number on the wire counts steps of this: 10 for a period in ms that is sent in tens.
    """

    min: int | None = None
    max: int | None = None
    codes: dict[Number, int] = Field(default_factory=dict)
    step: int = Field(default=1, ge=1)

    @property
    def numbers(self) -> range:
        """The numbers that it can be; none where it has codes."""
        if self.min is None or self.max is None:
            return range(0)
        return range(-(-self.min // self.step) * self.step, self.max + 1, self.step)

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if bool(self.codes) == (self.min is not None and self.max is not None):
            raise ValueError("give either min and max, or codes")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"min {self.min} is above max {self.max}")
        return self


@dataclass(frozen=True, slots=True)
class Slot:
    """A named place in a command's template; ``fixed`` is its value where it never varies.

    ``size`` is its bytes on the wire, the most there can be for decimal digits (``dec``).
    """

    name: str
    type: str
    size: int
    fixed: int | None


_TOKEN = re.compile(
    r"(?P<byte>[0-9A-Fa-f]{2})(\*(?P<times>\d{1,3}))?"
    r"|'(?P<text>[ -&(-~]+)'"
    r"|\{(?P<name>[a-z][a-z0-9_]*):(?P<type>u8|u16|u32|u64|dec|ascii(?P<chars>\d{1,2}))(=(?P<fixed>\d+))?\}"
)
_WORD: Final = re.compile(r"'[^']*'|\S+")
DECIMAL_DIGITS: Final = 9


@cache
def parse_template(text: str) -> tuple[bytes | Slot, ...]:
    """Split a command's template into fixed bytes and named places.

    Raises:
        ValueError: a word of it is neither.
    """
    parts: list[bytes | Slot] = []
    for word in _WORD.findall(text):
        match = _TOKEN.fullmatch(word)
        if match is None:
            raise ValueError(
                f"{word!r} is neither a byte (FF, 00*6) nor text ('abc') nor a parameter ({{name:u8}}, {{name:u8=1}})"
            )
        if match["byte"]:
            parts.append(bytes.fromhex(match["byte"]) * int(match["times"] or 1))
        elif match["text"]:
            parts.append(match["text"].encode("ascii"))
        else:
            size = int(match["chars"]) if match["chars"] else TYPE_BYTES.get(match["type"], DECIMAL_DIGITS)
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
        meaning: what it does in words, which a decoded one says too; may hold parameters in braces.
        unmistakable: nothing else is written there with as many bytes, so that one with a parameter out of bounds is
            still told as this command, and what is wrong with it.
    """

    title: str
    role: Name
    written: str = Field(alias="bytes")
    parameters: dict[Name, Parameter] = Field(default_factory=dict)
    shown_as: str | None = None
    meaning: str | None = None
    unmistakable: bool = False

    @property
    def template(self) -> tuple[bytes | Slot, ...]:
        """The template's parts in order."""
        return parse_template(self.written)

    @property
    def size(self) -> int:
        """Bytes written, at most."""
        return sum(len(part) if isinstance(part, bytes) else part.size for part in self.template)

    @model_validator(mode="after")
    def _readable(self) -> Self:
        parse_template(self.written)
        return self


class Ask(Part):
    """A question to the sensor: write a command, and wait for the packet that answers it.

    What comes on the answer's characteristic meanwhile and is another packet, or says something else under a key of
    ``match``, is passed over; its notifications must be on (``subscribe``).

    Attributes:
        write: the command; without one, the answer comes by itself.
        answer: the packet.
        match: what it says when it is the answer to just this question, by decoded key.
        expect: what it must say, one value or a list of them, by decoded key.
        learn: name of what is learned (``learned``) -> decoded key.
        again_after: command to write before asking once more, by the value of an answer against ``expect``.
        refusals: what an answer against ``expect`` means and what to do about it, by its value.
        timeout_s: how long to wait.
    """

    write: Name | None = None
    answer: Name
    match: dict[str, Said] = Field(default_factory=dict)
    expect: dict[str, Said | list[Said]] = Field(default_factory=dict)
    learn: dict[Name, str] = Field(default_factory=dict)
    again_after: dict[Said, Name] = Field(default_factory=dict)
    refusals: dict[Said, str] = Field(default_factory=dict)
    timeout_s: float = Field(gt=0, le=60)


class Step(Part):
    """One step of a sequence: exactly one action, and when it is done.

    A role may be ``stream``: the characteristic that carries the stream.

    Attributes:
        subscribe: role whose notifications or indications are switched on; once is enough.
        unsubscribe: role whose notifications are switched off.
        write: command that is written; its parameters come from the settings and from what was learned.
        read: role that is read.
        ask: a question to the sensor.
        wait_s: pause.
        when: settings and learned values, by name, under which the step is done; a list for any of several.
        firmware: versions with which it is done.
        optional: whether a sensor that refuses, or does not answer, may be passed over.
    """

    subscribe: Name | None = None
    unsubscribe: Name | None = None
    write: Name | None = None
    read: Name | None = None
    ask: Ask | None = None
    wait_s: float | None = Field(default=None, gt=0, le=60)
    when: dict[Name, Number | list[Number]] = Field(default_factory=dict)
    firmware: FirmwareRange | None = None
    optional: bool = False

    @property
    def command(self) -> str | None:
        """The command that it writes, if any."""
        return self.ask.write if self.ask else self.write

    def applies(self, settings: Mapping[str, Number]) -> bool:
        """Whether it is done under settings and learned values (as ``Profile.resolve`` gives them)."""
        return all(
            settings.get(name) in (wanted if isinstance(wanted, list) else [wanted])
            for name, wanted in self.when.items()
        )

    @model_validator(mode="after")
    def _one_action(self) -> Self:
        actions = self.model_fields_set - {"when", "firmware", "optional"}
        if len(actions) != 1:
            raise ValueError("a step does exactly one of subscribe, unsubscribe, write, read, ask, wait_s")
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
