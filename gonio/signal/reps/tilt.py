"""How far the leg is tilted from where it rests, whichever way: it needs no axis and no calibration.

The tilt is the larger of the two sensors' angles between "up" now and "up" at rest. The rest is the posture that the
leg comes back to. At first it is the first posture. It is followed slowly while the leg lies still, and taken anew

- when the leg has come most of the way back and lies still there (it hardly ever comes back to the very spot);
- when the leg, away from it, has been still in one place, went off and is still in that same place again: that is where
  it comes back to (somebody lay down before the raises). What has been since the first time there is to be counted
  anew, so the caller is told how far back to go;
- when it stays away for longer than a hold lasts.
"""

import math
from dataclasses import dataclass
from typing import Final, TypeAlias

_FOLLOW_S: Final = 1.5  # time constant with which the rest follows a leg that lies still
_EVERY_S: Final = 0.1  # how often it does, and the spacing of what is remembered of a leg that is away
_NEAR: Final = math.radians(4.0)
_STILL_RAD_S: Final = 0.2
#: Coming back to less than this share of the way and lying still there for that long, s, is a new rest.
_BACK_SHARE, _BACK_S = 0.45, 0.5
#: A leg that turns by less than that, rad, in so many steps of what is remembered, stops.
_DWELL, _DWELL_TURN = 4, math.radians(1.0)
#: The same place: within this share of how far the leg went off in between, and within this angle, rad. It must have
#: gone so far, rad, and, where the place is no further from the old rest than a raise, this share of that: a raised leg
#: sways.
_SAME_SHARE, _SAME, _LEAST_OFF, _RAISE, _OFF_SHARE = (
    0.45,
    math.radians(15.0),
    math.radians(5.0),
    math.radians(45.0),
    0.5,
)
#: Meanwhile it must not have come nearer to the old rest than this share of the place's distance: that is a return.
_RETURN_SHARE: Final = 0.5
_PATIENCE_S: Final = 20.0  # away for longer than a hold is a new posture

Vector: TypeAlias = list[float]
Ups: TypeAlias = tuple[Vector, Vector]


@dataclass(frozen=True, slots=True)
class Anew:
    """The rest was another one than thought.

    Attributes:
        index: of the sample, among those fed, at which it was found.
        since_s: kit's clock, s, from which on the tilt counts from the new rest.
        rest: "up" in both sensors' frames there.
        way: the tilt in the time that was misjudged, as (s, rad from this rest), NaN before ``since_s``.
    """

    index: int
    since_s: float
    rest: Ups
    way: tuple[tuple[float, float], ...]


def tilt_from(rest: Ups, up1: Vector, up2: Vector) -> float:
    """Give the larger angle, rad, of two "up" vectors from those at rest."""
    (a, b, c), (d, e, f) = rest
    cos1 = a * up1[0] + b * up1[1] + c * up1[2]
    cos2 = d * up2[0] + e * up2[1] + f * up2[2]
    least = min(cos1, cos2)
    return 0.0 if least >= 1.0 else math.pi if least <= -1.0 else math.acos(least)


class Tilt:
    """The tilt, sample after sample."""

    def __init__(self, rate_hz: float) -> None:
        """Begin at rest in the first posture, with samples at a rate in Hz."""
        self._every = max(1, round(_EVERY_S * rate_hz))
        self._share = 1.0 - math.exp(-self._every / (_FOLLOW_S * rate_hz))
        self._patience, self._back = (round(s * rate_hz) for s in (_PATIENCE_S, _BACK_S))
        self._rest: Ups | None = None
        self._begin()

    def _begin(self) -> None:
        self._near_count = self._away_count = self._returned = 0
        self._high = 0.0
        self._trace: list[tuple[float, float, Ups]] = []  # time, tilt, posture while away
        self._stops: list[int] = []  # in the trace
        self._stopped = False

    def feed(
        self, t: list[float], up1: list[Vector], up2: list[Vector], speed: list[float]
    ) -> tuple[list[float], list[Anew]]:
        """Take consecutive samples: kit's clock (s), "up" in both sensors' frames, the faster one's speed (rad/s).

        Returns:
            The tilt in rad, NaN at the moment in which a changed posture becomes the rest; and where the rest turned
            out to have been another one.
        """
        out: list[float] = []
        anew: list[Anew] = []
        for i, (one, two, fast) in enumerate(zip(up1, up2, speed, strict=True)):
            if self._rest is None:
                self._rest = (one, two)
            tilt = tilt_from(self._rest, one, two)
            if tilt < _NEAR:
                self._follow(one, two)
            else:
                way = self._stray(t[i], tilt, (one, two), fast)
                if way is not None:
                    tilt = 0.0
                    since_s = next(moment for moment, angle in way if not math.isnan(angle))
                    anew.append(Anew(i, since_s, self._rest, way))
                elif self._away_count == 0:  # the rest is here now
                    tilt = 0.0
                elif self._away_count > self._patience:
                    self._take((one, two))
                    tilt = math.nan
            out.append(tilt)
        return out, anew

    def _take(self, rest: Ups) -> None:
        self._rest = rest
        self._begin()

    def _follow(self, up1: Vector, up2: Vector) -> None:
        if self._away_count:
            self._begin()
        self._near_count += 1
        if self._near_count >= self._every and self._rest is not None:
            self._near_count = 0
            self._rest = (_toward(self._rest[0], up1, self._share), _toward(self._rest[1], up2, self._share))

    def _stray(self, t: float, tilt: float, ups: Ups, speed: float) -> tuple[tuple[float, float], ...] | None:
        """Take a sample away from the rest; give the way as seen from another rest, if that was the rest already."""
        tick = self._away_count % self._every == 0
        self._away_count += 1
        self._high = max(self._high, tilt)
        self._returned = self._returned + 1 if tilt < _BACK_SHARE * self._high and speed < _STILL_RAD_S else 0
        if self._returned > self._back:
            self._take(ups)
            return None
        if not tick:
            return None
        self._trace.append((t, tilt, ups))
        here = len(self._trace) - 1
        if here < _DWELL or tilt_from(self._trace[here - _DWELL][2], *ups) > _DWELL_TURN:
            self._stopped = False
            return None
        if self._stopped:
            self._stops[-1] = here  # it stops where it was still last
            return None
        since_s = self._revisited(tilt, ups)
        if since_s is None:
            self._stopped = True
            self._stops.append(here)
            return None
        way = tuple((at, tilt_from(ups, *one) if at >= since_s else math.nan) for at, _, one in self._trace)
        self._take(ups)
        return way

    def _revisited(self, tilt: float, ups: Ups) -> float | None:
        """Give when the leg stopped here before, if it did and has been off since."""
        for stop in self._stops:
            t, before, place = self._trace[stop]
            between = self._trace[stop:]
            off = max(tilt_from(place, *one) for _, _, one in between)
            if (
                off >= (_LEAST_OFF if before > _RAISE else max(_LEAST_OFF, _OFF_SHARE * before))
                and tilt_from(place, *ups) < min(_SAME, _SAME_SHARE * off)
                and min(one for _, one, _ in between) >= _RETURN_SHARE * min(before, tilt)
            ):
                return t
        return None


def _toward(rest: Vector, up: Vector, share: float) -> Vector:
    x, y, z = (r + share * (u - r) for r, u in zip(rest, up, strict=True))
    norm = math.sqrt(x * x + y * y + z * z)
    return [x / norm, y / norm, z / norm]
