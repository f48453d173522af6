from dataclasses import fields

import numpy as np
import pytest

from gonio.signal.chunks import AlignedChunk, SampleChunk, TimedChunk
from gonio.signal.clock.grid import Aligner
from gonio.signal.clock.sensor import SensorClock
from gonio.signal.consts import SEGMENTS

RATE = 60.0


def _accepted(chunk: TimedChunk | AlignedChunk) -> bool:
    """Tell whether the checks of a chunk's type let its arrays pass as they are, without a copy."""
    values = [getattr(chunk, field.name) for field in fields(chunk)]
    again = type(chunk)(*values)
    return all(getattr(again, field.name) is value for field, value in zip(fields(chunk), values, strict=True))


@pytest.mark.parametrize("kept", ["sensor", "arrival", "both"])
@pytest.mark.parametrize("size", [1, 7, 400])
def test_what_clock_and_grid_make_without_a_check_would_pass_it(kept: str, size: int) -> None:
    rng = np.random.default_rng(1)
    aligner = Aligner(RATE)
    sides = []
    for segment in SEGMENTS:
        own = np.flatnonzero(rng.random(1200) > 0.05) / RATE  # with losses, and with two samples that come again
        own = np.sort(np.concatenate([own, own[[50, 600]]]))
        arrival = np.maximum.accumulate(own + 0.01 + rng.uniform(0, 0.03, len(own)))
        sides.append((segment, SensorClock(segment, RATE), own, arrival))
    timed_count = aligned_count = 0
    for begin in range(0, 1200, size):
        for segment, clock, own, arrival in sides:
            part = slice(begin, begin + size)
            n = len(own[part])
            times = own[part] if kept != "arrival" else None, arrival[part] if kept != "sensor" else None
            for timed in clock.feed(SampleChunk(rng.normal(size=(n, 3)), rng.normal(size=(n, 3)), *times)):
                assert _accepted(timed)
                timed_count += len(timed)
                for aligned in aligner.feed(segment, timed, rng.random(len(timed)) > 0.9):
                    assert _accepted(aligned)
                    aligned_count += len(aligned)
    assert timed_count > 2000
    assert aligned_count > 1000


@pytest.mark.parametrize("column", ["acc", "gyr", "sensor_s", "arrival_s"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_sample_that_holds_no_number_is_refused_by_name(column: str, value: float) -> None:
    values = {"acc": np.ones((4, 3)), "gyr": np.ones((4, 3)), "sensor_s": np.arange(4.0), "arrival_s": np.arange(4.0)}
    values[column][3] = value
    with pytest.raises(ValueError, match=f"{column} holds a value that is no number"):
        SampleChunk(**values)


def test_a_sensor_without_a_gyroscope_gives_turning_that_is_no_number_throughout() -> None:
    none = np.full((4, 3), np.nan)
    assert np.isnan(SampleChunk(np.ones((4, 3)), none, np.arange(4.0)).gyr).all()
    none[2, 1] = 0.0
    with pytest.raises(ValueError, match="gyr holds a value that is no number"):
        SampleChunk(np.ones((4, 3)), none, np.arange(4.0))


def test_arrivals_that_run_backwards_are_refused() -> None:
    SampleChunk(np.ones((3, 3)), np.ones((3, 3)), None, np.array([1.0, 1.0, 2.0]))
    with pytest.raises(ValueError, match="backwards"):
        SampleChunk(np.ones((3, 3)), np.ones((3, 3)), None, np.array([1.0, 2.0, 1.9]))
