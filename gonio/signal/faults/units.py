"""Whether accelerometer and gyroscope speak of the same motion, in the units they are said to.

Method
    In the frame of a sensor that turns at w, gravity a moves at a x w. From look to look the change of the mean
    specific force is compared with that: over looks that turn much, the ratio of the two sizes is 0.5 to 6 in the
    fiercest walking and hopping of eighteen recordings, 1 in slow exercises, 1/57 when the gyroscope gives degrees per
    second for radians, and 57 the other way round (counted only when the two agree in direction, for a push is no
    turn). A gyroscope that sees nothing at all is found by rests: between two of them it turned at least by the angle
    between their gravities.
    The size of gravity shows the unit of the accelerometer.
"""

import math
from collections import deque
from typing import Final

from gonio.signal.consts import STANDARD_GRAVITY
from gonio.signal.faults.looks import STILL_ACC, Look, angle

#: Force, as a share of gravity, beyond which no leg stays for a second; the wrong units in use are three times off and
#: more (ft/s² 3.3, g 9.8, mg 102).
_WRONG, _WRONG_LOOKS = 2.0, 4
#: Spread of an accelerometer at rest in any unit, as a share of what it reads.
_STILL_SHARE: Final = 0.02
#: Share by which gravity may be off at rest: cheap sensors are up to 5 % off; 15 % on one axis are 9° of tilt.
_OFF, _OFF_LOOKS = 0.15, 8
#: Turning from look to look that is compared, as a share of gravity: by the gyroscope, and by gravity.
_TURN_GYR, _TURN_ACC = 0.15, 0.08
_COMPARED: Final = 8  # looks
_RATIO_LOW, _RATIO_HIGH, _RATIO_NOISE, _ALIKE = 0.12, 10.0, 150.0, 0.8
#: No leg turns faster than this for a look, rad/s; a footballer's kick reaches 35 for a moment.
_FASTEST, _FASTEST_LOOKS = 40.0, 2
#: Angle between the gravities of two rests, rad, and the share of it that a seeing gyroscope has turned at least.
_BETWEEN_RESTS, _SEEN_SHARE = 0.5, 0.33
_REST_SPREAD: Final = 0.25  # m/s²
_AXES: Final = 3


class _Compared:
    """The last looks that turned much: how far force and gyroscope agree on it."""

    def __init__(self) -> None:
        self._last: deque[tuple[float, float, float]] = deque(maxlen=_COMPARED)

    def add(self, change2: float, turn2: float, both: float) -> tuple[float, float] | None:
        """Take a look's squares of force change and gyroscope's turning and their product, and judge the last ones.

        Returns:
            The squared ratio of change to turning, and how alike their directions are (1 is alike); None while there
            are too few looks.
        """
        size = math.sqrt(change2 * turn2)
        self._last.append((change2, turn2, both / size if size > 0 else 0.0))
        if len(self._last) < _COMPARED:
            return None
        changes, turns, alike = map(sum, zip(*self._last, strict=True))
        return changes / max(turns, 1e-12), alike / _COMPARED


class UnitsWatch:
    """Names "units", "gravity-off" and, of a gyroscope that sees nothing, "gyroscope-dead"."""

    def __init__(self) -> None:
        self._before: Look | None = None
        self._small = self._large = self._off = self._fast = 0
        self._by_gyr, self._by_acc = _Compared(), _Compared()
        self._rest: list[float] | None = None
        self._turned = 0.0
        self._too_much = self._too_little = self._blind = False

    def look(self, look: Look) -> set[str]:
        """Take the next look; give the faults of now."""
        names: set[str] = set()
        force = look.force
        share = force / STANDARD_GRAVITY
        self._small = self._small + 1 if share < 1 / _WRONG else 0
        self._large = self._large + 1 if share > _WRONG else 0
        if look.acc_spread < STILL_ACC or look.acc_spread < _STILL_SHARE * force:
            self._off = self._off + 1 if abs(share - 1.0) > _OFF else 0
        if max(self._small, self._large) >= _WRONG_LOOKS and look.held[0] == 0:
            names.add("units")
        elif self._off >= _OFF_LOOKS:
            names.add("gravity-off")
        before, self._before = self._before, look
        length_s = look.end_s - look.begin_s
        x, y, z = look.mean[3:]
        self._fast = self._fast + 1 if x * x + y * y + z * z > _FASTEST * _FASTEST else 0
        if before is None or _AXES in look.held or look.end_s - before.end_s > 2.0 * length_s:
            self._rest = None  # over a pause, or with what does not speak, nothing can be compared
        else:
            self._compare(before, look, force)
            self._between_rests(look, share, length_s)
        if self._too_much or self._too_little or self._fast >= _FASTEST_LOOKS:
            names.add("units")
        elif self._blind:
            names.add("gyroscope-dead")
        return names

    def _compare(self, before: Look, look: Look, force: float) -> None:
        ax, ay, az, ux, uy, uz = before.mean
        bx, by, bz, vx, vy, vz = look.mean
        quarter_s = 0.25 * (look.end_s - before.end_s)  # the means of two looks are half their sums
        px, py, pz = ax + bx, ay + by, az + bz
        wx, wy, wz = quarter_s * (ux + vx), quarter_s * (uy + vy), quarter_s * (uz + vz)
        tx, ty, tz = py * wz - pz * wy, pz * wx - px * wz, px * wy - py * wx
        cx, cy, cz = bx - ax, by - ay, bz - az
        turn2 = tx * tx + ty * ty + tz * tz
        change2 = cx * cx + cy * cy + cz * cz
        both = cx * tx + cy * ty + cz * tz
        if turn2 > (_TURN_GYR * force) ** 2:
            judged = self._by_gyr.add(change2, turn2, both)
            if judged is not None:
                self._too_much = judged[0] < _RATIO_LOW**2
        if change2 > (_TURN_ACC * force) ** 2:
            judged = self._by_acc.add(change2, turn2, both)
            if judged is not None:
                self._too_little = _RATIO_HIGH**2 < judged[0] < _RATIO_NOISE**2 and judged[1] > _ALIKE

    def _between_rests(self, look: Look, share: float, length_s: float) -> None:
        a, b = look.low, look.high
        self._turned += length_s * (max(-a[3], b[3]) + max(-a[4], b[4]) + max(-a[5], b[5]))
        if look.acc_spread > _REST_SPREAD or abs(share - 1.0) > _OFF:
            return
        if self._rest is not None:
            between = angle(self._rest, look.mean)
            if between > _BETWEEN_RESTS:
                self._blind = self._turned < _SEEN_SHARE * between
        self._rest, self._turned = look.mean, 0.0
