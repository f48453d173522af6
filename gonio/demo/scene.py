"""The demo's leg: what moves, and the two virtual sensors on it, ready to be found by a kit."""

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np
from bleak.backends.client import BaseBleakClient
from bleak.backends.scanner import BaseBleakScanner

from gonio import recording
from gonio.errors import UsageError
from gonio.firmware_profiles import get_profile
from gonio.signal.consts import SEGMENTS, Segment, Side
from gonio.simulators.bleak_backend import backends
from gonio.simulators.imu import ImuErrors
from gonio.simulators.leg import LegMotion
from gonio.simulators.motion import Motion
from gonio.simulators.peripheral import Feed, VirtualSensor, sensor_address, sensor_name
from gonio.simulators.radio import Radio
from gonio.simulators.replay import RecordingMotion
from gonio.simulators.world import World

_ADAPTER: Final = ("virtual adapter", "C0:00:00:00:00:01")
#: The two sensors' clocks differ, as real ones do: parts per million fast, and what they read at power-on, s.
_CLOCKS: Final[Mapping[Segment, tuple[float, float]]] = {"thigh": (18.0, 41.0), "shank": (-27.0, 1234.5)}


@dataclass(frozen=True, slots=True)
class Scene:
    """A leg that wears two virtual sensors.

    Attributes:
        motion: what the leg does.
        world: the clock it lives on; the motion begins with ``world.begin_motion()``.
        sensors: what the leg wears.
        scanner_backend: bleak's scanner in this world.
        client_backend: bleak's client in this world.
    """

    motion: Motion
    world: World
    sensors: Mapping[Segment, VirtualSensor]
    scanner_backend: type[BaseBleakScanner]
    client_backend: type[BaseBleakClient]

    async def motion_over(self, lasts_s: float | None = None) -> None:
        """Wait until both sensors have sent the motion's last samples.

        Args:
            lasts_s: of its beginning only so many seconds, simulated; None for all of it.
        """
        if lasts_s is not None:
            await self.world.sleep_until(await self.world.wait_for_motion() + lasts_s)
            return
        for sensor in self.sensors.values():
            await sensor.wait_for_end()


def simulated_leg(exercise: str, seconds: float, side: Side, seed: int) -> Motion:
    """Let a simulated leg stand, take the exercise's posture, and repeat it for as long as it is given.

    Raises:
        UsageError: the exercise is unknown, or the time too short for one repetition.
    """
    return LegMotion(exercise, side=side, duration_s=seconds, seed=seed)


def recorded_leg(directory: Path) -> Motion:
    """Let a recording move the leg.

    Raises:
        RecordingError: the folder is no recording; the text names file, row and column.
    """
    return RecordingMotion(recording.read(directory))


@asynccontextmanager
async def scene(motion: Motion, family: str, world: World, *, seed: int) -> AsyncIterator[Scene]:
    """Put two virtual sensors of a family on the leg and on the air.

    A simulated leg's sensors have the errors of real ones; a recording brought its own.

    Raises:
        UsageError: there is no such family, no virtual sensor of it, or it has a gyroscope and the recording had none.
    """
    profile = get_profile(family)
    radio = Radio(seed=seed)
    sensors: dict[Segment, VirtualSensor] = {}
    async with AsyncExitStack() as stack:
        for number, segment in enumerate(SEGMENTS, 1):
            feed: Feed = partial(motion.imu, segment)
            if profile.gyro and np.isnan(feed(np.zeros(1))[1]).any():
                raise UsageError(
                    f"the recording's {segment} sensor had no gyroscope, {profile.family} has one: choose a --device "
                    "without, such as bbc_microbit"
                )
            if motion.origin == "simulated":
                feed = ImuErrors(2 * seed + number, rate_hz=100.0).around(feed)
            clock_ppm, clock_offset_s = _CLOCKS[segment]
            sensor = VirtualSensor(
                radio,
                profile,
                feed,
                world,
                duration_s=motion.duration_s,
                name=sensor_name(profile.family, number),
                address=sensor_address(profile.family, number),
                clock_ppm=clock_ppm,
                clock_offset_s=clock_offset_s,
            )
            sensors[segment] = await stack.enter_async_context(sensor)
        central = await radio.device(*_ADAPTER)
        stack.push_async_callback(radio.remove, central)
        yield Scene(motion, world, sensors, *backends(central))
