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
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import numpy as np

from gonio.gateway.calibrations import KeptCalibration
from gonio.gateway.clock import KitClock
from gonio.gateway.database import StoreWriteError
from gonio.gateway.events import (
    Listener,
    LiveAngle,
    Noticed,
    RepCounted,
    RepsKept,
    SensorLost,
    SessionEvent,
    SessionStarted,
    Trouble,
)
from gonio.gateway.intake import REGAIN_S, Intake, Reconnect
from gonio.gateway.journal import SessionJournal
from gonio.gateway.keeper import RecordKeeper
from gonio.gateway.latency import LatencyMeter
from gonio.gateway.records import Capture, Draft, OpenSession
from gonio.gateway.store import KitStore
from gonio.gateway.streams import SensorStream
from gonio.gateway.summary import SessionPlan, close_interrupted, rep_report, summarise
from gonio.messages import Envelope, Kind, SessionSummary, degrees, new_record_id, payload_text
from gonio.signal.chunks import KneeAngleChunk, RepEvent, SampleChunk, SessionResult
from gonio.signal.consts import Segment
from gonio.signal.session import Session

log = logging.getLogger(__name__)

MAX_SESSION_S: Final = 7200.0  # a session that somebody forgot to stop ends itself; exercises last minutes
MAX_REPS: Final = 600  # so that the summary stays far below messages.MAX_PAYLOAD_BYTES
HEARTBEAT_S: Final = 10.0  # a journal entry at least this often, so that a cut-off session knows how long it was
JOURNAL_RETRY_S: Final = 2.0  # pause after the disk refused a journal entry
POSE_MAX_S: Final = 30.0  # a guided pose is held for seconds
POSE_LEAST_DEG: Final = -20.0
POSE_MOST_DEG: Final = 150.0


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
        self._clock = clock
        self._tell: Listener = listener or (lambda _: None)
        self._intake = Intake(
            streams,
            take=self._feed,
            tell=self._heed,
            now_s=clock.now_s,
            reconnect=reconnect,
            regain_s=regain_s,
        )
        rates = {segment: stream.info.rate_hz for segment, stream in streams.items()}
        self._session = Session(
            exercise=plan.exercise,
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
        self._stopped_s: float | None = None
        self._ended = False
        self._flags: set[str] = set()
        self._noticed: tuple[str, ...] = ()
        self._reps = 0
        self._waiting: list[float] = []
        self.latency = LatencyMeter()

    def stop(self) -> None:
        """End the session; :meth:`run` then finishes it. Again has no effect."""
        if self._stopped_s is None:
            self._stopped_s = self._clock.now_s()
        self._intake.stop()

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
        await self._intake.start()
        self._tell(SessionStarted(self._record_id))
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._keep_journal(), name="session-journal")
            await self._intake.run(MAX_SESSION_S, self._limit_reached)
            self.stop()
            self._take(self._session.finish())
            self._ended = True
            self._journal_due.set()
        return await self._commit()

    def _heed(self, event: SessionEvent) -> None:
        """Pass on what happened to a link; without both sensors there is no angle to wait for."""
        if isinstance(event, SensorLost):
            self._waiting.clear()
        self._tell(event)

    def _limit_reached(self) -> None:
        self._flags.add("ended-at-limit")
        self._tell(Trouble("the session reached its limit of time or repetitions and was ended"))
        self.stop()

    # --- chain -------------------------------------------------------------------------------------------------------

    def _feed(self, segment: Segment, chunk: SampleChunk) -> None:
        if chunk.arrival_s is not None and not self._intake.lost:
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
        self._tell(RepCounted(self._reps, degrees(rep.rom), rep.complete))
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
                    self._tell(Trouble(f"repetitions are only in memory: {error}", "disk"))
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
        if summary.flags != self._noticed:
            self._noticed = summary.flags
            self._tell(Noticed(summary.flags))
        return summary.model_copy(update={"interrupted": True, "reps": (), "curve": None})

    def _summary(self, result: SessionResult) -> SessionSummary:
        until_s = self._clock.now_s() if self._stopped_s is None else self._stopped_s
        return summarise(
            self._plan,
            result,
            start_s=self._start_s,
            duration_s=until_s - self._start_s,
            sensors=[self._intake.report(defects, until_s) for defects in result.defects],
            flags=sorted(self._flags | self._intake.flags),
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
