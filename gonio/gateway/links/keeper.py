"""Keeps the link to one sensor: the thin part between the table of states and Bluetooth.

A sensor's task does what its state says (see :mod:`gonio.gateway.links.table`) until that ends, or until something
from outside matters in that state; then the table gives the next state. Nothing else decides anything.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Final

from gonio.drivers.link import SensorInfo, SensorLink
from gonio.drivers.link_errors import SensorLostError
from gonio.errors import PeerError, RetryableError
from gonio.firmware_profiles import Profile
from gonio.gateway.links import words
from gonio.gateway.links.activities import Activities, news_only
from gonio.gateway.links.adapter import Adapter
from gonio.gateway.links.pauses import pause_s
from gonio.gateway.links.statistics import LinkReport, LinkStatistics
from gonio.gateway.links.table import CLOSING, LINKED, Event, State, after, matters
from gonio.gateway.records import PairedSensor

if TYPE_CHECKING:
    from gonio.gateway.links.hub import LinkHub

#: A sentence that was told is not told again within this time, s, so that a sensor that is away all night does not
#: fill the log; so many are remembered.
_AGAIN_S: Final = 600.0
_REMEMBERED: Final = 32
#: The states in which a person may have to do something.
_TROUBLE: Final = frozenset({State.LOST, State.MISSING, State.REFUSED, State.WAITING, State.UNAVAILABLE})
#: Failed attempts in a row after which the system is asked to forget the sensor: it may hang in an attempt of its own.
_FIRMLY_EVERY: Final = 3


class SensorKeeper:
    """One sensor's link.

    Attributes:
        sensor: which sensor.
        address: its Bluetooth address, in capitals.
        state: where it stands.
        error: the last error since it last streamed; None where there was none.
        failures: failed attempts in a row.
    """

    def __init__(self, hub: "LinkHub", sensor: PairedSensor, profile: Profile) -> None:
        """Prepare; ``run`` does it.

        Args:
            hub: for adapters, options, and whom to tell.
            sensor: which.
            profile: its family.
        """
        self.sensor = sensor
        self.address = sensor.address.upper()
        self.state = State.RESTING
        self.error: PeerError | None = None
        self.failures = 0
        self._hub = hub
        self._timing = hub.options.timing
        self._does = Activities(
            hub, self.address, profile, label=f"{sensor.name} ({sensor.address})", on_lost=self._on_link_lost
        )
        self._news: deque[Event] = deque()  # from outside, not yet looked at; each is looked at in the next step
        self._has_news = asyncio.Event()
        self._changed = asyncio.Condition()
        self._streaming_wanted = False
        self._released = False
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

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until something is so; it is looked at after every change of state."""
        async with self._changed:
            await self._changed.wait_for(condition)

    @property
    def connected(self) -> bool:
        """Whether it is connected and configured."""
        return self.state in {State.READY, State.STARTING, State.STREAMING, State.SUSPECT}

    @property
    def streaming(self) -> bool:
        """Whether it streams over a link that stands, as far as anybody knows."""
        return self.state in {State.STREAMING, State.SUSPECT} and self.link is not None and self.link.lost is None

    @property
    def quiet(self) -> bool:
        """Whether nothing more comes from it."""
        if self.state is State.READY:
            return self.link is None or not self.link.streaming
        return self.state not in {State.STARTING, State.STREAMING, State.SUSPECT}

    @property
    def link(self) -> SensorLink | None:
        """The connection, where there is one."""
        return self._does.link

    @property
    def info(self) -> SensorInfo | None:
        """What it said of itself at the last connection; None before."""
        return self._does.info

    @property
    def rssi(self) -> int | None:
        """Its signal when it was last heard advertising, dBm; None before."""
        return self._does.rssi

    @property
    def adapter_name(self) -> str | None:
        """Through which adapter it is, or was last, connected; None before."""
        return None if self._does.adapter is None else self._does.adapter.port.name

    @property
    def statistics(self) -> LinkStatistics:
        """Where whoever takes the samples counts them."""
        return self._does.statistics

    def report(self) -> LinkReport:
        """Count what has come and what has not."""
        return self._does.statistics.report(self._does.now_s())

    @property
    def advice(self) -> str | None:
        """What a person can do, as a sentence; None when there is nothing to do."""
        return words.what_to_do(
            self.state, failures=self.failures, heard_before=self.rssi is not None, full=self._does.full
        )

    # --- what others tell --------------------------------------------------------------------------------------------

    def adapter_gone(self, adapter: Adapter) -> None:
        """Take note that an adapter is there no more."""
        if (error := self._does.adapter_gone(adapter)) is not None:
            self._on_link_lost(error)

    def bluetooth(self, *, usable: bool, there: bool) -> None:
        """Take note of whether Bluetooth can be used at all.

        Args:
            usable: whether anything can be begun.
            there: whether an adapter is there; while one is, a link that stands may be good though no scan begins.
        """
        self._usable = usable
        if usable:
            self._post(Event.BLUETOOTH_BACK)
        elif not there or self.state not in LINKED:
            self._post(Event.BLUETOOTH_GONE)

    def _on_link_lost(self, error: SensorLostError) -> None:
        self.error = error
        self._post(Event.LINK_LOST)

    def _post(self, event: Event) -> None:
        self._news.append(event)
        self._has_news.set()

    # --- the thin part -----------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Live through the states until released."""
        does: Mapping[State, Callable[[], Awaitable[Event]]] = {
            State.RESTING: news_only,
            State.SEARCHING: self._search,
            State.MISSING: self._search,
            State.CONNECTING: self._does.connect,
            State.PREPARING: self._does.prepare,
            State.READY: self._be_ready,
            State.STARTING: self._does.start,
            State.STREAMING: self._stream,
            State.SUSPECT: self._does.ask,
            State.LOST: self._closed,
            State.WAITING: self._pause,
            State.REFUSED: self._pause_long,
            State.UNAVAILABLE: self._without_bluetooth,
        }
        try:
            while not (self._released and self.state is State.RESTING):
                if self.state in CLOSING:
                    await self._does.close(words.GIVEN_UP.get(self.state))
                await self._enter(await self._next(does[self.state]))
        finally:
            await self._does.close(None)
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
                if doing.done():
                    return doing.result()
                self._has_news.clear()
                news = asyncio.ensure_future(self._has_news.wait())
                await asyncio.wait({doing, news}, return_when=asyncio.FIRST_COMPLETED)
                news.cancel()
        finally:
            doing.cancel()
            await asyncio.gather(doing, return_exceptions=True)

    async def _guarded(self, activity: Callable[[], Awaitable[Event]]) -> Event:
        """Make events of the errors that a peer can cause."""
        try:
            return await activity()
        except RetryableError as error:
            self.error = error
            return Event.FAILED
        except PeerError as error:
            self.error = error
            return Event.DENIED

    async def _enter(self, event: Event) -> None:
        before, self.state = self.state, after(self.state, event)
        if self._does.steady:
            self.failures = 0
        if self.state in {State.LOST, State.REFUSED}:
            self.failures += 1
            if before is not State.STREAMING:
                self._does.failed_here()
        failed = event in {Event.FAILED, Event.DENIED, Event.LINK_LOST} and self.error is not None
        if (text := words.told(before, event, self.state, str(self.error) if failed else "")) is not None:
            self._tell(text, self.advice if self.state in _TROUBLE else None)
        if event is Event.PREPARED:
            self._tell_battery()
        await self._announce()

    async def _announce(self) -> None:
        self._hub.on_change()
        async with self._changed:
            self._changed.notify_all()

    def _tell(self, text: str, advice: str | None = None) -> None:
        now_s = asyncio.get_running_loop().time()
        if now_s - self._told.get(text, -_AGAIN_S) < _AGAIN_S and self.state is not State.STREAMING:
            return
        if len(self._told) >= _REMEMBERED or self.state is State.STREAMING:  # what comes after is news again
            self._told.clear()
        self._told[text] = now_s
        self._hub.tell(f"the {self.sensor.segment} sensor {text}" + (f": {advice}" if advice else ""))

    def _tell_battery(self) -> None:
        charge = None if self.info is None else self.info.battery_percent
        if charge is not None and (warning := words.battery_words(charge)) is not None:
            self._tell(warning)

    # --- what needs to know more than Bluetooth ----------------------------------------------------------------------

    async def _search(self) -> Event:
        if not self._usable:
            return Event.BLUETOOTH_GONE
        while True:
            await self._release()
            event = await self._does.search(self._timing.unheard_s)
            if event is not Event.UNHEARD or self.state is not State.MISSING:
                return event

    async def _release(self) -> None:
        """End what the system holds of an earlier connection: while it does, the sensor does not advertise."""
        hangs = self.failures > 0 and self.failures % _FIRMLY_EVERY == 0
        if await self._hub.service.release(self.address, firmly=hangs or self.state is State.MISSING):
            self._tell("was still connected by a program that is gone: that connection was ended")

    async def _be_ready(self) -> Event:
        if self._streaming_wanted:
            return Event.GO
        await self._does.quieten()
        await self._announce()
        return await news_only()

    async def _stream(self) -> Event:
        if not self._streaming_wanted:
            return Event.HALT
        self.error = None
        return await self._does.watch()

    async def _closed(self) -> Event:
        return Event.CLOSED

    async def _pause(self) -> Event:
        full_s = self._timing.full_pause_s
        await asyncio.sleep(full_s if self._does.full else pause_s(self.failures, self._timing, self._hub.options.rng))
        return Event.DUE

    async def _pause_long(self) -> Event:
        await asyncio.sleep(self._timing.refused_pause_s)
        return Event.DUE

    async def _without_bluetooth(self) -> Event:
        if self._usable:
            return Event.BLUETOOTH_BACK
        # Whoever can listen again tells that Bluetooth is back; whatever is heard meanwhile is heard again later.
        self._hub.look_for(self.address, lambda _: None)
        try:
            return await news_only()
        finally:
            self._hub.found(self.address)
