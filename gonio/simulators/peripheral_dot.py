"""Firmware of a virtual Movella DOT, after the BLE Services Specification XD0506P rev F.

It keeps measuring when its link is lost, as the real one does. The message service (synchronisation, recording on
board) is there but answers nothing; switching off by command is refused.
"""

import struct
from typing import Final

from bumble.att import ErrorCode

from gonio.firmware_profiles import Profile
from gonio.simulators.peripheral_firmware import Firmware, Replies, Surroundings, refuse

_VERSION: Final = (3, 0, 0)
_BATTERY_PERCENT: Final = 87

# bits of the first byte of device control: which of its fields a write means
_IDENTIFY, _POWER, _TIMEOUTS, _TAG, _RATE, _FILTER = (1 << bit for bit in range(6))
_CONTROL_SIZE: Final = 32
_RATE_AT: Final = 24
_FILTER_AT: Final = 26
#: Where each visited field lies in device control (first byte, byte behind the last).
_FIELDS: Final = {_IDENTIFY: (1, 2), _TIMEOUTS: (3, 7), _TAG: (7, 24), _RATE: (_RATE_AT, 26), _FILTER: (_FILTER_AT, 27)}

_STOP, _START = 0, 1


class DotFirmware(Firmware):
    """A Movella DOT."""

    def __init__(self, profile: Profile, around: Surroundings, rate_hz: float | None = None) -> None:
        super().__init__(profile, around, rate_hz)
        self._device_control = bytearray(_CONTROL_SIZE)
        self._device_control[3:7] = bytes((10, 0, 30, 0))  # times until it sleeps, as delivered
        struct.pack_into("<H", self._device_control, _RATE_AT, int(self.rate_hz))

    def read(self, role: str) -> bytes:
        """Give the value of a characteristic."""
        state = (1, _START if self.measuring else _STOP, int(self.settings["payload_mode"]))
        values = {
            "device_info": self._device_info(),
            "device_control": bytes(self._device_control),
            "control": bytes(state),
            "battery": bytes((_BATTERY_PERCENT, 0)),
            "orientation_reset": bytes(2),
            "orientation_reset_status": bytes(1),
            "message_acknowledge": b"",
        }
        if role not in values:
            raise refuse(ErrorCode.READ_NOT_PERMITTED)
        return values[role]

    def _device_info(self) -> bytes:
        mac = bytes.fromhex(self.around.address.replace(":", ""))
        serial = int.from_bytes(b"\xd4" + mac, "big")
        built = (2023, 6, 1, 12, 0, 0)
        return struct.pack("<6s3BH5BIQ6s", mac[::-1], *_VERSION, *built, 0, serial, b"XS-T02")

    def write(self, role: str, data: bytes) -> Replies:
        """Obey a write."""
        match role:
            case "control":
                self._write_control(data)
            case "device_control":
                self._write_device_control(data)
            case _:
                raise refuse(ErrorCode.REQUEST_NOT_SUPPORTED)
        return []

    def _write_control(self, data: bytes) -> None:
        if len(data) != 3:  # noqa: PLR2004 - type, action, mode
            raise refuse(ErrorCode.INVALID_ATTRIBUTE_LENGTH)
        kind, action, mode = data
        if kind != 1 or action not in (_STOP, _START):
            raise refuse()
        if action == _START:
            if not self._can_send(mode):
                raise refuse()
            self.settings["payload_mode"] = mode
        self.measuring = action == _START

    def _can_send(self, mode: int) -> bool:
        """Whether the mode is one that carries acceleration and angular velocity, all that this sensor has."""
        packets = self.profile.packets.values()
        return any(packet.streams_motion and packet.when.get("payload_mode") == mode for packet in packets)

    def _write_device_control(self, data: bytes) -> None:
        if len(data) != _CONTROL_SIZE:
            raise refuse(ErrorCode.INVALID_ATTRIBUTE_LENGTH)
        visited = data[0]
        if visited & _POWER:
            raise refuse(ErrorCode.REQUEST_NOT_SUPPORTED)
        rate = int.from_bytes(data[_RATE_AT : _RATE_AT + 2], "little")
        if visited & _RATE and rate not in self.profile.settings["rate_hz"].values:
            raise refuse()
        for bit, (begin, end) in _FIELDS.items():
            if visited & bit:
                self._device_control[begin:end] = data[begin:end]
        if visited & _RATE:
            self.settings["rate_hz"] = rate
