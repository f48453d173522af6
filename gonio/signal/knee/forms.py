"""What a block of motion is as a function of the heading between the two sensors' earth frames (delta).

All sums over a block that the fit of the knee's axis needs are quadratic in (1, cos delta, sin delta): each is the real
part of z0 + z1 exp(i delta) + z2 exp(2 i delta). A block keeps the real and imaginary parts of the three (6 rows) of
many sums (the columns) side by side, so that one product of matrices gives all of them at given headings, and turning
the three numbers gives them from another heading on.
"""

from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from gonio.signal.consts import FloatArray

ComplexArray: TypeAlias = NDArray[np.complex128]

ORDERS: Final = np.arange(3.0)

#: Columns: products (3 x 3) of the relative angular velocity in the thigh's frame and in the shank's, (rad/s)².
ROTATION: Final = slice(0, 18)
#: Products (7 x 7) of the joint's acceleration: arm of the thigh, of the shank, and the difference seen.
FORCE: Final = slice(18, 67)
#: R1' T R2 (3 x 3): a unit axis in both frames, put on both sides, gives the cosine between them.
TURN: Final = slice(67, 76)
#: Traces of the first two.
TRACES: Final = slice(76, 78)
#: The thigh's trace over its mean over all headings, and how far both segments swing in one upright plane, -1 to 1.
WHOLE, PLANE = 78, 79
#: The part of the trace of ``FORCE`` that is of the arms, and the square of what is seen.
ARMS, SEEN = 80, 66
COLUMNS: Final = 81

#: (6, 9): from the products of (1, cos delta, sin delta) to the rows.
_FOLD: Final = np.zeros((6, 9))
_FOLD[0, [0, 4, 8]] = 1.0, 0.5, 0.5
_FOLD[1, [1, 3]] = 1.0
_FOLD[2, [4, 8]] = 0.5, -0.5
_FOLD[4, [2, 6]] = -1.0
_FOLD[5, [5, 7]] = -0.5


def folded(products: FloatArray) -> FloatArray:
    """Give the rows (6, m * m) of a form for the products (3m, 3m) of its parts, each of m columns."""
    m = len(products) // 3
    return np.asarray(_FOLD @ products.reshape(3, m, 3, m).transpose(0, 2, 1, 3).reshape(9, m * m))


def waves(delta: FloatArray) -> FloatArray:
    """Give what the rows are multiplied with at headings (...) in rad: (..., 6)."""
    phase = delta[..., None] * ORDERS
    return np.concatenate((np.cos(phase), -np.sin(phase)), axis=-1)


def turns(delta: FloatArray) -> ComplexArray:
    """Give what z0, z1 and z2 are multiplied with to be seen from headings (...) in rad on: (3, ...)."""
    return np.asarray(np.exp(1j * np.multiply.outer(ORDERS, delta)))
