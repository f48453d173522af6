"""A session on the kit, from two streams of samples of a simulated leg to the outbox."""

import asyncio
import os
import random
import signal
import subprocess
import sys
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest

from gonio.errors import PeerError, RetryableError
from gonio.gateway.clock import KitClock, kernel_clock_state
from gonio.gateway.database import StoreWriteError
from gonio.gateway.events import LiveAngle, RepCounted, RepsKept, SensorBack, SensorLost, SessionEvent, Trouble
from gonio.gateway.keeper import RecordKeeper
from gonio.gateway.records import Draft, OpenSession
from gonio.gateway.session import FinishedSession, SessionRunner, recover
from gonio.gateway.store import KitStore
from gonio.gateway.summary import SessionPlan
from gonio.messages import Kind, SessionSummary, new_record_id, payload_text, read_session
from gonio.signal.chunks import SampleChunk
from gonio.signal.consts import FloatArray, Segment
from gonio.simulators.leg import LegMotion

RATE_HZ = 60.0
HEAD = SessionSummary(
    sitting_id=uuid.uuid4(),
    exercise="heel-slide",
    side="left",
    source="simulated",
    duration_s=1.0,
    interrupted=True,
    reps=(),
    max_flexion_deg=None,
    min_flexion_deg=None,
    zero="none",
    calibrated_at_s=None,
    ok_fraction=0.0,
    sensors=(),
    curve=None,
    software="gonio test",
)
PLAN = SessionPlan("heel-slide", "right", "simulated", uuid.uuid4())


@dataclass
class Info:
    name: str = "Sensor 1"
    family: str = "movella_dot"
    firmware: str | None = "3.0.0"
    battery_percent: int | None = 80
    rate_hz: float = RATE_HZ


@dataclass
class Counters:
    malformed: int = 2
    repeated: int = 0


class Pace:
    """A clock that goes only as fast as the samples are taken, so that a busy machine changes nothing."""

    def __init__(self) -> None:
        self.now_s = 100.0
        self.at: dict[Segment, float] = {"thigh": 0.0, "shank": 0.0}

    def monotonic_ns(self) -> int:
        return round(self.now_s * 1e9)

    async def wait_for(self, segment: Segment, t_s: float) -> None:
        self.at[segment] = t_s
        while min(self.at.values()) < t_s - 0.2:  # noqa: ASYNC110 - the other sensor is a task that needs its turn
            await asyncio.sleep(0)
        self.now_s = max(self.now_s, 100.0 + t_s + 0.01)


@dataclass
class LegStream:
    """One sensor on a simulated leg; can be lost at a moment."""

    motion: LegMotion
    segment: Segment
    pace: Pace
    lost_after_s: float | None = None
    fails_to_stop: bool = False
    info: Info = field(default_factory=Info)
    counters: Counters = field(default_factory=Counters)
    done: asyncio.Event = field(default_factory=asyncio.Event)
    _stopped: bool = False

    async def start(self) -> None:
        pass

    async def stop(self) -> None:
        self._stopped = True
        if self.fails_to_stop:
            raise RetryableError("it does not answer")

    async def chunks(self) -> AsyncIterator[SampleChunk]:
        times: FloatArray = np.arange(0.0, self.motion.duration_s, 1 / RATE_HZ)
        times = times[times >= self.pace.now_s - 100.0]
        try:
            for t_s in np.array_split(times, len(times) // 6):
                await self.pace.wait_for(self.segment, float(t_s[-1]))
                if self._stopped:
                    return
                if self.lost_after_s is not None and t_s[-1] > self.lost_after_s:
                    raise RetryableError("it is gone")
                acc, gyr = self.motion.imu(self.segment, t_s)
                yield SampleChunk(acc=acc, gyr=gyr, sensor_s=t_s, arrival_s=np.full(len(t_s), self.pace.now_s))
        finally:
            self.pace.at[self.segment] = np.inf  # nobody waits for it any more
        self.done.set()
        while not self._stopped:  # noqa: ASYNC110 - a sensor that rests
            await asyncio.sleep(0.01)


@pytest.fixture(scope="module")
def motion() -> LegMotion:
    return LegMotion("heel-slide", reps=4, seed=3, standing_s=2.0)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[KitStore]:
    with KitStore.open(tmp_path / "kit") as store:
        yield store


def leg_streams(motion: LegMotion, pace: Pace) -> dict[Segment, LegStream]:
    return {"thigh": LegStream(motion, "thigh", pace), "shank": LegStream(motion, "shank", pace)}


async def run_to_the_end(runner: SessionRunner, streams: dict[Segment, LegStream]) -> FinishedSession:
    async with asyncio.timeout(25), asyncio.TaskGroup() as tasks:
        running = tasks.create_task(runner.run())
        for stream in streams.values():
            if stream.lost_after_s is None:
                await stream.done.wait()
        runner.stop()
    return running.result()


async def test_a_session_is_counted_kept_and_queued(store: KitStore, motion: LegMotion) -> None:
    pace = Pace()
    streams, events = leg_streams(motion, pace), list[SessionEvent]()
    clock = KitClock(pace.monotonic_ns, state=lambda: "synchronised")
    runner = SessionRunner(store, RecordKeeper(store), PLAN, streams, clock=clock, listener=events.append)
    finished = await run_to_the_end(runner, streams)

    assert finished.envelope is not None
    (envelope,) = store.envelopes([1])
    assert envelope == finished.envelope
    summary = read_session(envelope)
    assert summary == finished.summary
    assert store.open_session_ids() == []
    for true in motion.truth.reps:  # times are relative to the session's start; how well is counted is shown elsewhere
        assert any(rep.start_s < true.peak_s + 0.5 and true.peak_s - 0.5 < rep.end_s for rep in summary.reps)
    assert motion.truth.max_flexion is not None
    assert summary.max_flexion_deg == pytest.approx(np.degrees(motion.truth.max_flexion), abs=5.0)
    assert summary.simulated
    assert not summary.interrupted
    assert summary.duration_s == pytest.approx(motion.duration_s, abs=0.1)
    assert {sensor.segment: sensor.malformed for sensor in summary.sensors} == {"thigh": 2, "shank": 2}
    assert all(sensor.samples > 0.95 * RATE_HZ * motion.duration_s for sensor in summary.sensors)

    assert summary.curve is not None
    known = [flexion for flexion in summary.curve.flexion_deg if flexion is not None]
    assert max(known) == pytest.approx(summary.max_flexion_deg, abs=6.0)

    angles = [event for event in events if isinstance(event, LiveAngle)]
    assert angles[-1].reps == len(summary.reps)
    assert [e.number for e in events if isinstance(e, RepCounted)] == list(range(1, len(summary.reps) + 1))
    assert finished.latency_ms_p50 is not None
    assert finished.latency_ms_p95 is not None
    assert 0 <= finished.latency_ms_p50 <= finished.latency_ms_p95
    assert len(runner.latency) > 100


async def test_what_was_said_to_be_kept_is_there_after_a_cancellation(store: KitStore, motion: LegMotion) -> None:
    pace = Pace()
    kept: list[int] = []
    running: asyncio.Task[FinishedSession]

    def listen(event: SessionEvent) -> None:
        if isinstance(event, RepsKept):
            kept.append(event.number)
            if event.number >= 2:
                running.cancel()

    clock = KitClock(pace.monotonic_ns)
    streams = leg_streams(motion, pace)
    runner = SessionRunner(store, RecordKeeper(store), PLAN, streams, clock=clock, listener=listen)
    running = asyncio.ensure_future(runner.run())
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(running, 25)
    assert store.counts().pending == 0
    (envelope,) = recover(store)
    summary = read_session(envelope)
    assert summary.interrupted
    assert len(summary.reps) >= kept[-1] >= 2
    assert summary.exercise == "heel-slide"
    assert summary.duration_s > 0
    assert summary.curve is not None
    assert [s.segment for s in summary.sensors] == ["thigh", "shank"]
    assert recover(store) == []
    assert store.counts().pending == 1


async def test_a_sensor_that_comes_back_lets_the_session_go_on(store: KitStore, motion: LegMotion) -> None:
    pace = Pace()
    streams, events = leg_streams(motion, pace), list[SessionEvent]()
    streams["shank"].lost_after_s = motion.duration_s / 2
    again = LegStream(motion, "shank", pace)

    async def reconnect(segment: Segment) -> LegStream:
        assert segment == "shank"
        return again

    clock = KitClock(pace.monotonic_ns)
    runner = SessionRunner(
        store, RecordKeeper(store), PLAN, streams, clock=clock, reconnect=reconnect, listener=events.append
    )
    summary = (await run_to_the_end(runner, {"thigh": streams["thigh"], "shank": again})).summary
    assert "sensor-reconnected" in summary.flags
    assert "sensor-lost" not in summary.flags
    assert [sensor.reconnects for sensor in summary.sensors] == [0, 1]
    assert [sensor.away_s > 0 for sensor in summary.sensors] == [False, True]
    assert summary.sensors[1].malformed == 4
    assert [type(e) for e in events if isinstance(e, SensorLost | SensorBack)] == [SensorLost, SensorBack]
    assert len(summary.reps) >= 3


@pytest.mark.parametrize("hopeless", ["nobody tries", "it fails", "it takes too long"])
async def test_a_sensor_lost_for_good_ends_the_session_with_what_was_done(
    store: KitStore, motion: LegMotion, hopeless: str
) -> None:
    pace = Pace()
    streams = leg_streams(motion, pace)
    streams["thigh"].lost_after_s = motion.duration_s * 0.8
    streams["thigh"].fails_to_stop = True

    async def reconnect(_: Segment) -> LegStream:
        if hopeless == "it fails":
            raise PeerError("it refuses")
        await asyncio.sleep(3600)
        raise AssertionError

    runner = SessionRunner(
        store,
        RecordKeeper(store),
        PLAN,
        streams,
        clock=KitClock(pace.monotonic_ns),
        reconnect=None if hopeless == "nobody tries" else reconnect,
        regain_s=0.2,
    )
    summary = (await asyncio.wait_for(runner.run(), 25)).summary
    assert "sensor-lost" in summary.flags
    assert len(summary.reps) >= 2
    thigh, shank = summary.sensors
    assert shank.away_s == 0
    assert (thigh.gaps, thigh.away_s) == (1, thigh.longest_gap_s)
    assert thigh.away_s > 0
    assert store.counts().pending == 1
    assert store.open_session_ids() == []


async def test_a_full_disk_costs_no_repetition(store: KitStore, motion: LegMotion) -> None:
    pace = Pace()
    streams, events = leg_streams(motion, pace), list[SessionEvent]()
    (pages,) = store._db.execute("PRAGMA page_count").fetchone()
    store._db.execute(f"PRAGMA max_page_count = {pages}")
    keeper = RecordKeeper(store, retry_s=0.01)
    with pytest.raises(StoreWriteError):
        fill(store)
    runner = SessionRunner(store, keeper, PLAN, streams, clock=KitClock(pace.monotonic_ns), listener=events.append)
    finished = await run_to_the_end(runner, streams)
    assert finished.envelope is None
    assert keeper.held == 1
    assert "full" in (keeper.trouble or "")
    assert any(isinstance(e, Trouble) and "full" in e.text for e in events)

    store._db.execute("PRAGMA max_page_count = 1000000")
    retrying = asyncio.ensure_future(keeper.run())
    async with asyncio.timeout(10):
        while keeper.held:  # noqa: ASYNC110 - a number to look at
            await asyncio.sleep(0.01)
    retrying.cancel()
    (envelope,) = [e for e in store.envelopes(store.pending(10_000)) if e.payload != "{}"]
    assert read_session(envelope) == finished.summary
    assert len(finished.summary.reps) >= 4
    assert envelope.record_id not in store.open_session_ids()


def fill(store: KitStore) -> None:
    """Fill journal and outbox until not even a small record fits."""
    capture = KitClock().capture()
    head = payload_text(HEAD)
    with suppress(StoreWriteError):
        while True:
            store.journal(OpenSession(new_record_id(), capture, head))
    while True:
        store.commit(Draft(new_record_id(), Kind.CHECK_IN, capture, 1, "{}"))


async def test_a_keeper_that_is_full_begins_nothing_new(store: KitStore, monkeypatch: pytest.MonkeyPatch) -> None:
    keeper = RecordKeeper(store)
    keeper.require_room()
    monkeypatch.setattr("gonio.gateway.keeper.HELD", 0)
    with pytest.raises(StoreWriteError, match="no more can be held"):
        keeper.require_room()


def test_a_journal_entry_that_cannot_be_read_stays_and_blocks_nobody(store: KitStore) -> None:
    bad, good, capture = new_record_id(), new_record_id(), KitClock().capture()
    store.journal(OpenSession(bad, capture, '{"of": "another version"}'))
    store.journal(OpenSession(good, capture, payload_text(HEAD)))
    assert [envelope.record_id for envelope in recover(store)] == [good]
    assert store.open_session_ids() == [bad]


CHILD = """
import sys, uuid
from pathlib import Path
from gonio.gateway.clock import KitClock
from gonio.gateway.records import OpenSession
from gonio.gateway.store import KitStore
from gonio.messages import RepReport, new_record_id

store, record_id, capture, number = KitStore.open(Path(sys.argv[1])), new_record_id(), KitClock().capture(), 0
print(record_id, flush=True)
while True:
    number += 1
    rep = RepReport(start_s=number, peak_s=number + 0.4, end_s=number + 0.8, signal="knee", peak_flexion_deg=90.0,
                    min_flexion_deg=0.0, rom_deg=90.0)
    new = OpenSession(record_id, capture, sys.argv[2], (rep,), (number,))
    store.journal(new, first_rep=number, first_point=number - 1)
    print(number, flush=True)
"""


@pytest.mark.parametrize("after", [1, 40])
def test_kill_9_loses_no_repetition_that_was_said_to_be_kept(tmp_path: Path, after: int) -> None:
    command = [sys.executable, "-c", CHILD, str(tmp_path), payload_text(HEAD)]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    record_id = uuid.UUID(child.stdout.readline().strip())
    said = 0
    for line in child.stdout:
        said = int(line)
        if said >= after:
            os.kill(child.pid, signal.SIGKILL)
            break
    said = max([said, *(int(line) for line in child.stdout.read().split())])  # what it still said while it died
    child.stdout.close()
    assert child.wait() == -signal.SIGKILL
    with KitStore.open(tmp_path) as store:
        (envelope,) = recover(store)
        summary = read_session(envelope)
        assert envelope.record_id == record_id
        assert summary.interrupted
        assert said <= len(summary.reps) <= said + 1
        assert [rep.start_s for rep in summary.reps] == [float(n) for n in range(1, len(summary.reps) + 1)]
        assert store.open_session_ids() == []
        assert store.counts().pending == 1


COMMITTER = """
import sys
from pathlib import Path
from gonio.gateway.clock import KitClock
from gonio.gateway.records import Draft, OpenSession
from gonio.gateway.store import KitStore
from gonio.messages import Ack, AckStatus, Kind, new_record_id

store, capture, head = KitStore.open(Path(sys.argv[1])), KitClock().capture(), sys.argv[2]
while True:
    record_id = new_record_id()
    store.journal(OpenSession(record_id, capture, head))
    print("open", record_id, flush=True)
    store.commit(Draft(record_id, Kind.SESSION, capture, 1, head), closes=record_id)
    print("committed", record_id, flush=True)
    store.settle([Ack(record_id=record_id, status=AckStatus.STORED)])
    print("settled", record_id, flush=True)
"""


def test_kill_9_at_any_moment_leaves_each_session_in_one_place(tmp_path: Path) -> None:
    said: dict[str, set[uuid.UUID]] = {"open": set(), "committed": set(), "settled": set()}
    rng = random.Random(11)  # noqa: S311 - a test's
    for _ in range(3):
        command = [sys.executable, "-c", COMMITTER, str(tmp_path), payload_text(HEAD)]
        child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert child.stdout is not None
        until = rng.randrange(1, 60)
        for number, line in enumerate(child.stdout, 1):
            what, record_id = line.split()
            said[what].add(uuid.UUID(record_id))
            if number == until:
                os.kill(child.pid, signal.SIGKILL)
        child.stdout.close()
        assert child.wait() == -signal.SIGKILL
        with KitStore.open(tmp_path) as store:
            rows = store._db.execute("SELECT sequence, record_id FROM record ORDER BY sequence").fetchall()
            in_outbox = {uuid.UUID(row[1]) for row in rows}
            in_journal = set(store.open_session_ids())
            assert [row[0] for row in rows] == list(range(1, len(rows) + 1))
            assert said["open"] <= in_outbox | in_journal
            assert said["committed"] <= in_outbox
            assert not in_outbox & in_journal
            acknowledged = store._db.execute("SELECT count(*) FROM outbox WHERE state = 'acknowledged'").fetchone()[0]
            assert len(said["settled"]) <= acknowledged <= len(said["settled"]) + 3
            assert {envelope.record_id for envelope in recover(store)} == in_journal
    assert len(said["committed"]) > 10


def test_the_kernel_is_asked_for_the_clock() -> None:
    assert kernel_clock_state() in {"synchronised", "unsynchronised"}
    capture = KitClock().capture()
    assert capture.boot_id == KitClock().boot_id
    assert capture.boot_id != KitClock(lambda: 1).boot_id


async def test_what_one_session_found_lets_the_next_one_know_sooner(store: KitStore, motion: LegMotion) -> None:
    async def run(plan: SessionPlan) -> FinishedSession:
        pace = Pace()
        streams = leg_streams(motion, pace)
        return await run_to_the_end(
            SessionRunner(store, RecordKeeper(store), plan, streams, clock=KitClock(pace.monotonic_ns)), streams
        )

    first = await run(PLAN)
    assert first.calibration is not None
    assert first.envelope is not None
    assert first.calibration.record_id == first.envelope.record_id
    assert first.calibration.taken_at == first.envelope.captured
    second = await run(replace(PLAN, stored=first.calibration.calibration))
    assert first.summary.calibrated_at_s is not None
    assert second.summary.calibrated_at_s is not None
    assert second.summary.calibrated_at_s < first.summary.calibrated_at_s
    assert (first.summary.calibration, second.summary.calibration) == ("fresh", "stored")


async def test_a_guided_pose_at_the_start_sets_the_zero(store: KitStore, motion: LegMotion) -> None:
    pace = Pace()
    streams = leg_streams(motion, pace)
    runner = SessionRunner(store, RecordKeeper(store), PLAN, streams, clock=KitClock(pace.monotonic_ns))
    runner.pose(2.0)
    assert (await run_to_the_end(runner, streams)).summary.zero == "pose"
