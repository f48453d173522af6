"""What is measured on: recordings and the simulated leg, behind one value.

Recordings are read from the folder that GONIO_DATA names, or from ``../shared/data`` beside the repository.
"""

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
from scipy.spatial.transform import Rotation

from gonio import recording
from gonio.signal.chunks import SampleChunk
from gonio.signal.consts import NO_EXERCISE, SEGMENTS, BoolArray, FloatArray, Segment, Side
from gonio.simulators.imu import ImuErrors, ImuQuality
from gonio.simulators.leg import LegMotion

DATA: Final = Path(os.environ.get("GONIO_DATA", Path(__file__).parents[2] / "shared" / "data"))

#: Rate at which the simulated leg is sampled, Hz: the Movella DOT's.
SIMULATED_HZ: Final = 60.0


@dataclass(frozen=True, slots=True, eq=False)
class Trial:
    """Two sensors' samples and what is known about the motion.

    Attributes:
        name: of the recording, or of the simulated motion.
        rate_hz: nominal rate, Hz.
        exercise: the one done; None when nothing is said about it, "none" for gait.
        side: the leg; None for a rig.
        samples: of thigh and shank.
        truth_s: (n,) times of the reference, s; empty when there is none.
        truth: (n,) reference flexion, rad; NaN where it is not valid.
        reps: true repetitions, (start, end) in s; None when nobody marked them.
        count: true number of repetitions; None when nobody counted.
        sets: stretches in which the repetitions were done, (start, end) in s.
        rig: True where sign and zero of the reference are arbitrary.
    """

    name: str
    rate_hz: float
    exercise: str | None
    side: Side | None
    samples: dict[Segment, SampleChunk]
    truth_s: FloatArray
    truth: FloatArray
    reps: tuple[tuple[float, float], ...] | None
    count: int | None
    sets: tuple[tuple[float, float], ...] = ()
    rig: bool = False

    @property
    def signs(self) -> tuple[float, ...]:
        """Signs that the reference may have."""
        return (1.0, -1.0) if self.rig else (1.0,)

    def reference(self, t_s: FloatArray) -> FloatArray:
        """Give the reference (n,) in rad at moments (n,) in s; NaN where it is not known."""
        if not len(self.truth_s):
            return np.full(len(t_s), np.nan)
        return np.interp(t_s, self.truth_s, self.truth, left=np.nan, right=np.nan)

    def grid(self) -> "Grid":
        """Give both sensors on one regular time grid, joined by lines, as a method needs it that knows no gaps."""
        times = []
        for segment in SEGMENTS:
            t = self.samples[segment].sensor_s
            if t is None:
                raise ValueError(f"{self.name} has no times")
            times.append(t)
        t = np.arange(max(times[0][0], times[1][0]), min(times[0][-1], times[1][-1]), 1.0 / self.rate_hz)
        acc, gyr = [], []
        for segment, own in zip(SEGMENTS, times, strict=True):
            chunk = self.samples[segment]
            acc.append(np.column_stack([np.interp(t, own, column) for column in chunk.acc.T]))
            gyr.append(np.column_stack([np.interp(t, own, column) for column in chunk.gyr.T]))
        return Grid(t, (acc[0], acc[1]), (gyr[0], gyr[1]), self.rate_hz)

    def turned(self, seed: int) -> "Trial":
        """Give the same motion with both sensors strapped on another way, at random."""
        turns = Rotation.random(len(SEGMENTS), rng=np.random.default_rng(seed))
        samples = {
            segment: replace(chunk, acc=turn.apply(np.array(chunk.acc)), gyr=turn.apply(np.array(chunk.gyr)))
            for (segment, chunk), turn in zip(self.samples.items(), turns, strict=True)
        }
        return replace(self, samples=samples)


@dataclass(frozen=True, slots=True, eq=False)
class Grid:
    """Both sensors at the same moments, thigh first: t_s (n,) s, acc (n, 3) m/s², gyr (n, 3) rad/s."""

    t_s: FloatArray
    acc: tuple[FloatArray, FloatArray]
    gyr: tuple[FloatArray, FloatArray]
    rate_hz: float

    def part(self, first: int, last: int) -> "Grid":
        """Give the samples from one index to another."""
        cut = slice(first, last)
        (a, b), (c, d) = self.acc, self.gyr
        return Grid(self.t_s[cut], (a[cut], b[cut]), (c[cut], d[cut]), self.rate_hz)


def recordings() -> list[Trial]:
    """Read all recordings that are there, in the order of their names; none when there is no folder."""
    if not DATA.is_dir():
        return []
    return [recorded(path) for path in sorted(DATA.iterdir()) if (path / "recording.toml").is_file()]


def recorded(path: Path) -> Trial:
    """Read one recording; a restarted or missing sensor clock is not provided for."""
    one = recording.read(path)
    declared = "exercise" in (path / "recording.toml").read_text(encoding="utf-8")
    reps = None if one.reps is None else tuple((rep.start_s, rep.end_s) for rep in one.reps)
    count = len(reps) if reps is not None else None if one.sets is None else sum(part.count for part in one.sets)
    times, flexion = np.empty(0), np.empty(0)
    if one.truth is not None:
        times, flexion = one.truth.t_s, np.where(one.truth.valid, one.truth.flexion, np.nan)
    return Trial(
        name=path.name,
        rate_hz=one.meta.rate_hz,
        exercise=one.meta.exercise if declared else None,
        side=one.meta.side,
        samples={"thigh": one.thigh, "shank": one.shank},
        truth_s=times,
        truth=flexion,
        reps=reps,
        count=count,
        sets=tuple((part.start_s, part.end_s) for part in one.sets or () if part.count),
        rig=one.meta.side is None,
    )


def simulated(motion: LegMotion, name: str, seed: int, quality: ImuQuality | None = None) -> Trial:
    """Let two sensors with errors of their own measure a simulated leg; both share one clock."""
    t = np.arange(int(motion.duration_s * SIMULATED_HZ)) / SIMULATED_HZ
    samples: dict[Segment, SampleChunk] = {}
    for k, segment in enumerate(SEGMENTS):
        errors = ImuErrors(2 * seed + k + 1, rate_hz=SIMULATED_HZ, quality=quality)
        acc, gyr = errors.apply(t, *motion.imu(segment, t))
        samples[segment] = SampleChunk(acc, gyr, t)
    return Trial(
        name=name,
        rate_hz=SIMULATED_HZ,
        exercise=motion.exercise,
        side=motion.side,
        samples=samples,
        truth_s=t,
        truth=motion.flexion(t),
        reps=tuple((rep.start_s, rep.end_s) for rep in motion.truth.reps),
        count=motion.truth.rep_count,
    )


def over_a_link(trial: Trial, seed: int, *, drift: float = 50e-6, jitter_s: float = 0.03, loss: float = 0.02) -> Trial:
    """Send a trial over two imperfect links: clocks that run apart, late arrivals, lost samples.

    Args:
        trial: what was measured.
        seed: of the link.
        drift: of the clocks, the thigh's fast and the shank's slow by this share.
        jitter_s: arrivals are late by 8 ms and up to this much more, s.
        loss: share of the samples that never arrive.
    """
    rng = np.random.default_rng((seed, 7))
    samples: dict[Segment, SampleChunk] = {}
    for (segment, chunk), sign in zip(trial.samples.items(), (1.0, -1.0), strict=True):
        if chunk.sensor_s is None:
            raise ValueError(f"{trial.name} has no times")
        true = chunk.sensor_s
        arrival = np.maximum.accumulate(true + 0.008 + rng.uniform(0.0, jitter_s, len(true)))
        own = (true - true[0]) * (1.0 + sign * drift) + rng.uniform(0.0, 1000.0)
        keep = rng.random(len(true)) >= loss
        samples[segment] = SampleChunk(chunk.acc[keep], chunk.gyr[keep], own[keep], arrival[keep])
    return replace(trial, samples=samples)


def with_losses(trial: Trial, share: float, seed: int, burst: int = 3) -> Trial:
    """Lose bursts of samples of each sensor, at random places, until a share is lost."""
    rng = np.random.default_rng((seed, 8))
    samples: dict[Segment, SampleChunk] = {}
    for segment, chunk in trial.samples.items():
        keep = kept(len(chunk), share, burst, rng)
        times = chunk.sensor_s
        samples[segment] = SampleChunk(chunk.acc[keep], chunk.gyr[keep], None if times is None else times[keep])
    return replace(trial, samples=samples)


def kept(n: int, share: float, burst: int, rng: np.random.Generator) -> BoolArray:
    """Tell which of n samples are left when bursts are lost; the first and the last stay."""
    keep = np.ones(n, dtype=np.bool_)
    for start in rng.choice(np.arange(1, n - burst - 1), size=round(share * n / burst), replace=False):
        keep[start : start + burst] = False
    return keep


def late_by(trial: Trial, offset_s: float) -> Trial:
    """Let the shank sensor's clock be off by a constant, s, that nobody knows of."""
    shank = trial.samples["shank"]
    if shank.sensor_s is None:
        raise ValueError(f"{trial.name} has no times")
    return replace(trial, samples={**trial.samples, "shank": replace(shank, sensor_s=shank.sensor_s + offset_s)})


def is_gait(trial: Trial) -> bool:
    """Tell whether every repetition found in a trial is false."""
    return trial.exercise == NO_EXERCISE
