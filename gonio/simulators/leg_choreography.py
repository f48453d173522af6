"""How a person gets from standing to an exercise's posture and through its repetitions, written into a score."""

from collections.abc import Mapping
from typing import Final

import numpy as np

from gonio.signal.consts import FloatArray
from gonio.simulators.leg_exercises import Exercise, Posture, Quality, Tempo
from gonio.simulators.leg_gait import Walk
from gonio.simulators.leg_kinematics import leg_vector, shank_in_thigh, thigh_rotation
from gonio.simulators.leg_score import Profile, Score

_ANKLE_HEIGHT_M: Final = 0.08
_HALF_STANCE_M: Final = 0.10  # from the body's middle to a foot
_SETTLE_S: Final = 0.4  # between two parts of a change of posture
_SHIFT_OF_WEIGHT_S: Final = 1.6
#: Hip abduction at the far end of a repetition, mean and spread, degrees.
_ASIDE_FREE_DEG: Final = (2.5, 1.5)
_ASIDE_PLANTED_DEG: Final = (0.5, 1.0)
_SWAY_SEATED: Final = 0.25  # of an upright body's sway
_SWAY_LYING: Final = 0.04


class Choreography:
    """Writes one motion, part by part, from standing on."""

    def __init__(self, lateral: float, standing_flexion_deg: float, rng: np.random.Generator) -> None:
        """Begin in relaxed standing.

        Args:
            lateral: -1 for the right leg, 1 for the left.
            standing_flexion_deg: knee flexion in relaxed standing, degrees.
            rng: where the variability comes from.
        """
        self._rng = rng
        self._lateral = lateral
        self._standing = {"knee": standing_flexion_deg, "hip": 0.4 * standing_flexion_deg}
        foot = {"foot_y": lateral * _HALF_STANCE_M, "foot_z": _ANKLE_HEIGHT_M}
        self.score = Score(self._standing | foot | {"planted": 1.0, "sway": 1.0})
        self.walks: list[Walk] = []
        self.bumps: list[tuple[float, float]] = []  # moment in s, strength

    # --- parts -------------------------------------------------------------------------------------------------------

    def stand(self, duration_s: float) -> None:
        """Stand relaxed; once, if there is time, shift the weight to the other leg and back."""
        spare_s = duration_s - _SHIFT_OF_WEIGHT_S - 1.0
        if spare_s < 0:
            self.score.wait(duration_s)
            return
        before_s = 0.6 + spare_s * self._rng.uniform(0.2, 0.8)
        size = self._rng.uniform(0.5, 1.5)
        now = self.score.now
        shifted = {"abduction": now["abduction"] - size, "knee": now["knee"] + 1.5 * size, "hip": now["hip"] + size}
        self.score.wait(before_s)
        self.score.glide(0.6, shifted)
        self.score.wait(_SHIFT_OF_WEIGHT_S - 1.2)
        self.score.glide(0.6, {"abduction": 0.0, **self._standing})
        self.score.wait(duration_s - before_s - _SHIFT_OF_WEIGHT_S)

    def walk(self, duration_s: float) -> None:
        """Walk straight on, from standing to standing."""
        self._lift()
        walk = Walk(self.score.now_s, self.score.now_s + duration_s, self._rng)
        self.walks.append(walk)
        self.score.wait(duration_s)
        self._plant()
        self.score.wait(_SETTLE_S)

    def take(self, exercise: Exercise) -> None:
        """Get from standing to where the exercise begins."""
        self._change_posture(exercise.posture, exercise.rest)
        if exercise.planted != bool(self.score.now["planted"]):
            (self._plant if exercise.planted else self._lift)()
        if any(self.score.now[name] != value for name, value in exercise.rest.items()):
            self.score.glide(0.9, exercise.rest)
        self.score.glide(_SETTLE_S, {"slide": float(exercise.slides)})
        self.score.wait(_SETTLE_S)

    def repetition(
        self, exercise: Exercise, share: float, tempo: Tempo, quality: Quality, latest_end_s: float
    ) -> tuple[float, float] | None:
        """Do one repetition and rest.

        Args:
            exercise: which.
            share: of its full range that is meant.
            tempo: the pace that is meant.
            quality: how well it is done.
            latest_end_s: a repetition that would end later is not begun.

        Returns:
            Its start and end in s, or None when there was no time for it.
        """
        rng = self._rng
        out_s, hold_s, back_s, rest_s = (
            part * np.exp(np.clip(rng.normal(0.0, 0.06), -0.2, 0.2))
            for part in (tempo.out_s, tempo.hold_s, tempo.back_s, tempo.rest_s)
        )
        reached = share * np.clip(rng.normal(1.0, 0.03), 0.92, 1.06)
        left = abs(rng.normal(0.0, 0.012))
        skew, skew_back = rng.uniform(-0.1, 0.3, 2)
        out, back = Profile(skew), Profile(skew_back)
        match quality:
            case "good":
                pass
            case "low-amplitude":
                reached *= rng.uniform(0.4, 0.5)
            case "fast":
                out_s, hold_s, back_s, rest_s = 0.45 * out_s, 0.1 * hold_s, 0.45 * back_s, 0.5 * rest_s
            case "jerky":
                out_s, back_s = 1.3 * out_s, 1.3 * back_s
                out = Profile(skew, steps=int(rng.integers(2, 5)), tremor=0.01)
                back = Profile(skew_back, steps=int(rng.integers(2, 5)), tremor=0.01)
            case "partial":
                reached *= rng.uniform(0.55, 0.85)
                left = rng.uniform(0.10, 0.25)
        # nobody moves in one plane: the knee falls to the outside on the way, more in a leg that nothing holds
        aside, back_aside = {}, {}
        if exercise.main != "abduction":
            aside["abduction"] = rng.normal(*(_ASIDE_PLANTED_DEG if exercise.planted else _ASIDE_FREE_DEG))
            back_aside["abduction"] = rng.normal(0.0, 0.7)
        start_s = self.score.now_s
        end_s = start_s + out_s + hold_s + back_s
        if end_s > latest_end_s:
            return None
        self.score.glide(out_s, _between(exercise, reached) | aside, out)
        if hold_s > 0:  # a held limb sags a little
            self.score.glide(hold_s, _between(exercise, reached * rng.uniform(0.985, 0.998)))
        self.score.glide(back_s, _between(exercise, left * reached) | back_aside, back)
        self.score.wait(rest_s)
        return start_s, end_s

    # --- postures ----------------------------------------------------------------------------------------------------

    def _change_posture(self, posture: Posture, rest: Mapping[str, float]) -> None:
        match posture:
            case "standing":
                pass
            case "seated":
                self._sit_down()
            case "supine":
                self._lie_down()
            case "hook-lying":
                self._lie_down()
                self.score.glide(1.6, {"hip": rest["hip"], "knee": rest["knee"]})
            case "side":
                self._lie_down()
                self.score.glide(self._about(1.8), {"roll": 90.0, "hip": 25.0, "knee": 35.0})
                self.score.glide(1.2, {"hip": rest["hip"], "knee": rest["knee"]})
            case "prone":
                self._lie_down()
                self.score.glide(self._about(1.6), {"roll": 90.0, "hip": 20.0, "knee": 30.0})
                self.score.glide(self._about(1.6), {"roll": 180.0, "hip": rest["hip"], "knee": rest["knee"]})
            case "step":
                self._lift()
                self.score.glide(0.9, {"hip": 58.0, "knee": 82.0})
                self.score.glide(0.6, {"hip": rest["hip"], "knee": rest["knee"]})
                self.bumps.append((self.score.now_s - 0.05, 0.5))
            case "split":
                floor_m = self.score.now["foot_z"]
                self._lift()
                now = self.score.now
                target = now | dict(rest)
                height_m = floor_m - self._leg(target)[2]
                pelvis = {"pelvis_x": now["pelvis_x"] + 0.25, "pelvis_z": height_m}
                self.score.glide(0.5, {"hip": 32.0, "knee": 35.0, "pelvis_x": now["pelvis_x"] + 0.08})
                self.score.glide(0.8, dict(rest) | pelvis)
                self.bumps.append((self.score.now_s - 0.05, 0.6))

    def _sit_down(self) -> None:
        self.score.glide(self._about(1.9), {"hip": 84.0, "knee": 92.0}, Profile(skew=-0.1))
        self.bumps.append((self.score.now_s - 0.1, 0.6))
        self.score.glide(_SETTLE_S, {"sway": _SWAY_SEATED})

    def _lie_down(self) -> None:
        """Sit on the bed's edge, swing the leg up while leaning back on the arms, and lie down."""
        self._sit_down()
        self._lift()
        now = self.score.now
        swing = {"yaw": 90.0, "recline": 35.0, "hip": 62.0, "knee": 22.0, "pelvis_z": now["pelvis_z"] + 0.04}
        self.score.glide(self._about(1.9), swing | {"pelvis_x": now["pelvis_x"] - 0.15, "sway": _SWAY_LYING})
        self.score.glide(
            self._about(1.9), {"recline": 90.0, "hip": 1.0, "knee": 5.0, "pelvis_z": now["pelvis_z"]}, Profile(-0.1)
        )
        self.score.wait(_SETTLE_S)

    # --- helpers -----------------------------------------------------------------------------------------------------

    def _about(self, duration_s: float) -> float:
        return float(duration_s * self._rng.uniform(0.88, 1.12))

    def _walked_m(self) -> float:
        return sum(walk.distance_m for walk in self.walks)

    def _leg(self, coordinates: Mapping[str, float]) -> FloatArray:
        """Give the way (3,) in m from hip to ankle, earth frame."""
        posture = np.radians([[coordinates["yaw"], coordinates["recline"], coordinates["roll"]]])
        hip, abduction, knee = (np.radians([coordinates[name]]) for name in ("hip", "abduction", "knee"))
        thigh = thigh_rotation(posture, hip, abduction, self._lateral)
        to_knee, to_ankle = leg_vector(thigh, thigh * shank_in_thigh(knee, self._lateral))
        return np.asarray((to_knee + to_ankle)[0], dtype=np.float64)

    def _lift(self) -> None:
        """Let the pelvis carry the leg from here on."""
        now = self.score.now
        leg = self._leg(now)
        self.score.jump(
            {
                "pelvis_x": now["foot_x"] - leg[0] - self._walked_m(),
                "pelvis_y": now["foot_y"] - leg[1],
                "pelvis_z": now["foot_z"] - leg[2],
            }
        )
        self.score.glide(_SETTLE_S, {"planted": 0.0})

    def _plant(self) -> None:
        """Let the foot stay where it is and carry the pelvis from here on."""
        now = self.score.now
        leg = self._leg(now)
        self.score.jump(
            {
                "foot_x": now["pelvis_x"] + leg[0] + self._walked_m(),
                "foot_y": now["pelvis_y"] + leg[1],
                "foot_z": now["pelvis_z"] + leg[2],
            }
        )
        self.score.glide(_SETTLE_S, {"planted": 1.0})


def _between(exercise: Exercise, share: float) -> dict[str, float]:
    return {name: rest + share * (exercise.far[name] - rest) for name, rest in exercise.rest.items()}
