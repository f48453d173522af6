"""Both sensors' samples as a session takes them: a lost sensor is waited for while the other goes on."""

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final, TypeAlias

from gonio.errors import PeerError
from gonio.gateway.events import Listener, SensorBack, SensorLost, Trouble
from gonio.gateway.streams import SensorStream
from gonio.messages import SensorReport
from gonio.signal.chunks import SampleChunk, StreamDefects
from gonio.signal.consts import SEGMENTS, Segment

log = logging.getLogger(__name__)

REGAIN_S: Final = 60.0  # how long a lost sensor may stay away
STOP_S: Final = 5.0  # how long sensors may take to stop

Reconnect: TypeAlias = Callable[[Segment], Awaitable[SensorStream]]


class Intake:
    """Takes samples from both sensors until it is stopped, or one of them is lost for good.

    Attributes:
        lost: the sensors that are away now.
        flags: what a record must say of the links.
    """

    def __init__(
        self,
        streams: Mapping[Segment, SensorStream],
        *,
        take: Callable[[Segment, SampleChunk], None],
        tell: Listener,
        now_s: Callable[[], float],
        reconnect: Reconnect | None = None,
        regain_s: float = REGAIN_S,
    ) -> None:
        """Prepare.

        Args:
            streams: the sensor on each segment; not yet started.
            take: given every chunk as it comes.
            tell: told of losses and returns.
            now_s: the clock that stamps arrivals, s.
            reconnect: gives a lost sensor's new stream, started; may try as long as it likes, it is cancelled.
            regain_s: how long a lost sensor may stay away, s.
        """
        self.lost: set[Segment] = set()
        self.flags: set[str] = set()
        self._streams = dict(streams)
        self._take = take
        self._tell = tell
        self._now_s = now_s
        self._reconnect = reconnect
        self._regain_s = regain_s
        self._stopping = asyncio.Event()
        self._malformed: Counter[Segment] = Counter()
        self._repeated: Counter[Segment] = Counter()
        self._reconnects: Counter[Segment] = Counter()
        self._newest_s: dict[Segment, float] = {}
        self._away_s: dict[Segment, float] = dict.fromkeys(streams, 0.0)
        self._was_away: set[Segment] = set()  # back, but no sample has come yet

    async def start(self) -> None:
        """Let the sensors stream.

        Raises:
            PeerError: one could not be started.
        """
        for segment in SEGMENTS:
            await self._streams[segment].start()

    def stop(self) -> None:
        """Take no more; again has no effect."""
        self._stopping.set()

    async def run(self, limit_s: float, on_limit: Callable[[], None]) -> None:
        """Take samples until stopped.

        Args:
            limit_s: end after this time, s ...
            on_limit: ... and call this.
        """
        async with asyncio.TaskGroup() as readers:
            reading = [readers.create_task(self._read(segment), name=f"session-{segment}") for segment in SEGMENTS]
            readers.create_task(self._end(reading, limit_s, on_limit), name="session-stop")

    async def _read(self, segment: Segment) -> None:
        while not self._stopping.is_set():
            try:
                async for chunk in self._streams[segment].chunks():
                    self._note(segment, chunk)
                    self._take(segment, chunk)
                    await asyncio.sleep(0)  # a queue that is never empty must not starve the callbacks that fill it
                break
            except PeerError as error:
                log.warning("%s sensor lost: %s", segment, error)
                self.lost.add(segment)
                self._tell(SensorLost(segment, str(error)))
                if not await self._regain(segment):
                    self.flags.add("sensor-lost")
                    break
        self.stop()

    def _note(self, segment: Segment, chunk: SampleChunk) -> None:
        """Remember when samples came last; the first after an absence end it."""
        if chunk.arrival_s is None or len(chunk) == 0:
            return
        if segment in self._was_away:
            self._was_away.discard(segment)
            self._away_s[segment] += max(0.0, chunk.arrival_s.item(0) - self._newest_s.get(segment, self._now_s()))
        self._newest_s[segment] = chunk.arrival_s.item(-1)

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
        past = self._streams[segment].counters
        self._malformed[segment] += past.malformed
        self._repeated[segment] += past.repeated
        self._reconnects[segment] += 1
        self._streams[segment] = stream
        self._was_away.add(segment)
        self.lost.discard(segment)
        self.flags.add("sensor-reconnected")
        self._tell(SensorBack(segment))
        return True

    async def _end(self, readers: Sequence[asyncio.Task[None]], limit_s: float, on_limit: Callable[[], None]) -> None:
        try:
            async with asyncio.timeout(limit_s):
                await self._stopping.wait()
        except TimeoutError:
            on_limit()
        for segment in SEGMENTS:
            try:
                async with asyncio.timeout(STOP_S):
                    await self._streams[segment].stop()
            except (PeerError, TimeoutError) as error:  # it is gone; its chunks() ends or says so
                log.warning("%s sensor did not stop cleanly: %s", segment, error)
        await asyncio.wait(readers, timeout=STOP_S)
        for reader in readers:
            reader.cancel()  # only one whose sensor never ends is still there

    def report(self, defects: StreamDefects, until_s: float) -> SensorReport:
        """Tell what a sensor was and how well it was heard.

        Args:
            defects: what the chain found in its samples.
            until_s: the session's end, or now, s.
        """
        segment = defects.segment
        info, counters = self._streams[segment].info, self._streams[segment].counters
        away = segment in self.lost or segment in self._was_away
        trailing_s = max(0.0, until_s - self._newest_s.get(segment, until_s)) if away else 0.0
        return SensorReport(
            segment=segment,
            family=info.family,
            name=info.name[:64],
            firmware=(info.firmware or "")[:32],
            battery_percent=info.battery_percent,
            rate_hz=round(defects.rate_hz, 3) if defects.rate_hz > 0 else None,
            samples=defects.samples,
            lost=defects.lost,
            repeated=defects.repeated + self._repeated[segment] + counters.repeated,
            malformed=self._malformed[segment] + counters.malformed,
            gaps=max(defects.gaps, 1 if trailing_s else 0),
            longest_gap_s=round(max(defects.longest_gap_s, trailing_s), 3),
            clipped=defects.clipped,
            restarts=defects.restarts,
            reconnects=self._reconnects[segment],
            away_s=round(self._away_s[segment] + trailing_s, 3),
        )
