"""What a firmware profile may say: the model behind the YAML files in this folder.

A profile describes one family of sensors as data: how to recognise it, its GATT table by role, its packets field by
field, its settings with their codes on the wire, its commands as byte templates, and the sequences that make a stream
of it. Whatever is no flat structure names a codec of ``gonio.drivers``. The parts stand in ``parts.py``,
``packets.py`` and ``commands.py`` beside this file; what must hold between them in ``checks.py``.
"""

import math
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field

from gonio.errors import UsageError
from gonio.firmware_profiles.commands import Command, Reading, Sequences, Setting
from gonio.firmware_profiles.packets import ATT_HEADER_BYTES, Packet, PacketField
from gonio.firmware_profiles.parts import (
    Characteristic,
    Evidence,
    Learned,
    Link,
    Match,
    Name,
    Number,
    Part,
    Quirk,
    Regulatory,
    Service,
    Stream,
    Time,
    Vectors,
)
from gonio.firmware_profiles.versions import FirmwareRange, in_range

__all__ = ["ATT_HEADER_BYTES", "Number", "Packet", "PacketField", "Profile", "ProfileError", "Stream"]


class ProfileError(UsageError):
    """A profile that cannot be used; its text names the file, the place in it, and what to mend."""


class Profile(Part):
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
    gyro: bool = Field(default=True, description="false where the family measures no angular velocity")
    firmware: FirmwareRange | None = Field(default=None, description="the versions that the profile is good for")
    settings: dict[Name, Setting] = Field(default_factory=dict)
    learned: dict[Name, Learned] = Field(default_factory=dict)
    packets: dict[Name, Packet] = Field(min_length=1)
    commands: dict[Name, Command] = Field(default_factory=dict)
    streams: tuple[Stream, ...] = Field(default=(), description="none where a flat packet carries the motion")
    sequences: Sequences | None = Field(default=None, description="absent where the family gives no motion stream")
    readings: dict[Literal["battery", "firmware"], Reading] = Field(default_factory=dict)
    quirks: tuple[Quirk, ...] = ()
    vectors: Vectors = Vectors()
    regulatory: Regulatory = Regulatory()

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
            chosen: values by setting; a value may be given by its name (``payload_mode="rate_quantities"``). Numbers
                that were learned from the sensor may be among them.

        Raises:
            UsageError: a setting or value that the family does not have.
        """
        settings: dict[str, Number] = {name: setting.default for name, setting in self.settings.items()}
        settings |= {name: learned.default for name, learned in self.learned.items()}
        for name, value in (chosen or {}).items():
            if name in self.learned:
                settings[name] = _number(name, value)
                continue
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

    def stream(self, settings: Mapping[str, Number]) -> Stream:
        """Give what a session streams under the settings (as ``resolve`` gives them).

        Raises:
            UsageError: under these settings there is no acceleration, or no angular velocity though the family has it.
        """
        for stream in self.streams:
            if self.fits(stream.when, settings):
                return stream
        if self.streams:
            raise UsageError(f"{self.family} streams no motion with {_listed(settings)}")
        _, packet = self.stream_packet(settings)
        frames = packet.frames_in(settings)
        return Stream(
            role=packet.role,
            codec=packet.codec,
            min_mtu=packet.min_mtu(frames),
            counted=any(packet.field(what) for what in ("time", "counter")),
            samples_per_notification=frames,
        )

    def stream_packet(self, settings: Mapping[str, Number]) -> tuple[str, Packet]:
        """Give name and layout of the flat packet that streams motion under the settings (as ``resolve`` gives them).

        Raises:
            UsageError: under these settings no packet carries both acceleration and angular velocity (acceleration,
                where the family has no gyroscope).
        """
        motion = {n: p for n, p in self.packets.items() if self.carries_motion(p)}
        for name, packet in motion.items():
            if self.fits(packet.when, settings):
                return name, packet
        fit = [f"{k}={v} ({n})" for n, p in motion.items() for k, v in p.when.items()]
        hint = f"; choose {', '.join(fit)}" if fit else ""
        raise UsageError(
            f"{self.family} with {_listed(settings)} carries no acceleration together with angular velocity, which a "
            f"knee angle needs{hint}"
        )

    @staticmethod
    def fits(when: Mapping[str, Number], settings: Mapping[str, Number]) -> bool:
        """Whether settings are as a packet or stream wants them."""
        return all(settings.get(name) == wanted for name, wanted in when.items())

    def carries_motion(self, packet: Packet) -> bool:
        """Whether a packet carries what the family measures of motion."""
        return packet.streams_motion or (not self.gyro and packet.field("acceleration") is not None)

    def min_mtu(self, settings: Mapping[str, Number]) -> int:
        """Smallest ATT MTU for the motion stream under the settings (as ``resolve`` gives them)."""
        return self.stream(settings).min_mtu

    def for_firmware(self, version: str) -> "Profile":
        """Give the profile as it is for one version of the firmware: without the packets and steps of others.

        Where the version is not known ("") everything stays.
        """
        if not version:
            return self
        packets = {n: p for n, p in self.packets.items() if not p.firmware or in_range(version, p.firmware)}
        sequences = self.sequences
        if sequences:
            kept = {
                which: tuple(s for s in getattr(sequences, which) if not s.firmware or in_range(version, s.firmware))
                for which in type(sequences).model_fields
            }
            sequences = sequences.model_copy(update=kept)
        return self.model_copy(update={"packets": packets, "sequences": sequences})

    def supports(self, version: str) -> bool:
        """Whether the profile is good for a version of the firmware; an unknown one ("") is believed to be."""
        return not version or self.firmware is None or in_range(version, self.firmware)


def _listed(settings: Mapping[str, Number]) -> str:
    return ", ".join(f"{name}={value}" for name, value in settings.items())


def _number(name: str, value: object) -> Number:
    try:
        number = float(str(value))
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise UsageError(f"{name} is a number, not {value!r}")
    return int(number) if number.is_integer() else number
