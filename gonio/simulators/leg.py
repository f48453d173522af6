"""A simulated leg: thigh and shank in space, doing an exercise, and what two sensors strapped to it measure.

Everything here is made up by a model; nothing of it is a measurement of a person, and what comes of it is marked
"simulated" wherever it goes.
"""

from typing import Final, Self

import numpy as np
from scipy.interpolate import CubicSpline
from scipy.spatial.transform import Rotation

from gonio.errors import UsageError
from gonio.signal.consts import NO_EXERCISE, SEGMENTS, FloatArray, Segment, Side
from gonio.simulators.leg_choreography import Choreography
from gonio.simulators.leg_exercises import Exercise, Quality, Tempo, scaled
from gonio.simulators.leg_gait import GaitPath, Walk, damped_shake
from gonio.simulators.leg_kinematics import (
    LegPath,
    SensorPath,
    heel_slide_hip_rad,
    leg_vector,
    sensor_path,
    shank_in_thigh,
    thigh_rotation,
)
from gonio.simulators.motion import MotionTruth, TrueRep

_TABLE_HZ: Final = 500.0  # a heel strike's 14 Hz is then 36 samples a period
_PAD: Final = 8  # table samples before the beginning and after the end, for derivatives and splines
_LONGEST_S: Final = 3600.0  # an hour of table is 350 MB
_MOST_STANDING_DEG: Final = 40.0
_SOFTEST: Final = 3.0
_DEFAULT_REPS: Final = 10  # the usual dose is 8 to 12
_DEFAULT_WALK_S: Final = 60.0
_BUMP_M_S2: Final[dict[Segment, tuple[float, float, float]]] = {"thigh": (1.0, 0.5, 3.0), "shank": (1.0, 0.5, 2.0)}


class LegMotion:
    """One leg from relaxed standing into an exercise's posture, through its repetitions, to a rest.

    Implements ``simulators.motion.Motion``. Two motions with the same arguments are the same to the last digit, and a
    moment's signals do not depend on which other moments are asked for with it.
    """

    origin: Final = "simulated"

    def __init__(  # noqa: PLR0913 - each is one choice about a motion, and all but the first have a default
        self,
        exercise: str,
        *,
        side: Side = "right",
        reps: int | None = None,
        duration_s: float | None = None,
        tempo: Tempo | None = None,
        range_deg: float | None = None,
        quality: Quality = "good",
        seed: int = 0,
        standing_s: float = 3.0,
        standing_flexion_deg: float = 5.0,
        walk_s: float = 0.0,
        rest_s: float = 2.0,
        soft_tissue: float = 1.0,
        mounting: dict[Segment, Rotation] | None = None,
    ) -> None:
        """Work the motion out.

        Args:
            exercise: its product-wide name, or "none" for a walk.
            side: the leg that moves.
            reps: repetitions to do; by default 10, or as many as fit when ``duration_s`` is given.
            duration_s: how long the motion lasts, s; by default as long as it takes (a walk: 60 s).
            tempo: the pace of a repetition; by default the exercise's usual one.
            range_deg: how far a full repetition goes, degrees; by default the exercise's usual range.
            quality: how well the repetitions are done.
            seed: of all that varies: repetitions, sway, strides, mounting.
            standing_s: relaxed standing at the beginning, s.
            standing_flexion_deg: knee flexion in it, degrees.
            walk_s: a walk between standing and exercise, s; 0 for none.
            rest_s: rest after the last repetition, s (at least this much when ``duration_s`` is given).
            soft_tissue: how much the sensors move against the bones: 0 not at all, 1 as on a normal leg.
            mounting: how each sensor is strapped on, sensor frame to bone frame; by default any way at random.

        Raises:
            UsageError: The exercise is unknown, the range beyond a leg, or the time too short.
        """
        _check_times(standing_s, walk_s, rest_s, duration_s or 0.0)
        if not (0 <= standing_flexion_deg <= _MOST_STANDING_DEG and 0 <= soft_tissue <= _SOFTEST):
            raise UsageError(
                f"a knee stands at 0 to {_MOST_STANDING_DEG:g} degrees, soft tissue is 0 to {_SOFTEST:g} times as soft"
            )
        if seed < 0 or (reps is not None and reps < 1):
            raise UsageError("a seed is a whole number from 0 on, and an exercise has at least one repetition")
        self.exercise = exercise
        self.side: Side = side
        self._lateral = -1.0 if side == "right" else 1.0
        self._rng = np.random.default_rng(seed)
        mounts = Rotation.random(len(SEGMENTS), rng=np.random.default_rng((seed, 1)))
        self.mounting = dict(zip(SEGMENTS, mounts, strict=True)) if mounting is None else dict(mounting)

        part = Choreography(self._lateral, float(standing_flexion_deg), self._rng)
        part.stand(standing_s)
        if walk_s > 0:
            part.walk(walk_s)
        performed: list[tuple[float, float]] = []
        exercise_done: Exercise | None = None
        if exercise == NO_EXERCISE:
            self._wander(part, duration_s, rest_s)
        else:
            exercise_done, share = scaled(exercise, range_deg)
            part.take(exercise_done)
            wanted = reps or (_DEFAULT_REPS if duration_s is None else None)
            latest_s = (_LONGEST_S if duration_s is None else duration_s) - rest_s
            performed = _repeat(part, exercise_done, share, tempo or exercise_done.tempo, quality, wanted, latest_s)
            if not performed or (reps is not None and len(performed) < reps):
                raise UsageError(
                    f"{latest_s + rest_s:g} s are too short for {reps or 1} x {exercise}, whose first repetition "
                    f"begins at {performed[0][0] if performed else part.score.now_s:.0f} s; give more time"
                )
            part.score.wait(rest_s)
        self.duration_s = part.score.now_s if duration_s is None else float(duration_s)
        self._build(part, soft_tissue)
        self.truth = self._find_truth(performed, exercise_done)

    @classmethod
    def for_seconds(cls, exercise: str, seconds: float, *, side: Side = "right", seed: int = 0) -> Self:
        """Fill a time with an exercise: standing, the change of posture, and every repetition that fits whole."""
        return cls(exercise, side=side, duration_s=seconds, seed=seed, rest_s=1.0)

    def imu(self, segment: Segment, t_s: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Give specific force (n, 3) in m/s² and angular velocity (n, 3) in rad/s, sensor frame.

        Args:
            segment: where the sensor sits.
            t_s: (n,) moments in s; before the beginning and after the end the nearest moment counts.
        """
        return self._sensors[segment].signals(np.clip(t_s, 0.0, self.duration_s))

    def flexion(self, t_s: FloatArray) -> FloatArray:
        """Give the true knee flexion (n,) in rad at moments (n,) in s."""
        return np.asarray(self._flexion(np.clip(t_s, 0.0, self.duration_s)), dtype=np.float64)

    def orientation(self, segment: Segment, t_s: FloatArray) -> Rotation:
        """Give the true orientations (n,) of a sensor, sensor frame to earth frame, at moments (n,) in s."""
        return self._sensors[segment].orientation(np.clip(t_s, 0.0, self.duration_s))

    def bones(self, t_s: FloatArray) -> LegPath:
        """Give the bones without any sensor at increasing moments (n,) in s."""
        return self._path(t_s, [walk.sample(t_s) for walk in self._part.walks])

    # --- working it out ----------------------------------------------------------------------------------------------

    @staticmethod
    def _wander(part: Choreography, duration_s: float | None, rest_s: float) -> None:
        spare_s = 2.0  # to begin and to end the walk
        walk_s = _DEFAULT_WALK_S if duration_s is None else duration_s - part.score.now_s - rest_s - spare_s
        if walk_s < Walk.SHORTEST_S:
            raise UsageError(f"{duration_s:g} s are too short to stand and to walk; give more time")
        part.walk(walk_s)
        part.score.wait(rest_s)

    def _build(self, part: Choreography, soft_tissue: float) -> None:
        self._part = part
        self._sway = [_Sway(self._rng, amplitude) for amplitude in (0.30, 0.20, 0.30, 0.004, 0.004)]
        count = int(np.ceil(self.duration_s * _TABLE_HZ)) + 1
        self._table_s = np.arange(-_PAD, count + _PAD) / _TABLE_HZ
        gaits = [walk.sample(self._table_s) for walk in part.walks]
        path = self._path(self._table_s, gaits)
        self._flexion = CubicSpline(self._table_s, path.flexion)
        self._sensors: dict[Segment, SensorPath] = {
            segment: sensor_path(
                segment,
                self._table_s,
                path,
                lateral=self._lateral,
                soft_tissue=soft_tissue,
                jolt_m=self._jolt(segment, gaits) * (1.0, -self._lateral, 1.0),
                mounting=self.mounting[segment],
            )
            for segment in SEGMENTS
        }

    def _path(self, t_s: FloatArray, gaits: list[GaitPath]) -> LegPath:
        at = self._part.score.sample(t_s)
        lean, aside, bend, drift_x, drift_y = (sway(t_s) * at["sway"] for sway in self._sway)
        knee = np.radians(at["knee"] + bend)
        hip = np.radians(at["hip"] + 0.4 * bend) + at["slide"] * heel_slide_hip_rad(knee)
        pelvis = np.column_stack((at["pelvis_x"] + drift_x, at["pelvis_y"] + self._lateral * drift_y, at["pelvis_z"]))
        for gait in gaits:
            knee = knee + gait.weight * (np.radians(gait.knee_deg) - knee)
            hip = hip + gait.weight * (np.radians(gait.hip_deg) - hip)
            pelvis = pelvis + gait.pelvis_m * (1.0, self._lateral, 1.0)
        posture = np.radians(np.column_stack((at["yaw"], at["recline"] + lean, at["roll"])))
        thigh = thigh_rotation(posture, hip, np.radians(at["abduction"] + aside), self._lateral)
        shank = thigh * shank_in_thigh(knee, self._lateral)
        to_knee, to_ankle = leg_vector(thigh, shank)
        foot = np.column_stack((at["foot_x"], at["foot_y"], at["foot_z"]))
        planted = at["planted"][:, None]
        hip_m = planted * (foot - to_knee - to_ankle) + (1.0 - planted) * pelvis
        return LegPath(hip_m, hip_m + to_knee, thigh, shank, knee)

    def _jolt(self, segment: Segment, gaits: list[GaitPath]) -> FloatArray:
        jolt = np.zeros((len(self._table_s), 3))
        for gait in gaits:
            jolt += gait.jolt_m[segment]
        for moment_s, strength in self._part.bumps:
            first, last = np.searchsorted(self._table_s, (moment_s, moment_s + 0.35))
            shake = strength * damped_shake(self._table_s[first:last] - moment_s)
            jolt[first:last] += shake[:, None] * _BUMP_M_S2[segment]
        return jolt

    def _find_truth(self, performed: list[tuple[float, float]], exercise: Exercise | None) -> MotionTruth:
        if exercise is None:
            return MotionTruth(0, (), None)
        flexion = self._flexion(self._table_s)
        moved = flexion
        if exercise.signal == "thigh":
            moved = np.radians(self._part.score.sample(self._table_s)[exercise.main])
        reps: list[TrueRep] = []
        highest = -np.inf
        for start_s, end_s in performed:
            first, last = np.searchsorted(self._table_s, (start_s, end_s))
            peak = first + int(np.argmax(np.abs(moved[first:last] - moved[first])))
            reps.append(TrueRep(start_s, float(self._table_s[peak]), end_s))
            highest = max(highest, float(flexion[first:last].max()))
        return MotionTruth(len(reps), tuple(reps), highest)


def _check_times(standing_s: float, walk_s: float, rest_s: float, duration_s: float) -> None:
    if not all(0 <= time_s <= _LONGEST_S for time_s in (standing_s, walk_s, rest_s, duration_s)):
        raise UsageError(f"a motion's times lie between 0 and {_LONGEST_S:g} s")
    if 0 < walk_s < Walk.SHORTEST_S:
        raise UsageError(f"a walk takes at least {Walk.SHORTEST_S:g} s")


def _repeat(
    part: Choreography,
    exercise: Exercise,
    share: float,
    tempo: Tempo,
    quality: Quality,
    wanted: int | None,
    latest_s: float,
) -> list[tuple[float, float]]:
    """Do as many repetitions as are wanted and end by a moment in s; give their starts and ends."""
    performed: list[tuple[float, float]] = []
    while wanted is None or len(performed) < wanted:
        one = part.repetition(exercise, share, tempo, quality, latest_s)
        if one is None:
            break
        performed.append(one)
    return performed


class _Sway:
    """The small unceasing motion of a body that holds itself: a few slow waves of unlike period."""

    def __init__(self, rng: np.random.Generator, amplitude: float) -> None:
        self._frequencies_hz = np.array((0.11, 0.23, 0.41, 0.77)) * rng.uniform(0.85, 1.15, 4)
        self._phases = rng.uniform(0.0, 2.0 * np.pi, 4)
        self._sizes = amplitude * np.array((0.6, 0.5, 0.3, 0.1))

    def __call__(self, t_s: FloatArray) -> FloatArray:
        waves = np.sin(2.0 * np.pi * t_s[:, None] * self._frequencies_hz + self._phases)
        return np.asarray(waves @ self._sizes, dtype=np.float64)
