import os
import re
from pathlib import Path
from typing import Final

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gonio.recording import read
from gonio.signal.chunks import TimedChunk
from gonio.signal.consts import EXERCISES, SEGMENTS, STANDARD_GRAVITY, BoolArray, FloatArray, Segment
from gonio.signal.faults.watch import SENSOR_FAULTS, SESSION_FAULTS, SensorWatch
from gonio.simulators.imu import ImuErrors
from gonio.simulators.leg import LegMotion

DATA = Path(os.environ.get("GONIO_DATA") or Path(__file__).parents[2].parent / "shared" / "data")
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason=f"no recordings at {DATA} (set GONIO_DATA)")
RATE: Final = 60.0
#: A common sensor's steps: 16 bits over 16 g and 2000 °/s.
STEP_ACC, STEP_GYR = 0.000488 * STANDARD_GRAVITY, float(np.radians(0.061))


def _coarse(acc: FloatArray, gyr: FloatArray) -> tuple[FloatArray, FloatArray]:
    return np.round(acc / STEP_ACC) * STEP_ACC, np.round(gyr / STEP_GYR) * STEP_GYR


def _worn(exercise: str, segment: Segment, *, seed: int = 3, seconds: float = 60.0) -> TimedChunk:
    """What a coarse sensor with errors shows of a simulated exercise."""
    motion = LegMotion.for_seconds(exercise, seconds, seed=seed)
    t = np.asarray(np.arange(int(seconds * RATE)) / RATE, dtype=np.float64)
    errors = ImuErrors(2 * seed + SEGMENTS.index(segment), rate_hz=100.0)
    return TimedChunk(t, *_coarse(*errors.around(lambda at: motion.imu(segment, at))(t)))


def _watched(chunk: TimedChunk, rate_hz: float = RATE, size: int = 10**9) -> tuple[SensorWatch, BoolArray]:
    watch = SensorWatch(rate_hz)
    spoilt = []
    for begin in range(0, len(chunk), size):
        part = slice(begin, begin + size)
        one = TimedChunk(chunk.t_s[part], chunk.acc[part], chunk.gyr[part])
        told = watch.feed(one)
        spoilt.append(np.zeros(len(one), dtype=np.bool_) if told is None else told)
    return watch, np.concatenate(spoilt)


def _broken(chunk: TimedChunk, fault: str, part: slice) -> TimedChunk:  # noqa: C901 - one case for each fault
    """Break the sensor for a part of its samples."""
    acc, gyr = chunk.acc.copy(), chunk.gyr.copy()
    n = len(acc[part])
    rng = np.random.default_rng(1)
    match fault.split():
        case ["gyroscope", "zero"]:
            gyr[part] = 0.0
        case ["gyroscope", "held"]:
            gyr[part] = gyr[part][0]
        case ["gyroscope", "noise"]:
            gyr[part] = rng.normal(0, 0.002, (n, 3))
        case ["gyroscope", "degrees"]:
            gyr[part] = np.degrees(gyr[part])
        case ["gyroscope", "radians"]:
            gyr[part] = np.radians(gyr[part])
        case ["accelerometer", "zero"]:
            acc[part] = 0.0
        case ["accelerometer", "held"]:
            acc[part] = acc[part][0]
        case ["accelerometer", factor]:
            acc[part] *= float(factor)
        case ["axis", which, value]:
            columns, k = (acc, int(which)) if int(which) < 3 else (gyr, int(which) - 3)
            columns[part, k] = columns[part][0, k] if value == "held" else 0.0
        case ["both", "zero"]:
            acc[part] = gyr[part] = 0.0
        case ["both", "held"]:
            acc[part], gyr[part] = acc[part][0], gyr[part][0]
    return TimedChunk(chunk.t_s, acc, gyr)


FAULTS = {
    "gyroscope zero": {"gyroscope-dead"},
    "gyroscope held": {"gyroscope-dead"},
    "gyroscope noise": {"gyroscope-dead"},
    "gyroscope degrees": {"units"},
    "gyroscope radians": {"units"},
    "accelerometer zero": {"accelerometer-dead"},
    "accelerometer held": {"accelerometer-dead"},
    "accelerometer 0.10197": {"units"},  # g
    "accelerometer 101.97": {"units"},  # mg
    "accelerometer 3.2808": {"units"},  # ft/s²
    "accelerometer 1.2": {"gravity-off"},
    **{f"axis {k} held": {"axis-stuck"} for k in range(6)},
    "axis 1 zero": {"axis-stuck"},
    "axis 5 zero": {"axis-stuck"},
    "both zero": {"accelerometer-dead", "gyroscope-dead"},
    "both held": {"frozen"},
}


@pytest.fixture(scope="module")
def worn() -> list[TimedChunk]:
    return [_worn("long-arc-quad", "shank"), _worn("sit-to-stand", "thigh")]


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_named_and_spoils_the_samples(worn: list[TimedChunk], fault: str) -> None:
    for chunk in worn:
        watch, spoilt = _watched(_broken(chunk, fault, slice(0, len(chunk))))
        assert watch.names() == FAULTS[fault]
        if fault == "gyroscope noise" or watch.names() == {"frozen"}:
            assert spoilt[-20 * 60 :].all()
        else:
            assert spoilt[10 * 60 :].all()  # both stand, sit down and begin to move within 10 s


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_in_between_ends(worn: list[TimedChunk], fault: str) -> None:
    for chunk in worn:
        begin, end = 20 * 60, 40 * 60
        watch, spoilt = _watched(_broken(chunk, fault, slice(begin, end)))
        assert FAULTS[fault] <= watch.names()
        assert not spoilt[: begin - 15].any()
        assert spoilt[begin + 6 * 60 : end].all()
        assert spoilt[end : end + 60].all()  # the filter forgets slowly
        assert not spoilt[-3 * 60 :].any()


@pytest.mark.parametrize("exercise", [*EXERCISES[::3], "none"])
def test_sound_sensors_on_a_leg_have_no_fault(exercise: str) -> None:
    for segment in SEGMENTS:
        watch, spoilt = _watched(_worn(exercise, segment, seed=5, seconds=40.0))
        assert watch.names() == set()
        assert not spoilt.any()


@needs_data
def test_recorded_sensors_have_no_fault() -> None:
    folders = [one.parent for one in sorted(DATA.glob("*/recording.toml"))]
    assert folders
    for folder in folders:
        recording = read(folder)
        for segment in SEGMENTS:
            samples: object = getattr(recording, segment)
            acc, gyr, t = (getattr(samples, name) for name in ("acc", "gyr", "sensor_s"))
            for shown in ((acc, gyr), _coarse(acc, gyr)):
                watch, spoilt = _watched(TimedChunk(t, *shown), recording.meta.rate_hz)
                assert watch.names() == set(), folder.name
                assert not spoilt.any()


def _lying(seconds: float, rate_hz: float) -> TimedChunk:
    """A coarse sensor that lies still with a bias: most numbers repeat."""
    rng = np.random.default_rng(2)
    n = int(seconds * rate_hz)
    acc = np.array([0.3, 0.2, STANDARD_GRAVITY]) + rng.normal(0, 0.006, (n, 3))
    gyr = np.array([0.01, -0.02, 0.005]) + rng.normal(0, 0.0004, (n, 3))
    return TimedChunk(np.asarray(np.arange(n) / rate_hz, dtype=np.float64), *_coarse(acc, gyr))


def test_lying_still_for_minutes_is_no_fault_and_for_an_hour_no_motion() -> None:
    watch, spoilt = _watched(_lying(540, 50), 50)
    assert watch.names() == set()
    assert not spoilt.any()
    watch, spoilt = _watched(_lying(3600, 25), 25)
    assert watch.names() == {"no-motion"}
    assert not spoilt[: 599 * 25].any()
    assert spoilt[601 * 25 :].all()


def test_a_fall_that_ends_in_stillness_is_told_from_a_jump() -> None:
    worn = _worn("sit-to-stand", "thigh")
    rng = np.random.default_rng(3)
    acc, gyr = worn.acc.copy(), worn.gyr.copy()
    fall, floor = 1200, 1200 + 21 + 4
    acc[fall : fall + 21] = rng.normal(0, 0.5, (21, 3))
    acc[fall + 21 : floor] = rng.normal(0, 40, (4, 3))
    jumped, spoilt = _watched(TimedChunk(worn.t_s, acc, gyr))
    assert "dropped" not in jumped.names()
    assert not spoilt.any()
    across = np.cross(worn.acc[fall - 120 : fall].mean(axis=0), (1.0, 2.0, 3.0))
    acc[floor:] = across * (STANDARD_GRAVITY / np.linalg.norm(across)) + rng.normal(0, 0.01, (len(acc) - floor, 3))
    gyr[floor:] = 0.01 + rng.normal(0, 0.001, (len(acc) - floor, 3))
    dropped, spoilt = _watched(TimedChunk(worn.t_s, acc, gyr))
    assert dropped.names() == {"dropped"}
    assert spoilt[floor + 180 :].all()


def test_clipped_samples_are_counted_and_measuring_goes_on_soon_after_them() -> None:
    t = np.asarray(np.arange(int(20 * RATE)) / RATE, dtype=np.float64)
    rng = np.random.default_rng(4)
    angle = 0.7 * np.sin(2 * np.pi * 0.8 * t) ** 3
    gyr = rng.normal(0, 0.002, (len(t), 3))
    gyr[:, 1] += np.gradient(angle, t)
    acc = STANDARD_GRAVITY * np.column_stack([np.sin(angle), np.zeros(len(t)), np.cos(angle)])
    acc += rng.normal(0, 0.01, (len(t), 3))
    free, _ = _watched(TimedChunk(t, acc, gyr))
    assert free.names() == set()
    swing = (t > 8) & (t < 9.25)
    limit = 0.93 * float(gyr[:, 1].max())
    gyr[~swing] *= 0.9  # only one swing reaches the end of the range
    late = gyr[:, 1] > limit
    gyr[:, 1] = np.minimum(gyr[:, 1], limit)
    assert 3 <= late.sum() <= 9
    watch, spoilt = _watched(TimedChunk(t, acc, gyr))
    assert watch.names() == {"saturated"}
    assert watch.clipped == late.sum()
    assert not spoilt[t < 8].any()
    assert spoilt.any()
    assert not spoilt[t > 12.5].any()


@pytest.mark.parametrize(("rate_hz", "slow"), [(5.0, True), (12.5, True), (25.0, False), (400.0, False)])
def test_a_stream_may_be_too_slow(rate_hz: float, slow: bool) -> None:  # noqa: FBT001 - a case
    motion = LegMotion.for_seconds("heel-slide", 20)
    t = np.asarray(np.arange(int(20 * rate_hz)) / rate_hz, dtype=np.float64)
    acc, gyr = ImuErrors(1, rate_hz=rate_hz).around(lambda at: motion.imu("shank", at))(t)
    watch, spoilt = _watched(TimedChunk(t, acc, gyr), rate_hz)
    assert watch.names() == ({"too-slow"} if slow else set())
    assert spoilt.all() if slow else not spoilt.any()


def test_a_stream_named_faster_than_it_is_may_be_too_slow() -> None:
    motion = LegMotion.for_seconds("heel-slide", 20)
    t = np.asarray(np.arange(20 * 10) / 10, dtype=np.float64)
    watch, spoilt = _watched(TimedChunk(t, *motion.imu("shank", t)), 25.0)
    assert watch.names() == {"too-slow"}
    assert spoilt[-20:].all()


@settings(max_examples=15, deadline=None)
@given(st.sampled_from(sorted(FAULTS)), st.integers(0, 800), st.integers(1, 800), st.integers(1, 70))
def test_any_chunking_gives_the_same_marks(fault: str, begin: int, length: int, size: int) -> None:
    chunk = _CACHE.setdefault("one", _worn("long-arc-quad", "shank", seconds=20.0))
    broken = _broken(chunk, fault, slice(begin, min(begin + length, len(chunk))))
    clipped = TimedChunk(broken.t_s, broken.acc, np.clip(broken.gyr, -1.8, 1.8))
    (one, all_at_once), (other, in_parts) = _watched(clipped), _watched(clipped, size=size)
    assert np.array_equal(all_at_once, in_parts)
    assert (one.names(), one.clipped) == (other.names(), other.clipped)


_CACHE: dict[str, TimedChunk] = {}


def test_every_name_can_cross_the_wire() -> None:
    for name, sentence in {**SENSOR_FAULTS, **SESSION_FAULTS}.items():
        assert re.fullmatch(r"[a-z0-9][a-z0-9-]{0,41}", name)
        assert sentence.endswith(".")
    assert set().union(*FAULTS.values()) <= set(SENSOR_FAULTS)
