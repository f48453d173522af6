"""Lost samples, clocks that are off, clocks that run apart: what they cost the angle."""

from functools import partial

import numpy as np
from clock_alignment import LINKS, Link, errors
from measures import free_of_offset
from ours import run
from peers import Axes, inclination_difference, olsson_axes, signed, up_of, vqf_quaternions
from sections import Aim, Bench, Section
from tables import Table, angle, number
from trials import Trial, late_by, over_a_link, with_losses

OFFSETS_S = (0.0, 0.01, 0.02, 0.04, 0.08, 0.15)
CHUNKS = (1, 7, 64)
LOSSES = (0.0, 0.02, 0.1)
_AIM_LINK = "clock, jitter 30 ms, 50 ppm, 2 % lost"
_ALIGNED_MS, _WORSE = 10.0, 1.5


def measure(bench: Bench, recorded: list[Trial], simulated: list[Trial]) -> Section:
    """Spoil the streams of all trials that have a reference."""
    known = [trial for trial in recorded if len(trial.truth_s)]
    seeds = 5 if bench.full else 3
    offsets = bench.spread(_by_offset, known)
    losses = bench.spread(partial(_by_loss, seeds=seeds), known)
    links = bench.spread(partial(_over_links, seeds=seeds), [*known, *simulated])
    aligned = bench.spread(partial(_alignment, seeds=12 if bench.full else 6), LINKS)
    cut_alike = bench.spread(_cut_alike, [*recorded, *simulated])
    tables = []
    if known:
        tables += [_offset_table(known, offsets), _loss_table(known, losses)]
    tables += [_link_table([*known, *simulated], links), _alignment_table(aligned)]
    worst = next(row for link, row in zip(LINKS, aligned, strict=True) if link.name == _AIM_LINK)[1]
    pooled = [pair for pair, trial in zip(links, [*known, *simulated], strict=True) if trial in simulated]
    ratio = float(np.sqrt(np.mean([b**2 for _, b in pooled]) / np.mean([a**2 for a, _ in pooled])))
    reached = f"p95 {worst:.1f} ms; error {ratio:.2f} x the clean one"
    met = worst <= _ALIGNED_MS and ratio <= _WORSE
    what = "Clock alignment, ±50 ppm, jittered arrivals, 2 % lost"
    sizes = ", ".join(map(str, CHUNKS))
    alike = f"{sum(cut_alike)} of {len(cut_alike)} trials the same to the last bit in chunks of {sizes}"
    return Section(
        tables,
        [
            Aim(what, "simulator", "p95 ≤ 10 ms; ≤ 1.5 x", reached, met),
            Aim("Same output for any chunking", "all", "exact", alike, all(cut_alike)),
        ],
    )


def _cut_alike(trial: Trial) -> bool:
    """Tell whether a trial's output is the same however it is cut."""
    one, *others = (run(trial, exercise=trial.exercise, size=size) for size in CHUNKS)
    return all(
        repr(other.result) == repr(one.result)
        and all(
            getattr(other, name).tobytes() == getattr(one, name).tobytes() for name in ("t_s", "flexion", "tilt", "ok")
        )
        for other in others
    )


def vqf_error(trial: Trial, axes: Axes) -> float:
    """Give the RMSE of VQF's inclination difference for axes and signs that are given, degrees."""
    grid = trial.grid()
    angle_of = inclination_difference([up_of(quat) for quat in vqf_quaternions(grid)])
    known = np.isfinite(trial.reference(grid.t_s))
    return free_of_offset(grid.t_s, angle_of(axes), known, trial, lag=True)


def _given_axes(trial: Trial) -> Axes:
    grid = trial.grid()
    return signed(olsson_axes(grid), grid, trial)


def _by_offset(trial: Trial) -> list[tuple[float, float]]:
    axes = _given_axes(trial)
    spoilt = [late_by(trial, offset) for offset in OFFSETS_S]
    return [(run(one, exercise=trial.exercise).offset_free(lag=True), vqf_error(one, axes)) for one in spoilt]


def _by_loss(trial: Trial, *, seeds: int) -> list[tuple[float, float]]:
    axes = _given_axes(trial)
    found = []
    for share in LOSSES:
        spoilt = [with_losses(trial, share, seed) for seed in range(seeds if share else 1)]
        ours = [run(one, exercise=trial.exercise).offset_free(lag=True) for one in spoilt]
        found.append((_rms(ours), _rms([vqf_error(one, axes) for one in spoilt])))
    return found


def _over_links(trial: Trial, *, seeds: int) -> tuple[float, float]:
    clean = run(trial, exercise=trial.exercise).offset_free(lag=True)
    if np.isnan(clean):
        return clean, clean
    spoilt = []
    for seed in range(seeds):
        sent = over_a_link(trial, seed)
        spoilt.append(run(sent, exercise=trial.exercise).offset_free(lag=True))
    return clean, _rms(spoilt)


def _alignment(link: Link, *, seeds: int) -> tuple[float, float, float]:
    aligned = np.concatenate([np.abs(errors(link, seed)[0]) * 1e3 for seed in range(seeds)])
    p50, p95, top = np.percentile(aligned, [50, 95, 100])
    return float(p50), float(p95), float(top)


def _rms(values: list[float]) -> float:
    known = [v for v in values if not np.isnan(v)]
    return float(np.sqrt(np.mean(np.square(known)))) if known else float("nan")


def _offset_table(trials: list[Trial], found: list[list[tuple[float, float]]]) -> Table:
    rows = []
    for which, name in enumerate(("gonio", "VQF 6D, inclination difference")):
        for trial, row in zip(trials, found, strict=True):
            rows.append((name, trial.name, *(angle(pair[which]) for pair in row)))
    return Table(
        "One sensor's clock is off by a constant that nobody knows: RMSE without offset and lag",
        ("method", "recording", *(f"{1000 * offset:.0f} ms" for offset in OFFSETS_S)),
        rows,
        "No arrival times are given, so nothing can be aligned. VQF has the axes and signs of the clean trial.",
    )


def _loss_table(trials: list[Trial], found: list[list[tuple[float, float]]]) -> Table:
    rows = []
    for which, name in enumerate(("gonio", "VQF 6D, inclination difference")):
        for trial, row in zip(trials, found, strict=True):
            rows.append((name, trial.name, *(angle(pair[which]) for pair in row)))
    return Table(
        "Bursts of three samples lost in either sensor: RMSE without offset and lag",
        ("method", "recording", *(f"{100 * share:.0f} % lost" for share in LOSSES)),
        rows,
        "VQF gets the missing samples interpolated, and the axes and signs of the clean trial.",
    )


def _link_table(trials: list[Trial], found: list[tuple[float, float]]) -> Table:
    rows = [
        (trial.name, angle(clean), angle(spoilt), number(spoilt / clean if clean else float("nan")))
        for trial, (clean, spoilt) in zip(trials, found, strict=True)
    ]
    return Table(
        "Over two imperfect links: clocks ±50 ppm apart, arrivals jittered by 30 ms, 2 % lost",
        ("trial", "clean", "over the links", "ratio"),
        rows,
        "RMSE without offset and lag, exercise told.",
    )


def _alignment_table(found: list[tuple[float, float, float]]) -> Table:
    rows = [
        (link.name, number(p50, 1), number(p95, 1), number(top, 1))
        for link, (p50, p95, top) in zip(LINKS, found, strict=True)
    ]
    return Table(
        "How far two sensors' fitted times are apart, ms",
        ("link (simulated, two minutes)", "median", "p95", "largest"),
        rows,
    )
