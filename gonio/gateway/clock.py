"""When something was captured: the kit's wall clock, whether it can be trusted, and the clock that never jumps."""

import ctypes
import time
import uuid
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Final, Literal, TypeAlias

from gonio.gateway.records import Capture
from gonio.messages import wire_time

ClockState: TypeAlias = Literal["synchronised", "unsynchronised"]

_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")
_TIME_ERROR: Final = 5  # adjtimex(2): the clock is not synchronised to a reliable source
_TIMEX_BYTES: Final = 512  # more than struct timex has on any Linux


def kernel_clock_state() -> ClockState:
    """Ask the kernel whether an NTP client keeps its clock (adjtimex(2) with no mode set only reads)."""
    try:
        answer = ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(_TIMEX_BYTES))
    except (OSError, AttributeError):
        return "unsynchronised"
    return "unsynchronised" if answer in {-1, _TIME_ERROR} else "synchronised"


def system_boot_id() -> uuid.UUID:
    """Name this run of the system's monotonic clock; a random name where the system has none."""
    try:
        return uuid.UUID(_BOOT_ID.read_text().strip())
    except (OSError, ValueError):
        return uuid.uuid4()


class KitClock:
    """The clocks of a kit, side by side."""

    def __init__(
        self,
        monotonic_ns: Callable[[], int] = time.monotonic_ns,
        *,
        state: Callable[[], ClockState] = kernel_clock_state,
    ) -> None:
        """Take the clocks.

        Args:
            monotonic_ns: the clock that never jumps and that stamps arrivals, ns; another than the system's gets a
                boot id of its own.
            state: whether the wall clock is synchronised now.
        """
        self.monotonic_ns = monotonic_ns
        self.boot_id = system_boot_id() if monotonic_ns is time.monotonic_ns else uuid.uuid4()
        self._state = state

    def now_s(self) -> float:
        """Give the clock that stamps arrivals, s."""
        return self.monotonic_ns() * 1e-9

    def now(self) -> datetime:
        """Give the wall clock, aware, with the UTC offset in force."""
        return datetime.now().astimezone()

    def capture(self) -> Capture:
        """Stamp a record with this moment."""
        return Capture(self.boot_id, self.monotonic_ns(), wire_time(self.now()), self._state())
