"""Eight virtual sensors at 100 Hz over the Bluetooth stack in process: what is lost, and how soon it is back.

Usage: python benchmarks/links.py [--seconds 600] [--speed 1] [--sensors 8] [--lose-every 30]

Two runs: with a perfect air, and with the link of every sensor lost in turn, each every ``--lose-every`` seconds of the
world, while packets take 10 to 30 ms through the air. Every sample is numbered, so that nobody's clock is trusted; the
air tells what was under way when a link was lost.
"""

import argparse
import asyncio
import resource
import statistics
import sys
import time

from gonio.gateway.links.choice import SLOTS
from gonio.simulators.crowd import Crowd, crowd
from gonio.simulators.radio import AirConditions

#: Half with a clock of their own and batches, half without and a sample a notification.
FAMILIES = ("gonio_ref", "nordic_thingy52")


async def run(sensors: int, seconds: float, speed: float, lose_every_s: float | None) -> tuple[Crowd, float]:
    """Let the sensors stream once; give what came, and the share of a core that it took."""
    families = [FAMILIES[number % len(FAMILIES)] for number in range(sensors)]
    adapters = -(-sensors // SLOTS)
    async with crowd(families, duration_s=seconds, speed=speed, adapters=adapters) as one, one.hub() as hub:
        keepers = {address: one.keep(hub, address) for address in one.sensors}
        if lose_every_s is not None:
            for address in one.sensors:
                one.radio.set_conditions(address, AirConditions(delay_s=0.01, jitter_s=0.02))
        stop = asyncio.Event()
        async with asyncio.TaskGroup() as tasks:
            for keeper in keepers.values():
                tasks.create_task(one.listen(keeper, stop))
            for keeper in keepers.values():
                await keeper.until(lambda keeper=keeper: keeper.streaming)
            began, used = time.monotonic(), _cpu_s()
            one.world.begin_motion()
            losing = None if lose_every_s is None else tasks.create_task(_lose(one, seconds, lose_every_s))
            for sensor in one.sensors.values():
                await sensor.wait_for_end()
            await asyncio.sleep(0.5)  # for what is still in the air
            share = (_cpu_s() - used) / (time.monotonic() - began)
            if losing is not None:
                losing.cancel()
            stop.set()
        return one, share


async def _lose(one: Crowd, seconds: float, every_s: float) -> None:
    """Lose each sensor's link every so often, one after the other, but not in the last seconds."""
    began_s = await one.world.wait_for_motion()
    addresses = list(one.sensors)
    step_s = every_s / len(addresses)
    moment_s, number = every_s / 2, 0
    while moment_s < seconds - 5.0 * one.world.speed:
        await one.world.sleep_until(began_s + moment_s)
        one.drop(addresses[number % len(addresses)])
        moment_s, number = moment_s + step_s, number + 1


def _cpu_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def report(one: Crowd, share: float, seconds: float) -> bool:
    """Print what came; tell whether everything that was sent and did not die in the air came, once."""
    due = len(one.sensors) * (round(seconds * 100) + 1)
    came, sent, died, doubled = (
        sum(values)
        for values in zip(*((len(t.came), t.sent, t.died, t.doubled) for t in one.tallies.values()), strict=True)
    )
    print(f"  samples: {due} due, {sent} sent, {died} in the air at a loss, {came} came, {doubled} of them twice")
    print(f"  sent and neither came nor died in the air: {sent - died - came}; not sent while away: {due - sent}")
    away_s = [one_s for tally in one.tallies.values() for one_s in tally.away_s]
    if away_s:
        print(
            f"  losses: {len(away_s)}, streaming again after {statistics.median(away_s):.2f} s (median), "
            f"{max(away_s):.2f} s (longest)"
        )
    attempts = sum(sum(adapter.attempts.values()) for adapter in one.adapters)
    most = max(adapter.most_at_once for adapter in one.adapters)
    print(f"  connection attempts: {attempts}, at once on an adapter at most {most}; processor: {share:.0%} of a core")
    return sent - died == came and doubled == 0


def main() -> None:
    """Run both and end with 1 if a sample was lost that should not be, or came twice."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--speed", type=float, default=1.0)
    parser.add_argument("--sensors", type=int, default=8)
    parser.add_argument("--lose-every", type=float, default=30.0)
    given = parser.parse_args()
    good = True
    for title, every_s in (("perfect air", None), (f"each link lost every {given.lose_every:.0f} s", given.lose_every)):
        print(
            f"{title}: {given.sensors} sensors at 100 Hz for {given.seconds:.0f} s, speed {given.speed:g}", flush=True
        )
        one, share = asyncio.run(run(given.sensors, given.seconds, given.speed, every_s))
        good = report(one, share, given.seconds) and good
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
