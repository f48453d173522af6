"""A kit with a simulated leg, as a process of its own that a test can kill: session after session until told to stop.

    kit_process.py DATA_DIR BROKER_URL run|drain

``run`` also puts check-ins into the outbox all the time, so that the uplink is never idle. Every promise that the kit
gives, a repetition kept or a record committed, is a line on stdout. ``drain`` only opens the kit, which closes what was
cut off, and ends with status 0 when the clinic has acknowledged everything.
"""

import asyncio
import sys
from pathlib import Path

from gonio.demo.scene import Scene, scene, simulated_leg
from gonio.gateway.clock import KitClock
from gonio.gateway.events import RepsKept, SessionEvent, SessionStarted
from gonio.gateway.kit import Kit
from gonio.gateway.records import Draft
from gonio.gateway.settings import KitSettings
from gonio.gateway.uplink import UplinkTiming
from gonio.messages import Kind, new_record_id
from gonio.simulators.world import World

SPEED = 12.0
IMPATIENT = UplinkTiming(answer_s=1.0, longest_wait_s=2.0, reconnect_s=0.1, longest_reconnect_s=0.5)


def say(*words: object) -> None:
    sys.stdout.write(" ".join(str(word) for word in words) + "\n")
    sys.stdout.flush()


async def one_session(kit: Kit, leg: Scene) -> None:
    record_id = ""

    def listen(event: SessionEvent) -> None:
        nonlocal record_id
        match event:
            case SessionStarted():
                record_id = str(event.record_id)
                leg.world.begin_motion()
            case RepsKept():
                say("kept", record_id, event.number)

    async def stop_at_end() -> None:
        await leg.motion_over()
        kit.stop_session()

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(stop_at_end())
        finished = await kit.run_session("heel-slide", "right", listener=listen)
    if finished.envelope is not None:
        say("committed", finished.envelope.record_id)


async def check_ins(kit: Kit, clock: KitClock) -> None:
    while True:
        draft = Draft(new_record_id(), Kind.CHECK_IN, clock.capture(), 1, '{"pain_during":2}')
        await asyncio.to_thread(kit.store.commit, draft)
        say("committed", draft.record_id)
        await asyncio.sleep(0.01)


async def main(data_dir: Path, broker: str, task: str) -> int:
    settings = KitSettings(data_dir=data_dir, broker=broker)
    if task == "drain":
        async with Kit(settings, source="simulated", uplink_timing=IMPATIENT) as kit:
            say("opened", len(kit.recovered))
            return 0 if await kit.uplink.drain(60.0) else 1
    seed = 0
    while True:
        seed += 1
        world = World(SPEED)
        motion = simulated_leg("heel-slide", 40.0, "right", seed)
        async with scene(motion, "movella_dot", world, seed=seed) as leg:
            kit = Kit(
                settings,
                source="simulated",
                monotonic_ns=world.monotonic_ns,
                scanner_backend=leg.scanner_backend,
                client_backend=leg.client_backend,
                uplink_timing=IMPATIENT,
            )
            async with kit:
                say("opened", len(kit.recovered))
                await kit.find_and_pair(thigh=leg.sensors["thigh"].address, shank=leg.sensors["shank"].address)
                filling = asyncio.create_task(check_ins(kit, KitClock()))
                try:
                    await one_session(kit, leg)
                finally:
                    filling.cancel()
                    await asyncio.wait({filling})


if __name__ == "__main__":
    sys.exit(asyncio.run(main(Path(sys.argv[1]), sys.argv[2], sys.argv[3])))
