"""The result of an analysis as people read it in a terminal."""

import math

from rich.console import Console
from rich.table import Table

from gonio.signal.chunks import RepEvent, SessionResult, SetMetrics
from gonio.signal.consts import INCLINATION_ONLY


def show(result: SessionResult, console: Console) -> None:
    """Print the result for people."""
    if result.reps:
        console.print(_repetitions(result.reps))
        console.print("range: of what is counted; most, least: of the knee's flexion\n", style="dim")
    if result.sets:
        console.print(_sets(result.sets))
        console.print()
    told = "recognised" if result.recognised else "declared"
    fits = "" if math.isnan(result.likeness) else f", the motion fits it {result.likeness:.0%}"
    lines = {
        "exercise": f"{result.exercise} ({told}{fits})",
        "repetitions": _counted(result.reps),
        "largest flexion": angle(result.max_flexion),
        "extension deficit": angle(result.min_flexion),
        "angle known": _known(result),
        "angle ok": f"{result.ok_fraction:.0%} of the time",
    }
    if result.steps:
        lines["walking"] = f"{result.steps} steps of this leg in {result.walking_s:.0f} s"
    for one in result.defects:
        rate = f"{one.rate_hz:.2f} Hz" if math.isfinite(one.rate_hz) else "rate not known"
        lines[one.segment] = (
            f"{one.samples} samples, {rate}; {one.lost} lost, {one.repeated} repeated, "
            f"{one.gaps} gaps (longest {one.longest_gap_s:.2f} s), {one.restarts} restarts"
        )
    if result.flags:
        lines["mind"] = ", ".join(result.flags)
    for name, text in lines.items():
        console.print(f"{name:17} {text}", soft_wrap=True)


def _known(result: SessionResult) -> str:
    if INCLINATION_ONLY in result.flags:
        return "never: a sensor had no gyroscope; counted by inclination only"
    at = result.calibrated_at_s
    begun = ", begun with the calibration given" if result.resumed else ""
    return f"{'never' if at is None else f'from {at:.2f} s on'}, zero: {result.zero}{begun}"


def angle(value: float) -> str:
    """Write an angle, rad, in degrees."""
    return f"{math.degrees(value):.1f}°" if math.isfinite(value) else "-"


def tempo(trend: float) -> str:
    """Say how the tempo changes from one repetition to the next, given as a share of the mean duration."""
    if math.isnan(trend):
        return "-"
    return f"{abs(trend):.1%} {'slower' if trend > 0 else 'faster'}"


def _repetitions(reps: tuple[RepEvent, ...]) -> Table:
    lag = any(math.isfinite(rep.extensor_lag) for rep in reps)
    heads = ["#", "start", "end", "range", "most", "least", "con/hold/ecc", "°/s", "smooth"]
    table = _table([*heads, *(["lag"] if lag else []), ""])
    for number, rep in enumerate(reps, 1):
        table.add_row(
            str(number),
            f"{rep.start_s:.1f}",
            f"{rep.end_s:.1f}",
            *map(angle, (rep.rom, rep.peak_flexion, rep.min_flexion)),
            "/".join(_seconds(t) for t in (rep.concentric_s, rep.hold_s, rep.eccentric_s)),
            f"{math.degrees(rep.peak_velocity):.0f}" if math.isfinite(rep.peak_velocity) else "-",
            f"{rep.smoothness:.2f}" if math.isfinite(rep.smoothness) else "-",
            *([angle(rep.extensor_lag)] if lag else []),
            _word(rep),
            style=None if rep.measured else "dim",
        )
    return table


def _counted(reps: tuple[RepEvent, ...]) -> str:
    text = str(len(reps))
    partial = sum(not rep.complete for rep in reps)
    if partial:
        text += f", {partial} of them partial"
    if reps:
        text += ", counted on the leg's tilt" if reps[0].signal == "thigh" else ", counted on the knee's flexion"
    return text


def _word(rep: RepEvent) -> str:
    words = [] if rep.complete else ["partial"]
    if rep.on_target is not None:
        words.append("on target" if rep.on_target else "off target")
    if not rep.measured:
        words.append("not measured")
    return ", ".join(words)


def _sets(sets: tuple[SetMetrics, ...]) -> Table:
    table = _table(["set", "start", "end", "full", "partial", "on target", "range", "CV", "lasts", "each next"])
    for number, one in enumerate(sets, 1):
        table.add_row(
            str(number),
            f"{one.start_s:.1f}",
            f"{one.end_s:.1f}",
            str(one.complete),
            str(one.partial),
            "-" if one.on_target is None else str(one.on_target),
            angle(one.rom_mean),
            "-" if math.isnan(one.rom_cv) else f"{one.rom_cv:.0%}",
            "-" if math.isnan(one.rep_s) else f"{one.rep_s:.1f} s",
            tempo(one.tempo_trend),
        )
    return table


def _table(heads: list[str]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 1))
    for head in heads:
        table.add_column(head, no_wrap=True, justify="left" if not head else "right")
    return table


def _seconds(value: float) -> str:
    return f"{value:.1f}" if math.isfinite(value) else "-"
