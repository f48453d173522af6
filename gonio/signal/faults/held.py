"""Axes that do not change by a single bit though the sensor moves: dead, stuck and frozen sensors.

A coarse sensor that lies still repeats a number on an axis for minutes, and that is no fault. So an axis is held only
while something else in the same sensor shows motion, since the look in which it stopped changing. A sensor that repeats
all six numbers shows nothing else; it is frozen when its noise had never let it do so before, or when it does so for
ten seconds, which the noise of no sensor worn allows. An axis that stays at its range's end is clipped, not held.
"""

from collections.abc import Callable
from typing import Final

from gonio.signal.faults.looks import Look

#: Motion since the axis stopped, by the other axes, from which on a real one would have changed: 6° of tilt, m/s² (the
#: coarsest accelerometers have steps of 0.04), and a turning, rad/s, that crooked axes alone (1 %) make ten steps of.
_ACC_MOVES, _GYR_MOVES = 1.0, 0.7
#: A turning that stays the same to the bit is none of a leg's, rad/s; a bias, which may, is below.
_TURNS: Final = 0.2
#: Turning, rad, of the gyroscope, that a live accelerometer would have shown.
_TURNED: Final = 0.5
#: Force below which an accelerometer that does not change reads nothing, m/s²; and looks for which it falls at most.
_NOTHING, _NOTHING_LOOKS = 1.0, 2
#: Looks in a row that are still and show noise on every axis: such a sensor does not fall silent by itself.
_NOISY_LOOKS: Final = 8
_FROZEN_LOOKS, _FROZEN_LONG = 2, 40
_AXES: Final = 3


class HeldWatch:
    """Names axes that are held: "gyroscope-dead", "accelerometer-dead", "axis-stuck", "frozen"."""

    def __init__(self) -> None:
        self._value: list[float | None] = [None] * 6  # what an axis is held at
        self._least: list[list[float]] = [[]] * 6  # range of all axes since
        self._most: list[list[float]] = [[]] * 6
        self._turned = [0.0] * 6
        self._named: set[int] = set()
        self._noisy = self._nothing = self._all = 0
        self._was_noisy = False

    def look(self, look: Look, reaches: Callable[[int, float], bool]) -> set[str]:
        """Take the next look; give the faults of now.

        ``reaches`` tells of an axis and a value whether that is the end of the axis's range.
        """
        if look.held == (0, 0) and not self._named and self._value.count(None) == len(self._value):
            self._rest(look)
            return set()
        for axis in range(6):
            self._follow(axis, look, reaches)
        self._rest(look)
        names: set[str] = set()
        for first, name in ((0, "accelerometer-dead"), (_AXES, "gyroscope-dead")):
            count = sum(axis in self._named for axis in range(first, first + _AXES))
            if count:
                names.add(name if count == _AXES else "axis-stuck")
        if self._nothing >= _NOTHING_LOOKS:
            names.add("accelerometer-dead")
            if look.held[1] == _AXES:
                names.add("gyroscope-dead")
        elif self._all >= (_FROZEN_LOOKS if self._was_noisy or max(map(abs, look.mean[3:])) > _TURNS else _FROZEN_LONG):
            names.add("frozen")
        return names

    def _rest(self, look: Look) -> None:
        silent = look.held == (_AXES, _AXES)
        self._all = self._all + 1 if silent else 0
        self._nothing = self._nothing + 1 if look.held[0] == _AXES and look.force < _NOTHING else 0
        self._noisy = self._noisy + 1 if look.still and look.held == (0, 0) else 0
        self._was_noisy = self._was_noisy or self._noisy >= _NOISY_LOOKS

    def _follow(self, axis: int, look: Look, reaches: Callable[[int, float], bool]) -> None:
        """Tell whether an axis is held, and whether the sensor has moved since it is."""
        value = look.low[axis]
        if value != look.high[axis] or reaches(axis, value):
            self._value[axis] = None
            self._named.discard(axis)
            return
        if self._value[axis] != value:
            self._value[axis] = value
            self._least[axis], self._most[axis] = list(look.low), list(look.high)
            self._turned[axis] = 0.0
            self._named.discard(axis)
        least, most = self._least[axis], self._most[axis]
        for k in range(6):
            least[k] = min(least[k], look.low[k])
            most[k] = max(most[k], look.high[k])
        self._turned[axis] += max(map(abs, look.mean[_AXES:])) * (look.end_s - look.begin_s)
        acc = max(most[k] - least[k] for k in range(_AXES))
        gyr = max(most[k] - least[k] for k in range(_AXES, 6))
        moved = acc > _ACC_MOVES or (gyr > _GYR_MOVES and (axis >= _AXES or self._turned[axis] > _TURNED))
        turns = axis >= _AXES and look.held != (_AXES, _AXES) and abs(value) > _TURNS
        if moved or turns:
            self._named.add(axis)
