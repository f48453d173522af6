"""Virtual sensors seen from a gateway: found, connected and streaming over the Bluetooth stack in process."""

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np

from gonio.drivers.link import LinkCounters, SensorInfo, SensorLink
from gonio.drivers.link_errors import SensorNotFoundError
from gonio.drivers.scan import FoundSensor, scan
from gonio.firmware_profiles import Profile
from gonio.signal.consts import SEGMENTS, FloatArray, Segment
from gonio.simulators.bleak_backend import backends
from gonio.simulators.imu import ImuErrors
from gonio.simulators.motion import Motion
from gonio.simulators.peripheral import Feed, VirtualSensor, sensor_address, sensor_name
from gonio.simulators.radio import AirConditions, Radio
from gonio.simulators.world import World

_CENTRAL_ADDRESS: Final = "F0:00:00:00:00:01"
_SCAN_S: Final = 5.0

#: Real time for the last notifications to arrive, once they are sent, s.
_LAST_S: Final = 0.2


@dataclass(frozen=True, slots=True)
class SensorCheck:
    """What came of one sensor.

    Attributes:
        segment: where it sits.
        info: what it told when it was connected.
        sent: samples that it sent.
        dropped: samples that it dropped, as the air was told to make it.
        received: samples that arrived, decoded.
        real_rate_hz: received samples a second of the sensor's time, Hz; NaN for fewer than two.
        latency_ms: median and 95th percentile from notification to decoded samples, real ms.
        counters: of its link.
    """

    segment: Segment
    info: SensorInfo
    sent: int
    dropped: int
    received: int
    real_rate_hz: float
    latency_ms: tuple[float, float]
    counters: LinkCounters


def simulated_feed(motion: Motion, segment: Segment, rate_hz: float) -> Feed:
    """Give what an ordinary sensor on a segment measures of a motion, errors included."""

    def true_feed(t_s: FloatArray) -> tuple[FloatArray, FloatArray]:
        return motion.imu(segment, t_s)

    return ImuErrors(SEGMENTS.index(segment) + 1, rate_hz=rate_hz).around(true_feed)


async def check_sensors(
    profile: Profile,
    motion: Motion,
    *,
    seconds: float,
    speed: float = 1.0,
    rate_hz: float | None = None,
    loss: float = 0.0,
    tell: Callable[[str], None] = lambda _: None,
) -> list[SensorCheck]:
    """Let two virtual sensors stream a motion to the product's own driver, and count.

    Args:
        profile: their family.
        motion: what they are moved by.
        seconds: how much of it, s.
        speed: simulated seconds per real second.
        rate_hz: sample rate, Hz; by default the profile's.
        loss: share of notifications that the sensors drop.
        tell: gets a line for people at every step.

    Raises:
        GonioError: what the driver raises when a sensor is not found, refuses, or is lost.
    """
    rate_hz = float(profile.resolve({} if rate_hz is None else {"rate_hz": rate_hz})["rate_hz"])
    world, radio = World(speed), Radio()
    duration_s = min(seconds, motion.duration_s)
    central = await radio.device("gonio kit", _CENTRAL_ADDRESS)
    scanner, client = backends(central)
    async with contextlib.AsyncExitStack() as stack:
        sensors: dict[str, tuple[Segment, VirtualSensor]] = {}
        for number, segment in enumerate(SEGMENTS, 1):
            address = sensor_address(profile.family, number)
            radio.set_conditions(address, AirConditions(payload_loss=loss))
            feed = simulated_feed(motion, segment, rate_hz)
            name = sensor_name(profile.family, number)
            sensor = VirtualSensor(radio, profile, feed, world, duration_s=duration_s, name=name, address=address)
            sensors[address] = segment, await stack.enter_async_context(sensor)
        found = await scan([profile], timeout_s=_SCAN_S, scanner_backend=scanner, want=len(sensors))
        if len(found) < len(sensors):
            raise SensorNotFoundError(f"{len(found)} of {len(sensors)} virtual sensors are heard")
        links: list[tuple[FoundSensor, SensorLink]] = []
        for one in found:
            link = SensorLink(one, profile, rate_hz=rate_hz, monotonic_ns=world.monotonic_ns, client_backend=client)
            links.append((one, await stack.enter_async_context(link)))
            tell(f"{one.name} ({one.address}) is connected")
            await link.start()
        world.begin_motion()
        tell(f"streaming {duration_s:g} s of motion at speed {speed:g}")
        async with asyncio.TaskGroup() as tasks:
            readers = [
                tasks.create_task(_read(*sensors[one.address], link, world), name=f"read {one.name}")
                for one, link in links
            ]
            for _, sensor in sensors.values():
                await sensor.wait_for_end()
            await asyncio.sleep(_LAST_S)
            for _, link in links:
                await link.stop()
        checks = [reader.result() for reader in readers]
    await radio.remove(central)
    return sorted(checks, key=lambda check: SEGMENTS.index(check.segment))


async def _read(segment: Segment, sensor: VirtualSensor, link: SensorLink, world: World) -> SensorCheck:
    received = 0
    times: list[FloatArray] = []
    latencies_ms: list[float] = []
    async for chunk in link.chunks():
        received += len(chunk)
        stamps = chunk.sensor_s if chunk.sensor_s is not None else chunk.arrival_s
        if stamps is not None:
            times.append(stamps)
        if chunk.arrival_s is not None:
            latencies_ms.append((world.now_s() - float(chunk.arrival_s[-1])) * 1e3 / world.speed)
    span_s = float(times[-1][-1] - times[0][0]) if times else 0.0
    percentiles = np.percentile(latencies_ms, (50, 95)) if latencies_ms else (float("nan"),) * 2
    return SensorCheck(
        segment=segment,
        info=link.info,
        sent=sensor.samples_sent,
        dropped=sensor.samples_lost,
        received=received,
        real_rate_hz=(received - 1) / span_s if span_s > 0 else float("nan"),
        latency_ms=(float(percentiles[0]), float(percentiles[1])),
        counters=link.counters,
    )
