"""How fast the clinic's book takes records in, without a broker: judge, derive, one durable transaction per batch.

Run: python benchmarks/ingest.py [records]. Sessions of 12 repetitions with a 200-point angle curve, of 100 kits.
"""

import sys
import tempfile
import time
import uuid
from datetime import UTC, datetime, timedelta

from gonio.cloud_sink.model import Delivery
from gonio.cloud_sink.store import open_store
from gonio.messages import (
    AngleCurve,
    Envelope,
    Kind,
    RepReport,
    SessionSummary,
    new_record_id,
    pack,
    payload_text,
    unpack,
    wire_time,
)

KITS = 100


def session() -> str:
    reps = tuple(
        RepReport(
            start_s=5.0 * i,
            peak_s=5.0 * i + 2.125,
            end_s=5.0 * i + 4.25,
            signal="knee",
            peak_flexion_deg=91.5 + i,
            min_flexion_deg=2.5,
            rom_deg=89.0 + i,
        )
        for i in range(12)
    )
    summary = SessionSummary(
        sitting_id=uuid.uuid4(),
        exercise="heel-slide",
        side="left",
        source="simulated",
        duration_s=60.0,
        reps=reps,
        max_flexion_deg=102.5,
        min_flexion_deg=2.5,
        zero="standing",
        calibrated_at_s=4.0,
        ok_fraction=0.95,
        sensors=(),
        curve=AngleCurve(step_s=0.3, flexion_deg=tuple(i * 7 % 91 for i in range(200))),
        software="benchmark",
    )
    return payload_text(summary)


def records(count: int) -> list[Envelope]:
    payload = session()
    begin = datetime.now(UTC) - timedelta(days=30)
    outboxes = [uuid.uuid4() for _ in range(KITS)]
    boot = uuid.uuid4()
    return [
        Envelope(
            record_id=new_record_id(),
            kind=Kind.SESSION,
            kit_id=f"kit-{i % KITS:03}",
            outbox_id=outboxes[i % KITS],
            sequence=i // KITS + 1,
            boot_id=boot,
            monotonic_ns=i,
            captured_at=wire_time(begin + timedelta(minutes=i // KITS)),
            clock="synchronised",
            schema_version=1,
            payload=payload,
        )
        for i in range(count)
    ]


def measure(count: int, batch: int) -> tuple[float, float]:
    """Give records/s of the store alone and with inflating and reading the publishes, one record each."""
    sent = records(count)
    now = datetime.now(UTC)
    rates = []
    for from_wire in (False, True):
        publishes = [pack([record]) for record in sent] if from_wire else []
        with tempfile.TemporaryDirectory() as folder, open_store(f"sqlite:///{folder}/book.db") as store:
            patient = store.add_patient("Benchmark", "America/Chicago")
            for kit in range(KITS):
                store.bind_kit(f"kit-{kit:03}", patient, since=now - timedelta(days=60))
            began = time.perf_counter()
            for start in range(0, count, batch):
                part = range(start, min(start + batch, count))
                items = [tuple(unpack(publishes[i])) if from_wire else (sent[i],) for i in part]
                store.ingest_batch([Delivery(sent[i].kit_id, item, now) for i, item in zip(part, items, strict=True)])
            rates.append(count / (time.perf_counter() - began))
            if store.audit().records != count:
                raise SystemExit("the book does not hold what was sent")
    return rates[0], rates[1]


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 5_000
    print(f"{'batch':>6} {'records/s stored':>18} {'records/s unpacked and stored':>30}")
    for batch in (1, 100, 1_000):
        stored, unpacked = measure(min(count, 1_000) if batch == 1 else count, batch)
        print(f"{batch:>6} {stored:>18,.0f} {unpacked:>30,.0f}")


if __name__ == "__main__":
    main()
