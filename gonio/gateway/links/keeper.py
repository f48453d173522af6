"""Keeps the link to one sensor: the thin part between the table of states and Bluetooth.

A sensor's task does what its state says (see :mod:`gonio.gateway.links.table`) until that ends, or until something
from outside matters in that state; then the table gives the next state. Nothing else decides anything.
"""

import asyncio
import contextlib
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from gonio.drivers.link import SensorInfo, SensorLink
from gonio.drivers.link_errors import SensorLostError
from gonio.drivers.scan import FoundSensor
from gonio.errors import PeerError, RetryableError
from gonio.firmware_profiles import Profile
from gonio.gateway.links import words
from gonio.gateway.links.adapter import Adapter
from gonio.gateway.links.choice import Candidate, choose
from gonio.gateway.links.pauses import pause_s
from gonio.gateway.links.statistics import LinkReport, LinkStatistics
from gonio.gateway.links.table import CLOSING, Event, State, after, matters
from gonio.gateway.records import PairedSensor

if TYPE_CHECKING:
    from gonio.gateway.links.hub import LinkHub

#: After a silence, s: when it was this program that stood still, what has come meanwhile is delivered only now.
_GRACE_S: Final = 0.2
#: A sentence that was told is not told again within this time, s, so that a sensor that is away all night does not
#: fill the log.
_AGAIN_S: Final = 600.0
_REMEMBERED: Final = 32
#: Failed attempts in a row after which the system is asked to forget the sensor: it may hang in an attempt of its own.
_FIRMLY_EVERY: Final = 3


@dataclass(frozen=True, slots=True)
class Sighting:
    """A sensor as one adapter heard it."""

    adapter: Adapter
    found: FoundSensor


class SensorKeeper:
    """One sensor's link.

    Attributes:
        sensor: which sensor.
        address: its Bluetooth address, in capitals.
        state: where it stands.
        reason: the words of the last error, "" after the last success.
        error: that error.
        failures: failed attempts in a row.
        info: what it said of itself at the last connection; None before.
        rssi: its signal when it was last heard advertising, dBm; None before.
        adapter: through which it is, or was last, connected.
        link: the connection, where there is one.
    """

    def __init__(self, hub: "LinkHub", sensor: PairedSensor, profile: Profile) -> None:
        """Prepare; ``run`` does it.

        Raises:
            UsageError: the family gives no motion stream.
        """
        self.sensor = sensor
        self.address = sensor.address.upper()
        self.state = State.RESTING
        self.reason = ""
        self.error: PeerError | None = None
        self.failures = 0
        self.info: SensorInfo | None = None
        self.rssi: int | None = None
        self.adapter: Adapter | None = None
        self.link: SensorLink | None = None
        self._hub = hub
        self._profile = profile
        self._timing = hub.options.timing
        self._statistics = LinkStatistics()
        self._failures_at: Counter[str] = Counter()
        self._sightings: dict[str, Sighting] = {}
        self._heard = asyncio.Event()
        self._news: deque[Event] = deque()  # from outside, not yet looked at; each is looked at in the next step
        self._has_news = asyncio.Event()
        self._changed = asyncio.Condition()
        self._streaming_wanted = False
        self._released = False
        self._full = False
        self._usable = hub.trouble is None
        self._told: dict[str, float] = {}

    # --- what others ask ---------------------------------------------------------------------------------------------

    def want(self) -> None:
        """Look for the sensor and keep it connected from now on."""
        self._post(Event.WANTED)

    def release(self) -> None:
        """Let it go for good; ``run`` ends when it is disconnected."""
        self._released = True
        self._post(Event.RELEASED)

    def go(self) -> None:
        """Let it stream from now on, whenever it is connected."""
        self._streaming_wanted = True
        self._post(Event.GO)

    def halt(self) -> None:
        """Let it be quiet."""
        self._streaming_wanted = False
        self._post(Event.HALT)

    @property
    def streaming(self) -> bool:
        """Whether it streams over a link that stands, as far as anybody knows."""
        return self.state in {State.STREAMING, State.SUSPECT} and self.link is not None and self.link.lost is None

    @property
    def connected(self) -> bool:
        """Whether it is connected and configured."""
        return self.state in {State.READY, State.STARTING, State.STREAMING, State.SUSPECT}

    @property
    def quiet(self) -> bool:
        """Whether nothing more comes from it."""
        if self.state is State.READY:
            return self.link is None or not self.link.streaming
        return self.state not in {State.STARTING, State.STREAMING, State.SUSPECT}

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until something is so; it is looked at after every change of state."""
        async with self._changed:
            await self._changed.wait_for(condition)

    def report(self) -> LinkReport:
        """Count what has come and what has not."""
        return self._statistics.report(self._now_s())

    @property
    def statistics(self) -> LinkStatistics:
        """Where whoever takes the samples counts them."""
        return self._statistics

    @property
    def advice(self) -> str | None:
        """What a person can do, as a sentence; None when there is nothing to do."""
        return words.what_to_do(self.state, failures=self.failures, heard_before=self.rssi is not None, full=self._full)

    # --- what others tell --------------------------------------------------------------------------------------------

    def heard(self, sighting: Sighting) -> None:
        """Take note that an adapter hears the sensor."""
        self._sightings[sighting.adapter.port.name] = sighting
        self.rssi = sighting.found.rssi
        self._heard.set()

    def adapter_gone(self, adapter: Adapter) -> None:
        """Take note that an adapter is there no more."""
        self._sightings.pop(adapter.port.name, None)
        if self.adapter is adapter:
            self._fail(SensorLostError(f"{self._label} is gone: the Bluetooth adapter {adapter.port.name} went away"))
            self._post(Event.LINK_LOST)

    def bluetooth(self, *, usable: bool) -> None:
        """Take note of whether Bluetooth can be used at all."""
        self._usable = usable
        self._post(Event.BLUETOOTH_BACK if usable else Event.BLUETOOTH_GONE)

    def _on_link_lost(self, error: SensorLostError) -> None:
        self._fail(error)
        self._post(Event.LINK_LOST)

    def _post(self, event: Event) -> None:
        self._news.append(event)
        self._has_news.set()

    # --- the thin part -----------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Live through the states until released."""
        activities: Mapping[State, Callable[[], Awaitable[Event]]] = {
            State.RESTING: self._rest,
            State.SEARCHING: self._search,
            State.MISSING: self._search,
            State.CONNECTING: self._connect,
            State.PREPARING: self._prepare,
            State.READY: self._be_quiet,
            State.STARTING: self._start,
            State.STREAMING: self._watch,
            State.SUSPECT: self._ask,
            State.LOST: self._closed,
            State.WAITING: self._pause,
            State.REFUSED: self._pause_long,
            State.UNAVAILABLE: self._without_bluetooth,
        }
        try:
            while not (self._released and self.state is State.RESTING):
                if self.state in CLOSING:
                    await self._close()
                await self._enter(await self._next(activities[self.state]))
        finally:
            await self._close()
        await self._announce()

    async def _next(self, activity: Callable[[], Awaitable[Event]]) -> Event:
        """Do what the state says until it ends, or until news matter in this state."""
        doing = asyncio.ensure_future(self._guarded(activity))
        try:
            while True:
                while self._news:
                    event = self._news.popleft()
                    if matters(self.state, event):
                        return event
                self._has_news.clear()
                news = asyncio.ensure_future(self._has_news.wait())
                await asyncio.wait({doing, news}, return_when=asyncio.FIRST_COMPLETED)
                news.cancel()
                if doing.done() and not self._news:
                    return doing.result()
        finally:
            doing.cancel()
            await asyncio.gather(doing, return_exceptions=True)

    async def _guarded(self, activity: Callable[[], Awaitable[Event]]) -> Event:
        """Make events of the errors that a peer can cause."""
        try:
            return await activity()
        except RetryableError as error:
            self._fail(error)
            return Event.FAILED
        except PeerError as error:
            self._fail(error)
            return Event.DENIED

    def _fail(self, error: PeerError) -> None:
        self.error, self.reason = error, str(error)

    async def _enter(self, event: Event) -> None:
        before, self.state = self.state, after(self.state, event)
        if self.state in {State.LOST, State.REFUSED}:
            self.failures += 1
            if before is not State.STREAMING and self.adapter is not None:
                self._failures_at[self.adapter.port.name] += 1
        if (text := words.told(before, event, self.state, self._reason_of(event))) is not None:
            self._tell(text)
        await self._announce()

    def _reason_of(self, event: Event) -> str:
        return self.reason if event in {Event.FAILED, Event.DENIED, Event.LINK_LOST} else ""

    async def _announce(self) -> None:
        self._hub.on_change()
        async with self._changed:
            self._changed.notify_all()

    def _tell(self, text: str) -> None:
        now_s = asyncio.get_running_loop().time()
        if now_s - self._told.get(text, -_AGAIN_S) < _AGAIN_S and self.state is not State.STREAMING:
            return
        if len(self._told) >= _REMEMBERED:
            self._told.clear()
        self._told[text] = now_s
        advice = self.advice
        self._hub.tell(f"the {self.sensor.segment} sensor {text}" + (f": {advice}" if advice else ""))

    @property
    def _label(self) -> str:
        return f"{self.sensor.name} ({self.sensor.address})"

    def _now_s(self) -> float:
        return self._hub.monotonic_ns() * 1e-9

    # --- the activities ----------------------------------------------------------------------------------------------

    async def _rest(self) -> Event:
        return await _for_ever()

    async def _search(self) -> Event:
        self._sightings.clear()
        self._heard.clear()
        patience_s = None if self.state is State.MISSING else self._timing.unheard_s
        if not self._usable:
            return Event.BLUETOOTH_GONE
        if self.state is State.SEARCHING:
            await self._release()
        self._hub.look_for(self)
        try:
            async with asyncio.timeout(patience_s):
                await self._heard.wait()
            if len(self._hub.adapters) > 1:
                await asyncio.sleep(self._timing.settle_s)
        except TimeoutError:
            return Event.UNHEARD
        finally:
            self._hub.found(self)
        return self._take_adapter()

    async def _release(self) -> None:
        """End what the system holds of an earlier connection: while it does, the sensor does not advertise."""
        hangs = self.failures > 0 and self.failures % _FIRMLY_EVERY == 0
        if await self._hub.service.release(self.address, firmly=hangs):
            self._tell("was still connected by a program that is gone: that connection was ended")

    def _take_adapter(self) -> Event:
        """Choose among the adapters that hear it, and take one of the chosen one's places."""
        heard = self._sightings
        name = choose(
            {
                name: Candidate(one.found.rssi, len(one.adapter.held), one.adapter.slots, self._failures_at[name])
                for name, one in heard.items()
            }
        )
        self._full = name is None
        if name is None:
            return Event.FULL
        self.adapter = heard[name].adapter
        self.rssi = heard[name].found.rssi
        self.adapter.held.add(self.address)
        self.link = SensorLink(
            heard[name].found,
            self._profile,
            monotonic_ns=self._hub.monotonic_ns,
            client_backend=self.adapter.port.client_backend,
            patience=self._hub.options.patience,
            on_lost=self._on_link_lost,
        )
        return Event.HEARD

    def _linked(self) -> tuple[SensorLink, Adapter]:
        if self.link is None or self.adapter is None:
            raise RuntimeError(f"a sensor that is {self.state} has no link")
        return self.link, self.adapter

    async def _connect(self) -> Event:
        link, adapter = self._linked()
        async with adapter.turn():
            await link.connect()
        return Event.CONNECTED

    async def _prepare(self) -> Event:
        link, _ = self._linked()
        await link.prepare()
        self.info = link.info
        self._statistics.connected(link.info.rate_hz, self._now_s())
        charge = link.info.battery_percent
        if charge is not None and (warning := words.battery_words(charge)) is not None:
            self._tell(warning)
        return Event.PREPARED

    async def _be_quiet(self) -> Event:
        link, _ = self._linked()
        if self._streaming_wanted:
            return Event.GO
        await link.stop()
        self._statistics.halted()
        await self._announce()
        return await _for_ever()

    async def _start(self) -> Event:
        link, _ = self._linked()
        await link.start()
        return Event.STARTED

    async def _watch(self) -> Event:
        """Wait for silence, whether or not anybody takes the samples."""
        if not self._streaming_wanted:
            return Event.HALT
        link, _ = self._linked()
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        self.error, self.reason = None, ""
        graced = False
        while True:
            last_s = link.last_arrival_s
            limit_s = self._timing.first_data_s if last_s is None else self._timing.suspect_after_s(link.period_s)
            now_s = loop.time()
            if last_s is not None and last_s - began_s > self._timing.steady_s:
                self.failures = 0
                self._failures_at.clear()
            left_s = max(began_s, last_s or 0.0) + limit_s - now_s
            if left_s > 0:
                graced = False
                await asyncio.sleep(left_s)
            elif graced:
                return Event.SILENT
            else:
                graced = True
                await asyncio.sleep(_GRACE_S)

    async def _ask(self) -> Event:
        """Ask a silent sensor something; a link that stands may bring data again, for a while."""
        link, _ = self._linked()
        asking = asyncio.ensure_future(link.probe())
        coming = asyncio.ensure_future(link.next_arrival())
        try:
            async with asyncio.timeout(self._timing.silence_s):
                await asyncio.wait({asking, coming}, return_when=asyncio.FIRST_COMPLETED)
                if not coming.done():
                    asking.result()
                await coming
        except TimeoutError:
            return Event.SILENT
        finally:
            asking.cancel()
            coming.cancel()
            await asyncio.gather(asking, coming, return_exceptions=True)
        return Event.DATA

    async def _closed(self) -> Event:
        return Event.CLOSED

    async def _close(self) -> None:
        """Close what connection there is, also one that is lost: or the next would be delivered everything twice."""
        link, self.link = self.link, None
        if link is None:
            return
        if (what := words.GIVEN_UP.get(self.state)) is not None:
            link.give_up(what)
        with contextlib.suppress(PeerError):
            await link.close()
        self._statistics.disconnected(self._now_s())
        if self.adapter is not None:
            self.adapter.held.discard(self.address)

    async def _pause(self) -> Event:
        if self._full:
            await asyncio.sleep(self._timing.full_pause_s)
        else:
            await asyncio.sleep(pause_s(self.failures, self._timing, self._hub.options.rng))
        return Event.DUE

    async def _pause_long(self) -> Event:
        await asyncio.sleep(self._timing.refused_pause_s)
        return Event.DUE

    async def _without_bluetooth(self) -> Event:
        if self._usable:
            return Event.BLUETOOTH_BACK
        self._hub.look_for(self)  # whoever can listen again tells that Bluetooth is back
        try:
            return await _for_ever()
        finally:
            self._hub.found(self)


async def _for_ever() -> Event:
    """Wait for news from outside."""
    await asyncio.Event().wait()
    raise AssertionError
