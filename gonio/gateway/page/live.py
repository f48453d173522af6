"""The session that runs, as every page sees it: one desk, however many phones look on.

A page never waits for another: each watcher is given the newest view and skips those it was too slow for. The session
belongs to the kit: a phone that goes away, is locked or loses the Wi-Fi changes nothing.
"""

import asyncio
import logging
import math
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final
from uuid import UUID

from gonio.errors import GonioError
from gonio.gateway import events
from gonio.gateway.kit import Kit
from gonio.gateway.session import FinishedSession
from gonio.gateway.signs import Signs
from gonio.messages.check_in import Author, VoidReport
from gonio.messages.down import Prescribed
from gonio.signal.consts import Segment, Side
from gonio.signal.reps.goal import Goal

log = logging.getLogger(__name__)

FRAME_S: Final = 1 / 30  # views a second to one watcher at most
HEARTBEAT_S: Final = 10.0  # a watcher hears something at least this often, and a page knows that it is still connected
STOP_WAIT_S: Final = 20.0  # what was stopped is summed up and on the disk within a second; a slow card needs more


class Phase(StrEnum):
    """How far a session has come."""

    IDLE = "idle"
    CONNECTING = "connecting"
    RUNNING = "running"
    ENDING = "ending"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be done.

    Attributes:
        exercise: its name; None to recognise it.
        side: the leg.
        goal: what is asked of each repetition.
        reps: how many are prescribed in a set; None: by time.
        ceiling_deg: never to be bent beyond.
        stranger: somebody else tries the sensors: kept, and struck out.
        author: who began it.
    """

    exercise: str | None
    side: Side
    goal: Goal | None = None
    reps: int | None = None
    ceiling_deg: float | None = None
    stranger: bool = False
    author: Author = "patient"


def bend_target(one: Prescribed) -> float | None:
    """Give the bend that is aimed for, degrees; never beyond what the surgeon allows."""
    wanted = one.goal.flexion_deg if one.goal is not None else None
    if wanted is None:
        return None
    return wanted if one.ceiling_deg is None else min(wanted, one.ceiling_deg)


def wanted_of(prescribed: Prescribed, *, stranger: bool = False, author: Author = "patient") -> Wanted:
    """Give what a line of a program asks for.

    Args:
        prescribed: the line.
        stranger: somebody else tries the sensors.
        author: who begins it.
    """
    goal, asked = prescribed.goal, None
    if goal is not None:
        angles = (bend_target(prescribed), goal.extension_deg, goal.height_deg)
        flexion, extension, height = (None if angle is None else math.radians(angle) for angle in angles)
        asked = Goal(flexion=flexion, extension=extension, height=height, hold_s=goal.hold_s)
    return Wanted(
        prescribed.exercise,
        prescribed.side,
        asked,
        prescribed.reps,
        prescribed.ceiling_deg,
        stranger=stranger,
        author=author,
    )


@dataclass(frozen=True, slots=True)
class LiveView:
    """What there is to see; ``number`` grows with each change.

    Attributes:
        number: of the change.
        phase: how far it has come.
        wanted: what is to be done; None where nothing runs.
        record_id: the record that the session will be.
        deg: knee flexion, degrees; None while it is not known.
        reps: complete repetitions.
        lost: segments whose sensor is away.
        flags: what the result would be marked with.
        troubles: what else a person should know of.
        paused: the patient rests; nothing is lost meanwhile.
        error: why the last session did not begin, or ended; None where all went well.
        done: the last session that ended; None before.
        unsaved: it is in memory only, because the disk refused it.
        wall_ms: when the angle was known, ms since 1970, and
        latency_ms: how long that took from the arrival of its samples.
    """

    number: int = 0
    phase: Phase = Phase.IDLE
    wanted: Wanted | None = None
    record_id: UUID | None = None
    deg: float | None = None
    reps: int = 0
    lost: tuple[Segment, ...] = ()
    flags: tuple[str, ...] = ()
    troubles: tuple[events.Concern, ...] = ()
    paused: bool = False
    error: GonioError | None = None
    done: UUID | None = None
    unsaved: bool = False
    wall_ms: int = 0
    latency_ms: float = 0.0

    @property
    def runs(self) -> bool:
        """Whether a session is on its way."""
        return self.phase is not Phase.IDLE


class LiveDesk:
    """Begins and ends sessions, and tells all who watch."""

    def __init__(
        self,
        kit: Kit,
        signs: Signs,
        *,
        on_rep: Callable[[], Coroutine[None, None, None]],
        on_begin: Callable[[Wanted], None] | None = None,
    ) -> None:
        """Prepare.

        Args:
            kit: whose sessions.
            signs: its lamp and its sounds.
            on_rep: called after the first repetition of a session: the patient reacted.
            on_begin: called when a session is wanted, before its sensors are connected.
        """
        self._kit = kit
        self._signs = signs
        self._on_rep = on_rep
        self._on_begin = on_begin
        self._tasks: set[asyncio.Task[object]] = set()
        self._changed = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._closing = False
        self.view = LiveView()

    # --- for the pages -----------------------------------------------------------------------------------------------

    def begin(self, wanted: Wanted, tasks: asyncio.TaskGroup) -> bool:
        """Begin a session; False where one runs already, which goes on."""
        if self.view.runs:
            return False
        self._show(LiveView(phase=Phase.CONNECTING, wanted=wanted, done=self.view.done))
        self._idle.clear()
        tasks.create_task(self._guarded(wanted), name="session of the page")
        return True

    def pause(self, *, on: bool) -> None:
        """Note that the patient rests, or goes on; without a session nothing happens."""
        if self.view.runs:
            self._update(paused=on)

    async def stop(self) -> UUID | None:
        """End the session; gives the record that it is, None where none runs or it is not over in time."""
        record_id = self.view.record_id
        if not self.view.runs:
            return self.view.done
        self._update(phase=Phase.ENDING)
        self._kit.stop_session()
        try:
            async with asyncio.timeout(STOP_WAIT_S):
                await self._idle.wait()
        except TimeoutError:
            return None
        return record_id if self.view.done == record_id else None

    async def views(self) -> AsyncIterator[LiveView]:
        """Give the view now, and each newer one, at most 30 a second; the same again when nothing changes for long."""
        while not self._closing:
            changed = self._changed
            view = self.view
            yield view
            await asyncio.sleep(FRAME_S)
            if self.view.number == view.number and not self._closing:
                try:
                    async with asyncio.timeout(HEARTBEAT_S):
                        await changed.wait()
                except TimeoutError:
                    continue

    def close(self) -> None:
        """Let all who watch go."""
        self._closing = True
        self._changed.set()

    def shake(self) -> None:
        """Let all who watch look again: something beside the session has changed."""
        self._update()

    # --- the session -------------------------------------------------------------------------------------------------

    async def run(self, wanted: Wanted, *, listener: events.Listener | None = None) -> FinishedSession:
        """Run a session from begin to end, and show it.

        Args:
            wanted: what is to be done.
            listener: is told of everything as well.

        Raises:
            GonioError: as ``Kit.run_session``.
        """
        if self.view.phase is not Phase.CONNECTING:
            self._show(LiveView(phase=Phase.CONNECTING, wanted=wanted, done=self.view.done))
            self._idle.clear()

        def heed(event: events.SessionEvent) -> None:
            self._heed(event)
            if listener is not None:
                listener(event)

        self._signs.light("connecting")
        if self._on_begin is not None:
            self._on_begin(wanted)
        error: GonioError | None = None
        finished: FinishedSession | None = None
        try:
            finished = await self._kit.run_session(wanted.exercise, wanted.side, goal=wanted.goal, listener=heed)
        except GonioError as caught:
            error = caught
            raise
        finally:
            await asyncio.gather(*self._tasks, return_exceptions=True)
            self._end(finished, error)
        return finished

    async def _guarded(self, wanted: Wanted) -> None:
        try:
            await self.run(wanted)
        except GonioError as error:
            log.warning("the session that a page began came to nothing: %s", error)

    async def _strike_out(self, record_id: UUID, author: Author) -> None:
        """Strike a session out that is not the patient's, at its very beginning: no power cut makes it count."""
        try:
            await self._kit.tell(VoidReport(record_id=record_id, reason="not-me", author=author))
        except GonioError as error:
            log.error("session %s is a stranger's and could not be struck out: %s", record_id, error)  # noqa: TRY400
            self._kit.stop_session()

    def _end(self, finished: FinishedSession | None, error: GonioError | None) -> None:
        wanted = self.view.wanted
        counts = finished is not None and not (wanted is not None and wanted.stranger)
        done = self.view.record_id if counts else self.view.done
        unsaved = finished is not None and finished.envelope is None
        self._signs.light("trouble" if error or unsaved else "ready")
        self._signs.sound("failed" if error or unsaved else "ended")
        self._show(LiveView(done=done, error=error, unsaved=unsaved))
        self._idle.set()

    def _heed(self, event: events.SessionEvent) -> None:
        view = self.view
        match event:
            case events.SessionStarted(record_id=record_id):
                self._signs.light("recording")
                self._signs.sound("begin")
                phase = Phase.ENDING if view.phase is Phase.ENDING else Phase.RUNNING
                self._update(phase=phase, record_id=record_id)
                if view.wanted is not None and view.wanted.stranger:
                    self._beside(self._strike_out(record_id, view.wanted.author))
            case events.LiveAngle(flexion_deg=flexion, latency_ms=latency_ms):
                self._update(deg=flexion, wall_ms=time.time_ns() // 1_000_000, latency_ms=latency_ms)
            case events.RepCounted():
                self._count(event)
            case events.SensorLost(segment=segment):
                self._signs.sound("failed")
                self._update(lost=tuple(sorted({*view.lost, segment})), deg=None)
            case events.SensorBack(segment=segment):
                self._update(lost=tuple(one for one in view.lost if one != segment))
            case events.Noticed(flags=flags):
                self._update(flags=flags)
            case events.Trouble(about=about):
                self._update(troubles=tuple(sorted({*view.troubles, about})))
            case _:
                pass

    def _count(self, rep: events.RepCounted) -> None:
        wanted, reps = self.view.wanted, self.view.reps + rep.complete
        self._update(reps=reps)
        enough = rep.complete and wanted is not None and reps == wanted.reps
        self._signs.sound("enough" if enough else "repetition")
        if rep.number == 1:
            self._beside(self._on_rep())

    def _beside(self, work: Coroutine[None, None, object]) -> None:
        """Do something that the disk must take, while the session goes on."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _update(self, **changes: object) -> None:
        self._show(replace(self.view, **changes))  # type: ignore[arg-type]

    def _show(self, view: LiveView) -> None:
        self.view = replace(view, number=self.view.number + 1)
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()
