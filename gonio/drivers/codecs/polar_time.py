"""When the samples of a Polar frame were taken: a frame says when its last one was, and no more.

Source: Polar's ``online_measurement.pdf`` (August 2024).
"""

from fractions import Fraction
from typing import Final

import numpy as np

from gonio.drivers.codecs.polar_delta import Whole
from gonio.drivers.errors import CodecError

NANOSECONDS: Final = 1_000_000_000

#: The sensor counts from 2000-01-01T00:00:00 UTC, Unix from 1970.
EPOCH_UNIX_S: Final = 946_684_800

_SLOWEST_HZ: Final = 0.001
_END_NS: Final = 2**63  # the year 2292

#: The product of a frame's length and its samples must fit into 64 bits; this is 26 days.
_MAX_SPAN_NS: Final = _END_NS // 4096


def sample_times(frame_ns: int, previous_ns: int, count: int, rate_hz: float) -> Whole:
    """Spread the time of a frame over its samples.

    The step is the time since the frame before, divided by the samples; for a first frame 1 / rate. Nothing is lost
    to the precision of floating point, of which 64 bits do not hold these times.

    Args:
        frame_ns: time of the last sample, ns since 2000.
        previous_ns: time of the frame before; 0 when there was none.
        count: samples in the frame.
        rate_hz: nominal rate, Hz; counts only for a first frame.

    Returns:
        (count,) ns since 2000, rounded to whole ns, a half to the even one.

    Raises:
        CodecError: there is neither a rate nor a frame before, the frame before was later or over 26 days ago, or
            a sample would lie before the clock's beginning.
    """
    if not 0 <= frame_ns < _END_NS or not 0 <= previous_ns <= frame_ns:
        raise CodecError(f"a frame at {frame_ns} ns after one at {previous_ns} ns")
    if previous_ns:
        span_ns, steps = frame_ns - previous_ns, max(count, 1)  # a step is span_ns / steps
    elif _SLOWEST_HZ <= rate_hz <= NANOSECONDS:
        span_ns, steps = (NANOSECONDS / Fraction(rate_hz).limit_denominator(1000)).as_integer_ratio()
    else:
        raise CodecError("the samples' times need the rate or the time of the frame before")
    if span_ns * count > _MAX_SPAN_NS * steps:
        raise CodecError(f"the frame before was at {previous_ns} ns: a frame does not last that long")
    whole, rest = np.divmod(np.arange(count - 1, -1, -1, dtype=np.int64) * span_ns, steps)
    times: Whole = frame_ns - whole
    # what is left is subtracted too, rounded; a half goes to the even number
    rest *= 2
    times -= (rest > steps) | ((rest == steps) & (times % 2 == 1))
    if count and times.min() < 0:
        raise CodecError("a sample would lie before the beginning of the sensor's clock")
    return times
