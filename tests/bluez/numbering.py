"""What the two sides of the scenario share: the clock, and samples that tell their own number.

So every sample that is lost, doubled or displaced is told from outside.
"""

from typing import Final

import numpy as np

from gonio.signal.consts import FloatArray

#: Seconds of the simulated world in one of the machine's: that computer is a tenth of a real one.
SPEED: Final = 0.25

#: Between two neighbouring digits, m/s²: well above the quantisation step of any family (16 g in 16 bits).
_STEP: Final = 0.1
_BASE: Final = 1000


def numbered(numbers: FloatArray) -> FloatArray:
    """Accelerations (n, 3) in m/s² that tell numbers (n,) from 0 to 999,999."""
    return np.stack([numbers % _BASE, numbers // _BASE, np.zeros_like(numbers)], axis=1) * _STEP


def number_of(acc: FloatArray) -> list[int]:
    """Read the numbers (n,) out of accelerations (n, 3) in m/s²."""
    digits = np.rint(acc / _STEP).astype(int)
    numbers: list[int] = (digits[:, 0] + _BASE * digits[:, 1]).tolist()
    return numbers
