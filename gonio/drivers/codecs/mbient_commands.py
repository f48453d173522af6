"""What a host writes to a MetaMotion, told in a sentence. Source as ``mbient_registers.py``.

Commands are built from the profile; here bytes that somebody wrote are read, whatever wrote them.
"""

import struct
from collections.abc import Callable, Mapping
from typing import Final

from gonio.drivers.codecs.mbient_registers import (
    ACCELEROMETER,
    DEBUG,
    FRAME_BYTES,
    FUSION,
    GYRO,
    HEAD_BYTES,
    LED,
    MAGNETOMETER,
    MODULES,
    READ,
    REGISTER_BITS,
    REGISTERS,
    SETTINGS,
    TEMPERATURE,
    Implementation,
)
from gonio.drivers.errors import CodecError

_SHORT: Final[Mapping[int, str]] = {ACCELEROMETER: "accel", MAGNETOMETER: "mag"}

_POWER, _ENABLE, _CONFIG = 0x01, 0x02, 0x03
_MAG_RATE, _MAG_REPETITIONS = 0x03, 0x04
_FUSION_MODE, _FUSION_OUTPUT = 0x02, 0x03
_BATTERY, _CONNECTION = 0x0C, 0x09

#: Rates by the low four bits of a configuration, accelerometer and gyro alike.
_RATES: Final[Mapping[int, float]] = {code: 25 * 2.0 ** (code - 6) for code in range(1, 14)}
_FIRST_FULL_RATE: Final = 5  # 12.5 Hz; slower ones average
_ACCEL_RANGES: Final[Mapping[Implementation, Mapping[int, int]]] = {
    "BMI160": {0x03: 2, 0x05: 4, 0x08: 8, 0x0C: 16},
    "BMI270": {0x00: 2, 0x01: 4, 0x02: 8, 0x03: 16},
}
_GYRO_RANGES: Final = (2000, 1000, 500, 250, 125)
_MAG_RATES: Final = (10, 2, 6, 8, 15, 20, 25, 30)
_FUSION_MODES: Final = ("sleep", "NDOF", "IMU+", "compass", "M4G")
_FUSION_OUTPUTS: Final = ("accel", "gyro", "mag", "quaternion", "euler", "gravity", "linear accel")


def decode_command(data: bytes, implementation: Implementation | None = None) -> dict[str, object]:
    """Tell what bytes written to the command characteristic ask for.

    Args:
        data: the bytes.
        implementation: which chip measures, for the one register (gyro 05) whose data it decides.

    Returns:
        ``command``, a sentence, and its values by name; of a cut one ``truncated`` true.

    Raises:
        CodecError: the sensor has no such command.
    """
    if len(data) < HEAD_BYTES:
        return {"truncated": True, "valid_bytes": len(data)}
    module, register, rest = data[0], data[1] & REGISTER_BITS, data[HEAD_BYTES:]
    if module not in MODULES or len(data) > FRAME_BYTES:
        raise CodecError(f"{len(data)} bytes beginning {data[:4].hex()} are no command of a MetaMotion")
    if data[1] & READ:
        return {"command": _read(module, register, rest)}
    words = _SHORT.get(module, MODULES[module])
    needed, tell = _meaning(module, register)
    if len(rest) < needed:
        return {"truncated": True, "valid_bytes": len(data)}
    if len(rest) > needed and (module, register) not in _OPEN_ENDED:
        raise CodecError(f"{data.hex()} is no command of a MetaMotion: {needed} bytes follow {data[:2].hex()}")
    if tell is not None:
        told = tell(words, rest)
        if told is None:
            raise CodecError(f"{data.hex()} is no command of a MetaMotion: it has no such values")
        return told
    if (module, register) not in REGISTERS:
        return {"command": f"{words} write register {register:02x}", "data_hex": rest.hex()}
    known = [
        m for m in REGISTERS[module, register] if implementation is None or m.implementation in (None, implementation)
    ]
    if not known:
        raise CodecError(f"{data.hex()} is no command of a {implementation}: it has no such register")
    signal = " or ".join(dict.fromkeys(meaning.name.replace("_", " ") for meaning in known))
    return {"command": f"{'subscribe' if rest[0] else 'unsubscribe'} {words} {signal}"}


_Told = dict[str, object] | None
_Tell = Callable[[str, bytes], _Told]


def _meaning(module: int, register: int) -> tuple[int, _Tell | None]:
    """Give how many bytes a command has behind its head, and who tells what they mean."""
    known = _COMMANDS.get((module, register))
    if known is not None:
        return known
    return (1 if (module, register) in REGISTERS else 0), None


def _read(module: int, register: int, rest: bytes) -> str:
    if register == 0:
        return f"read module info of {MODULES[module]}"
    if (module, register) == (SETTINGS, _BATTERY):
        return "read battery"
    if module == TEMPERATURE and rest:
        return f"read temperature of channel {rest[0]}"
    names = {m.name for m in REGISTERS.get((module, register), ())}
    signal = min(names).replace("_", " ") if names else f"register {register:02x}"
    return f"read {_SHORT.get(module, MODULES[module])} {signal}"


def _power(words: str, rest: bytes) -> _Told:
    names = {0: "stop", 1: "start", 2: "low power" if words == "accel" else "suspend"}
    return {"command": f"{words} {names[rest[0]]}"} if rest[0] in names else None


def _enable(words: str, rest: bytes) -> _Told:
    return {"command": f"{words} data {'enable' if rest[0] else 'disable'}"} if any(rest) else None


def _accel_config(words: str, rest: bytes) -> _Told:
    """Read rate and range; the highest bit says which chip they are meant for, with the opposite sense below 12.5 Hz.

    A BMI160 sets it for the slow rates that average (81 to 84), a BMI270 for the fast ones (A5 to AC).
    """
    code, high = rest[0] & 0x0F, bool(rest[0] & 0x80)
    implementation: Implementation = "BMI270" if high == (code >= _FIRST_FULL_RATE) else "BMI160"
    rate_hz, range_g = _RATES.get(code), _ACCEL_RANGES[implementation].get(rest[1])
    if rate_hz is None or range_g is None:
        return None
    return {
        "command": f"{words} config {implementation} {rate_hz:g} Hz +/-{range_g} g",
        "implementation": implementation,
        "rate_hz": rate_hz,
        "range_g": range_g,
    }


def _gyro_config(words: str, rest: bytes) -> _Told:
    rate_hz = _RATES.get(rest[0] & 0x0F)
    if rate_hz is None or rest[1] >= len(_GYRO_RANGES):
        return None
    range_dps = _GYRO_RANGES[rest[1]]
    return {
        "command": f"{words} config {rate_hz:g} Hz {range_dps} dps",
        "rate_hz": rate_hz,
        "range_dps": range_dps,
    }


def _mag_rate(words: str, rest: bytes) -> _Told:
    if rest[0] >= len(_MAG_RATES):
        return None
    return {"command": f"{words} rate {_MAG_RATES[rest[0]]} Hz", "rate_hz": _MAG_RATES[rest[0]]}


def _mag_repetitions(words: str, rest: bytes) -> _Told:
    return {"command": f"{words} repetitions xy {rest[0] * 2 + 1} z {rest[1] + 1}"}


def _fusion_mode(words: str, rest: bytes) -> _Told:
    reach, spin = rest[1] & 0x0F, rest[1] >> 4
    if rest[0] >= len(_FUSION_MODES) or reach >= len(_ACCEL_RANGES["BMI270"]) or not 0 < spin <= len(_GYRO_RANGES):
        return None
    range_g, range_dps = _ACCEL_RANGES["BMI270"][reach], _GYRO_RANGES[spin - 1]
    return {
        "command": f"{words} config {_FUSION_MODES[rest[0]]} +/-{range_g} g {range_dps} dps",
        "range_g": range_g,
        "range_dps": range_dps,
    }


def _fusion_output(words: str, rest: bytes) -> _Told:
    on, off = ([name for bit, name in enumerate(_FUSION_OUTPUTS) if mask >> bit & 1] for mask in rest)
    parts = [f"enable {', '.join(on)}"] if on else []
    parts += [f"disable {'all' if len(off) == len(_FUSION_OUTPUTS) else ', '.join(off)}"] if off else []
    return {"command": f"{words} output {'; '.join(parts)}"} if parts else None


def _led_play(words: str, rest: bytes) -> _Told:
    names = ("pause", "play", "autoplay")
    return {"command": f"{words} {names[rest[0]]}"} if rest[0] < len(names) else None


def _led_stop(words: str, rest: bytes) -> _Told:
    return {"command": f"{words} stop{' and clear' if rest[0] else ''}"}


def _connection(_words: str, rest: bytes) -> _Told:
    shortest, longest, latency, timeout = struct.unpack("<4H", rest)
    return {
        "command": f"connection parameters {shortest * 1.25:g} to {longest * 1.25:g} ms, latency {latency}, "
        f"timeout {timeout * 10} ms",
        "interval_min_ms": shortest * 1.25,
        "interval_max_ms": longest * 1.25,
        "latency": latency,
        "timeout_ms": timeout * 10,
    }


def _plain(sentence: str) -> _Tell:
    return lambda _words, _rest: {"command": sentence}


def _on_off(on: str, off: str) -> _Tell:
    return lambda _words, rest: {"command": on if rest[0] else off}


#: Bytes behind the head, and who tells what they mean, by module and register.
_COMMANDS: Final[Mapping[tuple[int, int], tuple[int, _Tell]]] = {
    **{(sensor, _POWER): (1, _power) for sensor in (ACCELEROMETER, GYRO, MAGNETOMETER, FUSION)},
    **{(sensor, _ENABLE): (2, _enable) for sensor in (ACCELEROMETER, GYRO, MAGNETOMETER)},
    (ACCELEROMETER, _CONFIG): (2, _accel_config),
    (GYRO, _CONFIG): (2, _gyro_config),
    (MAGNETOMETER, _MAG_RATE): (1, _mag_rate),
    (MAGNETOMETER, _MAG_REPETITIONS): (2, _mag_repetitions),
    (FUSION, _FUSION_MODE): (2, _fusion_mode),
    (FUSION, _FUSION_OUTPUT): (2, _fusion_output),
    (LED, 0x01): (1, _led_play),
    (LED, 0x02): (1, _led_stop),
    (0x09, 0x08): (0, _plain("remove all data processors")),
    (0x0A, 0x05): (0, _plain("remove all event commands")),
    (0x0B, 0x01): (1, _on_off("logging start", "logging stop")),
    (0x0B, 0x0A): (0, _plain("remove all loggers")),
    (0x0F, 0x08): (0, _plain("erase all macros")),
    (SETTINGS, _CONNECTION): (8, _connection),
    (DEBUG, 0x01): (0, _plain("reset")),
    (DEBUG, 0x06): (0, _plain("disconnect")),
}

#: Commands of no fixed length, of which no more is told than that they are: those of no table.
_OPEN_ENDED: Final = {
    (module, register)
    for module in MODULES
    for register in range(1, REGISTER_BITS + 1)
    if (module, register) not in _COMMANDS and (module, register) not in REGISTERS
}
