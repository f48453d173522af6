"""The session's angle in about 300 points, however long the session: coarser as it grows, in bounded memory."""

import math
from bisect import bisect_right
from typing import Final

_FINEST_S: Final = 0.25
_MAX_POINTS: Final = 300
_ROUNDING_S: Final = 1e-6
_REACH_S: Final = 1.0  # a sample says nothing of what was longer before it: the grid leaps over long gaps


class Curve:
    """Keeps the angle at whole steps after the first sample; doubles the step when there are too many points."""

    def __init__(self) -> None:
        """Begin empty, at the finest step."""
        self._step = _FINEST_S
        self._start = math.nan
        self._points: list[float] = []
        self._low, self._high = math.inf, -math.inf

    def feed(self, t_s: list[float], flexion: list[float]) -> None:
        """Take consecutive samples: s, and rad or NaN where the angle is not ok."""
        if not t_s:
            return
        if math.isnan(self._start):
            self._start = t_s[0]
        known = [angle for angle in flexion if not math.isnan(angle)]
        if known:
            self._low, self._high = min(self._low, *known), max(self._high, *known)
        first = 0
        while t_s[-1] - self._start - len(self._points) * self._step >= -_ROUNDING_S:
            first = self._take(t_s, flexion, first)

    def _take(self, t_s: list[float], flexion: list[float], first: int) -> int:
        """Take the next point of the curve from the first sample at or after it; give that sample's index."""
        while (late := t_s[first] - self._start - len(self._points) * self._step) < -_ROUNDING_S:
            first += 1
        self._points.append(flexion[first] if late < _REACH_S else math.nan)
        if len(self._points) > _MAX_POINTS:
            self._points = self._points[::2]
            self._step *= 2.0
        return first

    def correct(self, way: tuple[tuple[float, float], ...]) -> None:
        """Replace the points between the first and the last moment of a way, given as (s, rad) in order."""
        moments = [t for t, _ in way]
        for k in range(len(self._points)):
            t = self._start + k * self._step
            if moments[0] <= t <= moments[-1]:
                self._points[k] = way[bisect_right(moments, t) - 1][1]

    def points(self) -> tuple[float, tuple[float, ...]]:
        """Give the step in s and the points in rad, NaN where the angle was not ok."""
        return self._step, tuple(self._points)

    def extremes(self) -> tuple[float, float]:
        """Give the largest and the smallest flexion that was ok, rad; NaN when none was."""
        if self._high < self._low:
            return math.nan, math.nan
        return self._high, self._low
