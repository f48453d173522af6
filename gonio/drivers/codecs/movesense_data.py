"""What Movesense's subscriptions carry: the payload of a data packet by the path that was subscribed to.

A payload does not say what it is; the host knows by the reference that it chose. Rows of a quantity stand together:
all acceleration, then all angular velocity, then all magnetic field.

Source: movesense.com, GATT SensorData Protocol; the field order of heart rate and temperature as in captures (github
sensein/movesense-py).
"""

import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from gonio.drivers.errors import CodecError
from gonio.drivers.fields import from_float32
from gonio.signal.consts import FloatArray

STAMP: Final = struct.Struct("<I")
_VECTOR_BYTES: Final = 12
_ECG_SAMPLES: Final = 16
_ECG_MV: Final = 0.001
_TEMP: Final = struct.Struct("<fI")
_FLOAT: Final = struct.Struct("<f")
_MOST_BEATS: Final = 8
_DIGITS: Final = 5

#: Quantities of a path by its second word, in the order of the payload.
MOTION: Final[Mapping[str, tuple[str, ...]]] = {
    "acc": ("accel_m_s2",),
    "gyro": ("gyro_dps",),
    "magn": ("mag_ut",),
    "imu6": ("accel_m_s2", "gyro_dps"),
    "imu6m": ("accel_m_s2", "mag_ut"),
    "imu9": ("accel_m_s2", "gyro_dps", "mag_ut"),
}

#: Rates of the motion sensors, Hz, and the samples that a packet holds at each (github sensein/movesense-py: 1 at 13,
#: 4 at 52, 8 at 104 Hz; the others follow them and are taken from the length anyway).
SAMPLES_AT: Final[Mapping[int, int]] = {13: 1, 26: 2, 52: 4, 104: 8, 208: 16, 416: 32, 833: 64, 1666: 128}


@dataclass(frozen=True, slots=True)
class Path:
    """A subscribed resource.

    Attributes:
        text: as subscribed.
        kind: ``acc``, ``gyro``, ``magn``, ``imu6``, ``imu6m``, ``imu9``, ``ecg``, ``ecg_mv``, ``hr`` or ``temp``.
        rate_hz: the rate in it, None where there is none.
    """

    text: str
    kind: str
    rate_hz: int | None

    @property
    def quantities(self) -> tuple[str, ...]:
        """Names of what a motion path carries, in the payload's order; empty for the others."""
        return MOTION.get(self.kind, ())

    @property
    def row_bytes(self) -> int:
        """Bytes that one more sample adds to a motion payload."""
        return _VECTOR_BYTES * len(self.quantities)

    def is_whole(self, size: int) -> bool:
        """Tell whether a payload of so many bytes can be a whole one."""
        body = size - STAMP.size
        if self.quantities:
            return body > 0 and body % self.row_bytes == 0
        if self.kind == "hr":
            return size >= _FLOAT.size and size % 2 == 0
        return size == {"ecg": 4 + 4 * _ECG_SAMPLES, "ecg_mv": 4 + 2 * _ECG_SAMPLES, "temp": _TEMP.size}[self.kind]


def read_path(text: str) -> Path:
    """Understand a path such as ``/Meas/IMU6/52``; large and small letters are the same.

    Raises:
        CodecError: it is none whose payload is known.
    """
    words = text.strip().lower().strip("/").split("/")
    kind = words[1] if len(words) > 1 and words[0] == "meas" else ""
    rate = int(words[2]) if len(words) > 2 and words[2].isascii() and words[2].isdigit() and len(words[2]) < 6 else None  # noqa: PLR2004 - meas, kind, rate
    if kind == "ecg" and words[-1] == "mv":
        kind = "ecg_mv"
    if kind not in MOTION and kind not in ("ecg", "ecg_mv", "hr", "temp"):
        raise CodecError(f"{text!r} is no path whose data are known, such as /Meas/IMU6/52 or /Meas/ECG/200/mV")
    return Path(text, kind, rate)


def can_be_whole(size: int) -> bool:
    """Tell whether any path has a whole payload of so many bytes (heart rate: with a few beats at most)."""
    if size <= _FLOAT.size + 2 * _MOST_BEATS:
        return size % 2 == 0 and size >= _FLOAT.size
    return any(Path("", kind, None).is_whole(size) for kind in ("acc", "ecg", "ecg_mv", "temp"))


def show_payload(path: Path, payload: bytes) -> dict[str, object]:
    """Decode a whole payload.

    Raises:
        CodecError: it is not whole.
    """
    if not path.is_whole(len(payload)):
        raise CodecError(f"{len(payload)} bytes are no whole payload of {path.text}")
    if path.kind == "temp":
        kelvin, stamp = _TEMP.unpack(payload)
        return {
            "temperature_k": _number(kelvin),
            "timestamp_ms": stamp,
            "field_order": "float first, then timestamp (opposite of the other channels)",
        }
    if path.kind == "hr":
        beats = list(struct.unpack(f"<{(len(payload) - 4) // 2}H", payload[4:]))
        return {"average_bpm": _number(_FLOAT.unpack_from(payload)[0]), "rr_ms": beats}
    (stamp,) = STAMP.unpack_from(payload)
    decoded: dict[str, object] = {"timestamp_ms": stamp}
    if path.kind == "ecg":
        decoded["raw_int32"] = np.frombuffer(payload, "<i4", offset=4).tolist()
    elif path.kind == "ecg_mv":
        raw = np.frombuffer(payload, "<i2", offset=4).tolist()
        decoded |= {"samples_mv": [round(value * _ECG_MV, 3) for value in raw], "raw_int16": raw}
    else:
        for name, rows in zip(path.quantities, motion_rows(path, payload), strict=True):
            decoded[name] = [[_rounded(value) for value in row] for row in rows.tolist()]
    return decoded


def motion_rows(path: Path, payload: bytes) -> FloatArray:
    """Give a whole motion payload as (quantities, n, 3), in the units of the path."""
    with np.errstate(invalid="ignore"):  # a signalling NaN warns when it is converted
        values = np.frombuffer(payload, "<f4", offset=STAMP.size).astype(np.float64)
    return values.reshape(len(path.quantities), -1, 3)


def _rounded(value: float) -> float | None:
    """Give a number of the motion sensors, whose steps are coarser than the digits left out; None for no number."""
    return round(value, _DIGITS) if math.isfinite(value) else None


def _number(value: float) -> float | None:
    """Give the shortest decimal that means this float32; None for what is no number."""
    return from_float32(value) if math.isfinite(value) else None


def write_payload(path: Path, values: Mapping[str, object]) -> bytes:
    """Write a payload.

    Args:
        path: that it belongs to.
        values: in the form of ``show_payload``.

    Raises:
        CodecError: a value is missing or does not fit.
    """
    try:
        return _write_payload(path, values)
    except (KeyError, TypeError, ValueError, OverflowError, struct.error) as error:
        raise CodecError(f"no payload of {path.text} can be written from {', '.join(values)}: {error}") from error


def _write_payload(path: Path, values: Mapping[str, object]) -> bytes:
    if path.kind == "temp":
        return _TEMP.pack(values["temperature_k"], values["timestamp_ms"])
    if path.kind == "hr":
        beats = np.array(values["rr_ms"], np.uint16)
        return _FLOAT.pack(values["average_bpm"]) + beats.astype("<u2").tobytes()
    stamp = STAMP.pack(values["timestamp_ms"])
    if path.kind == "ecg":
        return stamp + np.array(values["raw_int32"], np.int32).astype("<i4").tobytes()
    if path.kind == "ecg_mv":
        return stamp + np.array(values["raw_int16"], np.int16).astype("<i2").tobytes()
    rows = np.array([values[name] for name in path.quantities], np.float32)
    return stamp + rows.astype("<f4").tobytes()
