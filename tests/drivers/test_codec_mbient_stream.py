"""MetaMotion's stream: acceleration and angular velocity in packets of their own, joined into samples."""

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gonio.drivers.codec import Notification, StreamDecoder, StreamEncoder
from gonio.drivers.codecs.mbient_stream import APART_S, DECIDED_BY, MetaMotionReader
from gonio.errors import UsageError
from gonio.firmware_profiles import get_profile
from gonio.signal.chunks import SampleChunk
from gonio.signal.consts import STANDARD_GRAVITY

PROFILE = get_profile("mbientlab_metamotion")
UUID = PROFILE.characteristic("notification").uuid
CHIPS = {"BMI160": 1, "BMI270": 4}
PERIOD_NS = 30_000_000  # of a packet, at 100 Hz

SAMPLES = st.lists(st.tuples(*[st.floats(-1, 1)] * 6), min_size=1, max_size=120)


def reader(**chosen: int) -> MetaMotionReader:
    return MetaMotionReader(PROFILE.resolve(chosen))


def half(number: int, at_ns: int, *, acceleration: bool) -> Notification:
    """Make a packet of a BMI160 whose nine values are all its number."""
    head = b"\x03\x1c" if acceleration else b"\x13\x07"
    return Notification(UUID, head + np.full(9, number, "<i2").tobytes(), at_ns)


def turns(count: int, *, later_ns: int = 1_000_000, period_ns: int = PERIOD_NS) -> list[Notification]:
    """Make a stream in which the n-th packets of both belong together, angular velocity so much later."""
    return [
        half(number, number * period_ns + (0 if acceleration else later_ns), acceleration=acceleration)
        for number in range(count)
        for acceleration in (True, False)
    ]


def everything(one: MetaMotionReader, notifications: list[Notification]) -> list[SampleChunk]:
    chunks = [one.feed_all(notifications), one.finish()]
    return [chunk for chunk in chunks if chunk is not None]


def pairs(chunks: list[SampleChunk], **chosen: int) -> list[tuple[int, int]]:
    """Give the numbers of the packets that were joined."""
    acc_step, gyr_step = STANDARD_GRAVITY / 2048, np.radians(1 / 16.4)
    found = []
    for chunk in chunks:
        acc, gyr = np.rint(chunk.acc / acc_step).astype(int), np.rint(chunk.gyr / gyr_step).astype(int)
        assert (acc == acc[:, :1]).all()
        assert len(acc) % 3 == 0
        found += list(zip(acc[::3, 0].tolist(), gyr[::3, 0].tolist(), strict=True))
    return found


@pytest.mark.parametrize("implementation", CHIPS.values())
@settings(max_examples=60, deadline=None)
@given(
    samples=SAMPLES,
    range_g=st.sampled_from([2, 4, 8, 16]),
    range_dps=st.sampled_from([125, 250, 500, 1000, 2000]),
    cuts=st.lists(st.integers(0, 120), max_size=4),
)
def test_decoding_undoes_encoding(
    implementation: int, samples: list[tuple[float, ...]], range_g: int, range_dps: int, cuts: list[int]
) -> None:
    chosen: dict[str, Any] = {"implementation": implementation, "range_g": range_g, "range_dps": range_dps}
    both = np.array(samples)
    acc, gyr = both[:, :3] * range_g * 0.999 * STANDARD_GRAVITY, both[:, 3:] * np.radians(range_dps) * 0.99
    encoder, decoder = StreamEncoder(PROFILE, chosen), StreamDecoder(PROFILE, chosen)
    places = sorted({0, len(acc), *(min(cut, len(acc)) for cut in cuts)})
    packets = [p for a, b in itertools.pairwise(places) for p in encoder.encode(acc[a:b], gyr[a:b])] + encoder.finish()
    whole = len(acc) // 3 * 3
    assert sum(encoder.samples_in(packet) for packet in packets) == whole
    assert {len(packet) for packet in packets} <= {20}
    fed = [decoder.feed(Notification(UUID, data, number * 15_000_000)) for number, data in enumerate(packets)]
    chunks = [chunk for chunk in (*fed, decoder.finish()) if chunk is not None]
    got = [np.concatenate([getattr(chunk, name) for chunk in chunks] or [acc[:0]]) for name in ("acc", "gyr")]
    np.testing.assert_allclose(got[0], acc[:whole], atol=range_g / 32768 * STANDARD_GRAVITY * 0.5001, rtol=0)
    np.testing.assert_allclose(got[1], gyr[:whole], atol=np.radians(range_dps / 2000 / 16.4) * 0.5001, rtol=0)
    assert (decoder.malformed, decoder.restarts) == (0, 0)
    assert all(chunk.sensor_s is None for chunk in chunks)


def test_what_is_beyond_the_range_stays_at_its_end() -> None:
    encoder, decoder = StreamEncoder(PROFILE, {"range_g": 2}), StreamDecoder(PROFILE, {"range_g": 2})
    packets = encoder.encode(np.full((3, 3), 1000.0), np.full((3, 3), -1000.0))
    decoder.feed_all([Notification(UUID, packet, 0) for packet in packets])
    chunk = decoder.finish()
    assert chunk is not None
    assert chunk.acc.max() == pytest.approx(2 * STANDARD_GRAVITY, rel=1e-4)
    assert chunk.gyr.min() == pytest.approx(-np.radians(32768 / 16.4), rel=1e-4)


def test_samples_carry_the_arrival_of_their_later_half() -> None:
    (chunk,) = everything(reader(), turns(3, later_ns=2_000_000))
    assert chunk.arrival_s is not None
    assert chunk.arrival_s.tolist() == pytest.approx([0.002] * 3 + [0.032] * 3 + [0.062] * 3)


NOISE = st.sampled_from(
    [
        Notification(UUID, bytes.fromhex("118c633410"), 0),  # an answer
        Notification(UUID, bytes.fromhex("031c0102"), 0),  # cut
        Notification(UUID, bytes.fromhex("0305") + bytes(18), 0),  # of the other chip
        Notification(UUID, b"", 0),
        Notification(UUID, b"\x03", 0),
    ]
)


@settings(max_examples=300, deadline=None)
@given(
    stream=st.lists(st.tuples(st.booleans() | NOISE, st.integers(0, 80_000_000)), max_size=60),
    cuts=st.lists(st.integers(0, 60), max_size=12),
)
def test_any_chunking_of_the_same_notifications_gives_the_same(
    stream: list[tuple[bool | Notification, int]], cuts: list[int]
) -> None:
    notifications, at_ns = [], 0
    for number, (what, step_ns) in enumerate(stream):
        at_ns += step_ns
        if isinstance(what, bool):
            notifications.append(half(number, at_ns, acceleration=what))
        else:
            notifications.append(Notification(UUID, what.data, at_ns))
    together, apart, cut = reader(), reader(), reader()
    places = sorted({0, len(notifications), *(min(c, len(notifications)) for c in cuts)})
    results = [
        everything(together, notifications),
        [c for n in notifications if (c := apart.feed_all([n])) is not None] + everything(apart, []),
        [c for a, b in itertools.pairwise(places) if (c := cut.feed_all(notifications[a:b])) is not None]
        + everything(cut, []),
    ]
    for name in ("acc", "gyr", "arrival_s"):
        columns = [np.concatenate([getattr(c, name) for c in chunks]) if chunks else None for chunks in results]
        for column in columns[1:]:
            np.testing.assert_array_equal(column, columns[0])
    assert together.malformed == apart.malformed == cut.malformed
    assert together.unpaired == apart.unpaired == cut.unpaired


# --- losses --------------------------------------------------------------------------------------------------------


@settings(max_examples=400, deadline=None)
@given(
    lost=st.sets(st.integers(DECIDED_BY, 79), max_size=40),
    later_ns=st.integers(0, PERIOD_NS // 2 - 1_000_000),
)
def test_no_loss_shifts_what_comes_after_it(lost: set[int], later_ns: int) -> None:
    stream = turns(60, later_ns=later_ns)
    one = reader()
    found = pairs(everything(one, [n for number, n in enumerate(stream) if number not in lost]))
    halves = [(2 * k in lost, 2 * k + 1 in lost) for k in range(60)]
    assert found == sorted(set(found))
    # halves of one moment are joined, but where all was lost from the middle of one pair to that of a later one
    assert all(set(range(2 * a + 1, 2 * b + 1)) <= lost for a, b in found)
    assert all((b - a) * PERIOD_NS + later_ns <= APART_S * 1e9 for a, b in found)
    assert {k for k in range(60) if halves[k] == (False, False)} <= {a for a, b in found if a == b}
    assert 2 * len(found) + one.unpaired == len(stream) - len(lost)


@pytest.mark.parametrize("acceleration", [True, False])
def test_a_lost_packet_costs_its_three_samples_and_its_partner(acceleration: bool) -> None:  # noqa: FBT001
    stream = turns(40)
    del stream[2 * 20 + (not acceleration)]
    one = reader()
    assert pairs(everything(one, stream)) == [(k, k) for k in range(40) if k != 20]
    assert one.unpaired == 1


def test_halves_that_came_far_apart_are_no_pair_though_they_take_turns() -> None:
    stream = turns(80)
    del stream[41:109]  # from angular velocity 20 to acceleration 54, both included
    one = reader()
    assert pairs(everything(one, stream)) == [(k, k) for k in range(80) if not 20 <= k <= 54]
    assert one.unpaired == 2


def test_a_stall_that_ends_in_a_burst_costs_nothing() -> None:
    stream = turns(40)
    stalled = [Notification(n.characteristic, n.data, max(n.arrival_ns, 40 * PERIOD_NS)) for n in stream[40:70]]
    late = [Notification(n.characteristic, n.data, n.arrival_ns + 11 * PERIOD_NS) for n in stream[70:]]
    one = reader()
    assert pairs(everything(one, stream[:40] + stalled + late)) == [(k, k) for k in range(40)]
    assert one.unpaired == 0


def test_what_comes_before_both_run_is_no_loss() -> None:
    early = [half(k, k * PERIOD_NS, acceleration=True) for k in range(4)]  # the gyroscope takes its time to start
    both = [n for n in turns(40) if n.arrival_ns >= 4 * PERIOD_NS]
    one = reader()
    assert pairs(everything(one, early + both)) == [(k, k) for k in range(4, 40)]
    assert one.unpaired == 0


def test_a_packet_delivered_twice_gives_its_samples_once() -> None:
    one = reader()
    assert pairs(everything(one, [n for n in turns(40) for _ in range(2)])) == [(k, k) for k in range(40)]
    assert one.unpaired == 2 * 40 - 1  # before the first pair nothing is counted


@pytest.mark.parametrize("later_ns", [-13_000_000, -5_000_000, 5_000_000, 13_000_000])
def test_the_half_that_comes_sooner_leads(later_ns: int) -> None:
    """A stream begins with either kind; the partner is the nearer one, before or after."""
    stream = sorted(turns(40, later_ns=later_ns), key=lambda n: n.arrival_ns)
    for cut in (0, 1):
        found = pairs(everything(reader(), stream[cut:]))
        assert found == [(k, k) for k in range(cut, 40)]


def test_late_radio_does_not_change_which_half_leads() -> None:
    random = np.random.default_rng(7)
    for _ in range(50):
        stream = turns(40, later_ns=8_000_000)
        at_ns = np.maximum.accumulate([n.arrival_ns + int(random.exponential(5e6)) for n in stream])
        late = [Notification(n.characteristic, n.data, int(at)) for n, at in zip(stream, at_ns, strict=True)]
        assert pairs(everything(reader(), late)) == [(k, k) for k in range(40)]


def test_a_stream_that_begins_with_a_burst_keeps_its_order() -> None:
    """When a computer has paused, arrivals tell nothing: what came first leads."""
    stream = turns(60, later_ns=0)
    for pause_ns in (20 * PERIOD_NS, 6 * PERIOD_NS):
        for spacing_ns in ((1_000_000, 300_000), (300_000, 1_000_000)):
            steps = itertools.accumulate(itertools.cycle(spacing_ns), initial=pause_ns)
            at_ns = [max(n.arrival_ns, step) for n, step in zip(stream, steps, strict=False)]
            burst = [Notification(n.characteristic, n.data, at) for n, at in zip(stream, at_ns, strict=True)]
            assert pairs(everything(reader(), burst)) == [(k, k) for k in range(60)]


# --- anything at all -------------------------------------------------------------------------------------------------


@settings(max_examples=200, deadline=None)
@given(st.lists(st.binary(max_size=24) | st.sampled_from([n.data for n in turns(2)]), max_size=60))
def test_nothing_that_arrives_raises_or_piles_up(values: list[bytes]) -> None:
    one = reader()
    samples = 0
    for number, data in enumerate(values):
        chunk = one.feed_all([Notification(UUID, data, number * 1_000_000)])
        samples += len(chunk) if chunk is not None else 0
        assert len(one._first or []) < DECIDED_BY
    last = one.finish()
    samples += len(last) if last is not None else 0
    known = sum(data in {n.data[:2] + data[2:] for n in turns(1)} and len(data) == 20 for data in values)
    assert samples <= 3 * (known // 2)


def test_answers_are_no_defect_and_foreign_packets_are() -> None:
    one = reader()
    everything(
        one,
        [
            Notification(UUID, bytes.fromhex(data), 0)
            for data in ("118c633410", "03800102", "0380", "13800001", "0304" + "00" * 6, "031c00", "0305" + "00" * 18)
        ],
    )
    assert one.malformed == 3


def test_a_chip_that_is_none_has_no_stream() -> None:
    with pytest.raises(UsageError, match=r"1 \(BMI160\), 4 \(BMI270\)"):
        StreamDecoder(PROFILE, {"implementation": 3})
