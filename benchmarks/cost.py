"""What a pair of samples costs, from a notification's bytes to a repetition, beside two bare VQF filters.

One process, one core, processor time: nothing else of the benchmark runs meanwhile, and what the machine does for
others is not counted (its caches are shared all the same). Every figure is taken several times in turn with the others;
the least is the one that was disturbed least.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from sections import Aim, Section
from tables import Table, number
from vqf import VQF

from gonio.drivers.codec import Notification, StreamDecoder, StreamEncoder
from gonio.firmware_profiles import get_profile
from gonio.signal.chain import KneeChain
from gonio.signal.chunks import AlignedChunk, SampleChunk, TimedChunk
from gonio.signal.clock.grid import Aligner
from gonio.signal.clock.sensor import SensorClock
from gonio.signal.consts import SEGMENTS, Segment
from gonio.signal.faults.watch import SensorWatch
from gonio.signal.orient import AttitudeFilter, attitudes
from gonio.signal.session import Session
from gonio.simulators.imu import ImuErrors
from gonio.simulators.leg import LegMotion

_Task: TypeAlias = Callable[[], None]

_RATE_HZ = 60
_SECONDS = 120.0
_EXERCISE = "heel-slide"
_AIM_US, _AIM_RATIO = 15.0, 8.0
_BARE_ONE, _BARE_TEN = "two bare VQF, one by one", "two bare VQF, chunks of 10"
_WHOLE_TEN = "whole path, chunks of 10"


@dataclass(frozen=True, slots=True, eq=False)
class _Input:
    """The same two minutes at every stage of the way, in chunks of one size."""

    notifications: dict[Segment, list[list[Notification]]]
    samples: dict[Segment, list[SampleChunk]]
    timed: list[tuple[Segment, TimedChunk]]
    aligned: list[AlignedChunk]


def measure(repeats: int) -> Section:
    """Time every stage and the whole."""
    pairs = int(_SECONDS * _RATE_HZ)
    ten, fifty = _inputs(10), _inputs(50)
    tasks: dict[str, _Task] = {
        _WHOLE_TEN: lambda: _whole(ten),
        "whole path, chunks of 50": lambda: _whole(fifty),
        "session alone, chunks of 10": lambda: _session(ten),
        "session alone, chunks of 50": lambda: _session(fifty),
        "- decoding (Movella DOT), chunks of 10": lambda: _decode(ten),
        "- two clocks, chunks of 10": lambda: _clocks(ten),
        "- two watches for faults, chunks of 10": lambda: _watches(ten),
        "- grid, chunks of 10": lambda: _grid(ten),
        "- chain, chunks of 10": lambda: _chain(ten),
        "-- of it two orientations, chunks of 10": lambda: _orientations(ten),
        _BARE_ONE: lambda: _bare_one(ten),
        _BARE_TEN: lambda: _bare_chunks(ten),
    }
    spent: dict[str, list[float]] = {name: [] for name in tasks}
    for _ in range(repeats):
        for name, task in tasks.items():
            begin = time.process_time()
            task()
            spent[name].append((time.process_time() - begin) / pairs * 1e6)
    least = {name: min(times) for name, times in spent.items()}
    bare = least[_BARE_ONE]
    rows = [
        (name, number(min(times)), number(float(np.median(times))), number(min(times) / bare, 1, " x"))
        for name, times in spent.items()
    ]
    table = Table(
        "Cost of a pair of samples, µs of one core",
        ("what", "least", "median", "of two bare VQF"),
        rows,
        f"{_SECONDS:.0f} s of simulated {_EXERCISE} at {_RATE_HZ} Hz, {repeats} rounds, processor time. The whole path "
        "is decoding, clocks, watches for faults, grid, orientation, learning, angle and repetitions. Two bare VQF are "
        "updateGyr and updateAcc of the compiled filter for either sensor, sample by sample.",
    )
    reached = (
        f"{least[_WHOLE_TEN]:.1f} µs (median {np.median(spent[_WHOLE_TEN]):.1f}); {least[_WHOLE_TEN] / bare:.1f} x two "
        f"bare VQF calls of {bare:.2f} µs"
    )
    met = least[_WHOLE_TEN] <= _AIM_US and least[_WHOLE_TEN] <= _AIM_RATIO * bare
    what = "Cost a pair, decode to repetition, chunks of 10"
    return Section([table], [Aim(what, "this machine, one core", "≤ 15 µs and ≤ 8 x", reached, met)])


def _inputs(size: int) -> _Input:
    motion = LegMotion(_EXERCISE, duration_s=_SECONDS, seed=4)
    profile = get_profile("movella_dot")
    t = np.arange(int(_SECONDS * _RATE_HZ)) / _RATE_HZ
    notifications: dict[Segment, list[list[Notification]]] = {}
    samples: dict[Segment, list[SampleChunk]] = {}
    for k, segment in enumerate(SEGMENTS):
        acc, gyr = ImuErrors(k + 1, rate_hz=_RATE_HZ).apply(t, *motion.imu(segment, t))
        encoder = StreamEncoder(profile, {"rate_hz": _RATE_HZ})
        values = encoder.encode(acc, gyr, t)
        sent = [
            Notification(encoder.characteristic, value, round((100.0 + moment + 0.01) * 1e9))
            for value, moment in zip(values, t.tolist(), strict=True)
        ]
        notifications[segment] = [sent[i : i + size] for i in range(0, len(sent), size)]
        decoder = StreamDecoder(profile, {"rate_hz": _RATE_HZ})
        samples[segment] = [c for part in notifications[segment] if (c := decoder.feed_all(part)) is not None]
    clocks = {segment: SensorClock(segment, _RATE_HZ) for segment in SEGMENTS}
    timed = [
        (segment, chunk)
        for parts in zip(*samples.values(), strict=True)
        for segment, part in zip(SEGMENTS, parts, strict=True)
        for chunk in clocks[segment].feed(part)
    ]
    aligner = Aligner(_RATE_HZ)
    aligned = [chunk for segment, part in timed for chunk in aligner.feed(segment, part)]
    return _Input(notifications, samples, timed, aligned)


def _whole(given: _Input) -> None:
    profile = get_profile("movella_dot")
    decoders = {segment: StreamDecoder(profile, {"rate_hz": _RATE_HZ}) for segment in SEGMENTS}
    session = Session(exercise=_EXERCISE, rate_hz=_RATE_HZ)
    for parts in zip(*(given.notifications[segment] for segment in SEGMENTS), strict=True):
        for segment, part in zip(SEGMENTS, parts, strict=True):
            chunk = decoders[segment].feed_all(part)
            if chunk is not None:
                session.feed(segment, chunk)
    session.finish()
    session.result()


def _session(given: _Input) -> None:
    session = Session(exercise=_EXERCISE, rate_hz=_RATE_HZ)
    for parts in zip(*(given.samples[segment] for segment in SEGMENTS), strict=True):
        for segment, part in zip(SEGMENTS, parts, strict=True):
            session.feed(segment, part)
    session.finish()
    session.result()


def _decode(given: _Input) -> None:
    profile = get_profile("movella_dot")
    for segment in SEGMENTS:
        decoder = StreamDecoder(profile, {"rate_hz": _RATE_HZ})
        for part in given.notifications[segment]:
            decoder.feed_all(part)


def _clocks(given: _Input) -> None:
    for segment in SEGMENTS:
        clock = SensorClock(segment, _RATE_HZ)
        for part in given.samples[segment]:
            clock.feed(part)


def _watches(given: _Input) -> None:
    watches = {segment: SensorWatch(_RATE_HZ) for segment in SEGMENTS}
    for segment, part in given.timed:
        watches[segment].feed(part)


def _grid(given: _Input) -> None:
    aligner = Aligner(_RATE_HZ)
    for segment, part in given.timed:
        aligner.feed(segment, part)


def _chain(given: _Input) -> None:
    chain = KneeChain(_RATE_HZ, exercise=_EXERCISE)
    for part in given.aligned:
        chain.feed(part)
    chain.finish()


def _orientations(given: _Input) -> None:
    filters = AttitudeFilter(_RATE_HZ), AttitudeFilter(_RATE_HZ)
    for part in given.aligned:
        attitudes(filters, (part.thigh_acc, part.shank_acc), (part.thigh_gyr, part.shank_gyr))


def _bare_one(given: _Input) -> None:
    for segment in SEGMENTS:
        bare = VQF(1.0 / _RATE_HZ)
        for part in given.samples[segment]:
            for acc, gyr in zip(part.acc, part.gyr, strict=True):
                bare.updateGyr(gyr)
                bare.updateAcc(acc)
                bare.getQuat6D()


def _bare_chunks(given: _Input) -> None:
    for segment in SEGMENTS:
        bare = VQF(1.0 / _RATE_HZ)
        for part in given.samples[segment]:
            bare.updateBatch(part.gyr, part.acc)
