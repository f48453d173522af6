"""What a session needs of a sensor: the part of ``drivers.link.SensorLink`` that it uses, and no more."""

from collections.abc import AsyncIterator
from typing import Protocol

from gonio.signal.chunks import SampleChunk


class StreamInfo(Protocol):
    """What a sensor says of itself."""

    @property
    def name(self) -> str:
        """Advertised name."""
        ...

    @property
    def family(self) -> str:
        """Device family."""
        ...

    @property
    def firmware(self) -> str | None:
        """Firmware's version, where it tells one."""
        ...

    @property
    def battery_percent(self) -> int | None:
        """Charge, 0 to 100, where it tells it."""
        ...

    @property
    def rate_hz(self) -> float:
        """Nominal rate of its samples, Hz."""
        ...


class StreamCounters(Protocol):
    """What went wrong on a link."""

    @property
    def malformed(self) -> int:
        """Packets that could not be decoded."""
        ...

    @property
    def repeated(self) -> int:
        """Packets that were delivered again and left out."""
        ...


class SensorStream(Protocol):
    """A connected sensor."""

    @property
    def info(self) -> StreamInfo:
        """What it says of itself."""
        ...

    @property
    def counters(self) -> StreamCounters:
        """What went wrong so far."""
        ...

    async def start(self) -> None:
        """Let samples come."""
        ...

    async def stop(self) -> None:
        """Let no more samples come; ends ``chunks()``."""
        ...

    def chunks(self) -> AsyncIterator[SampleChunk]:
        """Give the samples until ``stop()``; raises a PeerError when the sensor is lost."""
        ...
