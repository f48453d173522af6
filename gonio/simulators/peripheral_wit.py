"""Firmware of a virtual WitMotion sensor (WT901BLE67), after the datasheet v23 and recordings of a real one.

It streams from power-on to whoever listens; there is no start and no stop. Registers are written after an unlock
that is good for ten seconds; a write without it is ignored without a word.
"""

import struct
from typing import Final

from bumble.att import ErrorCode

from gonio.firmware_profiles import Profile
from gonio.simulators.peripheral_firmware import Firmware, Replies, Surroundings, refuse

#: Rate of a sensor as delivered, Hz.
_DELIVERED_RATE_HZ: Final = 10
_BATTERY_CENTIVOLT: Final = 395
_UNLOCK_S: Final = 10.0

_COMMAND: Final = b"\xff\xaa"
_COMMAND_SIZE: Final = 5
_REGISTERS_PER_ANSWER: Final = 8
_REGISTERS: Final = 0x98

# registers
_SAVE, _RATE, _READ, _VERSION, _BATTERY, _UNLOCK, _SERIAL = 0x00, 0x03, 0x27, 0x2E, 0x64, 0x69, 0x7F
_UNLOCK_CODE: Final = 0xB588


class WitFirmware(Firmware):
    """A WitMotion BLE 5 sensor."""

    def __init__(self, profile: Profile, around: Surroundings, rate_hz: float | None = None) -> None:
        super().__init__(profile, around, rate_hz or _DELIVERED_RATE_HZ)
        self.measuring = True
        self._unlocked_until_s = float("-inf")
        self._registers = [0] * (_REGISTERS + _REGISTERS_PER_ANSWER)  # a read may begin at the last one
        self._registers[_RATE] = profile.settings["rate_hz"].values[self.settings["rate_hz"]]
        self._registers[_BATTERY] = _BATTERY_CENTIVOLT
        self._registers[_VERSION : _VERSION + 2] = (0x2A01, 0x0001)
        serial = ("SIM" + around.address.replace(":", "")[-9:]).encode()
        self._registers[_SERIAL : _SERIAL + 6] = struct.unpack("<6H", serial)

    def read(self, role: str) -> bytes:  # noqa: ARG002 - it is the same for every role
        """Refuse: nothing can be read but by command."""
        raise refuse(ErrorCode.READ_NOT_PERMITTED)

    def write(self, role: str, data: bytes) -> Replies:
        """Obey a command; what is no command, or locked, is ignored."""
        if role != "command":
            raise refuse(ErrorCode.WRITE_NOT_PERMITTED)
        if len(data) != _COMMAND_SIZE or not data.startswith(_COMMAND):
            return []
        register, value = struct.unpack_from("<BH", data, len(_COMMAND))
        if register == _READ:
            return [("data", self._answer(value & 0xFF))] if value & 0xFF < _REGISTERS else []
        if register == _UNLOCK:
            if value == _UNLOCK_CODE:
                self._unlocked_until_s = self.around.now_s() + _UNLOCK_S
        elif register != _SAVE and register < _REGISTERS and self.around.now_s() <= self._unlocked_until_s:
            self._set(register, value)
        return []

    def _answer(self, register: int) -> bytes:
        values = self._registers[register : register + _REGISTERS_PER_ANSWER]
        return struct.pack("<BBH8H", 0x55, 0x71, register, *values)

    def _set(self, register: int, value: int) -> None:
        if register == _RATE:
            rate = self.profile.settings["rate_hz"].code_value(value)
            if rate is None:
                return
            self.settings["rate_hz"] = rate
        self._registers[register] = value
