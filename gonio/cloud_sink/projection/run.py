"""Projecting: what is queued in the book goes to the time-series server, round by round, until told to stop.

One round
    1. Read some of the queue and, in the same snapshot, what each record's points must be by the book of now.
    2. Where a record's points stand elsewhere (another episode, another moment) or should not be (struck out), take
       those away.
    3. Note durably where the points will stand, *before* they are written: whatever is killed after this, the next
       round knows what to take away.
    4. Write them. What the server refuses is narrowed down to its record, which is set aside with the reason.
    5. Take the rows off the queue, unless a record was marked again meanwhile.

Killed anywhere, a round is done again and comes to the same points at the same times: each record is written at least
once and stands there once.
"""

import logging
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from gonio.cloud_sink.engine import StoreUnavailableError
from gonio.cloud_sink.projection.lines import EARLIEST_NS, LATEST_NS
from gonio.cloud_sink.projection.points import MEASUREMENTS, Drawn
from gonio.cloud_sink.projection.queue import Place, ProjectionQueue, Work
from gonio.cloud_sink.projection.state import Queued, Unfit
from gonio.cloud_sink.projection.writer import CannotDeleteError, Influx, RefusedError, ServerAwayError
from gonio.errors import UsageError

#: Records of one round: what a crash makes us do again, and what is in memory at once (about 20 kB each).
ROUND: Final = 100
#: Points and bytes of one request, as InfluxDB advises (5,000 to 10,000 lines, under 10 MB); a record is never divided.
REQUEST_LINES: Final = 10_000
#: How long to wait when nothing waits.
IDLE_S: Final = 2.0
#: Waiting for a server or a store that is away: doubled each time, with jitter, up to this.
FIRST_PAUSE_S: Final = 1.0
LONGEST_PAUSE_S: Final = 60.0

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Round:
    """What one round did, in records."""

    written: int = 0
    taken_away: int = 0
    refused: int = 0


class Projector:
    """Carries a queue to a server. Calls block."""

    def __init__(self, queue: ProjectionQueue, influx: Influx) -> None:
        self._queue = queue
        self._influx = influx
        self._filling = True

    def clear(self) -> None:
        """Take away what stands in the way of a rebuild, where one was begun; health stays: the book has not all of it.

        Raises:
            ServerAwayError: try again later.
            UsageError: the server cannot delete, with what to do.
        """
        stage = self._queue.stage()
        if stage not in {"clearing", "moved"}:
            return
        try:
            for kind in ("session", "check-in"):
                for measurement in MEASUREMENTS[kind]:
                    self._influx.delete(measurement, EARLIEST_NS, LATEST_NS)
        except CannotDeleteError as error:
            if stage == "clearing":
                raise UsageError(f"{error}: make a new, empty bucket and rebuild into it with --bucket") from error
            _log.warning("%s: points that are in the new bucket already stay there", error)
        self._queue.cleared()
        self._filling = True

    def round(self) -> Round | None:
        """Do one round; None when nothing waited.

        Raises:
            ServerAwayError: the server is away; nothing is lost, do the round again later.
            UsageError: the server does not let us in, or the projection was taken out.
        """
        work = self._queue.take(ROUND)
        if self._filling and len(work.queued) < ROUND:  # what intake queues goes before what was there long before
            self._filling = self._queue.fill()
            if self._filling or not work.queued:
                work = self._queue.take(ROUND)
        if not work.queued:
            return None
        refused: dict[Queued, str] = {}
        moved, stuck = self._take_away(work)
        standing: dict[Queued, tuple[str, Drawn]] = {}
        for queued in work.queued:
            kit_id, wanted = work.wanted[queued.record_id]
            if queued.record_id in stuck:
                refused[queued] = stuck[queued.record_id]
            elif isinstance(wanted, Drawn):
                standing[queued] = (kit_id, wanted)
            elif isinstance(wanted, Unfit):
                refused[queued] = wanted.reason
        self._queue.place(moved, {row: drawn for row, drawn in standing.items() if row.content is None})
        refused |= self._write([(queued, drawn.lines) for queued, (_, drawn) in standing.items()])
        done = [queued for queued in work.queued if queued not in refused]
        self._queue.settle(done, refused)
        for queued, reason in refused.items():
            _log.warning("record %s (%s) is set aside: %s", queued.record_id, queued.kind, reason)
        gone = sum(queued not in standing for queued in done)
        return Round(len(done) - gone, gone, len(refused))

    def _take_away(self, work: Work) -> tuple[list[Place], Mapping[object, str]]:
        moved: list[Place] = []
        stuck: dict[object, str] = {}
        for record_id, place in work.places.items():
            _, wanted = work.wanted[record_id]
            if isinstance(wanted, Drawn) and wanted.place == place.place:
                continue
            try:
                for measurement in MEASUREMENTS[place.kind]:
                    self._influx.delete(measurement, place.first_ns, place.last_ns, place.kit_id)
            except CannotDeleteError as error:
                stuck[record_id] = f"{error}, and points of this record stand elsewhere: rebuild into an empty bucket"
            else:
                moved.append(place)
        return moved, stuck

    def _write(self, records: Sequence[tuple[Queued, tuple[str, ...]]]) -> dict[Queued, str]:
        refused: dict[Queued, str] = {}
        request: list[tuple[Queued, tuple[str, ...]]] = []
        size = 0
        for record in records:
            if request and size + len(record[1]) > REQUEST_LINES:
                refused |= self._send(request)
                request, size = [], 0
            request.append(record)
            size += len(record[1])
        if request:
            refused |= self._send(request)
        return refused

    def _send(self, request: Sequence[tuple[Queued, tuple[str, ...]]]) -> dict[Queued, str]:
        """Write some records; halve what is refused until it is one record. Give the refused with their reasons."""
        try:
            self._influx.write([line for _, lines in request for line in lines])
        except RefusedError as error:
            if len(request) == 1:
                return {request[0][0]: str(error)}
            half = len(request) // 2
            return self._send(request[:half]) | self._send(request[half:])
        return {}


def project_all(projector: Projector, on_round: Callable[[Round], None]) -> None:
    """Project until nothing waits.

    Raises:
        ServerAwayError, StoreUnavailableError: what is left stays queued.
        UsageError: the server does not let us in.
    """
    projector.clear()
    while (done := projector.round()) is not None:
        on_round(done)


def project_on(
    projector: Projector,
    on_round: Callable[[Round], None],
    *,
    check: Callable[[], None],
    wait: Callable[[float], bool],
) -> None:
    """Project until told to stop; outages of server and store are waited for, however long they are.

    Args:
        projector: what to run.
        on_round: told of each round.
        check: raises where another projector may have taken over.
        wait: sleeps for so many seconds; True says stop.

    Raises:
        UsageError: the server does not let us in, or the projection was taken out.
        StoreUnavailableError: from ``check``: begin anew with a new lock.
    """
    failures = 0
    while not wait(0.0):
        check()
        try:
            projector.clear()
            done = projector.round()
        except (ServerAwayError, StoreUnavailableError) as error:
            pause = pause_s(failures, random.random())  # noqa: S311 - jitter
            if isinstance(error, ServerAwayError) and error.after_s is not None:
                pause = max(pause, error.after_s)
            failures += 1
            _log.warning("%s; trying again in %.0f s", error, pause)
            if wait(pause):
                return
            continue
        if failures:
            _log.info("projecting again")
        failures = 0
        if done is not None:
            on_round(done)
        elif wait(IDLE_S):
            return


def pause_s(failures: int, luck: float) -> float:
    """Give the pause after some failures: exponential, between half and all of it by ``luck`` (0 to 1)."""
    longest: float = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2.0 ** min(failures, 16))
    return longest * (0.5 + 0.5 * luck)
