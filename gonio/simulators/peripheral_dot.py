"""Firmware of a virtual Movella DOT, after the BLE Services Specification XD0506P rev F.

It keeps measuring when its link is lost, as the real one does. Of the payload modes it sends those that carry
acceleration and angular velocity; it has no orientation filter. It never falls asleep.
"""

import struct
from typing import Final

from bumble.att import ErrorCode

from gonio.firmware_profiles import Profile
from gonio.simulators.peripheral_clock import OwnClock
from gonio.simulators.peripheral_dot_messages import DotMessages
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
_POWER_OFF: Final = 0x01  # of the power options

_STOP, _START = 0, 1
_REPORT_BYTES: Final = 36
_REPORT_POWER_OFF: Final = 1
_REPORT_CLICK: Final = 4  # and as many more as there were clicks
_RESET_HEADING, _REVERT_HEADING, _RESET_DEFAULT = 1, 7, 8


class DotFirmware(Firmware):
    """A Movella DOT.

    Attributes:
        messages: its message service.
    """

    def __init__(self, profile: Profile, around: Surroundings, rate_hz: float | None = None) -> None:
        super().__init__(profile, around, rate_hz)
        self.messages = DotMessages(around, self._as_delivered)
        self._local = OwnClock(0.0)  # goes on by itself when the sensor is synchronised
        self._local.follow(around.clock)
        self._device_control = bytearray(_CONTROL_SIZE)
        self._as_delivered()
        struct.pack_into("<H", self._device_control, _RATE_AT, int(self.rate_hz))
        self._heading_reset = False
        self._reset_result = 0

    def _as_delivered(self) -> None:
        self._device_control = bytearray(_CONTROL_SIZE)
        self._device_control[3:7] = bytes((10, 0, 30, 0))  # times until it sleeps
        self.settings["rate_hz"] = self.profile.settings["rate_hz"].default
        struct.pack_into("<H", self._device_control, _RATE_AT, int(self.rate_hz))

    def read(self, role: str) -> bytes:
        """Give the value of a characteristic."""
        self.messages.settle()
        state = (1, _START if self.measuring else _STOP, int(self.settings["payload_mode"]))
        values = {
            "device_info": self._device_info(),
            "device_control": bytes(self._device_control),
            "control": bytes(state),
            "battery": bytes((_BATTERY_PERCENT, 0)),
            "orientation_reset": bytes(2),
            "orientation_reset_status": bytes((self._reset_result,)),
            "message_acknowledge": self.messages.acknowledgement,
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
        self.messages.settle()
        match role:
            case "control":
                self._write_control(data)
            case "device_control":
                return self._write_device_control(data)
            case "orientation_reset":
                self._reset_orientation(data)
            case "message_control":
                return self.messages.write(data)
            case _:
                raise refuse(ErrorCode.REQUEST_NOT_SUPPORTED)
        return []

    def disconnected(self) -> None:
        """Go on measuring; begin to synchronise if that was asked for."""
        self.messages.disconnected()

    def click(self, times: int) -> Replies:
        """Give the report of one to three clicks on the button; its time is the local clock's, not the group's."""
        local_ms = int(self._local.reads(self.around.world_s()) * 1000) % 2**32
        report = struct.pack("<BBI", _REPORT_CLICK + times, 4, local_ms)
        return [("device_report", report.ljust(_REPORT_BYTES, b"\0"))]

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

    def _write_device_control(self, data: bytes) -> Replies:
        if len(data) != _CONTROL_SIZE:
            raise refuse(ErrorCode.INVALID_ATTRIBUTE_LENGTH)
        visited = data[0]
        rate = int.from_bytes(data[_RATE_AT : _RATE_AT + 2], "little")
        if visited & _RATE and rate not in self.profile.settings["rate_hz"].values:
            raise refuse()
        locked = visited & (_RATE | _FILTER) if self.messages.synced else 0
        for bit, (begin, end) in _FIELDS.items():
            if locked & bit and self._device_control[begin:end] != data[begin:end]:
                raise refuse()
        for bit, (begin, end) in _FIELDS.items():
            if visited & bit:
                self._device_control[begin:end] = data[begin:end]
        if visited & _RATE:
            self.settings["rate_hz"] = rate
        if visited & _POWER and data[2] & _POWER_OFF:
            self.powered = self.measuring = False
            return [("device_report", bytes((_REPORT_POWER_OFF,)).ljust(_REPORT_BYTES, b"\0"))]
        return []

    def _reset_orientation(self, data: bytes) -> None:
        """Reset or revert the heading: only while measuring, and a reset only after the last one was reverted."""
        if len(data) != 2:  # noqa: PLR2004 - u16
            raise refuse(ErrorCode.INVALID_ATTRIBUTE_LENGTH)
        kind = int.from_bytes(data, "little")
        if kind not in (_RESET_HEADING, _REVERT_HEADING, _RESET_DEFAULT):
            raise refuse()
        works = self.measuring and not (kind == _RESET_HEADING and self._heading_reset)
        if works:
            self._heading_reset = kind == _RESET_HEADING
        self._reset_result = int(works)
