"""The kit as a whole: store, uplink, sensors and sessions put together."""

import asyncio
import logging
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Literal, NoReturn, Self

from bleak.backends.client import BaseBleakClient
from bleak.backends.scanner import BaseBleakScanner

from gonio.drivers.link import FoundSensor
from gonio.errors import GonioError, UsageError
from gonio.gateway.allowed_sensors import read_allowed
from gonio.gateway.brief import absences
from gonio.gateway.calibrations import Mounting, after_session, fresh_enough
from gonio.gateway.clock import KitClock
from gonio.gateway.commands import CommandHook, CommandName
from gonio.gateway.database import StoreWriteError
from gonio.gateway.events import Listener
from gonio.gateway.groups import first_error
from gonio.gateway.health import health_envelope
from gonio.gateway.inbox import State
from gonio.gateway.links.bluez import system_bluetooth
from gonio.gateway.links.diary import Diary
from gonio.gateway.links.hub import LinkHub, LinkOptions
from gonio.gateway.links.service import AdapterPort, BluetoothService, FixedBluetooth
from gonio.gateway.orders import forget_all
from gonio.gateway.recorder import record_streams
from gonio.gateway.records import PairedSensor
from gonio.gateway.reports import Report, report_draft
from gonio.gateway.rotation import CredentialKeeper
from gonio.gateway.sensors import Sensors
from gonio.gateway.session import FinishedSession, SessionRunner
from gonio.gateway.settings import KitSettings
from gonio.gateway.store import KitStore
from gonio.gateway.summary import SOFTWARE, SessionPlan
from gonio.gateway.uplink import Uplink, UplinkTiming
from gonio.gateway.wiping import DecommissionedError, remember_recording
from gonio.gateway.works import Surroundings, Works
from gonio.messages import Envelope
from gonio.recording import RecordingMeta, RecordingWriter
from gonio.signal.consts import EXERCISES, NO_EXERCISE, SEGMENTS, Segment, Side
from gonio.signal.knee.stored import StoredCalibration
from gonio.signal.reps.goal import Goal

log = logging.getLogger(__name__)


class Kit:
    """A gateway kit; ``async with`` opens its store, closes what a crash left open, and starts the uplink.

    Attributes:
        settings: what it was set to.
    """

    def __init__(
        self,
        settings: KitSettings,
        *,
        source: Literal["sensor", "simulated", "recording"] = "sensor",
        monotonic_ns: Callable[[], int] = time.monotonic_ns,
        scanner_backend: type[BaseBleakScanner] | None = None,
        client_backend: type[BaseBleakClient] | None = None,
        bluetooth: BluetoothService | None = None,
        uplink_timing: UplinkTiming | None = None,
        commands: Mapping[CommandName, CommandHook] | None = None,
    ) -> None:
        """Prepare; nothing is opened yet.

        Args:
            settings: data directory, broker, exercise, side.
            source: what moves the sensors; every record says it.
            monotonic_ns: the clock that stamps arrivals, ns.
            scanner_backend: bleak's scanner, where it is not the system's.
            client_backend: bleak's client likewise.
            bluetooth: the computer's Bluetooth, where it is not what these two say.
            uplink_timing: how patient the uplink is.
            commands: what of the clinic's commands can be carried out, and how; all others are refused.
        """
        self.settings = settings
        self._source: Literal["sensor", "simulated", "recording"] = source
        self._clock = KitClock(monotonic_ns)
        if bluetooth is None and scanner_backend is None:
            bluetooth = system_bluetooth()
        elif bluetooth is None:
            bluetooth = FixedBluetooth((AdapterPort("the adapter", scanner_backend, client_backend),))
        self._diary = Diary(settings.data_dir, now=self._clock.now)
        self._sensors = Sensors(
            bluetooth,
            scan_s=settings.scan_s,
            monotonic_ns=monotonic_ns,
            options=LinkOptions(slots=settings.adapter_slots),
            tell=self._diary.write,
            on_change=self._links_changed,
        )
        self._around = Surroundings(
            settings, self._clock, uplink_timing, commands or {}, self._health, self.stop_session
        )
        self._works: Works
        self._stack = AsyncExitStack()
        self._sitting_id = uuid.uuid4()
        self._runner: SessionRunner | None = None
        self._stop_wanted = False

    async def __aenter__(self) -> Self:
        """Open the kit.

        Raises:
            UsageError: the data directory or the broker's address cannot be used.
            StoreWriteError: the disk is full or failing.
        """
        self.settings.broker_address()  # said before anything is made
        self._works = await Works.open(self._around)
        try:
            self._stack.callback(self._close)
            group = await self._stack.enter_async_context(asyncio.TaskGroup())
            self._works.begin(group)
            self._life = group.create_task(self._live(group), name="kit-life")
        except BaseException:
            await self._stack.aclose()
            raise
        return self

    def _close(self) -> None:
        self._works.store.close()

    async def _live(self, group: asyncio.TaskGroup) -> NoReturn:
        """Begin anew whenever the kit is wiped; it ends where the kit is decommissioned.

        Raises:
            DecommissionedError: it has forgotten who it was.
        """
        while True:
            await self._works.orders.wiped()
            await self._works.end()
            if self._works.orders.gone:
                await asyncio.to_thread(forget_all, self.settings.data_dir, self.settings.keys())
                raise DecommissionedError(
                    "this kit was decommissioned by its clinic: it has forgotten all that it knew and who it was"
                )
            self._sensors.batteries.clear()
            self._sitting_id = uuid.uuid4()
            self._works = await Works.open(self._around)
            self._works.begin(group)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Stop the uplink, try the disk a last time for what it refused, close the store."""
        self._life.cancel()
        self._works.stop()
        try:
            await self._works.try_the_disk_once_more()
        finally:
            await self._leave(kind, error, traceback)

    async def _leave(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            if isinstance(error, asyncio.CancelledError):
                await self._stack.__aexit__(kind, error, traceback)
            else:  # an error of the body is the body's: a TaskGroup that saw it would wrap it
                await self._stack.aclose()
        except* GonioError as group:
            raise first_error(group) from None

    def _links_changed(self, hub: LinkHub | None) -> None:
        self._works.board.changed(hub)  # a wiped kit has a new one, which knows nothing of before

    @property
    def store(self) -> KitStore:
        """Its durable state, once entered; a wiped kit has another one."""
        return self._works.store

    @property
    def uplink(self) -> Uplink:
        """Its way to the clinic, once entered; likewise."""
        return self._works.uplink

    @property
    def recovered(self) -> Sequence[Envelope]:
        """The sessions that had been cut off and were closed on entering."""
        return self._works.recovered

    @property
    def credentials(self) -> CredentialKeeper | None:
        """Its key and certificate, once entered; None where no clinic has it."""
        return self._works.credentials

    @property
    def kit_id(self) -> str:
        """The kit's name."""
        return self.store.kit_id

    @property
    def held_in_memory(self) -> int:
        """Records that the disk has refused so far."""
        return self._works.keeper.held

    # --- sensors -----------------------------------------------------------------------------------------------------

    async def scan(self, timeout_s: float | None = None) -> list[FoundSensor]:
        """Look for sensors of every family that gonio knows.

        Raises:
            BluetoothUnavailableError: scanning is not possible.
        """
        return await self._sensors.scan(timeout_s)

    async def find_and_pair(
        self, *, thigh: str | None = None, shank: str | None = None, timeout_s: float | None = None
    ) -> Mapping[Segment, PairedSensor]:
        """Find the two sensors and remember which segment each belongs to.

        Args:
            thigh: address of the sensor on the thigh; None to take the only other one.
            shank: address of the sensor on the shank, likewise. One of both is needed: which of two sensors is where
                cannot be guessed.
            timeout_s: how long to look, s.

        Raises:
            OtherSensorError: the clinic gave this kit other sensors.
            UsageError: neither address is given, or both are the same.
            SensorNotFoundError: not both were found, or more than one could be the other.
            BluetoothUnavailableError: scanning is not possible.
        """
        wanted: dict[Segment, str] = {}
        if thigh:
            wanted["thigh"] = thigh.upper()
        if shank:
            wanted["shank"] = shank.upper()
        allowed = await asyncio.to_thread(read_allowed, self.settings.data_dir)
        if allowed is not None:
            allowed.require(wanted)
            wanted = allowed.by_segment
        if not wanted:
            raise UsageError("say which sensor is where (--thigh ADDRESS): 'gonio gateway scan' lists the addresses")
        if len(set(wanted.values())) < len(wanted):
            raise UsageError("thigh and shank need a sensor each, not the same one")
        chosen = await self._sensors.choose(wanted, timeout_s)
        sensors = [PairedSensor(segment, one.address, one.family, one.name) for segment, one in chosen.items()]
        await asyncio.to_thread(self.store.pair, sensors)
        return self.store.pairing()

    async def _pairing(self) -> Mapping[Segment, PairedSensor]:
        """Give the sensors that belong to the leg; those that the clinic gave are paired without being asked."""
        pairing = self.store.pairing()
        allowed = read_allowed(self.settings.data_dir)
        if allowed is not None:
            return pairing if allowed.fit(pairing) else await self.find_and_pair()
        if len(pairing) < len(SEGMENTS):
            raise UsageError("no sensors are paired with this kit: run 'gonio gateway pair' first")
        return pairing

    # --- sessions ----------------------------------------------------------------------------------------------------

    async def run_session(
        self,
        exercise: str | None = None,
        side: Side | None = None,
        *,
        goal: Goal | None = None,
        program: tuple[str, ...] = (),
        listener: Listener | None = None,
    ) -> FinishedSession:
        """Connect the paired sensors, run one session until ``stop_session()``, and commit its summary.

        Args:
            exercise: its name; None for the settings', and where that is None too it is recognised.
            side: the leg; None for the settings'.
            goal: what every repetition is to reach; None for the settings'.
            program: the exercises among which one is recognised; when empty those of the program in force, and where
                there is none all.
            listener: told of everything as it happens; must return at once and not raise.

        Raises:
            UsageError: no sensors are paired, or the exercise is unknown.
            PeerError: a sensor is not there, or refuses.
            StoreWriteError: so many records wait for the disk that no more can be held.
        """
        with self._works.orders.in_use():
            return await self._session(exercise, side, goal=goal, program=program, listener=listener)

    async def _session(
        self,
        exercise: str | None,
        side: Side | None,
        *,
        goal: Goal | None,
        program: tuple[str, ...],
        listener: Listener | None,
    ) -> FinishedSession:
        exercise = exercise or self.settings.exercise
        for name in (exercise, *program):
            if name is not None and name not in EXERCISES:
                raise UsageError(f"the exercise {name} is not known; it is one of {', '.join(EXERCISES)}")
        program = program or await asyncio.to_thread(self._prescribed)
        self._works.keeper.require_room()
        self._stop_wanted = False
        pairing = await self._pairing()
        mounting = Mounting(pairing["thigh"].address, pairing["shank"].address, side or self.settings.side)
        plan = SessionPlan(
            exercise,
            mounting.side,
            self._source,
            self._sitting_id,
            goal or self.settings.goal(),
            program,
            await self._kept_calibration(mounting),
        )
        async with self._sensors.worn(pairing) as (streams, reconnect):
            self._runner = SessionRunner(
                self.store, self._works.keeper, plan, streams, clock=self._clock, reconnect=reconnect, listener=listener
            )
            if self._stop_wanted:
                self._runner.stop()
            self._diary.write("a session begins")
            if listener is not None:
                for warning in self._sensors.warnings():
                    listener(warning)
            try:
                finished = await self._runner.run()
            finally:
                self._runner = None
            self._diary.write(
                f"the session ended after {finished.summary.duration_s:.0f} s{absences(finished.summary)}"
            )
        await self._keep_calibration(mounting, finished)
        return finished

    def _prescribed(self) -> tuple[str, ...]:
        """Name the exercises of today's program that sensors can recognise."""
        program = self.store.program_on(self._clock.now().date())
        names = dict.fromkeys(one.exercise for one in program.exercises) if program and not program.paused else {}
        return tuple(name for name in names if name in EXERCISES)

    def pose(self, seconds: float, flexion_deg: float = 0.0) -> None:
        """Tell the running session that from now on the knee is held still at a known flexion, for some seconds.

        Raises:
            UsageError: no session runs.
            ValueError: the time or the flexion is none of a pose.
        """
        if self._runner is None:
            raise UsageError("no session runs: begin one, then take the pose")
        self._runner.pose(seconds, flexion_deg)

    async def _kept_calibration(self, mounting: Mounting) -> StoredCalibration | None:
        if not self.settings.keep_calibration:
            return None
        kept = await asyncio.to_thread(self.store.calibration, mounting)
        return kept.calibration if kept is not None and fresh_enough(kept, self._clock.now()) else None

    async def _keep_calibration(self, mounting: Mounting, finished: FinishedSession) -> None:
        """Keep what a session found; a disk that refuses costs the next session a few seconds, and nothing else."""
        if not self.settings.keep_calibration:
            return
        try:
            before = await asyncio.to_thread(self.store.calibration, mounting)
            after = after_session(before, finished.summary, finished.calibration)
            if after != before:
                await asyncio.to_thread(self.store.keep_calibration, mounting, after)
        except StoreWriteError as error:
            log.warning("the calibration is not kept: %s", error)

    def stop_session(self) -> None:
        """End the running session, also one whose sensors are still being connected; without one it does nothing."""
        self._stop_wanted = True
        if self._runner is not None:
            self._runner.stop()

    async def record(
        self, directory: Path, stop: asyncio.Event, *, exercise: str | None = None, side: Side | None = None
    ) -> Mapping[Segment, int]:
        """Write what the paired sensors measure into a recording until ``stop`` is set; nothing is counted or sent.

        Returns:
            How many samples each sensor gave.

        Raises:
            UsageError: no sensors are paired, or the folder is not empty or cannot be written.
            PeerError: a sensor is not there, refuses, or is lost; what came before is in the recording.
        """
        with self._works.orders.in_use():
            return await self._record(directory, stop, exercise, side)

    async def _record(
        self, directory: Path, stop: asyncio.Event, exercise: str | None, side: Side | None
    ) -> Mapping[Segment, int]:
        await asyncio.to_thread(remember_recording, self.settings.data_dir, directory)
        async with self._sensors.worn(await self._pairing()) as (streams, _):
            meta = RecordingMeta(
                rate_hz=min(stream.info.rate_hz for stream in streams.values()),
                side=side or self.settings.side,
                exercise=exercise or self.settings.exercise or NO_EXERCISE,
                source=f"{SOFTWARE}, {self._source}",
            )
            with RecordingWriter(directory, meta, origin_s=self._clock.now_s()) as writer:
                return await record_streams(streams, writer, stop)

    # --- what people tell --------------------------------------------------------------------------------------------

    async def tell(self, report: Report, *, record_id: uuid.UUID | None = None) -> Envelope | None:
        """Keep what a person tells, and send it as any record; None when the disk refuses it, it is then held.

        Args:
            report: what is told.
            record_id: its id, where it was made before: told twice it is one record.

        Raises:
            StoreWriteError: so many records wait for the disk that no more can be held.
        """
        self._works.keeper.require_room()
        return await self._works.keeper.commit(report_draft(report, self._clock.capture(), record_id))

    async def answer(self, record_id: uuid.UUID, state: State) -> None:
        """Tell the clinic what became of a record of its; once told it is not told again.

        Raises:
            KeyError: the clinic sent no such record.
            StoreWriteError: the disk did not take it.
        """
        await asyncio.to_thread(self.store.answer, record_id, state, self._clock.capture())

    def now(self) -> datetime:
        """Give the kit's wall clock, aware."""
        return self._clock.now()

    # --- health ------------------------------------------------------------------------------------------------------

    async def _health(self) -> Envelope:
        status = self.uplink.status
        return await health_envelope(
            self.store,
            self._clock.capture(),
            held=self._works.keeper.held,
            disk=self._works.housekeeper.state,
            batteries=self._sensors.batteries,
            troubles=(
                self._works.keeper.trouble,
                self._works.housekeeper.trouble,
                self.credentials.trouble if self.credentials else None,
                status.refused,
                status.unanswered,
                status.trouble,
            ),
        )
