"""What ``make bench`` runs: the aims and what was reached, the tables behind them, the pictures of the docs.

Usage: python benchmarks [--full] [--mounts N] [--only PART[,PART]]

Recordings are looked for where GONIO_DATA says, or in ../shared/data beside the repository. With all of them,
docs/figures.md and docs/pictures/ are written anew; without, only the simulator's part is measured and printed.
"""

import argparse
import multiprocessing
import os
import platform
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import TypeAlias

import angle
import cost
import decoding
import inclination
import mounts
import pictures
import repetitions
import streams
import sweep
from ours import Outcome, run
from sections import Aim, Bench, Section, verdict
from tables import Table
from trials import DATA, Trial, recordings

_Part: TypeAlias = Callable[[], Section]

_FIGURES = Path(__file__).parents[1] / "docs" / "figures.md"
_PARTS = ("cost", "decoding", "angle", "mounts", "streams", "repetitions", "inclination", "sweep")


def main() -> None:
    options = _options()
    began = time.monotonic()
    trials = recordings()
    if not trials:
        print(
            f"No recordings at {DATA}: only what the simulator can tell is measured. GONIO_DATA names another folder.\n"
        )
    sections: dict[str, Section] = {}
    if "cost" in options.only:  # alone on the machine, before the others begin
        sections["cost"] = _told("cost", cost.measure(15 if options.full else 7), began)
    if "decoding" in options.only:
        sections["decoding"] = _told("decoding", decoding.measure(5), began)
    with ProcessPoolExecutor(os.cpu_count(), mp_context=multiprocessing.get_context("forkserver")) as pool:
        bench = Bench(pool, options.full, options.mounts or (100 if options.full else 20))
        parts: dict[str, _Part] = {
            "angle": lambda: angle.measure(bench, trials),
            "repetitions": lambda: repetitions.measure(bench, trials),
            "inclination": lambda: inclination.measure(bench, trials),
            "mounts": lambda: mounts.measure(bench, [*trials, *sweep.link_trials()]),
            "streams": lambda: streams.measure(bench, trials, sweep.link_trials()),
            "sweep": lambda: sweep.measure(
                bench, sweep.count_wrong([_run(trial) for trial in trials if len(trial.truth_s)])
            ),
        }
        for name, part in parts.items():
            if name in options.only:
                sections[name] = _told(name, part(), began)
    _finish(sections, trials, began, whole=set(options.only) == set(_PARTS))


def _finish(sections: dict[str, Section], trials: list[Trial], began: float, *, whole: bool) -> None:
    aims = _aims_table([aim for section in sections.values() for aim in section.aims])
    tables = {name: section.tables for name, section in sections.items()}
    if trials and whole:
        drawn = pictures.draw(trials, tables["angle"][1], tables["streams"][0])
        _FIGURES.write_text(_document(aims, sections), encoding="utf-8")
        print(f"Written: docs/figures.md, and in docs/pictures {', '.join(drawn)}")
    print(aims.text())
    print(f"{time.monotonic() - began:.0f} s")


def _told(name: str, section: Section, began: float) -> Section:
    for table in section.tables:
        print(table.text(), flush=True)
    print(f"[{name}: {time.monotonic() - began:.0f} s]\n", file=sys.stderr, flush=True)
    return section


def _run(trial: Trial) -> Outcome:
    return run(trial, exercise=trial.exercise)


def _aims_table(aims: list[Aim]) -> Table:
    rows = [(aim.what, aim.on, aim.wanted, aim.reached, verdict(aim.met)) for aim in aims]
    return Table("Aims", ("what", "on", "aim", "reached", ""), rows)


def _document(aims: Table, sections: dict[str, Section]) -> str:
    head = (
        "# Figures\n\n"
        "Written by `make bench`; [method.md](method.md) explains them. The recordings are other people's and not part "
        f"of the repository. {platform.machine()}, Python {platform.python_version()}.\n\n"
    )
    tables = [aims, *(table for section in sections.values() for table in section.tables)]
    return head + "\n".join(table.markdown() for table in tables)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench", description="Measure what the docs state.")
    parser.add_argument("--full", action="store_true", help="100 mountings, more seeds: about half an hour")
    parser.add_argument("--mounts", type=int, help="random mountings of each trial (20; with --full 100)")
    parser.add_argument("--only", type=lambda text: text.split(","), default=list(_PARTS), help=", ".join(_PARTS))
    return parser.parse_args()


if __name__ == "__main__":
    main()
