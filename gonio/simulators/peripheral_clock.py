"""A virtual sensor's own clock: it reads something else than the world's, and runs a little faster or slower."""

from typing import Final


class OwnClock:
    """A crystal's clock, begun at power-on.

    Attributes:
        zero_world_s: a moment of the world, s.
        zero_own_s: what it reads then, s.
        rate: seconds that it counts in a second of the world.
    """

    def __init__(self, world_s: float, *, offset_s: float = 0.0, ppm: float = 0.0) -> None:
        """Power on.

        Args:
            world_s: the world's clock at power-on, s.
            offset_s: what this clock reads then, s.
            ppm: how much it is fast, parts per million.
        """
        self.zero_world_s = world_s
        self.zero_own_s = offset_s
        self.rate = 1.0 + ppm * 1e-6

    def reads(self, world_s: float) -> float:
        """What it reads at a moment of the world, both in s."""
        return self.zero_own_s + (world_s - self.zero_world_s) * self.rate

    def follow(self, root: "OwnClock") -> None:
        """Read and run as another clock from now on: what sensors that synchronise with each other do."""
        self.zero_world_s, self.zero_own_s, self.rate = root.zero_world_s, root.zero_own_s, root.rate


#: A clock for what needs none.
NO_CLOCK: Final = OwnClock(0.0)
