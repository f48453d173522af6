"""However a stream's notifications are divided among calls, the samples and counts are the same to the last bit."""

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gonio.drivers.codec import Notification, StreamDecoder, StreamEncoder
from gonio.drivers.codecs.clock import SensorClock
from gonio.firmware_profiles import Profile, builtin_profiles

PROFILES = [pytest.param(p, id=p.family) for p in builtin_profiles() if p.sequences]


def _notifications(
    profile: Profile, count: int, spoiled: list[tuple[int, bytes]], period_ns: int
) -> list[Notification]:
    """Make a stream of real packets with spoiled ones between them."""
    rng = np.random.default_rng(count)
    encoder = StreamEncoder(profile, {})
    acc, gyr = rng.normal(0, 9, (count, 3)), rng.normal(0, 3, (count, 3))
    rate_hz = float(profile.resolve()["rate_hz"])
    values = encoder.encode(acc, gyr, 4294.0 + np.arange(count) / rate_hz) + encoder.finish()
    for place, data in spoiled:
        at = place % (len(values) + 1)
        values[at:at] = [data]
    return [Notification(encoder.characteristic, value, number * period_ns) for number, value in enumerate(values)]


def _all(decoder: StreamDecoder, pieces: list[list[Notification]]) -> tuple[dict[str, Any], int, int]:
    chunks = [c for c in (*map(decoder.feed_all, pieces), decoder.finish()) if c is not None]
    names = ("acc", "gyr", "arrival_s", *(["sensor_s"] if chunks and chunks[0].sensor_s is not None else []))
    columns = {name: np.concatenate([getattr(c, name) for c in chunks]) for name in names} if chunks else {}
    return columns, decoder.malformed, decoder.restarts


SPOILED = st.tuples(st.integers(0, 200), st.binary(max_size=40))


@pytest.mark.parametrize("profile", PROFILES)
@settings(max_examples=40, deadline=None)
@given(
    count=st.integers(1, 300),
    spoiled=st.lists(SPOILED, max_size=4),
    cuts=st.lists(st.integers(0, 300), max_size=8),
    period_ns=st.sampled_from([1_000_000, 16_666_667, 40_000_000_000]),
)
def test_any_division_gives_the_same_samples(
    profile: Profile, count: int, spoiled: list[tuple[int, bytes]], cuts: list[int], period_ns: int
) -> None:
    stream = _notifications(profile, count, spoiled, period_ns)
    places = sorted({min(cut, len(stream)) for cut in cuts} | {0, len(stream)})
    divided = [stream[a:b] for a, b in itertools.pairwise(places)]
    one_by_one = _all(StreamDecoder(profile, {}), [[n] for n in stream])
    for pieces in (divided, [stream]):
        columns, malformed, restarts = _all(StreamDecoder(profile, {}), pieces)
        assert (malformed, restarts) == one_by_one[1:]
        assert columns.keys() == one_by_one[0].keys()
        for name, column in columns.items():
            np.testing.assert_array_equal(column, one_by_one[0][name])


@settings(max_examples=200, deadline=None)
@given(
    steps=st.lists(
        st.tuples(st.integers(-50_000, 50_000) | st.integers(0, 2**32 - 1), st.integers(0, 40_000_000_000)),
        min_size=1,
        max_size=120,
    ),
    begin=st.integers(0, 2**32 - 1),
)
def test_a_clock_read_in_one_go_is_the_clock_read_count_by_count(steps: list[tuple[int, int]], begin: int) -> None:
    counts = (begin + np.cumsum([step for step, _ in steps], dtype=np.int64)) % 2**32
    arrival_ns = np.cumsum([ns for _, ns in steps], dtype=np.int64)
    single, together = SensorClock(1e-6, 32), SensorClock(1e-6, 32)
    one_by_one = [single.unwrap(*both) for both in zip(counts.tolist(), arrival_ns.tolist(), strict=True)]
    middle = len(counts) // 3
    moments = [
        together.unwrap_all(counts[part].astype(np.uint32), arrival_ns[part])
        for part in (slice(None, middle), slice(middle, None))
    ]
    assert np.concatenate(moments).tolist() == one_by_one
    assert together.restarts == single.restarts


@settings(max_examples=50, deadline=None)
@given(count=st.integers(40, 200), begin=st.integers(2**32 - 2_000_000, 2**32 - 1))
def test_an_even_clock_over_its_wrap_is_read_the_same_in_one_go(count: int, begin: int) -> None:
    counts = (begin + np.arange(count, dtype=np.int64) * 16_667) % 2**32
    arrival_ns = np.arange(count, dtype=np.int64) * 16_667_000
    single, together = SensorClock(1e-6, 32), SensorClock(1e-6, 32)
    one_by_one = [single.unwrap(*both) for both in zip(counts.tolist(), arrival_ns.tolist(), strict=True)]
    together.unwrap(int(counts[0]), 0)
    assert together.unwrap_all(counts[1:].astype(np.uint32), arrival_ns[1:]).tolist() == one_by_one[1:]
