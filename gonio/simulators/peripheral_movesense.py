"""Firmware of virtual Movesense sensors, after the maker's GATT SensorData Protocol.

It offers acceleration with angular velocity (IMU6) at the rates of the profile, and no other path. A sensor at an
even address is an old one that writes the status of its results with the high byte first. Subscriptions end with the
link here; whether real ones do is not stated.
"""

from bumble.att import ErrorCode

from gonio.drivers.codecs.movesense_data import Path, read_path
from gonio.drivers.codecs.movesense_packets import (
    HEAD_BYTES,
    HELLO,
    OK,
    RESULT,
    SUBSCRIBE,
    UNSUBSCRIBE,
    write_hello,
    write_result,
)
from gonio.drivers.codecs.movesense_stream import NOTIFICATION_BYTES, REFERENCE, MovesenseWriter
from gonio.drivers.errors import CodecError
from gonio.firmware_profiles import Profile
from gonio.firmware_profiles.packets import ATT_HEADER_BYTES
from gonio.simulators.peripheral_firmware import Firmware, Replies, Surroundings, refuse

_BAD_REQUEST, _NOT_FOUND, _CONFLICT, _NOT_IMPLEMENTED = 400, 404, 409, 501


class MovesenseFirmware(Firmware):
    """A Movesense sensor."""

    def __init__(self, profile: Profile, around: Surroundings, rate_hz: float | None = None) -> None:
        super().__init__(profile, around, rate_hz)
        self._old = int(around.address[-2:], 16) % 2 == 0
        self._subscriptions: dict[int, Path] = {}  # by reference

    def read(self, role: str) -> bytes:  # noqa: ARG002 - it is the same for every role
        """Refuse: nothing can be read but by command."""
        raise refuse(ErrorCode.READ_NOT_PERMITTED)

    def disconnected(self) -> None:
        """Forget what was subscribed to."""
        self._subscriptions.clear()
        self.measuring = False

    def write(self, role: str, data: bytes) -> Replies:
        """Obey a command; the answer is a notification."""
        if role != "command" or len(data) < HEAD_BYTES:
            raise refuse(ErrorCode.WRITE_NOT_PERMITTED)
        code, reference, rest = data[0], data[1], data[HEAD_BYTES:]
        if code == HELLO:
            return [("data", write_hello(reference, self._texts()))]
        if code == SUBSCRIBE:
            status = self._subscribe(reference, rest)
        elif code == UNSUBSCRIBE:
            status = self._unsubscribe(reference)
        else:
            status = _NOT_IMPLEMENTED
        if self._old:
            return [("data", bytes((RESULT, reference)) + status.to_bytes(2, "big"))]
        return [("data", write_result(reference, status))]

    def _texts(self) -> dict[str, str]:
        return {
            "serial": "SIM" + self.around.address.replace(":", "")[-9:],
            "product_name": "Movesense SIM",
            "dfu_mac": self.around.address,
            "app_name": "simulated GSP",
            "app_version": "1.9.0" if self._old else "2.3.1",
        }

    def _subscribe(self, reference: int, rest: bytes) -> int:
        try:
            path = read_path(rest.decode("ascii"))
        except (CodecError, UnicodeDecodeError):
            return _NOT_FOUND
        if path.kind != "imu6" or reference != REFERENCE:
            return _NOT_FOUND
        if reference in self._subscriptions:
            return _CONFLICT
        if path.rate_hz not in self.profile.settings["rate_hz"].values:
            return _BAD_REQUEST
        self._subscriptions[reference] = path
        self.settings = self.profile.resolve({"rate_hz": path.rate_hz})
        self.starts += 1
        self.measuring = True
        return OK

    def _unsubscribe(self, reference: int) -> int:
        if self._subscriptions.pop(reference, None) is None:
            return _NOT_FOUND
        self.measuring = False
        return OK

    def stream_role(self) -> str | None:
        """Give the characteristic of the data while they are sent."""
        return "data" if self.measuring else None

    def encoder(self, mtu: int) -> MovesenseWriter:
        """Make what writes the data, in notifications as long as the link carries."""
        writer = MovesenseWriter(self.settings, min(NOTIFICATION_BYTES, mtu - ATT_HEADER_BYTES))
        self.packets_together = writer.parts
        return writer

    def samples_per_notification(self) -> int:
        """Give the samples of a packet."""
        return self.profile.stream(self.settings).samples_at(self.rate_hz)
