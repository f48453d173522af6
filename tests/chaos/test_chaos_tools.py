"""That a run under fire does what it says and sees what it has to see: schedule, verdict, link, clock, counter."""

import asyncio
import contextlib
import os
import sqlite3
import subprocess
import sys
import time
import uuid
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from gonio.cloud_sink.store import open_store
from gonio.gateway.records import Draft
from gonio.gateway.store import KitStore
from gonio.identity.keys import KeyPemFile
from gonio.messages import MAX_ENVELOPES, Ack, AckBatch, AckStatus, new_record_id, pack_acks
from gonio.messages import Kind as MessageKind
from gonio.simulators.fleet_into import IntoOptions, put_fleet
from tests.chaos.acks import AckCounter
from tests.chaos.attacker import forgeries
from tests.chaos.clock import Clock, find_faketime
from tests.chaos.disk import small_disk
from tests.chaos.ledger import Line, expected_ledger
from tests.chaos.link import Link
from tests.chaos.schedule import Kind, schedule
from tests.chaos.verdict import Verdict, judge_book, read_truth
from tests.chaos.victim import read_errors
from tests.gateway.test_kit_uplink import CAPTURE

# --- the schedule ---


def test_a_seed_gives_the_same_faults_again_and_another_gives_others() -> None:
    kinds = frozenset(Kind)
    assert schedule(7, 60.0, kinds) == schedule(7, 60.0, kinds)
    assert schedule(7, 60.0, kinds) != schedule(8, 60.0, kinds)
    without = schedule(7, 60.0, kinds - {Kind.KILL_DATABASE})
    assert without == [fault for fault in schedule(7, 60.0, kinds) if fault.kind is not Kind.KILL_DATABASE]


@pytest.mark.parametrize("seconds", [5.0, 60.0, 600.0])
def test_every_kind_of_fault_comes_and_ends_in_time(seconds: float) -> None:
    faults = schedule(1, seconds, frozenset(Kind))
    assert {fault.kind for fault in faults} == set(Kind)
    assert [fault.at_s for fault in faults] == sorted(fault.at_s for fault in faults)
    assert all(0 < fault.at_s <= fault.at_s + fault.lasts_s <= seconds for fault in faults)


# --- the verdict ---


def _book(folder: Path) -> IntoOptions:
    options = IntoOptions(
        kits=3,
        records=150,
        book=f"sqlite:///{folder}/book.db",
        data_dir=folder / "fleet",
        truth=folder / "truth",
        seed=9,  # two of its kits have clocks that are wrong at times, some of them with no evidence of the truth
        processes=1,
    )
    put_fleet(options, lambda _: None)
    return options


def _judged(options: IntoOptions) -> Verdict:
    assert options.truth is not None
    with open_store(options.book) as store:
        return judge_book(store, read_truth([options.truth]), ())


#: What somebody does to three kits' records behind the book's back, and what must be counted.
_FAULTS: dict[str, tuple[str, dict[str, int]]] = {
    "lost": ("DELETE FROM records WHERE sequence = 150", {"lost": 3}),
    "moved": ("UPDATE records SET sequence = 1000 WHERE sequence = 150", {"lost": 3, "strange": 3}),
    "altered": ("UPDATE records SET content_hash = zeroblob(32) WHERE sequence = 7", {"altered": 3, "doubled": 2}),
    "day": ("UPDATE day_entries SET local_date = date(local_date, '+1 day')", {}),
    "clock": ("UPDATE day_entries SET clock = 'guessed'", {}),
    "signature": ("UPDATE records SET signature = lower(signature) WHERE sequence = 9", {"unproven": 3}),
    "payload": ("UPDATE records SET payload = payload || ' ' WHERE sequence = 9", {"unproven": 3}),
    "key": ("UPDATE records SET key_id = NULL WHERE sequence = 9", {"unproven": 3}),
    "no-void": ("DELETE FROM voids", {}),
    "no-day": ("DELETE FROM day_entries", {}),
}


def test_an_untouched_book_is_as_the_truth_asks_for(tmp_path: Path) -> None:
    options = _book(tmp_path)
    verdict = _judged(options)
    assert verdict.clean
    assert verdict.records == 450
    assert verdict.entries > 450
    assert options.truth is not None
    asked = expected_ledger(read_truth([options.truth]))
    assert {entry.clock for entry in asked.days} == {"synchronised", "repaired", "unsynchronised"}
    assert asked.voids


@pytest.mark.parametrize("fault", _FAULTS)
def test_what_is_wrong_in_a_book_is_seen(tmp_path: Path, fault: str) -> None:
    options = _book(tmp_path)
    statement, counted = _FAULTS[fault]
    with sqlite3.connect(tmp_path / "book.db") as db:
        db.execute(statement)
    db.close()
    verdict = _judged(options)
    assert not verdict.clean
    for name, many in counted.items():
        assert getattr(verdict, name) == many
    if not counted:
        assert verdict.ledger > 0


def test_an_empty_run_and_unanswered_records_are_no_success() -> None:
    good = Verdict(1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 9, ())
    assert good.clean
    assert not replace(good, records=0).clean
    assert not replace(good, unanswered=1).clean
    assert not replace(good, doubled=1).clean
    assert not replace(good, unproven=1).clean
    assert not replace(good, forged=1).clean
    assert not replace(good, audit=("1 missing",)).clean


def _line(kind: str, number: int, **changes: str) -> Line:
    told = {
        "kit": "kit-a",
        "sequence": number,
        "record_id": str(uuid.UUID(int=number)),
        "kind": kind,
        "captured_at": "2026-03-02T07:30:00.000+01:00",
        "true_at": "2026-03-02T06:30:00+00:00",
        "clock": "synchronised",
        "boot_id": "boot",
        "time_zone": "America/New_York",
    }
    return told | changes


def test_the_ledger_counts_by_the_patients_zone_the_true_time_and_what_is_struck_out() -> None:
    wrong = {"captured_at": "1970-01-01T01:00:00.000+01:00", "clock": "unsynchronised"}
    truth = [
        _line("session", 1),
        _line("session", 2, true_at="2026-03-04T23:00:00+00:00", **wrong),
        _line("check-in", 3, boot_id="alone", **wrong),
        _line("session", 4),
        _line("void", 5, voids=str(uuid.UUID(int=4))),
        _line("message", 6),
    ]
    days = {(entry.record_id[-1], entry.day.isoformat(), entry.clock) for entry in expected_ledger(truth).days}
    assert days == {
        ("1", "2026-03-02", "synchronised"),
        ("2", "2026-03-04", "repaired"),
        ("3", "1969-12-31", "unsynchronised"),
    }


# --- the attacker ---


def test_a_forgery_comes_in_only_where_nobody_knows_the_kits_key(tmp_path: Path) -> None:
    """So each would do harm, and each is seen."""
    with KitStore.open(tmp_path / "kit") as kit:
        genuine = kit.commit(Draft(new_record_id(), MessageKind.MESSAGE, CAPTURE, 1, '{"text":"It went well."}'))
        public = kit.signing_key.public
    forged = list(forgeries(genuine, KeyPemFile.make(tmp_path / "attacker.pem")))
    assert len({envelope.record_id for envelope in forged}) == len(forged)
    now = datetime.now(UTC)
    for one in forged:
        with open_store(f"sqlite:///{tmp_path}/{one.record_id}.db") as open_book:
            (ack,) = open_book.ingest(one.kit_id, [one], now)
        assert ack.status is AckStatus.STORED
    with open_store(f"sqlite:///{tmp_path}/book.db") as book:
        book.enrolment.enter_key(genuine.kit_id, public)
        assert [ack for one in forged for ack in book.ingest(one.kit_id, [one], now)] == []
        (ack,) = book.ingest(genuine.kit_id, [genuine], now)
        assert ack.status is AckStatus.STORED
        found = book.audit()
    assert (found.records, found.gaps, found.quarantined) == (1, (), len(forged))


# --- the tools ---


def test_acknowledgements_are_counted_in_bytes_cut_anywhere() -> None:
    def publish(topic: str, payload: bytes, flags: int) -> bytes:
        body = len(topic).to_bytes(2, "big") + topic.encode() + (b"\x00\x07" if flags else b"") + payload
        length, digits = len(body), bytearray()
        while True:
            length, digit = divmod(length, 128)
            digits.append(digit | (0x80 if length else 0))
            if not length:
                return bytes([0x30 | flags]) + bytes(digits) + body

    def acks(status: AckStatus, many: int) -> bytes:
        return pack_acks(AckBatch(acks=tuple(Ack(record_id=uuid.uuid4(), status=status) for _ in range(many))))

    stream = (
        b"\x10\x02ab"
        + publish("gonio/v1/kit/down/ack", acks(AckStatus.STORED, MAX_ENVELOPES), 0)
        + b"\xc0\x00"
        + publish("gonio/v1/kit/down/ack", acks(AckStatus.REPEATED, 3), 2)
        + publish("gonio/v1/kit/down/message", b"none of these", 0)
    )
    for step in (1, 3, 1000, len(stream)):
        counted: Counter[str] = Counter()
        counter = AckCounter(counted)
        for at in range(0, len(stream), step):
            counter(stream[at : at + step])
        assert counted == {"stored": MAX_ENVELOPES, "repeated": 3}


@pytest.mark.peer("faketime")
def test_a_running_process_sees_its_clock_jump_and_its_monotonic_clock_go_on(tmp_path: Path) -> None:
    library = find_faketime()
    assert library is not None
    clock = Clock(library, tmp_path / "clock")
    script = "import sys, time\nfor line in sys.stdin:\n    print(time.time(), time.monotonic(), flush=True)\n"
    with subprocess.Popen(
        [sys.executable, "-c", script], env=clock.environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None

        def ask() -> tuple[float, float]:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write("\n")
            process.stdin.flush()
            wall, monotonic = process.stdout.readline().split()
            return float(wall), float(monotonic)

        wall, monotonic = ask()
        assert abs(wall - time.time()) < 3600
        clock.jump(-400 * 86_400)
        while (seen := ask())[0] > time.time() - 300 * 86_400:
            time.sleep(0.05)
        assert 0 <= seen[1] - monotonic < 3600
        process.stdin.close()


_LATE = """Exception in callback BaseSelectorEventLoop.add_writer(38, <function Cli...x7f>)
handle: <Handle BaseSelectorEventLoop.add_writer(38, <function Cli...x7f>)>
Traceback (most recent call last):
  File "selectors.py", line 192, in get_key
KeyError: '38 is not registered'

During handling of the above exception, another exception occurred:

Traceback (most recent call last):
  File "selectors.py", line 359, in register
OSError: [Errno 9] Bad file descriptor
"""
_CRASH = """Traceback (most recent call last):
  File "x.py", line 1, in x
ValueError: x
"""


def test_an_error_that_nobody_foresaw_is_seen_beside_those_of_a_closed_socket() -> None:
    assert read_errors("all is well\n")[:2] == (0, 0)
    assert read_errors(_LATE + "and on\n" + _LATE)[:2] == (0, 2)
    assert read_errors(_LATE + _CRASH)[:2] == (1, 1)
    assert read_errors(_LATE + _CRASH).said["ValueError: x"] == 1
    assert read_errors(_LATE.replace("add_writer", "call_later"))[:2] == (1, 0)


async def _echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(100):
            writer.write(data)
            await writer.drain()
    writer.close()
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()


async def test_a_link_carries_stalls_swallows_closes_one_side_and_cuts() -> None:
    server = await asyncio.start_server(_echo, "127.0.0.1", 0)
    async with server, Link(server.sockets[0].getsockname()[1]) as link, asyncio.timeout(60):
        writers: list[asyncio.StreamWriter] = []

        async def connect() -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
            reader, writer = await asyncio.open_connection("127.0.0.1", link.port)
            writers.append(writer)
            return reader, writer

        async def gone(reader: asyncio.StreamReader) -> bool:
            try:
                return await reader.read(100) == b""
            except ConnectionError:
                return True

        reader, writer = await connect()
        writer.write(b"one")
        assert await reader.readexactly(3) == b"one"

        link.stall("up")
        writer.write(b"two")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(reader.readexactly(3), 0.2)
        link.calm()
        assert await reader.readexactly(3) == b"two"

        link.swallow("down")
        writer.write(b"three")
        await asyncio.sleep(0.2)
        link.calm()
        assert await gone(reader)

        reader, writer = await connect()
        writer.write(b"four")
        assert await reader.readexactly(4) == b"four"
        link.half_close("up")
        assert await gone(reader)  # the echo ends when its input does

        reader, writer = await connect()
        link.go_away()
        assert await gone(reader)
        reader, writer = await connect()
        assert await gone(reader)
        link.calm()
        reader, writer = await connect()
        writer.write(b"five")
        assert await reader.readexactly(4) == b"five"
        for writer in writers:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a small disk")
def test_a_disk_is_full_and_has_room_again(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 1) as disk:
        disk.fill(0)
        with pytest.raises(OSError, match="No space"):
            (disk.folder / "file").write_bytes(b"x" * 100)
        disk.relieve()
        (disk.folder / "file").write_bytes(b"x" * 500_000)
