"""What the machine lacks: a Bluetooth adapter on ``/dev/vhci`` and simulated sensors on its air.

    python -m tests.bluez.hardware FAMILY [FAMILY ...]

It obeys lines on its standard input and answers each with one line of JSON on its standard output:

* ``lose ADDRESS ...``: the links of these sensors are lost, as when they go out of range.
* ``report``: what each sensor has sent.

It begins with a line that names the sensors, and ends when its input does. Every sample says which one it is: see
``numbered_motion``.
"""

import asyncio
import contextlib
import json
import sys
from typing import Final

import numpy as np

from gonio.firmware_profiles import get_profile
from gonio.signal.consts import FloatArray
from gonio.simulators.peripheral import Feed, VirtualSensor, sensor_address, sensor_name
from gonio.simulators.radio import Radio
from gonio.simulators.radio_transport import open_airs
from gonio.simulators.world import World
from tests.bluez.numbering import SPEED, numbered

DURATION_S: Final = 3600.0  # of the sensors' motion: longer than any run


def numbered_motion(rate_hz: float) -> Feed:
    """Give a motion whose samples at a rate tell their own number."""

    def feed(t_s: FloatArray) -> tuple[FloatArray, FloatArray]:
        return numbered(np.rint(t_s * rate_hz)), np.zeros((len(t_s), 3))

    return feed


def answer(line: str, radio: Radio, sensors: dict[str, VirtualSensor]) -> object:
    """Obey a line."""
    command, *addresses = line.split()
    if command == "lose":
        for address in addresses:
            radio.drop(address)
        return {"lost": addresses}
    if command == "report":
        return {address: sensor.samples_sent for address, sensor in sensors.items()}
    raise ValueError(f"no such command: {line}")


def tell(what: object) -> None:
    """Write a line for the scenario."""
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


async def main(families: list[str]) -> None:
    """Play the hardware until the input ends."""
    profiles = [get_profile(family) for family in families]  # now: the kernel waits for no controller that is busy
    world = World(SPEED)
    loop = asyncio.get_running_loop()
    lines = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    async with open_airs(["vhci"], len(families)) as (air, *_), contextlib.AsyncExitStack() as stack:
        if not isinstance(air, Radio):
            raise TypeError("vhci gives a radio")
        sensors: dict[str, VirtualSensor] = {}
        for number, profile in enumerate(profiles, 1):
            rate_hz = float(profile.resolve({})["rate_hz"])
            address = sensor_address(profile.family, number)
            sensors[address] = await stack.enter_async_context(
                VirtualSensor(
                    air,
                    profile,
                    numbered_motion(rate_hz),
                    world,
                    duration_s=DURATION_S,
                    name=sensor_name(profile.family, number),
                    address=address,
                )
            )
        world.begin_motion()
        tell(list(sensors))
        while line := (await lines.readline()).decode().strip():
            tell(answer(line, air, sensors))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))
