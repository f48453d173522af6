"""All that a kit, or who pretends to be one, may send in bad faith, through mosquitto into a worker of its own.

Each is refused with its reason in the quarantine, what must be looked at is in the audit log, a good kit beside it
notices nothing, and the worker's memory stays within a bound.
"""

import json
import subprocess
import sys
import uuid
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiomqtt
import pytest
from sqlalchemy import text

from gonio.cloud_sink.store import Store, open_store
from gonio.messages import (
    MAX_INFLATED_BYTES,
    MAX_PAYLOAD_BYTES,
    AckStatus,
    DownKind,
    Envelope,
    Kind,
    down_topic,
    pack,
    unpack_acks,
    up_topic,
)
from tests.broker import Mosquitto, running_mosquitto

pytestmark = pytest.mark.peer("mosquitto")

Make = Callable[..., Envelope]
BAD, GOOD = "kit-bad", "kit-good"
#: Above what good records take. Measured: 140 MB with SQLite, 165 MB with PostgreSQL, and the same for four times as
#: many rounds: the largest publish as JSON of empty lists is 60 MB, the rest is publishes under way and what is kept of
#: them. All that the test sends is 200 MB, so that keeping it would show.
MOST_MB = 220


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    with running_mosquitto(tmp_path) as server:
        yield server


@contextmanager
def worker(store_url: str, broker: Mosquitto) -> Iterator[subprocess.Popen[str]]:
    """Run a worker in a process of its own, until it listens; it must live to the end."""
    arguments = ["run", "--store", store_url, "--broker", broker.url]
    process = subprocess.Popen(
        [sys.executable, "-c", "from gonio.cli.sink import app; app()", *arguments], stderr=subprocess.PIPE, text=True
    )
    try:
        assert process.stderr is not None
        assert any("listening" in line for line in iter(process.stderr.readline, ""))
        yield process
        assert process.poll() is None
    finally:
        process.kill()
        process.communicate()


def peak_mb(process: subprocess.Popen[str]) -> int:
    """Give the most memory that a process has had resident."""
    status = Path(f"/proc/{process.pid}/status").read_text(encoding="utf-8")
    (line,) = (line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) // 1024


class Sender:
    """A client that sends what it likes as a kit, and hears what the clinic says to that kit."""

    def __init__(self, client: aiomqtt.Client, kit: str) -> None:
        self._client = client
        self._kit = kit

    async def send(self, data: bytes) -> None:
        await self._client.publish(up_topic(self._kit, Kind.SESSION), data, qos=1)

    async def ask(self, data: bytes) -> list[tuple[AckStatus, str]]:
        """Send a publish that has one answer, and give what is answered."""
        await self.send(data)
        message = await anext(aiter(self._client.messages))
        assert isinstance(message.payload, bytes)
        return [(ack.status, ack.reason or "") for ack in unpack_acks(message.payload).acks]


async def connected(broker: Mosquitto, client: aiomqtt.Client, kit: str) -> Sender:
    await client.subscribe(down_topic(kit, DownKind.ACK), qos=1)
    return Sender(client, kit)


def as_sent(record: Envelope, **changes: Any) -> bytes:  # noqa: ANN401 - JSON
    """Write a record as a publish, with fields that no envelope of ours could have."""
    return zlib.compress(json.dumps([json.loads(record.model_dump_json(exclude_none=True)) | changes]).encode())


def answered_evils(make: Make, session: Callable[..., str], now: datetime) -> dict[str, tuple[bytes, str, bool]]:
    """Give, by what each is, a publish, the reason for its refusal, and whether somebody has to look at it."""

    def record(number: int, **changes: Any) -> Envelope:  # noqa: ANN401 - fields of an envelope
        values = {"kit_id": BAD, "outbox_id": uuid.UUID(int=66), "captured": now - timedelta(hours=1)}
        return make(number, **(values | changes))

    known = uuid.UUID(int=1)  # which the test stores first, as number 1
    nan = session().replace('"ok_fraction":0.95', '"ok_fraction":NaN')
    return {
        "forged for another kit": (pack([record(2, kit_id=GOOD)]), "another kit than the topic", True),
        "same id, other content": (pack([record(3, record_id=known)]), "with other content", True),
        "same number, other id": (pack([record(1)]), "under another id", True),
        "from the future": (pack([record(4, captured=now + timedelta(days=3))]), "in the future", False),
        "from 1970": (pack([record(5, captured=datetime.fromtimestamp(60, UTC))]), "before 2020", False),
        "a field of no schema": (
            pack([record(6, payload=session().replace('"side"', '"knee":"left","side"'))]),
            "Extra inputs",
            False,
        ),
        "a version of tomorrow": (pack([record(7, schema_version=9)]), "schema version 9 of session", False),
        "not a number": (pack([record(8, payload=nan)]), "finite number", False),
        "a check-in that says nothing": (pack([record(9, kind="check-in", payload="{}")]), "at least one thing", False),
        "pain of eleven": (
            pack([record(10, kind="check-in", payload='{"pain_after":11}')]),
            "less than or equal to 10",
            False,
        ),
        "a payload too large": (
            as_sent(record(11), payload='"' + "x" * MAX_PAYLOAD_BYTES + '"'),
            f"over {MAX_PAYLOAD_BYTES} bytes",
            False,
        ),
        "a number that is none": (as_sent(record(12), sequence=float("nan")), "sequence: ", False),
        "half a character": (as_sent(record(13), payload="\ud800"), "payload", False),
        "health with a number": (as_sent(record(14), kind="health"), "neither sequence nor outbox_id", False),
    }


#: What cannot be answered, as no record can be read in it.
UNANSWERED = {
    "nothing": (b"", "cut short"),
    "10 MB": (b"\xff" * 10_000_000, "over 1048576 bytes"),
    "a zip bomb": (zlib.compress(b"0" * 100_000_000, 9), f"inflates to over {MAX_INFLATED_BYTES} bytes"),
    "a bomb of lists": (zlib.compress(b"[" + b"[]," * 690_000 + b"[]]", 9), "list of 1 to"),
    "a deep bomb": (zlib.compress(b"[" * 2_000_000, 9), "not JSON"),
    "broken UTF-8": (zlib.compress(b'[{"kind":"\xff\xfe"}]'), "not JSON"),
    "NaN in place of a list": (zlib.compress(b"NaN"), "list of 1 to"),
    "no zlib": (b"[{}]", "not zlib"),
}


async def test_each_evil_is_refused_with_its_reason_and_a_good_kit_notices_nothing(
    store_url: str, broker: Mosquitto, envelope: Make, session_payload: Callable[..., str]
) -> None:
    now = datetime.now(UTC)
    evils = answered_evils(envelope, session_payload, now)
    good = [
        envelope(n + 1, kit_id=GOOD, outbox_id=uuid.UUID(int=7), captured=now - timedelta(minutes=n + 1))
        for n in range(len(evils) + len(UNANSWERED))
    ]
    first = envelope(1, kit_id=BAD, record_id=uuid.UUID(int=1), outbox_id=uuid.UUID(int=66), captured=now)
    stored = [(AckStatus.STORED, "")]
    with open_store(store_url) as store, worker(store_url, broker):
        async with aiomqtt.Client("127.0.0.1", broker.port) as one, aiomqtt.Client("127.0.0.1", broker.port) as other:
            bad, well = await connected(broker, one, BAD), await connected(broker, other, GOOD)
            assert await bad.ask(pack([first])) == stored
            beside = iter(good)
            for name, (data, reason, _) in evils.items():
                ((status, said),) = await bad.ask(data)
                assert (status, reason in said) == (AckStatus.REJECTED, True), (name, said)
                assert await well.ask(pack([next(beside)])) == stored, name
            for name, (data, _) in UNANSWERED.items():
                await bad.send(data)
                assert await well.ask(pack([next(beside)])) == stored, name
            assert await bad.ask(pack([first])) == [(AckStatus.REPEATED, "")]
        reasons = [row.reason for row in store.quarantine()]
        assert len(reasons) == len(evils) + len(UNANSWERED)
        for name, (_, reason, *_) in (evils | UNANSWERED).items():
            assert any(reason in said for said in reasons), name
        assert store.audit().records == 1 + len(good)
        looked_at = alarms(store)
        assert len(looked_at) == 3
        for name, (_, reason, alarm) in evils.items():
            assert any(reason in said for said in looked_at) == alarm, name


def alarms(store: Store) -> list[str]:
    with store._reader.connect() as connection:
        return list(connection.execute(text("SELECT reason FROM audit_log WHERE action = 'record-refused'")).scalars())


async def test_the_worker_needs_no_more_memory_for_evil_than_its_bound(
    store_url: str, broker: Mosquitto, envelope: Make
) -> None:
    now = datetime.now(UTC)
    outbox = uuid.UUID(int=7)
    with open_store(store_url) as store, worker(store_url, broker) as process:
        async with aiomqtt.Client("127.0.0.1", broker.port) as one, aiomqtt.Client("127.0.0.1", broker.port) as other:
            bad, well = await connected(broker, one, BAD), await connected(broker, other, GOOD)

            async def is_well(number: int) -> None:
                record = envelope(number, kit_id=GOOD, outbox_id=outbox, captured=now - timedelta(minutes=number))
                assert await well.ask(pack([record])) == [(AckStatus.STORED, "")]

            for n in range(20):
                await is_well(n + 1)
            usual = peak_mb(process)
            for n in range(10):
                await bad.send(zlib.compress(b"[" + b"[]," * 690_000 + b"[%d]]" % n, 9))
                for byte in range(4):
                    await bad.send(bytes([byte, n]) * 2_500_000)
                await is_well(21 + n)
            taken = peak_mb(process) - usual
        assert taken <= MOST_MB
        assert store.audit().records == 30
        assert store.audit().quarantined == 50
