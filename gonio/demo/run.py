"""The whole product in one process: virtual sensors, kit, broker, clinic, pages."""

import asyncio
import logging
import math
import secrets
import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

from gonio.cloud_sink.review.gate import House
from gonio.cloud_sink.review.serve import review_server
from gonio.cloud_sink.store import Store
from gonio.demo.clinic import KIT_FOLDER, DemoClinic, running_clinic
from gonio.demo.display import Display
from gonio.demo.result import DemoResult, ErrorCount, Latency
from gonio.demo.scene import Scene, scene
from gonio.errors import UsageError
from gonio.gateway.brief import manner_of
from gonio.gateway.events import LiveAngle, SensorBack, SensorLost, SessionEvent, SessionStarted, Trouble
from gonio.gateway.kit import Kit
from gonio.gateway.page.home import Home
from gonio.gateway.page.live import Wanted
from gonio.gateway.page.serve import page_server
from gonio.gateway.session import FinishedSession
from gonio.gateway.settings import KitSettings
from gonio.gateway.time_zone import local_time_zone
from gonio.messages import GoalReport, SessionSummary, degrees
from gonio.messages.down import Prescribed, Program
from gonio.signal.consts import INCLINATION_ONLY, Side
from gonio.simulators.acts import Acts
from gonio.simulators.leg import LegMotion
from gonio.simulators.motion import Motion
from gonio.simulators.world import World

_TAIL_S: Final = 0.3  # real seconds for the last samples to arrive
_DRAIN_S: Final = 30.0  # how long the clinic may take to acknowledge everything
_CONNECT_S: Final = 4.0  # real seconds that the sensors may take until they stream
_FRAME_S: Final = 0.05  # between two pictures of the live angle
_PROGRAM: Final = uuid.UUID("7f3f2a52-6f0e-4b6e-9d0c-6d1f2f3a4b5c")
_PATIENT: Final = "Demo patient (simulated)"


@dataclass(frozen=True, slots=True)
class DemoOptions:
    """What a demo is asked to do.

    Attributes:
        motion: what moves the leg.
        source: "simulated", or the recording's name.
        family: of the virtual sensors.
        exercise: declared to the kit; None lets it recognise the exercise.
        data_dir: where kit and clinic keep their data.
        speed: simulated seconds per real second.
        seed: of all that varies in a simulation.
        stay: keep the pages up after the exercise, until told to stop.
    """

    motion: Motion
    source: str
    family: str
    exercise: str | None
    data_dir: Path
    speed: float
    seed: int
    stay: bool


@dataclass(slots=True)
class _Watcher:
    """Listens to the session: begins the motion when both sensors stream, and shows what happens."""

    display: Display
    scene: Scene
    lasts_s: float
    last_frame_s: float = -math.inf

    def __call__(self, event: SessionEvent) -> None:
        match event:
            case SessionStarted():
                self.scene.world.begin_motion()
            case LiveAngle() if time.monotonic() - self.last_frame_s >= _FRAME_S:
                self.last_frame_s = time.monotonic()
                began = self.scene.world.motion_began_s
                elapsed_s = 0.0 if began is None else self.scene.world.now_s() - began
                self.display.angle(elapsed_s, self.lasts_s, event.flexion_deg, event.reps)
            case SensorLost():
                self.display.warn(f"the {event.segment} sensor is lost ({event.reason}); waiting for it")
            case SensorBack():
                self.display.step(f"the {event.segment} sensor is back")
            case Trouble():
                self.display.warn(event.text)
            case _:
                pass


async def run_demo(
    options: DemoOptions, display: Display, stop: asyncio.Event, *, open_page: Callable[[str], object]
) -> DemoResult:
    """Run the main job once.

    Args:
        options: what to do.
        display: told of every step.
        stop: set it to end early; what was completed is kept and sent.
        open_page: called with the address of the finished session's page.

    Raises:
        GonioError: something that the person can mend; the text says what.
    """
    with _errors_counted() as errors:
        async with AsyncExitStack() as stack:
            clinic = await stack.enter_async_context(running_clinic(options.data_dir))
            book = clinic.book
            display.step("broker: running in this process, on this machine only; TLS, with certificates on both sides")
            address, ticket = await stack.enter_async_context(_pages(clinic))
            display.step("clinic: listening for kits")
            display.page("review pages", f"{address}?ticket={ticket}")
            world = World(options.speed)
            acts = Acts(options.motion)
            motion = acts if options.stay else options.motion  # a page may begin more than one exercise
            leg = await stack.enter_async_context(scene(motion, options.family, world, seed=options.seed))
            settings = KitSettings.load(data_dir=options.data_dir / KIT_FOLDER, side=options.motion.side)
            await asyncio.to_thread(clinic.claim, settings)
            display.step("kit: claimed by the clinic with a code; its records are signed")
            kit = Kit(
                settings,
                source=options.motion.origin,
                monotonic_ns=world.monotonic_ns,
                scanner_backend=leg.scanner_backend,
                client_backend=leg.client_backend,
            )
            await stack.enter_async_context(kit)
            _bind(book, kit)
            actor = _Actor(acts, options, world)
            home = await stack.enter_async_context(
                Home(kit, zone=ZoneInfo(local_time_zone()), on_begin=actor if options.stay else None)
            )
            if options.stay:
                prescribe(book, kit.kit_id, options.exercise, options.motion.side)
                page = await _at_usual_port(stack, partial(page_server, home, ticket=ticket))
                display.page("patient's page", f"{page}?ticket={ticket}")
                await asyncio.to_thread(open_page, f"{page}?ticket={ticket}")
            finished = await _session(home, leg, options, display, stop)
            if finished.envelope is not None:
                display.step("session done and stored on the kit; handing it to the clinic")
            else:
                display.warn("the disk did not take the session: free some space; the kit tries again while this runs")
            if not await kit.uplink.drain(_DRAIN_S):
                display.warn(f"not everything is acknowledged yet; it is kept in {options.data_dir}")
            result = _result(options, leg, kit, book, finished, errors)
            if finished.envelope is not None:
                page = f"{address}sessions/{finished.envelope.record_id}?ticket={ticket}"
                display.page("this session", page)
                await asyncio.to_thread(open_page, page)
            _show(display, result, finished.summary)
            if options.stay and not stop.is_set():
                display.step("the pages stay up until Ctrl-C")
                await stop.wait()
        if kit.held_in_memory:  # the kit has tried a last time when it closed
            raise UsageError(
                f"the disk did not take the session: free some space and go on with --data-dir {options.data_dir}; "
                "of this session only the repetitions that are in the kit's journal are kept"
            )
    return replace(result, errors=errors.count)


@dataclass(slots=True)
class _Actor:
    """Lets the simulated leg do each further exercise that the patient's page begins."""

    acts: Acts
    options: DemoOptions
    world: World
    begun: int = 0

    def __call__(self, wanted: Wanted) -> None:
        """Let the leg stand before its sensors are looked at, and then exercise; the first session has its own."""
        self.begun += 1
        motion, began_s = self.options.motion, self.world.motion_began_s
        if self.begun == 1 or began_s is None or not isinstance(motion, LegMotion):
            return
        later = LegMotion(
            wanted.exercise or motion.exercise,
            side=wanted.side,
            reps=wanted.reps or 10,
            seed=self.begun,
            mounting=motion.mounting,
            standing_s=3.0 + _CONNECT_S * self.options.speed,
        )
        self.acts.begin(later, self.world.now_s() - began_s)


async def _at_usual_port(stack: AsyncExitStack, server: Callable[..., AbstractAsyncContextManager[str]]) -> str:
    """Serve pages at their usual port, or at a free one where another demo or clinic has that; gives their address."""
    try:
        return await stack.enter_async_context(server())
    except UsageError:
        return await stack.enter_async_context(server(port=0))


def prescribe(book: Store, kit_id: str, exercise: str | None, side: Side) -> None:
    """Send the demo's kit a program that begins with the demo's exercise; it says that it is simulated."""
    names = dict.fromkeys([exercise or "heel-slide", "long-arc-quad", "sit-to-stand"])
    goals = {"heel-slide": GoalReport(flexion_deg=90.0), "long-arc-quad": GoalReport(extension_deg=10.0)}
    program = Program(
        program_id=_PROGRAM,  # the same in each run: a later one replaces it
        version=1,
        valid_from=datetime.now(ZoneInfo(local_time_zone())).date(),
        exercises=tuple(Prescribed(exercise=name, side=side, sets=2, reps=8, goal=goals.get(name)) for name in names),
        clinic="Demo clinic (simulated)",
        note="A few minutes, twice a day. Slow is fine.",
        simulated=True,
    )
    book.down.send(kit_id, program, actor="demo")


@contextmanager
def _errors_counted() -> Iterator[ErrorCount]:
    counter = ErrorCount()
    logging.getLogger().addHandler(counter)
    try:
        yield counter
    finally:
        logging.getLogger().removeHandler(counter)


@asynccontextmanager
async def _pages(clinic: DemoClinic) -> AsyncIterator[tuple[str, str]]:
    """Serve the review pages at their usual port, or at a free one where that is taken.

    Gives their address, and the ticket that signs this machine's browser in as long as the demo runs.
    """
    ticket = secrets.token_urlsafe(16)
    house = House(
        clinic.book.accounts(clinic.folder.pages_key()), clinic.book.of_clinic, clinic.book.stock, ticket=ticket
    )
    async with AsyncExitStack() as stack:
        yield await _at_usual_port(stack, partial(review_server, house)), ticket


def _bind(book: Store, kit: Kit) -> None:
    """Give the demo's kit to the demo's patient, once."""
    patients = [row for row in book.patients() if row.name == _PATIENT]
    patient_id = patients[0].patient_id if patients else book.add_patient(_PATIENT, local_time_zone())
    if not patients:
        book.bind_kit(kit.kit_id, patient_id, since=datetime.now(UTC))


async def _session(
    home: Home, leg: Scene, options: DemoOptions, display: Display, stop: asyncio.Event
) -> FinishedSession:
    """Find and pair the sensors, run one session while the leg moves, and commit it."""
    kit = home.kit
    await kit.find_and_pair(thigh=leg.sensors["thigh"].address, shank=leg.sensors["shank"].address)
    display.step("kit: both sensors found and paired, connecting")
    lasts_s = options.motion.duration_s if options.stay else None
    watch = asyncio.create_task(_stop_when_done(kit, leg, stop, lasts_s), name="end of the motion")
    try:
        wanted = Wanted(options.exercise, options.motion.side)
        return await home.live.run(wanted, listener=_Watcher(display, leg, options.motion.duration_s))
    finally:
        watch.cancel()
        with suppress(asyncio.CancelledError):
            await watch
        display.still()


async def _stop_when_done(kit: Kit, leg: Scene, stop: asyncio.Event, lasts_s: float | None) -> None:
    """Press "done" when the motion is over and its last samples have come, or when the person wants to leave."""

    async def motion_over() -> None:
        await leg.motion_over(lasts_s)
        await asyncio.sleep(_TAIL_S)

    over = asyncio.create_task(motion_over(), name="motion")
    told = asyncio.create_task(stop.wait(), name="told to stop")
    try:
        await asyncio.wait({over, told}, return_when=asyncio.FIRST_COMPLETED)
        kit.stop_session()
    finally:
        over.cancel()
        told.cancel()


def _result(
    options: DemoOptions, leg: Scene, kit: Kit, book: Store, finished: FinishedSession, errors: ErrorCount
) -> DemoResult:
    summary = finished.summary
    truth = leg.motion.truth
    began_s = leg.world.motion_began_s
    seconds = 0.0 if began_s is None else min(leg.world.now_s() - began_s, options.motion.duration_s)
    cut_short = seconds < options.motion.duration_s
    done = [rep for rep in truth.reps if rep.end_s <= seconds]
    counts = kit.store.counts()
    audit = book.audit()
    return DemoResult(
        device=options.family,
        source=options.source,
        exercise=summary.exercise,
        true_reps=(len(done) if truth.reps else None) if cut_short else truth.rep_count,
        counted_reps=len(summary.reps),
        true_max_flexion_deg=None if truth.max_flexion is None or cut_short else degrees(truth.max_flexion),
        max_flexion_deg=summary.max_flexion_deg,
        records_kit=counts.pending + counts.acknowledged + counts.rejected,
        records_clinic=audit.records,
        records_doubled=audit.doubled,
        notifications_lost=sum(sensor.lost for sensor in summary.sensors),
        errors=errors.count,
        latency_ms=Latency(
            *(
                None if on_kit is None else round(on_kit / options.speed, 2)
                for on_kit in (finished.latency_ms_p50, finished.latency_ms_p95)
            )
        ),
        seconds=round(seconds, 1),
        flags=summary.flags,
    )


def _show(display: Display, result: DemoResult, summary: SessionSummary) -> None:
    true_reps = "not known" if result.true_reps is None else result.true_reps
    display.step(f"repetitions: counted {result.counted_reps}, true {true_reps} ({result.exercise})")
    seen, true = (
        "not known" if angle is None else f"{angle:.1f}°"
        for angle in (result.max_flexion_deg, result.true_max_flexion_deg)
    )
    display.step(f"largest flexion: measured {seen}, true {true}")
    if INCLINATION_ONLY in summary.flags:
        display.warn("inclination only: without a gyroscope in both sensors no angle of the knee is told")
    if (manner := manner_of(summary)) is not None:
        display.step(manner)
    display.step(
        f"records: {result.records_kit} on the kit, {result.records_clinic} at the clinic, "
        f"{result.records_doubled} doubled"
    )
    p50, p95 = ("—" if t is None else f"{t:.0f}" for t in (result.latency_ms.p50, result.latency_ms.p95))
    display.step(f"from notification to angle: {p50} ms (median), {p95} ms (95 %)")
