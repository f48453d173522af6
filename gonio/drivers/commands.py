"""What the host writes: commands built from a profile's templates, read back from bytes, and sequences of them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

from gonio.drivers.errors import CodecError
from gonio.drivers.fields import Decoded, Value
from gonio.errors import UsageError
from gonio.firmware_profiles.commands import Command, Slot
from gonio.firmware_profiles.schema import Profile


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


Action: TypeAlias = Subscribe | Unsubscribe | Write | Read | Wait


@dataclass(frozen=True, slots=True)
class WrittenCommand:
    """A command read back from the bytes that a host wrote.

    Attributes:
        name: of the command in the profile.
        shown_as: how ``gonio decode`` calls it.
        parameters: values by name; of a setting its value, not its code.
    """

    name: str
    shown_as: str
    parameters: Mapping[str, Value]


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
        return slot.fixed.to_bytes(slot.size, "little")
    if slot.name not in given:
        raise UsageError(f"command {name} of {profile.family} needs {slot.name}")
    value = given[slot.name]
    if slot.name in profile.settings:
        chosen = profile.resolve({slot.name: value})[slot.name]
        return profile.settings[slot.name].values[chosen].to_bytes(slot.size, "little")
    if slot.type == "ascii":
        text = str(value)
        if not text.isascii() or len(text) > slot.size:
            raise UsageError(f"command {name}: {slot.name} takes up to {slot.size} ASCII characters, not {text!r}")
        return text.encode().ljust(slot.size, b"\0")
    bounds = command.parameters[slot.name]
    if not isinstance(value, int) or not bounds.min <= value <= bounds.max:
        raise UsageError(f"command {name}: {slot.name} must be {bounds.min} to {bounds.max}, not {value!r}")
    return value.to_bytes(slot.size, "little")


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
    for name, command in profile.commands.items():
        if command.role == role:
            parameters = _match(profile, command, data)
            if parameters is not None:
                return WrittenCommand(name, (command.shown_as or name).format_map(parameters), parameters)
    raise CodecError(f"{data.hex()} is no command of {profile.family} on {role}")


def _match(profile: Profile, command: Command, data: bytes) -> dict[str, Value] | None:
    if len(data) != command.size:
        return None
    parameters: dict[str, Value] = {}
    at = 0
    for part in command.template:
        if isinstance(part, bytes):
            if data[at : at + len(part)] != part:
                return None
            at += len(part)
            continue
        value = _slot_value(profile, command, part, data[at : at + part.size])
        if value is None:
            return None
        parameters[part.name] = value
        at += part.size
    return parameters


def _slot_value(profile: Profile, command: Command, slot: Slot, data: bytes) -> Value:
    """Give a parameter's value, or None where these bytes cannot be it."""
    if slot.type == "ascii":
        text = data.rstrip(b"\0")
        return text.decode() if text.isascii() else None
    code = int.from_bytes(data, "little")
    if slot.fixed is not None:
        return code if code == slot.fixed else None
    if slot.name in profile.settings:
        return profile.settings[slot.name].code_value(code)
    bounds = command.parameters[slot.name]
    return code if bounds.min <= code <= bounds.max else None


def describe_command(profile: Profile, written: WrittenCommand) -> Decoded:
    """Give a written command in the form of ``gonio decode``: its name, its parameters, and the names of values."""
    described: Decoded = {"command": written.shown_as, **written.parameters}
    for name, value in written.parameters.items():
        setting = profile.settings.get(name)
        if setting and setting.name_key and isinstance(value, int | float) and value in setting.names:
            described[setting.name_key] = setting.names[value]
    return described


def build_sequence(
    profile: Profile, which: Literal["recover", "prepare", "start", "stop"], settings: Mapping[str, int | float]
) -> tuple[Action, ...]:
    """Build the steps of a sequence, with their bytes.

    Args:
        profile: the family.
        which: the sequence.
        settings: as ``profile.resolve`` gives them.

    Raises:
        UsageError: the family gives no motion stream, or not under these settings.
    """
    if profile.sequences is None:
        raise UsageError(f"{profile.family} gives no motion stream")
    stream_role = profile.stream_packet(settings)[1].role
    actions: list[Action] = []
    for step in getattr(profile.sequences, which):
        role = step.subscribe or step.unsubscribe or step.read
        uuid = profile.characteristic(stream_role if role == "stream" else role).uuid if role else ""
        if step.subscribe:
            actions.append(Subscribe(uuid))
        elif step.unsubscribe:
            actions.append(Unsubscribe(uuid))
        elif step.read:
            actions.append(Read(uuid))
        elif step.wait_s:
            actions.append(Wait(step.wait_s))
        else:
            actions.append(write_action(profile, step.write, settings))
    return tuple(actions)


def write_action(profile: Profile, name: str, parameters: Mapping[str, object] | None = None) -> Write:
    """Build the write of a command; errors as ``encode_command``."""
    data = encode_command(profile, name, parameters)
    target = profile.characteristic(profile.commands[name].role)
    return Write(target.uuid, data, "write" in target.properties, name)
