"""A kept sensor as a session takes it: one stream, over one connection."""

import asyncio
from collections.abc import AsyncIterator

from gonio.drivers.link import LinkCounters, SensorInfo, SensorLink
from gonio.drivers.link_errors import SensorLostError
from gonio.gateway.links.keeper import SensorKeeper
from gonio.gateway.links.statistics import LinkReport
from gonio.signal.chunks import SampleChunk


class KeptStream:
    """What a keeper's sensor sends over its present connection; after a loss make another one."""

    def __init__(self, keeper: SensorKeeper, *, patience_s: float | None = None) -> None:
        """Prepare; nothing streams yet.

        Args:
            keeper: whose sensor.
            patience_s: how long ``start`` may take, s; None for as long as it takes.
        """
        self._keeper = keeper
        self._patience_s = patience_s
        self._link: SensorLink | None = None

    @property
    def info(self) -> SensorInfo:
        """What the sensor said of itself when it was last connected.

        Raises:
            SensorLostError: it never was.
        """
        if self._keeper.info is None:
            raise SensorLostError(f"{self._keeper.sensor.name} has not been connected yet")
        return self._keeper.info

    @property
    def counters(self) -> LinkCounters:
        """What has come over this connection."""
        return LinkCounters() if self._link is None else self._link.counters

    def report(self) -> LinkReport:
        """Count over all connections of the session."""
        return self._keeper.report()

    async def start(self) -> None:
        """Let it stream, and wait until it does.

        Raises:
            PeerError: it does not in time; the keeper's last error where there is one.
        """
        self._keeper.go()
        try:
            async with asyncio.timeout(self._patience_s):
                await self._keeper.until(lambda: self._keeper.streaming)
        except TimeoutError:
            raise self._keeper.error or SensorLostError(
                f"{self._keeper.sensor.name} does not stream after {self._patience_s:.3g} s"
            ) from None
        self._link = self._keeper.link

    async def stop(self) -> None:
        """Let it be quiet; ``chunks`` ends after what has come until then."""
        self._keeper.halt()
        await self._keeper.until(lambda: self._keeper.quiet)

    async def chunks(self) -> AsyncIterator[SampleChunk]:
        """Give the samples as they come, until ``stop``.

        Raises:
            SensorLostError: the link was lost; what came before has been given.
        """
        if self._link is None:
            raise RuntimeError("the stream has not been started")
        async for chunk in self._link.chunks():
            self._keeper.statistics.feed(chunk)
            yield chunk
