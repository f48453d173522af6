"""How long a notification waits until the angle that it helped to is out."""

from array import array

import numpy as np


class LatencyMeter:
    """Collects delays; 4 bytes each, some 7 MB in the longest session."""

    def __init__(self) -> None:
        """Begin with none."""
        self._ms = array("f")

    def add(self, delay_s: float) -> None:
        """Note one delay, s."""
        self._ms.append(delay_s * 1e3)

    def __len__(self) -> int:
        return len(self._ms)

    def percentile(self, percent: float) -> float | None:
        """Give a percentile in ms; None when nothing was measured."""
        return round(float(np.percentile(np.frombuffer(self._ms, np.float32), percent)), 3) if self._ms else None
