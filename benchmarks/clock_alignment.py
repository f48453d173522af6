"""How far the fitted times of two simulated sensors are from each other, for several links.

Prints percentiles of the absolute error of alignment in ms: (fitted time of a sample minus its true time) of one
sensor against the other's at the same moment, over two simulated minutes. All streams are simulated: a delay of 8 ms
plus jitter, the later of neighbours never arriving before the earlier, bursts as a notification carries them, losses
of whole notifications, and a stall of the link of 0.8 s each 25 s where said.
"""

from dataclasses import dataclass

import numpy as np

from gonio.signal.chunks import SampleChunk, StreamDefects
from gonio.signal.clock.sensor import SensorClock
from gonio.signal.consts import FloatArray

SECONDS = 120.0
SEEDS = 12


@dataclass(frozen=True)
class Link:
    """One simulated setting."""

    name: str
    clock: bool  # whether the sensor gives its own times
    rate_hz: float = 60.0
    jitter_s: float = 0.03
    heavy: bool = False  # exponential in place of uniform jitter
    drift: float = 50e-6  # of the sensor's clock, or of its rate against the nominal one
    loss: float = 0.02
    burst: int = 1
    stalls: bool = False


STALL_EACH_S, STALL_FROM_S, STALL_TO_S = 25.0, 20.0, 20.8


def stream(link: Link, sign: float, rng: np.random.Generator) -> tuple[FloatArray, SampleChunk]:
    """Simulate one sensor: true times of the samples that arrive, and the samples."""
    drift = sign * link.drift
    true = 5000 + rng.uniform(0, 0.1) + np.arange(int(SECONDS * link.rate_hz)) * (1 + drift) / link.rate_hz
    own = (true - true[0]) / (1 + drift) + rng.uniform(0, 1000)
    last = np.minimum((np.arange(len(true)) // link.burst + 1) * link.burst, len(true)) - 1
    jitter = rng.exponential(link.jitter_s / 3, len(true)) if link.heavy else rng.uniform(0, link.jitter_s, len(true))
    arrival = true[last] + 0.008 + jitter[last]
    if link.stalls:
        phase = (true - true[0]) % STALL_EACH_S
        arrival += np.where((phase > STALL_FROM_S) & (phase < STALL_TO_S), STALL_TO_S - phase, 0)[last]
    arrival = np.maximum.accumulate(arrival)
    keep = (rng.random(len(true)) >= link.loss)[last]
    zeros = np.zeros((int(keep.sum()), 3))
    return true[keep], SampleChunk(zeros, zeros, own[keep] if link.clock else None, arrival[keep])


def errors(link: Link, seed: int) -> tuple[FloatArray, StreamDefects, int]:
    """Give the error of alignment in s, and the first sensor's defects and true losses."""
    rng = np.random.default_rng(seed)
    sides = []
    for sign in (1.0, -1.0):
        true, chunk = stream(link, sign, rng)
        clock = SensorClock("thigh", link.rate_hz)
        times = [c.t_s for c in clock.feed(chunk)] + [c.t_s for c in clock.finish()]
        sides.append((true, np.concatenate(times) - true, clock.defects))
    (true, error, defects), (other_true, other, _) = sides
    return error - np.interp(true, other_true, other), defects, int(SECONDS * link.rate_hz) - len(true)


LINKS = (
    Link("clock, jitter 5 ms, 50 ppm, no loss", True, jitter_s=0.005, loss=0),
    Link("clock, jitter 30 ms, 50 ppm, 2 % lost", True),
    Link("clock, jitter 30 ms, 500 ppm, 2 % lost", True, drift=500e-6),
    Link("clock, exp. jitter 10 ms, 500 ppm, stalls", True, heavy=True, drift=500e-6, stalls=True),
    Link("clock, 25 Hz, jitter 30 ms, 50 ppm, 2 % lost", True, rate_hz=25),
    Link("clock, 100 Hz, bursts of 3, jitter 30 ms", True, rate_hz=100, burst=3),
    Link("no clock, 100 Hz, bursts of 4, jitter 5 ms, no loss", False, 100, 0.005, drift=0.0074, loss=0, burst=4),
    Link("no clock, 100 Hz, bursts of 4, jitter 30 ms, no loss", False, 100, drift=0.0074, loss=0, burst=4),
    Link("no clock, 100 Hz, bursts of 8, jitter 30 ms, no loss", False, 100, drift=0.0074, loss=0, burst=8),
    Link("no clock, 100 Hz, bursts of 4, jitter 30 ms, 2 % lost", False, 100, drift=0.0074, burst=4),
    Link("no clock, 100 Hz, bursts of 4, jitter 30 ms, stalls", False, 100, drift=0.0074, loss=0, burst=4, stalls=True),
    Link("no clock, 25 Hz at 22.26 Hz, jitter 30 ms, no loss", False, 25, drift=0.123, loss=0),
    Link("no clock, 50 Hz, jitter 30 ms, 2 % lost", False, 50, drift=0.01),
)


def main() -> None:
    print(f"{'link':58} {'p50':>6} {'p95':>6} {'p99':>6} {'max':>7} {'p95>5s':>7}  lost found / true (first sensor)")
    for link in LINKS:
        runs = [errors(link, seed) for seed in range(SEEDS)]
        aligned = [np.abs(run[0]) * 1e3 for run in runs]
        settled = np.concatenate([a[int(5 * link.rate_hz) :] for a in aligned])
        p50, p95, p99, top = np.percentile(np.concatenate(aligned), [50, 95, 99, 100])
        lost = "  ".join(f"{run[1].lost}/{run[2]}" for run in runs[:3])
        print(f"{link.name:58} {p50:6.1f} {p95:6.1f} {p99:6.1f} {top:7.1f} {np.percentile(settled, 95):7.1f}  {lost}")


if __name__ == "__main__":
    main()
