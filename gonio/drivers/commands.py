"""What the host writes: commands built from a profile's templates, read back from bytes, and sequences of them."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Literal, TypeAlias

from gonio.drivers.errors import CodecError
from gonio.drivers.fields import Decoded, Value
from gonio.errors import UsageError
from gonio.firmware_profiles.commands import Ask, Command, Parameter, Said, Slot, Step, parse_template
from gonio.firmware_profiles.parts import Number
from gonio.firmware_profiles.schema import Profile

#: The sequences of a profile.
Which: TypeAlias = Literal["recover", "prepare", "start", "stop"]


@dataclass(frozen=True, slots=True)
class Subscribe:
    """Switch the notifications of a characteristic on."""

    characteristic: str


@dataclass(frozen=True, slots=True)
class Unsubscribe:
    """Switch the notifications of a characteristic off."""

    characteristic: str


@dataclass(frozen=True, slots=True)
class Write:
    """Write bytes to a characteristic.

    Attributes:
        characteristic: UUID.
        data: the bytes.
        response: ask for a confirmation (as the characteristic's properties allow).
        command: name of the command, for logs.
    """

    characteristic: str
    data: bytes
    response: bool
    command: str


@dataclass(frozen=True, slots=True)
class Read:
    """Read a characteristic."""

    characteristic: str


@dataclass(frozen=True, slots=True)
class Wait:
    """Pause."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Question:
    """Write a command and wait for the packet that answers it.

    Attributes:
        write: what is written, None where the answer comes by itself.
        characteristic: UUID that the answer comes on.
        ask: what the answer must be, and what is learned of it.
        again_after: by value of an answer that is not as expected: what to write before asking once more.
    """

    write: Write | None
    characteristic: str
    ask: Ask
    again_after: Mapping[Said, Write]


Action: TypeAlias = Subscribe | Unsubscribe | Write | Read | Wait | Question


@dataclass(frozen=True, slots=True)
class WrittenCommand:
    """A command read back from the bytes that a host wrote.

    Attributes:
        name: of the command in the profile.
        shown_as: how ``gonio decode`` calls it.
        parameters: values by name; of a setting its value, not its code.
        refused: what is wrong with parameters that are out of bounds, which no sensor accepts.
    """

    name: str
    shown_as: str
    parameters: Mapping[str, Value]
    refused: tuple[str, ...] = ()


def encode_command(profile: Profile, name: str, parameters: Mapping[str, object] | None = None) -> bytes:
    """Build the bytes of a command.

    Args:
        profile: the family.
        name: of the command.
        parameters: values by name; more than the command needs may be given (all settings, say).

    Raises:
        UsageError: no such command, or a parameter that is missing or out of bounds.
    """
    command = profile.commands.get(name)
    if command is None:
        raise UsageError(f"{profile.family} has no command {name!r}; it has {', '.join(profile.commands)}")
    given = parameters or {}
    return b"".join(
        part if isinstance(part, bytes) else _slot_bytes(profile, name, command, part, given)
        for part in command.template
    )


def _slot_bytes(profile: Profile, name: str, command: Command, slot: Slot, given: Mapping[str, object]) -> bytes:
    if slot.fixed is not None:
        return _number_bytes(slot, slot.fixed)
    if slot.name not in given:
        raise UsageError(f"command {name} of {profile.family} needs {slot.name}")
    value = given[slot.name]
    bounds = command.parameters.get(slot.name)
    if slot.name in profile.settings and bounds is None:
        chosen = profile.resolve({slot.name: value})[slot.name]
        return _number_bytes(slot, profile.settings[slot.name].values[chosen])
    if slot.type == "ascii":
        text = str(value)
        if not text.isascii() or len(text) > slot.size:
            raise UsageError(f"command {name}: {slot.name} takes up to {slot.size} ASCII characters, not {text!r}")
        return text.encode().ljust(slot.size, b"\0")
    problem = _out_of_bounds(slot, bounds or Parameter(min=0, max=0), value)
    if problem or not isinstance(value, int | float):
        raise UsageError(f"command {name}: {problem}")
    return _number_bytes(slot, _code(bounds, value))


def _number_bytes(slot: Slot, number: int) -> bytes:
    return str(number).encode() if slot.type == "dec" else number.to_bytes(slot.size, "little")


def _out_of_bounds(slot: Slot, bounds: Parameter, value: object) -> str | None:
    """Say what a parameter must be, or None when it is."""
    if bounds.codes:
        return None if value in bounds.codes else f"{slot.name} must be one of {list(bounds.codes)}, not {value!r}"
    if isinstance(value, int) and value in bounds.numbers:
        return None
    steps = f" in steps of {bounds.step}" if bounds.step > 1 else ""
    return f"{slot.name} must be {bounds.min} to {bounds.max}{steps}, not {value!r}"


def _code(bounds: Parameter | None, value: float) -> int:
    """Give the number on the wire."""
    if bounds and bounds.codes:
        return bounds.codes[value]
    return int(value) // (bounds.step if bounds else 1)


def decode_command(profile: Profile, characteristic: str, data: bytes) -> WrittenCommand:
    """Find the command that a host wrote; of several that fit, the first in the profile.

    Args:
        profile: the family.
        characteristic: written to; UUID, the beginning of one, or role.
        data: the bytes.

    Raises:
        UsageError: no such characteristic.
        CodecError: the bytes are no command of the profile.
    """
    role = profile.role_of(characteristic)
    doubtful: WrittenCommand | None = None
    for name, command in profile.commands.items():
        if command.role == role and (match := _pattern(command.written).fullmatch(data)):
            written = _read_back(profile, name, command, match)
            if written and not written.refused:
                return written
            doubtful = doubtful or written
    if doubtful is None:
        raise CodecError(f"{data.hex()} is no command of {profile.family} on {role}")
    return doubtful


@cache
def _pattern(template: str) -> re.Pattern[bytes]:
    """Make the pattern of a command's bytes, with a group for each place in its template."""
    parts = []
    for part in parse_template(template):
        if isinstance(part, bytes):
            parts.append(re.escape(part))
        else:
            parts.append(rb"([0-9]{1,%d})" % part.size if part.type == "dec" else rb"(.{%d})" % part.size)
    return re.compile(b"".join(parts), re.DOTALL)


def _read_back(profile: Profile, name: str, command: Command, match: re.Match[bytes]) -> WrittenCommand | None:
    """Give a command with its parameters; those out of bounds are said; None where the bytes cannot be it."""
    parameters: dict[str, Value] = {}
    refused: list[str] = []
    slots = [part for part in command.template if isinstance(part, Slot)]
    for slot, data in zip(slots, match.groups(), strict=True):
        value = _slot_value(profile, command, slot, data)
        if value is None:
            return None
        parameters[slot.name] = value
        bounds = command.parameters.get(slot.name)
        if bounds and slot.type != "ascii" and slot.fixed is None and (bad := _out_of_bounds(slot, bounds, value)):
            refused.append(bad)
    if refused and not command.unmistakable:
        return None
    return WrittenCommand(name, (command.shown_as or name).format_map(parameters), parameters, tuple(refused))


def _slot_value(profile: Profile, command: Command, slot: Slot, data: bytes) -> Value:
    """Give a parameter's value, or None where these bytes cannot be it."""
    if slot.type == "ascii":
        text = data.rstrip(b"\0")
        return text.decode() if text.isascii() else None
    code = int(data) if slot.type == "dec" else int.from_bytes(data, "little")
    if slot.fixed is not None:
        return code if code == slot.fixed else None
    bounds = command.parameters.get(slot.name)
    if bounds and bounds.codes:
        return next((value for value, known in bounds.codes.items() if known == code), None)
    if bounds is None:
        return profile.settings[slot.name].code_value(code) if slot.name in profile.settings else None
    return code * bounds.step


def describe_command(profile: Profile, written: WrittenCommand) -> Decoded:
    """Give a written command in the form of ``gonio decode``: its name, its parameters, and the names of values."""
    described: Decoded = {"command": written.shown_as, **written.parameters}
    for name, value in written.parameters.items():
        setting = profile.settings.get(name)
        if setting and setting.name_key and isinstance(value, int | float) and value in setting.names:
            described[setting.name_key] = setting.names[value]
    meaning = profile.commands[written.name].meaning
    if meaning:
        described["meaning"] = meaning.format_map(written.parameters)
    if written.refused:
        described["refused"] = list(written.refused)
    return described


def build_sequence(profile: Profile, which: Which, settings: Mapping[str, Number]) -> tuple[Action, ...]:
    """Build what is done in a sequence under settings, with the bytes.

    Args:
        profile: the family.
        which: the sequence.
        settings: settings and learned values, as ``profile.resolve`` gives them.

    Raises:
        UsageError: the family gives no motion stream, or not under these settings.
    """
    steps = sequence_steps(profile, which)
    return tuple(build_step(profile, step, settings) for step in steps if step.applies(settings))


def sequence_steps(profile: Profile, which: Which) -> tuple[Step, ...]:
    """Give the steps of a sequence, those included that are done only under some settings.

    Raises:
        UsageError: the family gives no motion stream.
    """
    if profile.sequences is None:
        raise UsageError(f"{profile.family} gives no motion stream")
    steps: tuple[Step, ...] = getattr(profile.sequences, which)
    return steps


def build_step(profile: Profile, step: Step, settings: Mapping[str, Number]) -> Action:
    """Build what is done in one step, with its bytes; arguments and errors as ``build_sequence``."""
    role = step.subscribe or step.unsubscribe or step.read
    uuid = ""
    if role:
        uuid = profile.characteristic(profile.stream(settings).role if role == "stream" else role).uuid
    if step.subscribe:
        return Subscribe(uuid)
    if step.unsubscribe:
        return Unsubscribe(uuid)
    if step.read:
        return Read(uuid)
    if step.wait_s:
        return Wait(step.wait_s)
    if step.write:
        return write_action(profile, step.write, settings)
    return _question(profile, step, settings)


def _question(profile: Profile, step: Step, settings: Mapping[str, Number]) -> Question:
    ask = step.ask
    if ask is None:  # a step has just one action
        raise UsageError("the step does nothing")
    write = write_action(profile, ask.write, settings) if ask.write else None
    source = profile.characteristic(profile.packets[ask.answer].role).uuid
    again_after = {said: write_action(profile, name, settings) for said, name in ask.again_after.items()}
    return Question(write, source, ask, again_after)


def write_action(profile: Profile, name: str, parameters: Mapping[str, object] | None = None) -> Write:
    """Build the write of a command; errors as ``encode_command``."""
    data = encode_command(profile, name, parameters)
    target = profile.characteristic(profile.commands[name].role)
    return Write(target.uuid, data, "write" in target.properties, name)
