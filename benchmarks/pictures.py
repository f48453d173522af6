"""The pictures of docs/method.md, drawn from the recordings; those whose recording is not there stay as they are."""

from pathlib import Path
from typing import Final

import numpy as np
from drawing import BLUE, GREY, INK, ORANGE, PALE, SERIES, Panel, save
from measures import matches
from ours import Outcome, run
from streams import OFFSETS_S
from tables import Table
from trials import Trial

from gonio.signal.consts import FloatArray

FOLDER: Final = Path(__file__).parents[1] / "docs" / "pictures"
_CREDIT: Final = "reference: github.com/vaishak236/IMU_Kinematics_2023"
_LONG_BAR: Final = 5.0  # degrees: a longer bar has its figure inside
#: The counter that needs no thought: bent by 30°, back by 60 % of it, and 0.6 s long.
_BENT, _BACK, _LEAST_S = np.radians(30.0), 0.4, 0.6


def draw(trials: list[Trial], peers: Table | None, offsets: Table | None) -> list[str]:
    """Draw what the recordings at hand allow; give the names of the pictures."""
    FOLDER.mkdir(exist_ok=True)
    drawn = []
    bends = next((trial for trial in trials if trial.name.startswith("bends")), None)
    if bends is not None:
        one = run(bends, exercise=bends.exercise)
        _angle(one)
        _calibration(one)
        drawn += ["bends-angle", "calibration"]
    if peers is not None and offsets is not None:
        _methods(peers)
        _offsets(offsets)
        drawn += ["methods", "clock-offset"]
    sets = [t for t in trials if t.reps and len(t.reps) >= 30 and t.exercise in ("long-arc-quad", "straight-leg-raise")]  # noqa: PLR2004
    if sets:
        _repetitions([run(trial, exercise=trial.exercise) for trial in sets])
        drawn.append("repetitions")
    walk = next((trial for trial in trials if trial.exercise == "none"), None)
    if walk is not None:
        _walking(run(walk, exercise=None))
        drawn.append("walking")
    return drawn


def _shown(one: Outcome) -> FloatArray:
    return np.where(one.ok, np.degrees(one.flexion), np.nan)


def _reference(one: Outcome) -> FloatArray:
    return np.degrees(one.trial.reference(one.t_s))


def _angle(one: Outcome) -> None:
    first, last = one.trial.sets[0][0] - 4.0, one.trial.sets[0][1] + 4.0
    part = (one.t_s >= first) & (one.t_s <= last)
    t, shown, reference = one.t_s[part], _shown(one)[part], _reference(one)[part]
    top = Panel(
        (first, last), (0, 100), "", "flexion (°)", "Ten slow knee bends: gonio and the optical reference", height=250
    )
    top.axes((), range(0, 101, 20))
    top.line(t, reference, INK)
    top.line(t, shown, BLUE)
    top.legend((("optical", INK), ("gonio", BLUE)))
    below = Panel(
        (first, last), (-10, 10), "time (s)", "error (°)", "gonio - optical, with gonio's own zero", height=160, top=250
    )
    below.axes(range(int(first), int(last) + 1, 5), (-10, -5, 0, 5, 10))
    below.line(t, shown - reference, BLUE)
    below.text(60, 402, _CREDIT, colour=GREY, size=10)
    save(
        FOLDER / "bends-angle.svg", (top, below), "Knee bends", "Flexion by gonio and by cameras, and their difference"
    )


def _calibration(one: Outcome) -> None:
    last = min(60.0, one.t_s[-1] - one.t_s[0])
    t = one.t_s - one.t_s[0]
    part = t <= last
    panel = Panel(
        (0, last),
        (-20, 110),
        "time after the start (s)",
        "flexion (°)",
        "The first minute: walking, standing, the first bends",
    )
    known = one.calibrated_after_s
    panel.box((0, known if np.isfinite(known) else last), (-20, 110), PALE, opacity=0.7)
    panel.axes(range(0, int(last) + 1, 10), range(-20, 111, 20))
    panel.line(t[part], _reference(one)[part], GREY)
    panel.line(t[part], _shown(one)[part], BLUE)
    if np.isfinite(known):
        panel.upright(known, f"angle known from {known:.0f} s on")
    panel.text(60, 46, "no angle is shown", colour=GREY)
    panel.legend((("optical", GREY), ("gonio, where ok", BLUE)))
    save(FOLDER / "calibration.svg", (panel,), "Calibration", "When the angle becomes known in the first minute")


def _degrees(cell: str) -> float:
    return float(cell.split("°", maxsplit=1)[0]) if "°" in cell else float("nan")


def _methods(peers: Table) -> None:
    names = peers.columns[3:]
    rows = len(peers.rows)
    most, height, width = 6.0, 22 * rows + 74, 440
    panels = []
    for k, name in enumerate(names):
        left, top = (k % 2) * width, (k // 2) * height
        panel = Panel((0, most), (0, rows), "", "", name, width=width, height=height, left=left, top=top, margin=206)
        panel.axes(range(int(most) + 1), ())
        for row, cells in enumerate(peers.rows):
            value, y = _degrees(cells[3 + k]), rows - row
            end = min(value, most) if np.isfinite(value) else 0.0
            panel.box((0, end), (y - 0.15, y - 0.85), BLUE if row == 0 else "#b8c7d6")
            panel.text(panel.px(0) - 6, panel.py(y - 0.5) + 4, cells[0], anchor="end")
            inside = end > _LONG_BAR
            panel.text(
                panel.px(end) + (-5 if inside else 5),
                panel.py(y - 0.5) + 4,
                cells[3 + k].split(" ")[0],
                anchor="end" if inside else "start",
                colour="#ffffff" if inside and row == 0 else INK,
            )
        panels.append(panel)
    under = panels[-1]
    what = "RMSE (°) without offset and lag, where gonio's angle is ok"
    under.text(under.px(most), under.py(0) + 32, what, colour=GREY, size=10, anchor="end")
    save(FOLDER / "methods.svg", panels, "Error by method", "RMSE of gonio and of published methods on each recording")


def _offsets(offsets: Table) -> None:
    x = np.array(OFFSETS_S) * 1000.0
    panel = Panel((0, 150), (0, 12), "offset between the two clocks (ms)", "RMSE (°)", "A clock that is off")
    panel.axes(range(0, 151, 25), range(0, 13, 2))
    names = list(dict.fromkeys(row[1] for row in offsets.rows))
    for method, name, *cells in offsets.rows:
        panel.line(
            x,
            np.array([_degrees(cell) for cell in cells]),
            SERIES[names.index(name)],
            width=2,
            dashed=method != "gonio",
        )
    panel.legend([(name, SERIES[k]) for k, name in enumerate(names)])
    panel.text(
        62, 46, "solid: gonio, as long as it shows an angle; dashed: VQF 6D, inclination difference", colour=GREY
    )
    save(FOLDER / "clock-offset.svg", (panel,), "Clock offset", "RMSE over the offset between the sensors' clocks")


def _repetitions(sets: list[Outcome]) -> None:
    panels = []
    for k, one in enumerate(sets):
        t0, reps = one.t_s[0], one.result.reps
        true = one.trial.reps or ()
        most = max([np.degrees(rep.rom) for rep in reps], default=1.0)
        ceiling = 20.0 * np.ceil(1.15 * most / 20.0)
        length = float(one.t_s[-1] - t0)
        hits = sum(matches(one.reps, true))
        title = f"{one.trial.exercise}: {len(true)} done, {len(reps)} counted, {hits} of them true"
        panel = Panel(
            (0, length),
            (-0.2 * ceiling, ceiling),
            "time (s)" if one is sets[-1] else "",
            "range (°)",
            title,
            height=200,
            top=200 * k,
        )
        panel.axes(range(0, int(length) + 1, 30), (0, ceiling / 2, ceiling))
        for start, end in true:
            panel.box((start - t0, end - t0), (-0.17 * ceiling, -0.03 * ceiling), GREY)
        for rep in reps:
            panel.box((rep.start_s - t0, rep.end_s - t0), (0, float(np.degrees(rep.rom))), BLUE, opacity=0.75)
        panel.legend((("done", GREY), ("counted, as high as its range", BLUE)))
        panels.append(panel)
    save(
        FOLDER / "repetitions.svg",
        panels,
        "Repetitions",
        "Repetitions done and counted: ten correct, ten fast, ten of low amplitude",
    )


def naive_reps(t_s: FloatArray, flexion: FloatArray) -> list[tuple[float, float]]:
    """Count as a plain state machine does: an excursion of 30° and back, of 0.6 s at least; (start, end) in s."""
    found: list[tuple[float, float]] = []
    base, peak, start, out = np.inf, -np.inf, float("nan"), False
    for t, angle in zip(t_s.tolist(), flexion.tolist(), strict=True):
        if np.isnan(angle):
            continue
        if not out:
            if angle < base:
                base, start = angle, t
            if angle - base > _BENT:
                out, peak = True, angle
        else:
            peak = max(peak, angle)
            if angle - base < _BACK * (peak - base):
                if t - start >= _LEAST_S:
                    found.append((start, t))
                out, base, start = False, angle, t
    return found


def _walking(one: Outcome) -> None:
    t = one.t_s - one.t_s[0]
    known = t[np.isfinite(one.flexion)]
    if not len(known):
        return
    first = float(min(max(known[0], 20.0), t[-1] - 20.0))
    part = (t >= first) & (t <= first + 20.0)
    flexion = np.degrees(one.flexion)
    low, high = 10.0 * np.floor(np.nanmin(flexion[part]) / 10.0), 10.0 * np.ceil(np.nanmax(flexion[part]) / 10.0)
    naive = naive_reps(t[part], one.flexion[part])
    title = f"Walking: a plain counter finds {len(naive)} repetitions in 20 s, gonio {_within(one, first)}"
    panel = Panel((first, first + 20.0), (low - 12.0, high), "time (s)", "flexion (°)", title)
    panel.axes(range(int(first), int(first) + 21, 5), np.arange(low, high + 1.0, 20.0).tolist())
    for start, end in naive:
        panel.box((start, end), (low - 10.0, low - 3.0), ORANGE, opacity=0.7)
    panel.line(t[part], flexion[part], BLUE)
    panel.legend((("gonio's angle", BLUE), ("plain counter", ORANGE)))
    save(
        FOLDER / "walking.svg",
        (panel,),
        "Walking",
        "Knee flexion in walking and what a counter without a veto makes of it",
    )


def _within(one: Outcome, first: float) -> int:
    begin = one.t_s[0] + first
    return sum(begin <= rep.start_s <= begin + 20.0 for rep in one.result.reps)
