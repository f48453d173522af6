"""What must hold between the parts of a profile; the form of each part is checked by its own model."""

from collections.abc import Iterator

from gonio.firmware_profiles.commands import Command, Sequences, Slot, Step
from gonio.firmware_profiles.schema import Profile


def problems(profile: Profile) -> Iterator[str]:
    """Tell everything that is wrong between the parts; each part's own form is checked before."""
    yield from _gatt_problems(profile)
    roles = set(profile.characteristics)
    for name, packet in profile.packets.items():
        if packet.role not in roles:
            yield f"packet {name}: unknown role {packet.role}"
        for setting, value in packet.when.items():
            if setting not in profile.settings or value not in profile.settings[setting].values:
                yield f"packet {name}: when {setting} is {value}: the settings have no such value"
        clock = packet.field("time")
        if clock and profile.time.source != "field":
            yield f"packet {name}: has a clock, but time.source is host"
        elif clock and profile.time.bits != clock.size * 8:
            yield f"packet {name}: field {clock.name} is {clock.type}, but time.bits is {profile.time.bits}"
        yield from (f"packet {name}: {problem}" for problem in packet.problems())
    for name, command in profile.commands.items():
        yield from (f"command {name}: {problem}" for problem in _command_problems(profile, command))
    if profile.sequences:
        yield from _sequence_problems(profile, profile.sequences)
    yield from _reading_problems(profile)


def _gatt_problems(profile: Profile) -> Iterator[str]:
    roles = [role for service in profile.gatt.values() for role in service.characteristics]
    for role in sorted({role for role in roles if roles.count(role) > 1}):
        yield f"gatt: role {role} is given twice"
    uuids = [c.uuid for c in profile.characteristics.values()]
    for uuid in sorted({uuid for uuid in uuids if uuids.count(uuid) > 1}):
        yield f"gatt: UUID {uuid} is given twice"


def _command_problems(profile: Profile, command: Command) -> Iterator[str]:
    characteristic = profile.characteristics.get(command.role)
    if characteristic is None:
        yield f"unknown role {command.role}"
    elif not {"write", "write-without-response"} & set(characteristic.properties):
        yield f"role {command.role} cannot be written"
    elif characteristic.size is not None and command.size > characteristic.size:
        yield f"{command.size} bytes are more than the {characteristic.size} of {command.role}"
    slots = [part for part in command.template if isinstance(part, Slot) and part.type != "ascii"]
    for slot in slots:
        numbers = _numbers_of(profile, slot, command)
        if not numbers:
            yield f"parameter {slot.name}: is no setting and has no bounds (parameters: {{min, max}})"
        elif not 0 <= min(numbers) <= max(numbers) < 256**slot.size:
            yield f"parameter {slot.name}: {min(numbers)} to {max(numbers)} does not fit into {slot.type}"
    for unused in sorted(set(command.parameters) - {slot.name for slot in slots}):
        yield f"parameter {unused}: has bounds, but the template does not use it"


def _numbers_of(profile: Profile, slot: Slot, command: Command) -> tuple[int, ...]:
    """Give the numbers that a parameter can take on the wire, or their bounds."""
    if slot.fixed is not None:
        return (slot.fixed,)
    bounds = command.parameters.get(slot.name)
    if bounds and bounds.numbers:
        return (bounds.numbers[0] // bounds.step, bounds.numbers[-1] // bounds.step)
    if bounds:
        return tuple(bounds.codes.values())
    if slot.name in profile.settings:
        return tuple(profile.settings[slot.name].values.values())
    return ()


def _sequence_problems(profile: Profile, sequences: Sequences) -> Iterator[str]:
    for which in ("recover", "prepare", "start", "stop"):
        steps: tuple[Step, ...] = getattr(sequences, which)
        for number, step in enumerate(steps, 1):
            place = f"sequence {which}, step {number}"
            role = step.subscribe or step.unsubscribe or step.read
            if role and role != "stream" and role not in profile.characteristics:
                yield f"{place}: unknown role {role}"
            if step.write and step.write not in profile.commands:
                yield f"{place}: unknown command {step.write}"
            loose = _loose_parameters(profile, step.write)
            if loose:
                yield f"{place}: command {step.write} needs {', '.join(loose)}, which no setting gives"
    yield from _order_problems(sequences)


def _loose_parameters(profile: Profile, name: str | None) -> list[str]:
    command = profile.commands.get(name or "")
    slots = [part for part in command.template if isinstance(part, Slot)] if command else []
    return [slot.name for slot in slots if slot.fixed is None and slot.name not in profile.settings]


def _reading_problems(profile: Profile) -> Iterator[str]:
    for name, reading in profile.readings.items():
        packet = profile.packets.get(reading.packet)
        if packet is None:
            yield f"reading {name}: unknown packet {reading.packet}"
        elif packet.fields and reading.value not in {field.name for field in packet.fields}:
            yield f"reading {name}: packet {reading.packet} has no field {reading.value}"
        if reading.command and reading.command not in profile.commands:
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
