"""What encryption and the checks at start cost a kit: commits, start, start after a kill, salvage.

Run it on the machine and the disk in question: python benchmarks/kit_disk.py [--records N] [--directory DIR]
"""

import argparse
import shutil
import sqlite3
import statistics
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from gonio.gateway.cipher import PAGE, connect
from gonio.gateway.database import DATABASE_NAME
from gonio.gateway.records import Capture, Draft
from gonio.gateway.store import KitStore
from gonio.messages import Kind, new_record_id

CAPTURE = Capture(uuid.uuid4(), 5, "2026-03-01T10:00:00.000+01:00", "synchronised")
PAYLOAD = '{"text":"' + "x" * 3400 + '"}'  # as long as a session of 12 repetitions


def commit_ms(db: sqlite3.Connection, commits: int) -> list[float]:
    """Commit rows as long as a session, one by one, as durably as the kit does; gives ms for each."""
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = FULL")
    db.execute("CREATE TABLE record (record_id TEXT PRIMARY KEY, payload TEXT NOT NULL) STRICT")
    return [
        timed(lambda: db.execute("INSERT INTO record VALUES (?, ?)", (str(uuid.uuid4()), PAYLOAD)))
        for _ in range(commits)
    ]


def timed(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return 1000 * (time.perf_counter() - began)


def opened_ms(directory: Path) -> float:
    return timed(lambda: KitStore.open(directory).close())


def tell(name: str, times: list[float]) -> None:
    cuts = statistics.quantiles(times, n=100)
    print(f"{name}: p50 {cuts[49]:.2f} ms, p99 {cuts[98]:.2f} ms, {1000 / statistics.fmean(times):.0f} a second")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, default=2000, help="records: 2,000 are a year of five sessions a day")
    parser.add_argument("--directory", type=Path, help="a directory on the disk to measure")
    given = parser.parse_args()
    with TemporaryDirectory(dir=given.directory) as name:
        directory = Path(name)
        clear, sealed = connect(directory / "clear", None), connect(directory / "sealed", bytes(32))
        for _ in range(2):  # once in turn, so that both meet the same disk
            clear.execute("DROP TABLE IF EXISTS record")
            sealed.execute("DROP TABLE IF EXISTS record")
            tell("commit in the clear ", commit_ms(clear, given.records // 2))
            tell("commit, encrypted   ", commit_ms(sealed, given.records // 2))
        clear.close()
        sealed.close()
        kit = directory / "kit"
        with KitStore.open(kit) as store:
            drafts = [Draft(new_record_id(), Kind.CHECK_IN, CAPTURE, 1, PAYLOAD) for _ in range(given.records)]
            tell("the store's commit  ", [timed(lambda one=draft: store.commit(one)) for draft in drafts])
            shutil.copytree(kit, directory / "killed")
        size = (kit / DATABASE_NAME).stat().st_size
        print(f"database: {size / 1e6:.1f} MB, {given.records} records")
        print(f"start, every page checked: {opened_ms(kit):.0f} ms")
        log = (directory / "killed" / f"{DATABASE_NAME}-wal").stat().st_size
        print(f"start after a kill, {log / 1e6:.1f} MB of log: {opened_ms(directory / 'killed'):.0f} ms")
        with (kit / DATABASE_NAME).open("r+b") as file:
            file.seek(size // 2 // PAGE * PAGE)
            file.write(bytes(16))
        print(f"start with salvage after a damaged page: {opened_ms(kit):.0f} ms")


if __name__ == "__main__":
    main()
