"""Sets a whole system on fire and looks whether anything was lost or counted twice.

Run: python -m tests.chaos [--seconds 600] [--seed 1] [--store both|sqlite|postgresql]. Ends with status 0 only if
nothing was lost, doubled or altered, the ledgers are equal to the truth, and all healed. The same seed does the same
faults at the same moments to the same victims.

Needs Debian's mosquitto, postgresql and faketime; full disks need root (each is a small tmpfs in a mount namespace of
the run's own). What is missing is named, and left out only with --without-missing.
"""

import argparse
import asyncio
import os
import shutil
import sys
import tempfile
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Final

from tests.broker import find_mosquitto
from tests.chaos.clock import find_faketime
from tests.chaos.fire import FireOptions, burn
from tests.chaos.schedule import Fault, Kind, schedule
from tests.chaos.table import table
from tests.cloud_sink.postgres import find_postgres

_STORES: Final = ("sqlite", "postgresql")
_OWN_MOUNTS: Final = "GONIO_CHAOS_OWN_MOUNTS"
_CLOCKS: Final = frozenset({Kind.JUMP_KITS, Kind.JUMP_WORKER})
_DISKS: Final = frozenset({Kind.FULL_KITS, Kind.FULL_BOOK})


def main(arguments: Sequence[str]) -> int:
    """Run on each store; gives the exit status."""
    options = _parse(arguments)
    stores: tuple[str, ...] = _STORES if options.store == "both" else (options.store,)
    missing = _missing(stores)
    if missing and not (options.without_missing and "mosquitto" not in missing):
        _say("\n  ".join(["this needs more than is here:", *missing.values()]))
        return 2
    if options.schedule:
        for store in stores:
            _show(store, schedule(options.seed, options.seconds, _kinds(store, missing)))
        return 0
    if "root" not in missing and _OWN_MOUNTS not in os.environ:
        command = ("unshare", "--mount", sys.executable, "-m", "tests.chaos", *arguments)
        # the disks go when this ends, however it does
        os.execvpe(command[0], command, os.environ | {_OWN_MOUNTS: "1"})  # noqa: S606 - no shell is wanted
    passed = [asyncio.run(_on(store, options, missing)) for store in stores if store not in missing]
    return 0 if all(passed) and passed else 1


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=600.0, help="of faults, on each store")
    parser.add_argument("--heal", type=float, default=600.0, help="seconds in which all must be well afterwards")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--store", choices=("both", *_STORES), default="both")
    parser.add_argument("--kits", type=int, default=20)
    parser.add_argument("--processes", type=int, default=4, help="over which the kits are spread")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--rate", type=float, default=15.0, help="records a second, of all kits together")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="keep logs, truth and books of a failed run here")
    parser.add_argument("--schedule", action="store_true", help="only print what would be done when")
    parser.add_argument("--without-missing", action="store_true", help="leave out what cannot be done here")
    return parser.parse_args(arguments)


def _missing(stores: Sequence[str]) -> dict[str, str]:
    missing = {}
    if find_mosquitto() is None:
        missing["mosquitto"] = "the broker: apt-get install mosquitto"
    if find_faketime() is None:
        missing["faketime"] = "clocks that jump: apt-get install faketime"
    if "postgresql" in stores and find_postgres() is None:
        missing["postgresql"] = "a PostgreSQL server: apt-get install postgresql"
    if os.geteuid() != 0 or shutil.which("unshare") is None:
        missing["root"] = "disks that are full: only root may mount small ones (run it with sudo)"
    return missing


def _kinds(store: str, missing: Collection[str]) -> frozenset[Kind]:
    kinds = frozenset(Kind) - {Kind.KILL_DATABASE if store == "sqlite" else Kind.FULL_BOOK}
    kinds -= _CLOCKS if "faketime" in missing else frozenset()
    return kinds - (_DISKS if "root" in missing else frozenset())


def _show(store: str, faults: Sequence[Fault]) -> None:
    _say(store)
    for fault in faults:
        _say(f"{fault.at_s:7.2f} s  {fault.kind}, number {fault.victim}, {fault.lasts_s:.2f} s, {fault.amount}")


async def _on(store: str, options: argparse.Namespace, missing: dict[str, str]) -> bool:
    with tempfile.TemporaryDirectory(prefix="gonio-chaos-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        report = await burn(
            FireOptions(
                store=store,
                seed=options.seed,
                seconds=options.seconds,
                heal_s=options.heal,
                kits=options.kits,
                processes=options.processes,
                workers=options.workers,
                rate=options.rate,
                folder=folder,
                kinds=_kinds(store, missing),
            ),
            _say,
        )
        _say(table(report))
        for what in (missing[key] for key in ("faketime", "root") if key in missing):
            _say(f"  left out: {what}")
        if not report.passed and options.keep is not None:
            shutil.copytree(folder, options.keep / store, dirs_exist_ok=True)
            _say(f"  logs, truth and book: {options.keep / store}")
    return report.passed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
