"""The clock of a simulated world: it can run faster than ours, and motion begins when everybody is ready."""

import asyncio
import time


class World:
    """Time in a simulation that may be hastened.

    The virtual sensors and the kit's monotonic clock both read this clock, so that a hastened kit lives through the
    same seconds of motion as an unhastened one. Wall-clock time is never touched.
    """

    def __init__(self, speed: float = 1.0) -> None:
        """Begin at 0.

        Args:
            speed: simulated seconds per real second, above 0.
        """
        if not speed > 0:
            raise ValueError("speed must be above 0")
        self.speed = speed
        self._zero_ns = time.monotonic_ns()
        self._begin_s: float | None = None
        self._begun = asyncio.Event()

    def now_s(self) -> float:
        """Simulated seconds since the world began."""
        return (time.monotonic_ns() - self._zero_ns) * 1e-9 * self.speed

    def monotonic_ns(self) -> int:
        """Give a drop-in for ``time.monotonic_ns`` on this world's clock."""
        return int((time.monotonic_ns() - self._zero_ns) * self.speed)

    async def sleep_until(self, moment_s: float) -> None:
        """Wait until the world's clock reads a moment; yields to the loop at least once."""
        await asyncio.sleep(max(0.0, (moment_s - self.now_s()) / self.speed))

    def begin_motion(self) -> None:
        """Let the motion begin now; until then virtual sensors are connected but send nothing."""
        if self._begin_s is None:
            self._begin_s = self.now_s()
            self._begun.set()

    @property
    def motion_began_s(self) -> float | None:
        """When the motion began on this clock, or None before that."""
        return self._begin_s

    async def wait_for_motion(self) -> float:
        """Wait for the motion to begin and give its moment on this clock."""
        await self._begun.wait()
        if self._begin_s is None:  # set together with the event
            raise RuntimeError("the motion has begun without a moment")
        return self._begin_s
