"""Firmware of virtual Polar sensors, after Polar's ``online_measurement.pdf`` (August 2024) and the maker's documents.

A Verity Sense at an odd address has firmware 2, one at an even address firmware 1: a pair of sensors sends both kinds
of acceleration frames. What was started goes on when the link is lost, so that a start after it is answered "already
in state". Frames are sent while everything runs that makes a sample (a Verity Sense: acceleration and angular
velocity); ECG, PPG, pulse intervals, magnetometer and recordings are named among the features at most and refused.
"""

from collections.abc import Mapping
from typing import Final, NamedTuple

from bumble.att import ErrorCode

from gonio.drivers.codecs.polar_control import (
    ALREADY_IN_STATE,
    CHANNELS,
    FACTOR,
    GET_SDK_SETTINGS,
    GET_SETTINGS,
    IN_CHARGER,
    OK,
    RANGE,
    RATE,
    RESOLUTION,
    SDK_MODE,
    START,
    STATUSES,
    STOP,
    ControlAnswer,
    read_settings,
    write_answer,
    write_features,
    write_settings,
)
from gonio.drivers.codecs.polar_write import FRAME_BYTES, PolarWriter
from gonio.drivers.errors import CodecError
from gonio.firmware_profiles import Profile
from gonio.firmware_profiles.packets import ATT_HEADER_BYTES
from gonio.simulators.peripheral_firmware import Firmware, Replies, Surroundings, refuse

_BATTERY_PERCENT: Final = 87
_ACC, _GYRO = 2, 5

#: What an answer says where a setting of this type is not on offer.
_REFUSED: Final = {
    RATE: STATUSES.index("invalid_sample_rate"),
    RESOLUTION: STATUSES.index("invalid_resolution"),
    RANGE: STATUSES.index("invalid_range"),
    CHANNELS: STATUSES.index("invalid_number_of_channels"),
}
_INVALID_OPERATION: Final = STATUSES.index("invalid_op_code")
_INVALID_MEASUREMENT: Final = STATUSES.index("invalid_measurement_type")
_INVALID_LENGTH: Final = STATUSES.index("invalid_length")
_INVALID_PARAMETER: Final = STATUSES.index("invalid_parameter")
_INVALID_STATE: Final = STATUSES.index("invalid_state")

#: g for each count in the frames of a Verity Sense with firmware 1 (seen on hardware), degrees a second in all of them.
ACC_FACTOR: Final = 2.44e-4
GYR_FACTOR: Final = 2000 / 32768


class Model(NamedTuple):
    """What differs between the sensors.

    Attributes:
        features: as told.
        offers: by measurement, the settings and their values.
        sdk_offers: the same in the SDK mode; empty where there is none.
        versions: firmware at odd and at even addresses.
    """

    features: tuple[str, ...]
    offers: Mapping[int, Mapping[int, tuple[int, ...]]]
    sdk_offers: Mapping[int, Mapping[int, tuple[int, ...]]]
    versions: tuple[bytes, bytes]


_SDK_RATES: Final = (26, 52, 104, 208, 416)
MODELS: Final[Mapping[str, Model]] = {
    "polar_pmd": Model(
        ("ppg", "acc", "ppi", "gyro", "mag", "sdk_mode"),
        {
            _ACC: {RATE: (52,), RESOLUTION: (16,), RANGE: (8,), CHANNELS: (3,)},
            _GYRO: {RATE: (52,), RESOLUTION: (16,), RANGE: (2000,), CHANNELS: (3,)},
        },
        {
            _ACC: {RATE: _SDK_RATES, RESOLUTION: (16,), RANGE: (2, 4, 8, 16), CHANNELS: (3,)},
            _GYRO: {RATE: _SDK_RATES, RESOLUTION: (16,), RANGE: (250, 500, 1000, 2000), CHANNELS: (3,)},
        },
        (b"2.2.3", b"1.1.5"),
    ),
    "polar_oh1": Model(
        ("ppg", "acc", "ppi"),
        {_ACC: {RATE: (50,), RESOLUTION: (16,), RANGE: (8,)}},
        {},
        (b"2.1.15", b"2.1.15"),
    ),
    "polar_h10": Model(
        ("ecg", "acc"),
        {_ACC: {RATE: (25, 50, 100, 200), RESOLUTION: (16,), RANGE: (2, 4, 8)}},
        {},
        (b"3.1.1", b"3.1.1"),
    ),
}


class PolarFirmware(Firmware):
    """A Polar sensor.

    Attributes:
        in_charger: whether it lies in the charger, where it starts nothing.
        running: measurements that were started, with the rate of each.
        sdk_mode: whether it is in the SDK mode.
    """

    def __init__(self, profile: Profile, around: Surroundings, rate_hz: float | None = None) -> None:
        super().__init__(profile, around, rate_hz)
        self.packets_together = 2 if profile.gyro else 1
        self.in_charger = False
        self.running: dict[int, int] = {}
        self.sdk_mode = False
        self._model = MODELS[profile.family]
        self._even = int(around.address[-2:], 16) % 2 == 0
        self._indicates = False

    def read(self, role: str) -> bytes:
        """Give the value of a characteristic."""
        values = {
            "control_point": write_features(self._model.features),
            "battery": bytes((_BATTERY_PERCENT,)),
            "firmware_revision": self._model.versions[self._even],
        }
        if role not in values:
            raise refuse(ErrorCode.READ_NOT_PERMITTED)
        return values[role]

    def subscribed(self, role: str, on: bool) -> Replies:  # noqa: FBT001 - a switch, as the host sets it
        """Notice whether there is somebody to answer."""
        if role == "control_point":
            self._indicates = on
        return []

    def disconnected(self) -> None:
        """Go on measuring: only the indications end with the link."""
        self._indicates = False

    def write(self, role: str, data: bytes) -> Replies:
        """Obey a command; the answer is an indication."""
        if role != "control_point":
            raise refuse(ErrorCode.WRITE_NOT_PERMITTED)
        if not self._indicates:  # indications come first, or nobody would hear the answer
            raise refuse(ErrorCode.CCCD_IMPROPERLY_CONFIGURED)
        operation, measurement = (*data[:2], 0, 0)[:2]
        status, parameters = self._obey(operation, measurement, data)
        return [("control_point", write_answer(ControlAnswer(operation, measurement, status, 0, parameters)))]

    def _obey(self, operation: int, measurement: int, data: bytes) -> tuple[int, bytes]:
        """Give the status of an answer, and its parameters."""
        if operation not in (GET_SETTINGS, START, STOP, GET_SDK_SETTINGS):
            return _INVALID_OPERATION, b""
        if len(data) < 2 or (len(data) > 2 and operation != START):  # noqa: PLR2004 - operation and measurement
            return _INVALID_LENGTH, b""
        if measurement == SDK_MODE and self._model.sdk_offers and operation in (START, STOP):
            return self._switch_sdk_mode(on=operation == START), b""
        offers = self._model.sdk_offers if operation == GET_SDK_SETTINGS or self.sdk_mode else self._model.offers
        if measurement not in offers:
            return _INVALID_MEASUREMENT, b""
        if operation == START:
            return self._start(measurement, data[2:], offers[measurement])
        return (self._stop(measurement), b"") if operation == STOP else (OK, write_settings(offers[measurement]))

    def _stop(self, measurement: int) -> int:
        if self.running.pop(measurement, None) is None:
            return ALREADY_IN_STATE
        self._heed_what_runs()
        return OK

    def _switch_sdk_mode(self, *, on: bool) -> int:
        if self.sdk_mode == on:
            return ALREADY_IN_STATE
        if self.running:
            return _INVALID_STATE
        self.sdk_mode = on
        return OK

    def _start(self, measurement: int, settings: bytes, offers: Mapping[int, tuple[int, ...]]) -> tuple[int, bytes]:
        if self.in_charger:
            return IN_CHARGER, b""
        if measurement in self.running:
            return ALREADY_IN_STATE, b""
        try:
            wanted = read_settings(settings)
        except CodecError:
            return _INVALID_PARAMETER, b""
        if set(wanted) != set(offers):
            return _INVALID_PARAMETER, b""
        for kind, values in wanted.items():
            if len(values) != 1 or values[0] not in offers[kind]:
                return _REFUSED[kind], b""
        self.running[measurement] = int(wanted[RATE][0])
        self._heed_what_runs()
        factor = self._factor(measurement)
        return OK, b"" if factor is None else write_settings({FACTOR: [factor]})

    def _factor(self, measurement: int) -> float | None:
        """Give the factor that the frames of a measurement need; None where they need none."""
        if measurement == _GYRO:
            return GYR_FACTOR
        return ACC_FACTOR if self.profile.gyro and self._even else None

    def _heed_what_runs(self) -> None:
        needed = {_ACC, _GYRO} if self.profile.gyro else {_ACC}
        rates = {self.running[measurement] for measurement in needed & set(self.running)}
        measuring = needed <= set(self.running) and len(rates) == 1
        if measuring and not self.measuring:
            self.starts += 1
            self.settings = self.profile.resolve({"rate_hz": rates.pop(), **self._learned()})
        self.measuring = measuring

    def _learned(self) -> dict[str, float]:
        factors = {"factor_acc": self._factor(_ACC), "factor_gyr": self._factor(_GYRO)}
        return {name: value for name, value in factors.items() if name in self.profile.learned and value is not None}

    def put_into_charger(self) -> Replies:
        """Lie down in the charger: give the indication that what was running has stopped."""
        self.in_charger = True
        stopped = bytes(self.running)
        self.running.clear()
        self._heed_what_runs()
        return [("control_point", bytes((GET_SETTINGS,)) + stopped)] if stopped else []

    def take_off(self) -> None:
        """Come off the body: an H10 that is not worn switches itself off."""
        self.powered = self.profile.family != "polar_h10"

    def stream_role(self) -> str | None:
        """Give the characteristic of the frames while they are sent."""
        return "data" if self.measuring else None

    def encoder(self, mtu: int) -> PolarWriter:
        """Make what writes the frames, as long as the link carries them."""
        return PolarWriter(self.settings, gyro=self.profile.gyro, limit=min(FRAME_BYTES, mtu - ATT_HEADER_BYTES))

    def samples_per_notification(self) -> int:
        """Give 1: it varies with what is compressed."""
        return 1

    def samples_in(self, value: bytes) -> int:
        """Give how many samples a frame completes."""
        return PolarWriter(self.settings, gyro=self.profile.gyro).samples_in(value)
