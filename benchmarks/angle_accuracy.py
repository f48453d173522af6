"""Print what the chain makes of every recording: angle error where truth is known, repetitions against true ones.

Usage: python benchmarks/angle_accuracy.py [NAME...]   (recordings under GONIO_DATA or ../shared/data)
"""

import csv
import gzip
import os
import sys
import time
import tomllib
from pathlib import Path
from typing import Any

import numpy as np

from gonio.signal.chain import KneeChain
from gonio.signal.chunks import AlignedChunk, KneeAngleChunk, RepEvent, SessionResult
from gonio.signal.consts import BoolArray, FloatArray

DATA = Path(os.environ.get("GONIO_DATA", Path(__file__).parents[2] / "shared" / "data"))


def table(path: Path) -> FloatArray:
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rt") as file:
        rows = list(csv.reader(file))
    return np.array([[float(v) for v in row] for row in rows[1:]])


def load(name: str) -> tuple[dict[str, Any], FloatArray, FloatArray, FloatArray | None, FloatArray | None]:
    folder = DATA / name
    meta = tomllib.loads((folder / "recording.toml").read_text())
    thigh, shank = (table(folder / f"{segment}.csv.gz") for segment in ("thigh", "shank"))
    n = min(len(thigh), len(shank))
    truth = table(folder / "truth.csv.gz") if (folder / "truth.csv.gz").exists() else None
    reps = table(folder / "reps.csv") if (folder / "reps.csv").exists() else None
    return meta, thigh[:n], shank[:n], truth, reps


def run(
    rate: float, thigh: FloatArray, shank: FloatArray, exercise: str | None, size: int = 10
) -> tuple[SessionResult, FloatArray, BoolArray, list[RepEvent], float]:
    chain = KneeChain(rate, exercise=exercise, side=None)
    angles, reps = [], []
    n = len(thigh)
    begin = time.perf_counter()
    for k in range(0, n, size):
        a, b = thigh[k : k + size], shank[k : k + size]
        parts = [np.ascontiguousarray(v) for v in (a[:, 0], a[:, 1:4], a[:, 4:], b[:, 1:4], b[:, 4:])]
        for out in chain.feed(AlignedChunk(*parts, np.ones(len(a), dtype=bool))):
            (angles if isinstance(out, KneeAngleChunk) else reps).append(out)
    reps += [out for out in chain.finish() if isinstance(out, RepEvent)]
    cost = (time.perf_counter() - begin) / n * 1e6
    flexion = np.concatenate([c.flexion for c in angles])
    ok = np.concatenate([c.ok for c in angles])
    return chain.result(()), flexion, ok, reps, cost


def wrapped(x: FloatArray) -> FloatArray:
    return (x + np.pi) % (2 * np.pi) - np.pi


def angle_error(flexion: FloatArray, ok: BoolArray, truth: FloatArray) -> str:
    n = min(len(flexion), len(truth))
    use = ok[:n] & (truth[:n, 2] > 0)
    if not use.any():
        return "never ok"
    texts = []
    for sign in (1, -1):
        gap = wrapped(flexion[:n] - sign * np.radians(truth[:n, 1]))[use]
        offset = np.angle(np.exp(1j * gap).mean())
        free = np.degrees(np.sqrt(np.mean(wrapped(gap - offset) ** 2)))
        own = np.degrees(np.sqrt(np.mean(gap**2)))
        texts.append((free, f"{'+' if sign > 0 else '-'} offset-free {free:.2f}° own zero {own:.2f}°"))
    return min(texts)[1]


def matched(found: list[RepEvent], true: FloatArray) -> int:
    pairs = 0
    left = list(found)
    for start, end in true:
        for rep in left:
            overlap = min(end, rep.end_s) - max(start, rep.start_s)
            if overlap >= 0.3 * min(end - start, rep.end_s - rep.start_s):
                left.remove(rep)
                pairs += 1
                break
    return pairs


def main() -> None:
    names = sys.argv[1:] or sorted(p.name for p in DATA.iterdir() if (p / "recording.toml").exists())
    for name in names:
        meta, thigh, shank, truth, true = load(name)
        exercises = [None]
        if "exercise" in meta:
            exercises.append(meta["exercise"])
        for exercise in exercises:
            result, flexion, ok, reps, cost = run(meta["rate_hz"], thigh, shank, exercise)
            text = [f"{name:26} as {exercise or '?':24} -> {result.exercise:18} reps {len(result.reps):3}"]
            if true is not None:
                hits = matched(reps, true)
                text.append(f"F1 {2 * hits / max(1, len(true) + len(reps)):.3f} of {len(true)}")
            if truth is not None:
                text.append(angle_error(flexion, ok, truth))
            at = result.calibrated_at_s
            text.append(f"cal {at if at is None else round(at - result.start_s, 1)} zero {result.zero}")
            text.append(f"flexion {np.degrees(result.min_flexion):.1f}..{np.degrees(result.max_flexion):.1f}")
            text.append(f"{cost:.1f} µs {' '.join(result.flags)}")
            print(" | ".join(text))


if __name__ == "__main__":
    main()
