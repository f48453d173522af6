"""Two workers at once: one has the void or the evidence, the other what it is about."""

import random
import subprocess
import sys
import uuid
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import select

from gonio.cloud_sink.schema_kinds import DERIVED
from gonio.cloud_sink.store import Store, open_store
from gonio.messages import Envelope

Make = Callable[..., Envelope]

WORKER = """
import sys
from datetime import datetime
from gonio.cloud_sink.model import Delivery
from gonio.cloud_sink.store import open_store
from gonio.messages import AckStatus, Envelope
url, path = sys.argv[1:]
now = datetime.fromisoformat("2026-03-05T18:00:00+00:00")
records = [Envelope.model_validate_json(line) for line in open(path, encoding="utf-8")]
with open_store(url) as store:
    print("ready", flush=True)
    sys.stdin.readline()
    for start in range(0, len(records), 7):
        part = records[start:start + 7]
        for acks in store.ingest_batch([Delivery(record.kit_id, (record,), now) for record in part]):
            assert [ack.status for ack in acks] == [AckStatus.STORED], acks
"""


def derived(store: Store) -> dict[str, list[Any]]:
    with store._reader.connect() as connection:
        return {table.name: list(connection.execute(select(table).order_by(table.c.record_id))) for table in DERIVED}


def of_each_other(make: Make, now: datetime) -> list[Envelope]:
    """Sixteen kits: of each four records with no clock among four with one, each of these struck out by another."""
    records = []
    for kit in range(1, 17):
        for n in range(12):
            what, hour = ("unset", "set", "void")[n % 3], n // 3
            target = uuid.UUID(int=kit * 100 + n - 1)
            records.append(
                make(
                    n + 1,
                    kit_id=f"kit-{kit:03}",
                    kind="void" if what == "void" else "session",
                    record_id=uuid.UUID(int=kit * 100 + n),
                    outbox_id=uuid.UUID(int=kit),
                    boot_id=uuid.UUID(int=7),
                    monotonic_ns=n * 3600 * 10**9,
                    captured=now - timedelta(hours=50 - n) if what != "unset" else now - timedelta(days=9000 + hour),
                    clock="unsynchronised" if what == "unset" else "synchronised",
                    **({"payload": f'{{"record_id":"{target}","reason":"test"}}'} if what == "void" else {}),
                )
            )
    return records


def test_two_workers_with_a_part_each(store_url: str, tmp_path: Path, envelope: Make, now: datetime) -> None:
    records = of_each_other(envelope, now)
    drawn = random.Random(5)  # noqa: S311 - an order, no secret
    drawn.shuffle(records)
    with open_store(store_url) as store:
        patient = store.add_patient("A", "America/Chicago")
        for kit in sorted({record.kit_id for record in records}):
            store.bind_kit(kit, patient, since=now - timedelta(days=10))
        workers = []
        for part in (0, 1):
            path = tmp_path / f"part{part}"
            path.write_text("".join(f"{r.model_dump_json()}\n" for r in records[part::2]), encoding="utf-8")
            workers.append(
                subprocess.Popen(
                    [sys.executable, "-c", WORKER, store_url, str(path)],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    text=True,
                )
            )
        for worker in workers:
            assert worker.stdout is not None
            assert worker.stdout.readline() == "ready\n", worker.communicate()[1]
        for worker in workers:
            assert worker.stdin is not None
            worker.stdin.write("go\n")
            worker.stdin.flush()
        said = [worker.communicate(timeout=120) for worker in workers]
        assert [worker.returncode for worker in workers] == [0, 0], said
        found = derived(store)
        assert len(found["sessions"]) == 128
        assert {row.clock for row in found["sessions"]} == {"repaired", "synchronised"}
        assert sum(row.voided for row in found["sessions"]) == 64
        assert len(found["day_entries"]) == 64
        store.rederive()
        assert derived(store) == found
