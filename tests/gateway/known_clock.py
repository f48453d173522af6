"""A kit in a process of its own, whose wall clock a test has moved: tells whether the clinic has answered, or why not.

Run as ``python -m tests.gateway.known_clock DATA_DIR``; ends 0 when everything is acknowledged, 1 with the reason.
"""

import asyncio
import sys
from datetime import UTC, datetime
from pathlib import Path

from gonio.gateway.kit import Kit
from gonio.gateway.links.service import FixedBluetooth
from gonio.gateway.settings import KitSettings
from gonio.gateway.uplink import UplinkTiming

FAST = UplinkTiming(answer_s=0.3, longest_wait_s=0.5, reconnect_s=0.05, longest_reconnect_s=0.2, network_s=2.0)


async def main(data_dir: Path) -> int:
    """Send what waits."""
    sys.stdout.write(f"{datetime.now(UTC):%Y}\n")
    async with Kit(KitSettings(data_dir=data_dir), uplink_timing=FAST, bluetooth=FixedBluetooth()) as kit:
        if await kit.uplink.drain(5.0):
            return 0
        sys.stdout.write(f"{kit.uplink.status.reason}\n")
        return 1


if __name__ == "__main__":
    sys.exit(asyncio.run(main(Path(sys.argv[1]))))
