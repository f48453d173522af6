"""A session's way to the disk while it runs: each repetition at once, the angle curve along with it."""

import asyncio
import math

from gonio.gateway.records import Capture, OpenSession
from gonio.gateway.store import KitStore
from gonio.gateway.summary import JOURNAL_STEP_S
from gonio.messages import RepReport, SessionSummary, payload_text
from gonio.signal.chunks import KneeAngleChunk


class SessionJournal:
    """Remembers what of a session is not on the disk yet, and puts it there.

    Bounds: the session's own (``session.MAX_REPS``, ``session.MAX_SESSION_S``).
    """

    def __init__(self, store: KitStore, session: OpenSession, start_s: float) -> None:
        """Begin an empty journal.

        Args:
            store: where it goes.
            session: its record id, capture and head.
            start_s: the kit's monotonic clock at the capture, s.
        """
        self._store = store
        self._record_id = session.record_id
        self._capture: Capture = session.capture
        self._start_s = start_s
        self._reps: list[RepReport] = []
        self._curve: list[int | None] = []
        self.kept_reps = 0
        self._kept_points = 0

    def add_rep(self, rep: RepReport) -> None:
        """Note a completed repetition."""
        self._reps.append(rep)

    def add_angles(self, angles: KneeAngleChunk) -> None:
        """Note the angle: the first of each step of the journal's curve."""
        for t_s, flexion, ok in zip(angles.t_s.tolist(), angles.flexion.tolist(), angles.ok.tolist(), strict=True):
            index = int((t_s - self._start_s) / JOURNAL_STEP_S)
            if index < len(self._curve):
                continue
            self._curve.extend([None] * (index - len(self._curve)))
            self._curve.append(round(math.degrees(flexion)) if ok and not math.isnan(flexion) else None)

    async def flush(self, head: SessionSummary) -> None:
        """Put everything that is new on the disk, in one transaction.

        Args:
            head: the summary so far, without repetitions and curve.

        Raises:
            StoreWriteError: the disk did not take it; it is kept and goes with the next flush.
        """
        reps, points = len(self._reps), len(self._curve)
        new = OpenSession(
            record_id=self._record_id,
            capture=self._capture,
            head=payload_text(head),
            reps=tuple(self._reps[self.kept_reps : reps]),
            curve=tuple(self._curve[self._kept_points : points]),
        )
        await asyncio.to_thread(self._store.journal, new, first_rep=self.kept_reps + 1, first_point=self._kept_points)
        self.kept_reps, self._kept_points = reps, points
