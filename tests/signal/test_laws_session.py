"""Laws of a whole session, from samples as they arrive to the result: what may not change it, and by how little."""

import copy
import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

import gonio.firmware_profiles
from gonio.drivers.codec import Notification, StreamDecoder, StreamEncoder
from gonio.firmware_profiles import Profile
from gonio.firmware_profiles.loading import read_profile
from gonio.recording import Recording, RecordingMeta, read, write
from gonio.signal.chunks import KneeAngleChunk, SampleChunk, SessionResult
from gonio.signal.consts import SEGMENTS, BoolArray, FloatArray, Segment, Side
from gonio.signal.session import Session
from gonio.simulators.imu import ImuErrors
from gonio.simulators.leg import LegMotion

RATE_HZ = 50.0
SECONDS = 36.0
EXERCISES = ("heel-slide", "mini-squat")
#: An example is a whole session: what fails is told as it was found, not after minutes of making it smaller.
WITHOUT_SHRINKING = (Phase.explicit, Phase.reuse, Phase.generate)
#: A mirror exchanges left and right: what a vector says across it turns round, of a turning what lies in it.
MIRROR = np.diag((1.0, -1.0, 1.0))

Leg = dict[Segment, SampleChunk]
Sent = list[tuple[Segment, SampleChunk]]


@dataclass(frozen=True)
class Outcome:
    t_s: FloatArray
    flexion: FloatArray
    tilt: FloatArray
    ok: BoolArray
    result: SessionResult

    def bits(self) -> tuple[bytes, bytes, bytes, bytes, str]:
        """Give everything, to the last bit."""
        arrays = (self.t_s.tobytes(), self.flexion.tobytes(), self.tilt.tobytes(), self.ok.tobytes())
        return (*arrays, repr(self.result))

    def change(self, other: "Outcome") -> float:
        """Give the largest change of the flexion where both are ok, degrees."""
        both = self.ok & other.ok
        return float(np.degrees(np.abs(self.flexion - other.flexion)[both]).max())


@functools.cache
def leg(exercise: str) -> Leg:
    """Simulate a leg, seen by two sensors with errors and clocks of their own, over links that jitter and lose."""
    motion = LegMotion(exercise, side="right", duration_s=SECONDS, seed=3)
    rng = np.random.default_rng(5)
    out: Leg = {}
    for k, (segment, drift) in enumerate(zip(SEGMENTS, (50e-6, -50e-6), strict=True)):
        t = np.arange(int(SECONDS * RATE_HZ)) / RATE_HZ
        acc, gyr = ImuErrors(k + 1, rate_hz=RATE_HZ).apply(t, *motion.imu(segment, t))
        arrival = np.maximum.accumulate(900.0 + t + rng.uniform(0.0, 0.02, len(t)))
        own = t * (1.0 + drift) + rng.uniform(0.0, 50.0)
        keep = rng.random(len(t)) > 0.01
        out[segment] = SampleChunk(acc[keep], gyr[keep], own[keep], arrival[keep])
    return out


def part(chunk: SampleChunk, first: int, last: int) -> SampleChunk:
    own, arrival = chunk.sensor_s, chunk.arrival_s
    return SampleChunk(
        chunk.acc[first:last],
        chunk.gyr[first:last],
        None if own is None else own[first:last],
        None if arrival is None else arrival[first:last],
    )


def in_turn(one: Leg, size: int = 50) -> Sent:
    """Cut both streams into chunks of a size, that come in turn."""
    longest = max(map(len, one.values()))
    return [(segment, part(one[segment], k, k + size)) for k in range(0, longest, size) for segment in SEGMENTS]


def run(sent: Sent, exercise: str | None, side: Side = "right", rate_hz: float = RATE_HZ) -> Outcome:
    session = Session(exercise=exercise, rate_hz=rate_hz)
    out = [event for segment, chunk in sent for event in session.feed(segment, chunk)] + session.finish()
    angles = [event for event in out if isinstance(event, KneeAngleChunk)]
    return Outcome(
        np.concatenate([one.t_s for one in angles]),
        np.concatenate([one.flexion for one in angles]),
        np.concatenate([one.thigh_inclination for one in angles]),
        np.concatenate([one.ok for one in angles]),
        session.result(),
    )


@functools.cache
def plain(exercise: str) -> Outcome:
    one = run(in_turn(leg(exercise)), exercise)
    assert one.ok.mean() > 0.4  # or the laws below would say nothing
    assert len(one.result.reps) >= 4
    return one


def same_counts(one: Outcome, other: Outcome) -> bool:
    def told(outcome: Outcome) -> list[object]:
        result = outcome.result
        return [len(result.reps), result.zero, result.flags, result.exercise, [rep.complete for rep in result.reps]]

    return told(one) == told(other)


def mapped(one: Leg, acc: Sequence[FloatArray], gyr: Sequence[FloatArray]) -> Leg:
    """Apply a matrix (3, 3) each to the accelerations and the turnings of both sensors."""
    out: Leg = {}
    for segment, a, g in zip(SEGMENTS, acc, gyr, strict=True):
        chunk = one[segment]
        out[segment] = SampleChunk(chunk.acc @ a.T, chunk.gyr @ g.T, chunk.sensor_s, chunk.arrival_s)
    return out


def shifted(one: Leg, own_s: dict[Segment, float], arrival_s: float) -> Leg:
    """Add constants to each sensor's own clock and to the host's."""
    out: Leg = {}
    for segment, chunk in one.items():
        assert chunk.sensor_s is not None
        assert chunk.arrival_s is not None
        out[segment] = SampleChunk(chunk.acc, chunk.gyr, chunk.sensor_s + own_s[segment], chunk.arrival_s + arrival_s)
    return out


# --- chunking --------------------------------------------------------------------------------------------------------

cuts = st.lists(st.integers(1, int(SECONDS * RATE_HZ) - 1), max_size=60).map(sorted)  # twice the same: an empty chunk


def mixed(one: Leg, thigh: list[int], shank: list[int], seed: int) -> Sent:
    """Cut both streams at some samples, and let the pieces come in some order of thigh and shank."""
    pieces: dict[Segment, Sent] = {}
    for segment, at in zip(SEGMENTS, (thigh, shank), strict=True):
        chunk = one[segment]
        edges = [0, *(cut for cut in at if cut < len(chunk)), len(chunk)]
        pieces[segment] = [(segment, part(chunk, a, b)) for a, b in pairwise(edges)]
    order = np.random.default_rng(seed).permutation(sum(map(len, pieces.values()))).tolist()
    first = len(pieces["thigh"])
    return [pieces["thigh" if k < first else "shank"].pop(0) for k in order]


@pytest.mark.parametrize("exercise", EXERCISES)
def test_however_the_streams_are_cut_and_mixed_the_session_is_the_same(exercise: str) -> None:
    @settings(max_examples=12, deadline=None, phases=WITHOUT_SHRINKING)
    @given(cuts, cuts, st.integers(0, 1000))
    def law(thigh: list[int], shank: list[int], seed: int) -> None:
        assert run(mixed(leg(exercise), thigh, shank, seed), exercise).bits() == plain(exercise).bits()

    law()


def test_a_session_whose_exercise_is_not_told_does_not_depend_on_cuts_either() -> None:
    whole = run(in_turn(leg("mini-squat"), 10**6), None)
    assert run(in_turn(leg("mini-squat"), 7), None).bits() == whole.bits()


@pytest.mark.parametrize("exercise", EXERCISES)
def test_two_sessions_of_the_same_samples_are_the_same(exercise: str) -> None:
    assert run(in_turn(leg(exercise)), exercise).bits() == plain(exercise).bits()


# --- mounting and mirror ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("exercise", EXERCISES)
def test_however_the_sensors_are_strapped_on_the_session_is_the_same(exercise: str) -> None:
    base = plain(exercise)

    @settings(max_examples=8, deadline=None, phases=WITHOUT_SHRINKING)
    @given(st.integers(0, 2**32 - 1))
    def law(seed: int) -> None:
        turns = Rotation.random(2, rng=np.random.default_rng(seed)).as_matrix()
        other = run(in_turn(mapped(leg(exercise), list(turns), list(turns))), exercise)
        np.testing.assert_array_equal(other.ok, base.ok)
        assert other.change(base) <= 0.2
        assert same_counts(other, base)
        for one, same in zip(base.result.reps, other.result.reps, strict=True):
            assert same.peak_s == pytest.approx(one.peak_s, abs=0.02)
            assert math.degrees(same.rom) == pytest.approx(math.degrees(one.rom), abs=0.2)

    law()


@pytest.mark.parametrize("exercise", EXERCISES)
def test_the_left_leg_is_the_right_one_in_a_mirror(exercise: str) -> None:
    base = plain(exercise)
    mirrored = run(in_turn(mapped(leg(exercise), (MIRROR, MIRROR), (-MIRROR, -MIRROR))), exercise, side="left")
    np.testing.assert_array_equal(mirrored.ok, base.ok)
    assert mirrored.change(base) <= 0.2
    assert same_counts(mirrored, base)
    np.testing.assert_allclose(mirrored.tilt[base.ok], base.tilt[base.ok], rtol=0, atol=math.radians(0.2))


# --- time ------------------------------------------------------------------------------------------------------------


@settings(max_examples=6, deadline=None, phases=WITHOUT_SHRINKING)
@given(st.floats(-800.0, 1e6), st.floats(0.0, 1e5), st.floats(0.0, 1e5))
def test_another_hour_moves_only_the_times(arrival_s: float, thigh_s: float, shank_s: float) -> None:
    base = plain("heel-slide")
    moved = shifted(leg("heel-slide"), {"thigh": thigh_s, "shank": shank_s}, arrival_s)
    other = run(in_turn(moved), "heel-slide")
    np.testing.assert_allclose(other.t_s, base.t_s + arrival_s, rtol=0, atol=1e-4)
    np.testing.assert_array_equal(other.ok, base.ok)
    assert other.change(base) <= 0.01
    assert same_counts(other, base)
    for one, same in zip(base.result.reps, other.result.reps, strict=True):
        assert same.start_s == pytest.approx(one.start_s + arrival_s, abs=1e-3)
        assert same.end_s - same.start_s == pytest.approx(one.end_s - one.start_s, abs=1e-3)


# --- units -----------------------------------------------------------------------------------------------------------


@functools.cache
def dot_profile() -> dict[str, Any]:
    path = Path(gonio.firmware_profiles.__file__).parent / "movella_dot.yaml"
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert isinstance(content, dict)
    return content


def in_units(acceleration: tuple[str, float], turning: tuple[str, float]) -> Profile:
    """Give a sensor like the Movella DOT that sends other units: each a unit and how many of it the DOT's one is."""
    content = copy.deepcopy(dot_profile())
    for field in content["packets"]["rate_quantities"]["fields"]:
        for carries, (unit, factor) in (("acceleration", acceleration), ("angular_velocity", turning)):
            if field.get("carries") == carries:
                field |= {"unit": unit, "limit": field["limit"] * factor}
    return read_profile(content, f"a DOT in {acceleration[0]} and {turning[0]}")


def through(acceleration: tuple[str, float], turning: tuple[str, float], one: Leg) -> Leg:
    """Encode both streams as a DOT does, write the other units' numbers over its own, and decode as the kit does."""
    dot, other = in_units(("m/s2", 1.0), ("dps", 1.0)), in_units(acceleration, turning)
    factors = np.repeat((acceleration[1], turning[1]), 3)
    out: Leg = {}
    for segment, chunk in one.items():
        assert chunk.sensor_s is not None
        assert chunk.arrival_s is not None
        encoder, decoder = StreamEncoder(dot, {}), StreamDecoder(other, {})
        sent = []
        values = encoder.encode(chunk.acc, chunk.gyr, chunk.sensor_s)
        for value, arrival_s in zip(values, chunk.arrival_s.tolist(), strict=True):
            numbers = np.frombuffer(value, "<f4", count=6, offset=4) * factors  # after the time: acceleration, turning
            whole = value[:4] + numbers.astype("<f4").tobytes() + value[28:]
            sent.append(Notification(encoder.characteristic, whole, round(arrival_s * 1e9)))
        decoded = decoder.feed_all(sent)
        assert decoded is not None
        assert decoder.malformed == 0
        out[segment] = decoded
    return out


@pytest.mark.parametrize("exercise", EXERCISES)
@pytest.mark.parametrize("acceleration", [("m/s2", 1.0), ("g", 1 / 9.80665), ("mg", 1000 / 9.80665)])
@pytest.mark.parametrize("turning", [("dps", 1.0), ("rad/s", math.pi / 180)])
def test_units_end_at_the_edge(exercise: str, acceleration: tuple[str, float], turning: tuple[str, float]) -> None:
    base, sent = plain(exercise), leg(exercise)
    decoded = through(acceleration, turning, sent)
    for segment in SEGMENTS:
        np.testing.assert_allclose(decoded[segment].acc, sent[segment].acc, rtol=1e-6, atol=1e-9)
        np.testing.assert_allclose(decoded[segment].gyr, sent[segment].gyr, rtol=1e-6, atol=1e-9)
    other = run(in_turn(decoded), exercise)
    assert len(other.ok) == len(base.ok)
    assert np.mean(other.ok == base.ok) > 0.999
    assert other.change(base) <= 0.02
    assert same_counts(other, base)


def test_a_recording_holds_every_bit(tmp_path: Path) -> None:
    one = leg("mini-squat")
    meta = RecordingMeta(RATE_HZ, "right", "mini-squat", "simulated")
    write(tmp_path / "leg", Recording(meta, one["thigh"], one["shank"]))
    kept = read(tmp_path / "leg")
    again = run(in_turn({"thigh": kept.thigh, "shank": kept.shank}), "mini-squat")
    assert again.bits() == plain("mini-squat").bits()
