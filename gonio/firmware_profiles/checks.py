"""What must hold between the parts of a profile; the form of each part is checked by its own model."""

from collections.abc import Iterator, Mapping

from gonio.firmware_profiles.commands import Ask, Command, Sequences, Slot, Step
from gonio.firmware_profiles.parts import Number
from gonio.firmware_profiles.schema import Packet, Profile


def problems(profile: Profile) -> Iterator[str]:
    """Tell everything that is wrong between the parts; each part's own form is checked before."""
    yield from _gatt_problems(profile)
    for name, packet in profile.packets.items():
        yield from (f"packet {name}: {problem}" for problem in _packet_problems(profile, packet))
    for name, command in profile.commands.items():
        yield from (f"command {name}: {problem}" for problem in _command_problems(profile, command))
    for number, stream in enumerate(profile.streams, 1):
        if stream.role not in profile.characteristics:
            yield f"stream {number}: unknown role {stream.role}"
        yield from (f"stream {number}: {problem}" for problem in _when_problems(profile, stream.when))
    if profile.sequences:
        yield from _stream_problems(profile)
        yield from _sequence_problems(profile, profile.sequences)
    yield from _reading_problems(profile)


def _packet_problems(profile: Profile, packet: Packet) -> Iterator[str]:
    if packet.role not in profile.characteristics:
        yield f"unknown role {packet.role}"
    yield from _when_problems(profile, packet.when)
    for by in [packet.frames_by, *(field.scale_by for field in packet.sample_fields)]:
        if by and by not in profile.settings and by not in profile.learned:
            yield f"{by} is neither a setting nor learned"
    clock = packet.field("time")
    if clock and profile.time.source != "field":
        yield "has a clock, but time.source is host"
    elif clock and profile.time.bits != clock.size * 8:
        yield f"field {clock.name} is {clock.type}, but time.bits is {profile.time.bits}"
    yield from packet.problems()


def evidence_problems(profile: Profile) -> Iterator[str]:
    """Tell which packets nothing shows to be right; a profile can be used all the same."""
    listed = {name for names in profile.vectors.model_dump().values() for name in names}
    for name, packet in profile.packets.items():
        if not packet.vectors and not packet.examples:
            yield f"packet {name}: has no example: nothing shows that its layout is right"
        for unknown in sorted(set(packet.vectors) - listed):
            yield f"packet {name}: vector {unknown} is not among the profile's vectors, so its kind is not known"


def _when_problems(profile: Profile, when: Mapping[str, Number | list[Number]]) -> Iterator[str]:
    for name, wanted in when.items():
        values = wanted if isinstance(wanted, list) else [wanted]
        if name in profile.learned:
            continue
        for value in values:
            if name not in profile.settings or value not in profile.settings[name].values:
                yield f"when {name} is {value}: the settings have no such value"


def _stream_problems(profile: Profile) -> Iterator[str]:
    """Tell what keeps a profile with sequences from streaming motion with its default settings."""
    if "rate_hz" not in profile.settings:
        yield "settings: a family that streams needs the setting rate_hz (one value will do)"
    if not profile.streams and not any(profile.carries_motion(p) for p in profile.packets.values()):
        what = "acceleration and angular_velocity" if profile.gyro else "acceleration"
        yield f"sequences: no packet carries {what}, and streams names no codec that does"
    elif profile.streams and not any(profile.fits(stream.when, profile.resolve()) for stream in profile.streams):
        yield "streams: none fits the default settings"


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
            commands = [step.command, *(step.ask.again_after.values() if step.ask else ())]
            for command in [command for command in commands if command]:
                if command not in profile.commands:
                    yield f"{place}: unknown command {command}"
                if loose := _loose_parameters(profile, command):
                    yield f"{place}: command {command} needs {', '.join(loose)}, which no setting gives"
            yield from (f"{place}: {problem}" for problem in _when_problems(profile, step.when))
            if step.ask:
                yield from (f"{place}: {problem}" for problem in _ask_problems(profile, step.ask))
    yield from _answer_problems(profile, sequences)
    yield from _order_problems(sequences)


def _ask_problems(profile: Profile, ask: Ask) -> Iterator[str]:
    packet = profile.packets.get(ask.answer)
    if packet is None:
        yield f"unknown packet {ask.answer}"
    elif packet.fields:
        known = {field.name for field in packet.fields}
        for key in sorted({*ask.match, *ask.expect, *ask.learn.values()} - known):
            yield f"packet {ask.answer} has no field {key}"
    for name in sorted(set(ask.learn) - set(profile.learned)):
        yield f"learns {name}, which is not listed under learned"


def _answer_problems(profile: Profile, sequences: Sequences) -> Iterator[str]:
    """Tell which answers cannot come, because nobody has switched the notifications on that they come by."""
    subscribed: set[str] = set()
    stream_roles = {packet.role for packet in profile.packets.values() if profile.carries_motion(packet)}
    stream_roles |= {stream.role for stream in profile.streams}
    for which in ("recover", "prepare", "start"):
        steps: tuple[Step, ...] = getattr(sequences, which)
        for number, step in enumerate(steps, 1):
            if step.subscribe:
                subscribed |= stream_roles if step.subscribe == "stream" else {step.subscribe}
            packet = profile.packets.get(step.ask.answer) if step.ask else None
            if packet and packet.role not in subscribed:
                yield f"sequence {which}, step {number}: asks before it subscribes to {packet.role}"


def _loose_parameters(profile: Profile, name: str | None) -> list[str]:
    command = profile.commands.get(name or "")
    slots = [part for part in command.template if isinstance(part, Slot)] if command else []
    known = {*profile.settings, *profile.learned}
    return [slot.name for slot in slots if slot.fixed is None and slot.name not in known]


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
    writes = [i for i, s in enumerate(sequences.start) if s.command]
    if first is None:
        yield "sequence start: does not subscribe to stream"
    elif writes and writes[-1] < first:
        yield "sequence start: the command comes before the notifications are on"
    if writes and not any(s.command for s in sequences.stop):
        yield "sequence stop: start writes a command, but nothing stops it"
    for role in dict.fromkeys(subscribed):
        if role not in unsubscribed:
            yield f"sequence stop: does not unsubscribe from {role}"
    seen_unsubscribe = False
    for step in sequences.stop:
        seen_unsubscribe |= step.unsubscribe == "stream"
        if step.command and seen_unsubscribe:
            yield "sequence stop: writes a command after the notifications are off"
