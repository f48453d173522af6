"""Polar's control point: what the host writes to it, and what the sensor answers by indication.

A command is an operation, a measurement and, to start one, its settings; the answer begins with F0 and repeats both.
Settings are type, count and values. A value read (not indicated) tells the features and begins with 0F.

Source: Polar's ``online_measurement.pdf`` (August 2024).
"""

import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from gonio.drivers.codecs.polar_frames import MEASUREMENTS
from gonio.drivers.errors import CodecError

ANSWER: Final = 0xF0
FEATURES: Final = 0x0F
GET_SETTINGS, START, STOP, GET_SDK_SETTINGS, STATUS, SDK_STATUS = 1, 2, 3, 4, 5, 6
SDK_MODE: Final = 9

OPERATIONS: Final[Mapping[int, str]] = {
    GET_SETTINGS: "get_settings",
    START: "start",
    STOP: "stop",
    GET_SDK_SETTINGS: "get_sdk_mode_settings",
    STATUS: "get_measurement_status",
    SDK_STATUS: "get_sdk_mode_status",
}

OK, ALREADY_IN_STATE, IN_CHARGER = 0, 6, 13
STATUSES: Final = (
    "success",
    "invalid_op_code",
    "invalid_measurement_type",
    "not_supported",
    "invalid_length",
    "invalid_parameter",
    "already_in_state",
    "invalid_resolution",
    "invalid_sample_rate",
    "invalid_range",
    "invalid_mtu",
    "invalid_number_of_channels",
    "invalid_state",
    "device_in_charger",
    "disk_full",
)

RATE, RESOLUTION, RANGE, RANGE_MILLI, CHANNELS, FACTOR, SECURITY = range(7)
_FORMATS: Final[Mapping[int, str]] = {
    RATE: "<H",
    RESOLUTION: "<H",
    RANGE: "<H",
    RANGE_MILLI: "<I",
    CHANNELS: "<B",
    FACTOR: "<f",
    SECURITY: "<16s",
}
_RANGE_UNITS: Final[Mapping[str, str]] = {"acc": "g", "gyro": "dps", "mag": "gauss"}
_ANSWER_HEAD: Final = 4  # F0, operation, measurement, status

#: Only the H10 has these rates, and only it has no setting for the channels.
_H10_RATES: Final = (25, 50, 100, 200)


@dataclass(frozen=True, slots=True)
class ControlAnswer:
    """The sensor's answer to a command.

    Attributes:
        operation: that it answers.
        measurement: number of the measurement.
        status: 0 for done, else why not.
        more: whether further answers belong to it.
        parameters: what follows, as sent.
    """

    operation: int
    measurement: int
    status: int
    more: int = 0
    parameters: bytes = field(default=b"", repr=False)

    @property
    def status_name(self) -> str:
        """The status in words."""
        return STATUSES[self.status] if self.status < len(STATUSES) else f"unknown({self.status})"


def read_answer(data: bytes) -> ControlAnswer:
    """Take an answer apart.

    Raises:
        CodecError: it is none, or is cut.
    """
    if len(data) < _ANSWER_HEAD or data[0] != ANSWER:
        raise CodecError(f"{data.hex() or 'nothing'} is no answer of the control point")
    more = data[4] if len(data) > _ANSWER_HEAD else 0
    return ControlAnswer(data[1], data[2], data[3], more, data[5:])


def write_answer(answer: ControlAnswer) -> bytes:
    """Write an answer."""
    head = bytes((ANSWER, answer.operation, answer.measurement, answer.status))
    return head if answer.status else head + bytes((answer.more,)) + answer.parameters


def read_settings(data: bytes) -> dict[int, list[int | float | str]]:
    """Read settings: values by type.

    Raises:
        CodecError: a type that is not known, or values that are cut.
    """
    settings: dict[int, list[int | float | str]] = {}
    at = 0
    while at < len(data):
        kind = data[at]
        layout = _FORMATS.get(kind)
        count = data[at + 1] if at + 1 < len(data) else 0
        if layout is None or not count or at + 2 + count * struct.calcsize(layout) > len(data):
            raise CodecError(f"{data[at:].hex()} are no settings")
        values = list(struct.iter_unpack(layout, data[at + 2 : at + 2 + count * struct.calcsize(layout)]))
        settings[kind] = [value.hex() if isinstance(value, bytes) else value for (value,) in values]
        at += 2 + count * struct.calcsize(layout)
    return settings


def write_settings(settings: Mapping[int, Iterable[float]]) -> bytes:
    """Write settings, values by type.

    Raises:
        CodecError: a type that is not known, or a value that does not fit.
    """
    parts: list[bytes] = []
    try:
        for kind, values in settings.items():
            packed = [struct.pack(_FORMATS[kind], value) for value in values]
            parts.append(bytes((kind, len(packed))) + b"".join(packed))
    except (KeyError, struct.error, ValueError) as error:
        raise CodecError(f"settings {dict(settings)} cannot be written") from error
    return b"".join(parts)


def _named_settings(
    measurement: str, settings: Mapping[int, list[int | float | str]]
) -> dict[str, list[int | float | str]]:
    unit = _RANGE_UNITS.get(measurement, "units")
    names = {
        RATE: "rate_hz",
        RESOLUTION: "resolution_bits",
        RANGE: f"range_{unit}",
        RANGE_MILLI: f"range_milli_{unit}",
        CHANNELS: "channels",
        FACTOR: "factor",
        SECURITY: "security_hex",
    }
    return {names[kind]: values for kind, values in settings.items()}


def features(data: bytes) -> tuple[str, ...]:
    """Name what the sensor can measure, from the value read from the control point.

    Raises:
        CodecError: the value is none that tells features.
    """
    if not data or data[0] != FEATURES:
        raise CodecError(f"{data.hex() or 'nothing'} tells no features")
    bits = int.from_bytes(data[1:], "little")
    return tuple(name for bit, name in MEASUREMENTS.items() if bits >> bit & 1)


def write_features(names: Iterable[str], size: int = 17) -> bytes:
    """Write the value that tells the features.

    Raises:
        CodecError: an unknown feature.
    """
    numbers = {name: number for number, name in MEASUREMENTS.items()}
    try:
        bits = sum(1 << numbers[name] for name in set(names))
    except KeyError as error:
        raise CodecError(f"no feature is called {error}") from error
    return bytes((FEATURES,)) + bits.to_bytes(size - 1, "little")


def stopped_by_itself(data: bytes) -> tuple[str, ...]:
    """Name the measurements that the sensor says it has stopped, where an indication says that; else none."""
    if len(data) < 2 or data[0] != 1:  # noqa: PLR2004 - the word and one measurement
        return ()
    return tuple(MEASUREMENTS.get(number, f"unknown({number})") for number in data[1:])


# -- as gonio decode shows it ------------------------------------------------------------------------------------------


def show_control(data: bytes) -> dict[str, object]:
    """Decode what was written to, read from or indicated by the control point.

    A host's request for settings and a sensor's word that it stopped a stream begin with the same byte; two bytes
    are shown as the request, with ``from_device`` saying what they would mean from the sensor.

    Raises:
        CodecError: it is nothing of the control point.
    """
    if not data:
        return {"truncated": True, "valid_bytes": 0}
    if data[0] == FEATURES:
        shown = data[:17].rstrip(b"\0")[1:]
        return {"feature_bits": int.from_bytes(shown, "little"), "supports": list(features(data))}
    if data[0] == ANSWER:
        if len(data) < _ANSWER_HEAD:
            return {"truncated": True, "valid_bytes": len(data)}
        return _show_answer(read_answer(data))
    if len(data) > 2 and data[0] == GET_SETTINGS:  # noqa: PLR2004 - a request has two bytes
        return {"event": "streams_stopped", "measurements": list(stopped_by_itself(data))}
    return _show_command(data)


def _show_answer(answer: ControlAnswer) -> dict[str, object]:
    measurement = MEASUREMENTS.get(answer.measurement & 0x7F, f"unknown({answer.measurement})")
    decoded: dict[str, object] = {
        "response_to": OPERATIONS.get(answer.operation, f"unknown({answer.operation})"),
        "measurement": measurement,
        "status": answer.status,
        "status_name": answer.status_name,
        "more": answer.more,
    }
    if not answer.parameters:
        return decoded
    decoded["params_hex"] = answer.parameters.hex()
    try:
        settings = read_settings(answer.parameters)
    except CodecError:
        return decoded
    if answer.operation == START:
        decoded |= {name: values[0] for name, values in _named_settings(measurement, settings).items()}
    else:
        decoded["settings"] = _named_settings(measurement, settings)
    return decoded


def _show_command(data: bytes) -> dict[str, object]:
    operation = data[0]
    if operation in (STATUS, SDK_STATUS) and len(data) == 1:
        return {"command": "get measurement status" if operation == STATUS else "get SDK mode status"}
    if operation not in (GET_SETTINGS, START, STOP, GET_SDK_SETTINGS):
        raise CodecError(f"{data.hex()} is nothing of the control point")
    if len(data) < 2:  # noqa: PLR2004 - operation and measurement
        return {"truncated": True, "valid_bytes": len(data)}
    measurement = MEASUREMENTS.get(data[1] & 0x7F)
    if measurement is None:
        raise CodecError(f"no measurement has the number {data[1]}")
    name = "SDK mode" if data[1] == SDK_MODE else measurement
    if operation == START:
        return _show_start(name, measurement, data[2:])
    words = {
        GET_SETTINGS: f"get {name} settings",
        STOP: f"stop {name}",
        GET_SDK_SETTINGS: f"get {name} SDK mode settings",
    }
    decoded: dict[str, object] = {"command": words[operation]}
    if operation == GET_SETTINGS:
        decoded["from_device"] = f"{name} stopped"
    return decoded


def _show_start(name: str, measurement: str, parameters: bytes) -> dict[str, object]:
    settings = read_settings(parameters)
    unit = _RANGE_UNITS.get(measurement, "")
    texts = {RATE: "{} Hz", RESOLUTION: "{} bit", RANGE: f"{{}} {unit}", CHANNELS: "{} channels"}
    words = ["start", name]
    if measurement == "acc" and settings.get(RATE, [0])[0] in _H10_RATES and CHANNELS not in settings:
        words.append("H10")
    words += [text.format(settings[kind][0]) for kind, text in texts.items() if kind in settings]
    named = _named_settings(measurement, settings)
    return {"command": " ".join(words), **{name: values[0] for name, values in named.items()}}
