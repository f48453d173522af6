"""What ``gonio decode`` says of a Polar data frame: values by name, in the units that the sensor sends."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from gonio.drivers.codecs.polar_delta import Whole
from gonio.drivers.codecs.polar_frames import HEADER, Frame, read_frame
from gonio.drivers.codecs.polar_time import sample_times
from gonio.drivers.errors import CodecError

_DIGITS: Final = 6
_MILLI: Final = 1000

#: ACC frames of compressed type 0 need a factor that only the answer to the start command tells; it was this on
#: hardware (github polarofficial/polar-ble-sdk, issue 186).
_SEEN_ACC_FACTOR: Final = 2.44e-4

CALIBRATIONS: Final = ("unknown", "poor", "ok", "good")
_PPI_BYTES: Final = 6
_SHOWN: Final = ("first", "second", "third")


def show_frame(data: bytes, told: Mapping[str, object]) -> dict[str, object]:
    """Decode a data frame.

    Args:
        data: the notification.
        told: ``factor``, ``previous_timestamp_ns``, ``rate_hz``, ``resolution_bits``, ``channels``.

    Returns:
        Values by name. A cut frame gives its whole samples, with ``truncated`` and ``complete_samples``.

    Raises:
        CodecError: no frame, or something told that cannot be.
    """
    if len(data) < HEADER.size:
        return {"truncated": True, "valid_bytes": len(data)}
    frame = read_frame(
        data,
        resolution_bits=_whole(told, "resolution_bits", 1, 32),
        channels=_whole(told, "channels", 1, 16),
    )
    decoded: dict[str, object] = {
        "measurement": frame.measurement,
        "frame": frame.title,
        "timestamp_ns": frame.timestamp_ns,
    }
    if frame.time_utc is not None:
        decoded["timestamp_utc"] = frame.time_utc
    if frame.unpacked is None:
        return decoded | (_pulse_intervals(frame.content) if frame.measurement == "ppi" else _unknown(frame))
    count = len(frame.unpacked.samples)
    decoded["sample_count"] = count
    if frame.unpacked.truncated:
        decoded |= {"truncated": True, "valid_bytes": len(data), "complete_samples": count}
    if frame.compressed:
        decoded["blocks_bits_count"] = [list(block) for block in frame.unpacked.blocks]
    decoded |= _VALUES[frame.measurement](frame, told)
    if not frame.unpacked.truncated:  # the time is that of the last sample, which a cut frame lacks
        decoded |= _times(frame.timestamp_ns, count, told)
    return decoded


def _unknown(frame: Frame) -> dict[str, object]:
    return {"content_hex": frame.content.hex()}


def _pulse_intervals(content: bytes) -> dict[str, object]:
    """Decode beat-to-beat intervals: heart rate, interval, its error, and whether skin is touched."""
    rows: list[dict[str, object]] = [
        {
            "heart_rate_bpm": row[0],
            "pp_interval_ms": int.from_bytes(row[1:3], "little"),
            "error_ms": int.from_bytes(row[3:5], "little"),
            "invalid": bool(row[5] & 1),
            "skin_contact": bool(row[5] & 2) if row[5] & 4 else None,
        }
        for row in (content[i : i + _PPI_BYTES] for i in range(0, len(content) // _PPI_BYTES * _PPI_BYTES, _PPI_BYTES))
    ]
    decoded: dict[str, object] = {"samples": rows, "sample_count": len(rows)}
    if len(content) % _PPI_BYTES:
        decoded |= {"truncated": True, "complete_samples": len(rows)}
    return decoded


def _times(timestamp_ns: int, count: int, told: Mapping[str, object]) -> dict[str, object]:
    previous = _whole(told, "previous_timestamp_ns", 0, 2**64 - 1)
    if previous is None and "rate_hz" not in told:
        return {}
    times = sample_times(timestamp_ns, previous or 0, count, _number(told, "rate_hz", 0.0)).tolist()
    named = {} if previous is None else {"previous_timestamp_ns": previous}
    return {**named, "sample_timestamps_ns": times}


# -- values by measurement ---------------------------------------------------------------------------------------------


def _samples(frame: Frame) -> Whole:
    if frame.unpacked is None:
        raise CodecError(f"a frame {frame.title} of {frame.measurement} cannot be read")
    return frame.unpacked.samples


def _scaled(numbers: Sequence[Sequence[float]]) -> list[list[float]]:
    return [[round(value, _DIGITS) for value in row] for row in numbers]


def _summary(samples: Whole, unit: str) -> dict[str, object]:
    """Tell the first samples, the last and the sum, by which a long frame is quickly compared."""
    decoded: dict[str, object] = {
        f"raw_{name}{unit}": sample for name, sample in zip(_SHOWN, samples.tolist(), strict=False)
    }
    if len(samples):
        decoded[f"raw_last{unit}"] = samples[-1].tolist()
        decoded["all_raw_sum_xyz"] = samples.sum(axis=0).tolist()
    return decoded


def _acc(frame: Frame, told: Mapping[str, object]) -> dict[str, object]:
    samples = _samples(frame)
    if frame.compressed and frame.kind == 1 and "factor" in told:
        factor = _number(told, "factor", 1.0)
        return {"factor": factor, "samples_mg": _scaled((samples * factor).tolist()), **_summary(samples, "_mg")}
    if not (frame.compressed and frame.kind == 0):
        return {"samples_mg": samples.tolist(), **_summary(samples, "_mg")}
    decoded: dict[str, object] = {"samples_raw": samples.tolist(), **_summary(samples, "")}
    if "factor" in told:
        factor = _number(told, "factor", 1.0)
        g = samples * factor
        decoded |= {"factor": factor, "samples_g": _scaled(g.tolist()), "samples_mg": _scaled((g * _MILLI).tolist())}
    elif len(samples):
        length = math.hypot(*samples[0].tolist())
        decoded["mag_g_first_if_factor_2_44e_4"] = round(length * _SEEN_ACC_FACTOR, 4)
    return decoded


def _gyro(frame: Frame, told: Mapping[str, object]) -> dict[str, object]:
    factor = _number(told, "factor", 1.0)
    values: list[list[float]] = frame.values(factor).tolist()
    pattern = frame.layout is not None and frame.layout.pattern
    shown = [[_finite(value) for value in row] for row in values] if pattern else _scaled(values)
    return {"factor": factor, "samples_dps": shown}


def _finite(value: float) -> float | None:
    return value if abs(value) < float("inf") else None


def _mag(frame: Frame, told: Mapping[str, object]) -> dict[str, object]:
    samples = _samples(frame)
    factor = _number(told, "factor", 1.0)
    if frame.kind == 0:
        shown = _scaled((samples * factor).tolist())
        return {"factor": factor, "samples_gauss": shown, "calibration_status": "not_available"}
    status = [_calibration(code) for row in samples.tolist() for code in row[3:4]]
    return {"samples_gauss": _scaled((samples[:, :3] * factor / _MILLI).tolist()), "calibration_status": status}


def _calibration(code: int) -> str:
    return CALIBRATIONS[code] if 0 <= code < len(CALIBRATIONS) else f"unknown({code})"


def _ecg(frame: Frame, told: Mapping[str, object]) -> dict[str, object]:  # noqa: ARG001 - as its neighbours
    return {"samples_uv": _samples(frame)[:, 0].tolist()}


def _ppg(frame: Frame, told: Mapping[str, object]) -> dict[str, object]:  # noqa: ARG001 - as its neighbours
    return {"samples_raw": _samples(frame).tolist()}


_VALUES: Final[Mapping[str, Callable[[Frame, Mapping[str, object]], dict[str, object]]]] = {
    "acc": _acc,
    "gyro": _gyro,
    "mag": _mag,
    "ecg": _ecg,
    "ppg": _ppg,
}


# -- what was told -----------------------------------------------------------------------------------------------------


def _number(told: Mapping[str, object], name: str, otherwise: float) -> float:
    value = told.get(name, otherwise)
    if not isinstance(value, int | float):
        raise CodecError(f"{name} is a number, not {value!r}")
    return float(value)


def _whole(told: Mapping[str, object], name: str, least: int, most: int) -> int | None:
    if name not in told:
        return None
    value = told[name]
    if not isinstance(value, int) or not least <= value <= most:
        raise CodecError(f"{name} is a whole number from {least} to {most}, not {value!r}")
    return value
