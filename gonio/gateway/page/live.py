"""The session that runs, as every page sees it: one desk, however many phones look on.

A page never waits for another: each watcher is given the newest view and skips those it was too slow for. The session
belongs to the kit: a phone that goes away, is locked or loses the Wi-Fi changes nothing.
"""

import asyncio
import logging
import math
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final
from uuid import UUID

from gonio.errors import GonioError
from gonio.gateway import events
from gonio.gateway.kit import Kit
from gonio.gateway.session import FinishedSession
from gonio.gateway.signs import Signs, Sound
from gonio.messages.check_in import Author, VoidReport
from gonio.messages.down import Prescribed
from gonio.signal.consts import Segment, Side
from gonio.signal.reps.goal import Goal

log = logging.getLogger(__name__)

FRAME_S: Final = 1 / 30  # views a second to one watcher at most
HEARTBEAT_S: Final = 10.0  # a watcher hears something at least this often, and a page knows that it is still connected
STOP_WAIT_S: Final = (
    20.0  # a session that was stopped is summed up and on the disk within a second; a slow card needs more
)


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
        seconds: how long a set takes that is done by time; None: by repetitions.
        ceiling_deg: never to be bent beyond.
        stranger: somebody else tries the sensors: kept, and struck out.
        author: who began it.
    """

    exercise: str | None
    side: Side
    goal: Goal | None = None
    reps: int | None = None
    seconds: float | None = None
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
        prescribed.duration_s,
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
        seconds: after the start.
        reps: complete repetitions.
        partial: moves that fell clearly short.
        on_target: repetitions that reached what is asked; None where nothing is.
        kept: how many are on the disk.
        lost: segments whose sensor is away.
        flags: what the result would be marked with.
        trouble: what a person should know.
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
    seconds: float = 0.0
    reps: int = 0
    partial: int = 0
    on_target: int | None = None
    kept: int = 0
    lost: tuple[Segment, ...] = ()
    flags: tuple[str, ...] = ()
    trouble: str | None = None
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
        on_rep: Callable[[], Awaitable[None]] | None = None,
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
            await self._strike_out(wanted)
        except GonioError as caught:
            error = caught
            raise
        finally:
            self._end(finished, error)
        return finished

    async def _guarded(self, wanted: Wanted) -> None:
        try:
            await self.run(wanted)
        except GonioError as error:
            log.warning("the session that a page began came to nothing: %s", error)

    async def _strike_out(self, wanted: Wanted) -> None:
        """Strike a session out that was not the patient's."""
        if wanted.stranger and self.view.record_id is not None:
            await self._kit.tell(VoidReport(record_id=self.view.record_id, reason="not-me", author=wanted.author))

    def _end(self, finished: FinishedSession | None, error: GonioError | None) -> None:
        done = self.view.record_id if finished is not None else self.view.done
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
            case events.LiveAngle(t_s=t_s, flexion_deg=flexion, latency_ms=latency_ms):
                self._update(deg=flexion, seconds=t_s, wall_ms=time.time_ns() // 1_000_000, latency_ms=latency_ms)
            case events.RepCounted():
                self._count(event)
            case events.RepsKept(number=number):
                self._update(kept=number)
            case events.SensorLost(segment=segment):
                self._signs.sound("failed")
                self._update(lost=tuple(sorted({*view.lost, segment})), deg=None)
            case events.SensorBack(segment=segment):
                self._update(lost=tuple(one for one in view.lost if one != segment))
            case events.Noticed(flags=flags):
                self._update(flags=flags)
            case events.Trouble(text=text):
                self._update(trouble=text)

    def _count(self, rep: events.RepCounted) -> None:
        view = self.view
        reps = view.reps + rep.complete
        on_target = view.on_target if rep.on_target is None else (view.on_target or 0) + rep.on_target
        self._update(reps=reps, partial=view.partial + (not rep.complete), on_target=on_target)
        wanted = view.wanted
        sound: Sound = "enough" if wanted is not None and rep.complete and reps == wanted.reps else "repetition"
        self._signs.sound(sound)
        if rep.number == 1 and self._on_rep is not None:
            asyncio.ensure_future(self._on_rep()).add_done_callback(_told)

    def _update(self, **changes: object) -> None:
        self._show(replace(self.view, **changes))  # type: ignore[arg-type]

    def _show(self, view: LiveView) -> None:
        self.view = replace(view, number=self.view.number + 1)
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()


def _told(task: "asyncio.Future[None]") -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        log.error("a reaction could not be noted: %s", error)
