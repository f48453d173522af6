"""Sets of repetitions: where one ends, and what is said of it."""

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gonio.signal.chunks import RepEvent
from gonio.signal.reps.goal import Goal
from gonio.signal.reps.sets import sets_of, symmetry


def reps(
    rests: list[float], *, times: list[float] | None = None, roms: list[float] | None = None
) -> tuple[RepEvent, ...]:
    """Repetitions with the rests given between them, s."""
    out, now = [], 0.0
    for k in range(len(rests) + 1):
        took, rom = (times[k] if times else 4.0), (roms[k] if roms else 1.2)
        out.append(RepEvent(now, now + 0.5 * took, now + took, "knee", rom, 0.0, rom, on_target=rom >= 1.0))
        now += took + (rests[k] if k < len(rests) else 0.0)
    return tuple(out)


def test_a_long_rest_ends_a_set() -> None:
    found = sets_of(reps([2.0] * 9 + [45.0] + [2.0] * 9))
    assert [one.complete for one in found] == [10, 10]
    assert found[0].end_s < found[1].start_s


def test_slow_patients_rest_long_within_a_set() -> None:
    assert len(sets_of(reps([12.0, 15.0, 14.0, 20.0, 13.0]))) == 1
    assert len(sets_of(reps([12.0, 15.0, 14.0, 50.0, 13.0]))) == 2


def test_a_minute_ends_a_set_of_one() -> None:
    assert [one.complete for one in sets_of(reps([70.0]))] == [1, 1]
    assert len(sets_of(reps([9.0]))) == 1


def test_no_repetition_no_set() -> None:
    assert sets_of(()) == ()


def test_how_alike_the_repetitions_are() -> None:
    (even,) = sets_of(reps([2.0] * 3, roms=[1.0, 1.0, 1.0, 1.0]))
    (uneven,) = sets_of(reps([2.0] * 3, roms=[0.8, 1.2, 0.8, 1.2]))
    assert even.rom_cv == pytest.approx(0.0, abs=1e-12)
    assert uneven.rom_cv == pytest.approx(0.2309, abs=1e-3)
    assert uneven.rom_mean == pytest.approx(1.0)


def test_fatigue_is_slower_and_one_interruption_is_none() -> None:
    tiring = [3.0 * 1.05**k for k in range(10)]
    interrupted = [3.0] * 10
    interrupted[6] = 15.0
    (one,), (other,) = sets_of(reps([2.0] * 9, times=tiring)), sets_of(reps([2.0] * 9, times=interrupted))
    assert one.tempo_trend == pytest.approx(0.05, abs=0.01)
    assert other.tempo_trend == pytest.approx(0.0, abs=1e-9)
    assert math.isnan(sets_of(reps([2.0] * 2))[0].tempo_trend)


def test_partial_ones_are_counted_apart_and_do_not_enter_the_figures() -> None:
    whole = reps([2.0] * 4)
    half = RepEvent(60.0, 61.0, 62.0, "knee", 0.5, 0.0, 0.5, complete=False)
    lost = RepEvent(63.0, 64.0, 75.0, "knee", math.nan, math.nan, 1.2, measured=False)
    first, second = sets_of((*whole, half, lost))
    assert (first.complete, first.partial) == (5, 0)
    assert (second.complete, second.partial) == (1, 1)
    assert first.rom_mean == pytest.approx(1.2)
    assert first.rep_s == pytest.approx(4.0)
    assert math.isnan(second.rom_mean)
    assert math.isnan(second.rep_s)


def test_targets_are_counted_only_when_something_was_asked() -> None:
    done = reps([2.0] * 3, roms=[0.9, 1.1, 1.2, 0.8])
    assert sets_of(done)[0].on_target is None
    assert sets_of(done, Goal())[0].on_target is None
    assert sets_of(done, Goal(flexion=1.0))[0].on_target == 2


@given(st.lists(st.floats(0.0, 200.0), max_size=25), st.floats(-1e4, 1e4))
def test_every_repetition_is_in_one_set(rests: list[float], shift: float) -> None:
    done = reps(rests)
    found = sets_of(done)
    assert sum(one.complete + one.partial for one in found) == len(done)
    assert all(later.start_s >= earlier.end_s for earlier, later in pairwise(found))
    later = tuple(
        RepEvent(r.start_s + shift, r.peak_s + shift, r.end_s + shift, "knee", r.peak_flexion, 0.0, r.rom) for r in done
    )
    assert [one.complete for one in sets_of(later)] == [one.complete for one in found]


def test_symmetry_is_in_percent_of_the_other_leg() -> None:
    assert symmetry(math.radians(90.0), math.radians(120.0)) == pytest.approx(75.0)
    assert math.isnan(symmetry(math.nan, 1.0))
    assert math.isnan(symmetry(1.0, math.nan))
    assert math.isnan(symmetry(1.0, 0.0))
