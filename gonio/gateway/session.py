"""One session on the kit: two sensors' samples through the chain, every repetition kept, the summary committed.

States
    Streaming until ``stop()``, a limit, or a sensor lost for good. A lost sensor is given ``REGAIN_S`` to come back
    while the other goes on; what was measured before counts. Then the chain is finished, and one transaction puts the
    summary into the outbox and takes the session out of the journal.
"""

import asyncio
import logging
import math
import uuid
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, TypeAlias

import numpy as np

from gonio.errors import PeerError
from gonio.gateway.calibrations import KeptCalibration
from gonio.gateway.clock import KitClock
from gonio.gateway.database import StoreWriteError
from gonio.gateway.events import (
    Listener,
    LiveAngle,
    RepCounted,
    RepsKept,
    SensorBack,
    SensorLost,
    SessionStarted,
    Trouble,
)
from gonio.gateway.journal import SessionJournal
from gonio.gateway.keeper import RecordKeeper
from gonio.gateway.latency import LatencyMeter
from gonio.gateway.records import Capture, Draft, OpenSession
from gonio.gateway.store import KitStore
from gonio.gateway.streams import SensorStream
from gonio.gateway.summary import SessionPlan, close_interrupted, rep_report, summarise
from gonio.messages import Envelope, Kind, SensorReport, SessionSummary, degrees, new_record_id, payload_text
from gonio.signal.chunks import KneeAngleChunk, RepEvent, SampleChunk, SessionResult
from gonio.signal.consts import SEGMENTS, Segment
from gonio.signal.session import Session

log = logging.getLogger(__name__)

MAX_SESSION_S: Final = 7200.0  # a session that somebody forgot to stop ends itself; exercises last minutes
MAX_REPS: Final = 600  # so that the summary stays far below messages.MAX_PAYLOAD_BYTES
REGAIN_S: Final = 60.0  # how long a lost sensor may stay away
HEARTBEAT_S: Final = 10.0  # a journal entry at least this often, so that a cut-off session knows how long it was
JOURNAL_RETRY_S: Final = 2.0  # pause after the disk refused a journal entry
STOP_S: Final = 5.0  # how long sensors may take to stop
POSE_MAX_S: Final = 30.0  # a guided pose is held for seconds
POSE_LEAST_DEG: Final = -20.0
POSE_MOST_DEG: Final = 150.0

Reconnect: TypeAlias = Callable[[Segment], Awaitable[SensorStream]]


@dataclass(frozen=True, slots=True)
class FinishedSession:
    """What came of a session.

    Attributes:
        summary: what is sent.
        envelope: its place in the outbox; None when the disk refused it and it is held in memory.
        latency_ms_p50: half of the notifications were in an angle after this many ms; None without any.
        latency_ms_p95: 95 % of them.
        calibration: what it found, for the next session with the same sensors; None when nothing is worth keeping.
    """

    summary: SessionSummary
    envelope: Envelope | None
    latency_ms_p50: float | None
    latency_ms_p95: float | None
    calibration: KeptCalibration | None


class SessionRunner:
    """Runs one session from two connected and streaming sensors; use it once."""

    def __init__(
        self,
        store: KitStore,
        keeper: RecordKeeper,
        plan: SessionPlan,
        streams: Mapping[Segment, SensorStream],
        *,
        clock: KitClock,
        reconnect: Reconnect | None = None,
        listener: Listener | None = None,
        regain_s: float = REGAIN_S,
    ) -> None:
        """Prepare.

        Args:
            store: for the journal.
            keeper: for the summary.
            plan: what the session is to be.
            streams: the sensor on each segment; not yet started.
            clock: whose monotonic clock also stamped the sensors' arrivals.
            reconnect: gives a lost sensor's new stream, started; may try as long as it likes, it is cancelled.
            listener: told of everything as it happens, in the event loop; must return at once and not raise.
            regain_s: how long a lost sensor may stay away, s.
        """
        self._keeper = keeper
        self._plan = plan
        self._streams = dict(streams)
        self._clock = clock
        self._reconnect = reconnect
        self._tell: Listener = listener or (lambda _: None)
        self._regain_s = regain_s
        rates = {segment: stream.info.rate_hz for segment, stream in streams.items()}
        self._session = Session(
            exercise=plan.exercise,
            side=plan.side,
            rate_hz=min(rates.values()),
            nominal_rate_hz=rates,
            goal=plan.goal,
            program=plan.program,
            stored=plan.stored,
        )
        self._capture = clock.capture()
        self._record_id = new_record_id()
        self._start_s = self._capture.monotonic_ns * 1e-9
        opened = OpenSession(self._record_id, self._capture, "")
        self._journal = SessionJournal(store, opened, self._start_s)
        self._journal_due = asyncio.Event()
        self._stopping = asyncio.Event()
        self._stopped_s: float | None = None
        self._ended = False
        self._flags: set[str] = set()
        self._reps = 0
        self._waiting: list[float] = []
        self._lost: set[Segment] = set()
        self._malformed: Counter[Segment] = Counter()
        self._reconnects: Counter[Segment] = Counter()
        self.latency = LatencyMeter()

    def stop(self) -> None:
        """End the session; :meth:`run` then finishes it. Again has no effect."""
        if self._stopped_s is None:
            self._stopped_s = self._clock.now_s()
        self._stopping.set()

    def pose(self, seconds: float, flexion_deg: float = 0.0) -> None:
        """Take note that from now on, for some seconds, the knee is held still at a known flexion.

        The angle's zero is taken from it. May be called again: a later pose counts as well.

        Raises:
            ValueError: the time is not within 0 to POSE_MAX_S, or no knee bends so far.
        """
        if not 0.0 < seconds <= POSE_MAX_S:
            raise ValueError(f"a pose is held for up to {POSE_MAX_S:.0f} s, not {seconds} s")
        if not POSE_LEAST_DEG <= flexion_deg <= POSE_MOST_DEG:
            raise ValueError(f"a pose has a flexion of {POSE_LEAST_DEG:.0f}° to {POSE_MOST_DEG:.0f}°")
        now_s = self._clock.now_s()
        self._session.pose(now_s, now_s + seconds, math.radians(flexion_deg))

    async def run(self) -> FinishedSession:
        """Run to the end and commit the summary.

        Cancelled or crashed, it leaves the session in the journal; the next start closes it as interrupted.

        Raises:
            PeerError: a sensor could not be started.
        """
        for segment in SEGMENTS:
            await self._streams[segment].start()
        self._tell(SessionStarted(self._record_id))
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._keep_journal(), name="session-journal")
            async with asyncio.TaskGroup() as readers:
                reading = [readers.create_task(self._read(segment), name=f"session-{segment}") for segment in SEGMENTS]
                readers.create_task(self._stop_streams(reading), name="session-stop")
            self._take(self._session.finish())
            self._ended = True
            self._journal_due.set()
        return await self._commit()

    # --- sensors -----------------------------------------------------------------------------------------------------

    async def _read(self, segment: Segment) -> None:
        while not self._stopping.is_set():
            try:
                async for chunk in self._streams[segment].chunks():
                    self._feed(segment, chunk)
                    await asyncio.sleep(0)  # a queue that is never empty must not starve the callbacks that fill it
                break
            except PeerError as error:
                log.warning("%s sensor lost: %s", segment, error)
                self._tell(SensorLost(segment, str(error)))
                self._lost.add(segment)
                self._waiting.clear()
                if not await self._regain(segment):
                    self._flags.add("sensor-lost")
                    break
        self.stop()

    async def _regain(self, segment: Segment) -> bool:
        """Get a lost sensor back; False when it stays away, or the session is stopped meanwhile."""
        if self._reconnect is None:
            return False
        attempt = asyncio.ensure_future(self._reconnect(segment))
        stopped = asyncio.ensure_future(self._stopping.wait())
        try:
            await asyncio.wait({attempt, stopped}, timeout=self._regain_s, return_when=asyncio.FIRST_COMPLETED)
            if not attempt.done():
                return False
            stream = attempt.result()
        except PeerError as error:
            self._tell(Trouble(f"the {segment} sensor does not come back: {error}"))
            return False
        finally:
            attempt.cancel()
            stopped.cancel()
            await asyncio.gather(attempt, stopped, return_exceptions=True)
        self._malformed[segment] += self._streams[segment].counters.malformed
        self._reconnects[segment] += 1
        self._streams[segment] = stream
        self._lost.discard(segment)
        self._flags.add("sensor-reconnected")
        self._tell(SensorBack(segment))
        return True

    async def _stop_streams(self, readers: Sequence[asyncio.Task[None]]) -> None:
        try:
            async with asyncio.timeout(MAX_SESSION_S):
                await self._stopping.wait()
        except TimeoutError:
            self._limit_reached()
        for segment in SEGMENTS:
            try:
                async with asyncio.timeout(STOP_S):
                    await self._streams[segment].stop()
            except (PeerError, TimeoutError) as error:  # it is gone; its chunks() ends or says so
                log.warning("%s sensor did not stop cleanly: %s", segment, error)
        await asyncio.wait(readers, timeout=STOP_S)
        for reader in readers:
            reader.cancel()  # only one whose sensor never ends is still there

    def _limit_reached(self) -> None:
        self._flags.add("ended-at-limit")
        self._tell(Trouble("the session reached its limit of time or repetitions and was ended"))
        self.stop()

    # --- chain -------------------------------------------------------------------------------------------------------

    def _feed(self, segment: Segment, chunk: SampleChunk) -> None:
        if chunk.arrival_s is not None and not self._lost:  # without both sensors there is no angle to wait for
            self._waiting.extend(np.unique(chunk.arrival_s).tolist())
        self._take(self._session.feed(segment, chunk))

    def _take(self, outputs: list[KneeAngleChunk | RepEvent]) -> None:
        for one in outputs:
            if isinstance(one, RepEvent):
                self._count(one)
            elif len(one):
                self._show(one)

    def _count(self, rep: RepEvent) -> None:
        self._reps += 1
        self._journal.add_rep(rep_report(rep, self._start_s))
        self._journal_due.set()
        self._tell(RepCounted(self._reps, degrees(rep.rom)))
        if self._reps == MAX_REPS:
            self._limit_reached()

    def _show(self, angles: KneeAngleChunk) -> None:
        self._journal.add_angles(angles)
        now_s = self._clock.now_s()
        for arrival_s in self._waiting:
            self.latency.add(now_s - arrival_s)
        newest = self._waiting[-1] if self._waiting else now_s
        self._waiting.clear()
        flexion = angles.flexion[-1] if angles.ok[-1] else np.nan
        after_s = float(angles.t_s[-1]) - self._start_s
        self._tell(LiveAngle(after_s, degrees(float(flexion)), self._reps, (now_s - newest) * 1e3))

    # --- disk --------------------------------------------------------------------------------------------------------

    async def _keep_journal(self) -> None:
        trouble = ""
        while not self._ended:
            try:
                before = self._journal.kept_reps
                await self._journal.flush(self._head())
            except StoreWriteError as error:
                if trouble != str(error):
                    trouble = str(error)
                    self._tell(Trouble(f"repetitions are only in memory: {error}"))
                await asyncio.sleep(JOURNAL_RETRY_S)
                continue
            trouble = ""
            if self._journal.kept_reps > before:
                self._tell(RepsKept(self._journal.kept_reps))
            try:
                async with asyncio.timeout(HEARTBEAT_S):
                    await self._journal_due.wait()
            except TimeoutError:
                continue
            self._journal_due.clear()

    def _head(self) -> SessionSummary:
        summary = self._summary(self._session.result())
        return summary.model_copy(update={"interrupted": True, "reps": (), "curve": None})

    def _summary(self, result: SessionResult) -> SessionSummary:
        until_s = self._clock.now_s() if self._stopped_s is None else self._stopped_s
        return summarise(
            self._plan,
            result,
            start_s=self._start_s,
            duration_s=until_s - self._start_s,
            sensors=[self._sensor(segment, result) for segment in SEGMENTS],
            flags=sorted(self._flags),
        )

    def _sensor(self, segment: Segment, result: SessionResult) -> SensorReport:
        stream = self._streams[segment]
        defects = next(d for d in result.defects if d.segment == segment)
        return SensorReport(
            segment=segment,
            family=stream.info.family,
            name=stream.info.name[:64],
            firmware=(stream.info.firmware or "")[:32],
            battery_percent=stream.info.battery_percent,
            rate_hz=round(defects.rate_hz, 3) if defects.rate_hz > 0 else None,
            samples=defects.samples,
            lost=defects.lost,
            repeated=defects.repeated,
            malformed=self._malformed[segment] + stream.counters.malformed,
            gaps=defects.gaps,
            longest_gap_s=round(defects.longest_gap_s, 3),
            clipped=defects.clipped,
            restarts=defects.restarts,
            reconnects=self._reconnects[segment],
        )

    async def _commit(self) -> FinishedSession:
        result = self._session.result()
        summary = self._summary(result)
        draft = _draft(self._record_id, self._capture, summary)
        envelope = await self._keeper.commit(draft, closes=self._record_id)
        taken_at = datetime.fromisoformat(self._capture.captured_at)
        found = None
        if result.calibration is not None:
            found = KeptCalibration(result.calibration, taken_at, self._record_id)
        return FinishedSession(summary, envelope, self.latency.percentile(50), self.latency.percentile(95), found)


def recover(store: KitStore) -> list[Envelope]:
    """Close every session that a crash or a power cut left in the journal, and queue it as interrupted.

    What cannot be closed (the disk is full, an entry cannot be read) stays in the journal, is told in the log, and
    keeps neither the others nor the kit from going on.
    """
    closed = []
    for record_id in store.open_session_ids():
        try:
            one = store.open_session(record_id)
            draft = _draft(one.record_id, one.capture, close_interrupted(one))
            closed.append(store.commit(draft, closes=record_id))
        except (StoreWriteError, ValueError) as error:
            log.error("session %s was cut off and stays in the journal: %s", record_id, error)  # noqa: TRY400 - foreseen
        else:
            log.warning("session %s had been cut off; it is closed as interrupted", record_id)
    return closed


def _draft(record_id: uuid.UUID, capture: Capture, summary: SessionSummary) -> Draft:
    return Draft(record_id, Kind.SESSION, capture, SessionSummary.SCHEMA_VERSION, payload_text(summary))
