"""The book in PostgreSQL: addresses that are safe, errors that pass, workers that meet, a server that goes."""

import itertools
import logging
import signal
import subprocess
import sys
import threading
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import URL, select

from gonio.cloud_sink import worker as worker_module
from gonio.cloud_sink.address import parse_address, shown
from gonio.cloud_sink.engine import StoreError, StoreUnavailableError
from gonio.cloud_sink.inbox import Arrival
from gonio.cloud_sink.intake import Intake
from gonio.cloud_sink.judge import judge
from gonio.cloud_sink.model import Delivery
from gonio.cloud_sink.schema import DAY_ENTRIES, KIT_HEALTH
from gonio.cloud_sink.store import Store, open_store
from gonio.cloud_sink.worker import Worker
from gonio.errors import UsageError
from gonio.messages import AckStatus, Envelope, Kind, pack, up_topic
from tests.broker import free_port
from tests.cloud_sink.postgres import PostgresCluster

Make = Callable[..., Envelope]
HOUR = timedelta(hours=1)


@pytest.fixture
def book(postgres_url: str) -> Iterator[Store]:
    with open_store(postgres_url) as store:
        yield store


# --- addresses ---


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("postgresql://u:s3cret@db.example/gonio?sslmode=require", "would not prove"),
        ("postgresql://u:s3cret@db.example/gonio?sslmode=disable", "would not prove"),
        ("postgresql://u:s3cret@db.example", "names no database"),
        ("postgresql://u:s3cret@/gonio", "must name one host"),
        ("postgresql://u:s3cret@localhost/gonio?host=/run/postgresql", "must name one host"),
        ("postgresql://u:s3cret@/gonio?host=db.example", "must name one host"),
        ("postgresql://u:s3cret@localhost,db.example/gonio", "several hosts"),
        ("postgresql://u:s3cret@localhost/gonio?options=-csynchronous_commit%3Doff", "not taken"),
        ("postgresql://u:s3cret@localhost/gonio?service=other", "not taken"),
        ("postgresql://u:s3cret@localhost/gonio?hostaddr=192.0.2.1", "not taken"),
        ("postgresql://u:s3cret@localhost/gonio?sslmode=disable&sslmode=require", "once each"),
        ("postgresql://u:s3cret@localhost:port/gonio", "cannot be read"),
        ("postgresql+asyncpg://u:s3cret@localhost/gonio", "cannot be postgresql"),
    ],
)
def test_an_address_of_no_use(url: str, text: str) -> None:
    with pytest.raises(UsageError, match=text) as caught:
        parse_address(url)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "mode"),
    [
        ("postgresql://u@db.example/gonio", "verify-full"),
        ("postgresql://u@db.example/gonio?sslmode=verify-full&sslrootcert=/ca.pem", "verify-full"),
        ("postgresql://u@[2001:db8::1]/gonio", "verify-full"),
        ("postgresql://u@127.0.0.1/gonio", None),
        ("postgresql://u@[::1]:5433/gonio", None),
        ("postgresql+psycopg://u@localhost/gonio?sslmode=require", "require"),
        ("postgresql://u@/gonio?host=/run/postgresql", None),
    ],
)
def test_the_network_is_crossed_in_tls_only(url: str, mode: str | None) -> None:
    parsed = parse_address(url)
    assert isinstance(parsed, URL)
    assert parsed.query.get("sslmode") == mode
    assert parsed.drivername == "postgresql+psycopg"


def test_a_store_is_named_without_credentials() -> None:
    parsed = parse_address("postgresql://user:s3cret@127.0.0.1:5433/gonio")
    assert isinstance(parsed, URL)
    assert shown(parsed) == "gonio on 127.0.0.1:5433"


def test_a_server_that_is_not_there_tells_no_password(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with pytest.raises(UsageError, match="cannot be opened") as caught:
        open_store(f"postgresql://user:s3cret@127.0.0.1:{free_port()}/gonio")
    assert "s3cret" not in f"{caught.value}{caplog.text}{caught.value.__cause__}"


# --- what is there ---


def test_an_empty_database_is_no_store_unless_one_shall_be_made(postgres: PostgresCluster) -> None:
    url = postgres.create()
    with pytest.raises(UsageError, match=r"there is no store in book_\d+ on"):
        open_store(url, create=False)
    open_store(url).close()
    open_store(url, create=False).close()
    postgres.drop(url)


def test_another_programs_database(postgres: PostgresCluster) -> None:
    url = postgres.create()
    with postgres.connect(url.partition("@/")[2].partition("?")[0]) as connection:
        connection.execute("CREATE TABLE recipes (name TEXT)")
    with pytest.raises(UsageError, match="tables of another program"):
        open_store(url)
    postgres.drop(url)


def test_a_database_that_cannot_keep_all_text(postgres: PostgresCluster) -> None:
    with postgres.connect("postgres") as connection:
        connection.execute("CREATE DATABASE latin ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0")
    with pytest.raises(UsageError, match="is in LATIN1"):
        open_store(postgres.url("latin"))


def test_a_commit_is_on_disk_whatever_the_role_prefers(
    postgres: PostgresCluster, postgres_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    with postgres.connect("postgres") as connection:
        connection.execute("ALTER ROLE gonio SET synchronous_commit = off")
    try:
        with open_store(postgres_url) as store, store._writer.connect() as writing:
            assert writing.exec_driver_sql("SHOW synchronous_commit").scalar() == "on"
    finally:
        with postgres.connect("postgres") as connection:
            connection.execute("ALTER ROLE gonio RESET synchronous_commit")
    assert "fsync=off" in caplog.text  # the tests' server is such a one


@pytest.mark.parametrize("zone", ["Asia/Kolkata", "America/St_Johns"])
def test_moments_are_the_same_whatever_zone_the_server_is_in(
    postgres: PostgresCluster, postgres_url: str, envelope: Make, now: datetime, zone: str
) -> None:
    with postgres.connect("postgres") as connection:
        connection.execute(f"ALTER ROLE gonio SET timezone = '{zone}'".encode())
    try:
        with open_store(postgres_url) as store:
            patient = store.add_patient("A", "Pacific/Kiritimati")
            store.bind_kit("kit-001", patient, since=now - 2 * HOUR)
            record = envelope(captured_at="2026-03-05T11:00:00.125-06:00")
            store.ingest("kit-001", [record], now)
            row = store.session(record.record_id)
            assert row is not None
            assert row.received_at.isoformat() == "2026-03-05T18:00:00+00:00"
            assert row.captured.isoformat() == "2026-03-05T11:00:00.125000-06:00"
            with store._reader.connect() as reading:
                assert str(reading.execute(select(DAY_ENTRIES.c.local_date)).scalar_one()) == "2026-03-06"
    finally:
        with postgres.connect("postgres") as connection:
            connection.execute("ALTER ROLE gonio RESET timezone")


# --- errors ---


@pytest.mark.parametrize(
    ("state", "error"),
    [
        ("53100", StoreUnavailableError),  # disk full
        ("40001", StoreUnavailableError),  # serialization failure, again and again
        ("25006", StoreUnavailableError),  # read-only: a standby, until it is promoted
        ("57014", StoreUnavailableError),  # cancelled by an operator
        ("58030", StoreUnavailableError),  # I/O error
        ("42501", StoreError),  # no right to do that
        ("23514", StoreError),  # a check fails
    ],
)
def test_what_the_server_refuses_changes_nothing_and_tells_no_content(
    book: Store, envelope: Make, now: datetime, state: str, error: type[Exception]
) -> None:
    with book._writer.begin() as connection:
        connection.exec_driver_sql(
            "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
            f"RAISE EXCEPTION 'refused' USING ERRCODE = '{state}', DETAIL = NEW.payload; END $$"
        )
        connection.exec_driver_sql(
            "CREATE TRIGGER refuse AFTER INSERT ON records FOR EACH ROW EXECUTE FUNCTION refuse()"
        )
    record = envelope(1)
    with pytest.raises(error, match="refused") as caught:
        book.ingest("kit-001", [record], now)
    assert "heel-slide" not in f"{caught.value}"
    assert book.audit().records == 0
    with book._writer.begin() as connection:
        connection.exec_driver_sql("DROP TRIGGER refuse ON records")
    assert [ack.status for ack in book.ingest("kit-001", [record], now)] == [AckStatus.STORED]


def test_a_clash_is_tried_again_at_once(book: Store, envelope: Make, now: datetime) -> None:
    with book._writer.begin() as connection:
        connection.exec_driver_sql("CREATE SEQUENCE attempts")
        connection.exec_driver_sql(
            "CREATE FUNCTION clash() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF nextval('attempts') < 3 THEN "
            "RAISE EXCEPTION 'deadlock detected' USING ERRCODE = '40P01'; END IF; RETURN NEW; END $$"
        )
        connection.exec_driver_sql(
            "CREATE TRIGGER clash BEFORE INSERT ON records FOR EACH ROW EXECUTE FUNCTION clash()"
        )
    assert [ack.status for ack in book.ingest("kit-001", [envelope(1)], now)] == [AckStatus.STORED]


@pytest.mark.parametrize("changes", [{"key_id": "key\x00"}, {"signature": "\x00"}])
def test_a_header_that_is_no_text_is_refused(
    store: Store, envelope: Make, now: datetime, changes: dict[str, str]
) -> None:
    bad, good = envelope(1, **changes), envelope(2)
    assert [ack.status for ack in store.ingest("kit-001", [bad, good], now)] == [AckStatus.REJECTED, AckStatus.STORED]


# --- two at once ---


def test_a_record_that_another_worker_is_storing_is_waited_for_and_found(
    book: Store, postgres_url: str, envelope: Make, now: datetime
) -> None:
    """One transaction holds some of a batch's records, uncommitted, while another stores all of them."""
    records = [envelope(n + 1) for n in range(20)]
    book.ingest("kit-001", [envelope(100, outbox_id=uuid.uuid4())], now)
    statuses: list[AckStatus] = []
    with open_store(postgres_url) as other, open_store(postgres_url) as watching:
        with other._writer.begin() as holding:
            some = [("kit-001", judge("kit-001", record, now), now) for record in records[5:15]]
            Intake(holding, some).run()
            meeting = threading.Thread(
                target=lambda: statuses.extend(ack.status for ack in book.ingest("kit-001", records, now))
            )
            meeting.start()
            waiting = (
                "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
            )
            while True:
                with watching._reader.connect() as reading:
                    if reading.exec_driver_sql(waiting).scalar():
                        break
        meeting.join()
    expected = [AckStatus.REPEATED if 5 <= n < 15 else AckStatus.STORED for n in range(20)]
    assert statuses == expected
    assert (book.audit().records, book.audit().doubled, book.audit().gaps[1:]) == (21, 0, ())


def test_a_record_that_another_worker_commits_between_two_looks_is_no_clash(
    book: Store, postgres_url: str, envelope: Make, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each look sees what is committed by then: a place must not be found taken by an id that is not known yet."""
    late, known = envelope(1), envelope(2)
    book.ingest("kit-001", [known], now)
    numbers = itertools.count()
    with open_store(postgres_url) as other:

        def interrupted(look: Callable[[Intake, Any], Any]) -> Callable[[Intake, Any], Any]:
            def wrapped(intake: Intake, judged: object) -> object:
                number = next(numbers)
                if number == 2:
                    assert [ack.status for ack in other.ingest("kit-001", [late], now)] == [AckStatus.STORED]
                return look(intake, judged) if number else None  # before anything was there: so the insertion fails

            return wrapped

        for name in ("_look_up_ids", "_look_up_places"):
            monkeypatch.setattr(Intake, name, interrupted(getattr(Intake, name)))
        assert [ack.status for ack in book.ingest("kit-001", [late, known], now)] == [AckStatus.REPEATED] * 2


WORKER = """
import random, sys, uuid
from datetime import datetime, timedelta
from gonio.cloud_sink.model import Delivery
from gonio.cloud_sink.store import open_store
from gonio.messages import AckStatus, Envelope
url, seed, path = sys.argv[1:]
now = datetime.fromisoformat("2026-03-05T18:00:00+00:00")
records = [Envelope.model_validate_json(line) for line in open(path, encoding="utf-8")]
drawn = random.Random(int(seed))
stored = 0
with open_store(url) as store:
    print("ready", flush=True)
    sys.stdin.readline()
    for _ in range(3):
        drawn.shuffle(records)
        for start in range(0, len(records), 40):
            part = records[start:start + 40]
            for acks in store.ingest_batch([Delivery(record.kit_id, (record,), now) for record in part]):
                assert len(acks) == 1 and acks[0].status is not AckStatus.REJECTED, acks
                stored += acks[0].status is AckStatus.STORED
print(stored)
"""


def test_two_processes_with_the_same_records_while_kits_change_hands(
    store_url: str, tmp_path: Path, envelope: Make, now: datetime
) -> None:
    """Each sends all records three times in an order of its own; the kits' patients change meanwhile."""
    kits = [f"kit-{n:03}" for n in range(1, 9)]
    records = [
        envelope(
            n + 1,
            kit_id=kit,
            outbox_id=None if kind == "health" else uuid.UUID(int=k + 1),
            kind=kind,
            captured=now - timedelta(hours=100 - n),
            boot_id=uuid.UUID(int=77),
        )
        for k, kit in enumerate(kits)
        for n, kind in enumerate(["session", "check-in", "session", "session"] * 12 + ["health"] * 3)
    ]
    path = tmp_path / "records"
    path.write_text("".join(f"{record.model_dump_json()}\n" for record in records), encoding="utf-8")
    with open_store(store_url) as store:
        first, second = (store.add_patient(name, "America/Chicago") for name in ("A", "B"))
        workers = [
            subprocess.Popen(
                [sys.executable, "-c", WORKER, store_url, str(seed), str(path)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            for seed in (1, 2)
        ]
        for worker in workers:
            assert worker.stdout is not None
            assert worker.stdin is not None
            assert worker.stdout.readline() == "ready\n", worker.communicate()[1]
        for worker in workers:
            assert worker.stdin is not None
            worker.stdin.write("go\n")
            worker.stdin.flush()
        for kit in kits:
            store.bind_kit(kit, first, since=now - timedelta(days=10))
        for kit in kits:
            store.bind_kit(kit, second, since=now - timedelta(hours=70))
        said = [worker.communicate(timeout=120) for worker in workers]
        assert [worker.returncode for worker in workers] == [0, 0], said
        numbered = sum(record.kind is not Kind.HEALTH for record in records)
        found = store.audit()
        assert (found.records, found.doubled, found.gaps, found.quarantined) == (numbered, 0, (), 0)
        assert found.unassigned == 0
        with store._reader.connect() as reading:
            before = reading.execute(select(DAY_ENTRIES).order_by(DAY_ENTRIES.c.record_id)).all()
            newest = reading.execute(select(KIT_HEALTH.c.monotonic_ns)).scalars().all()
        assert len(before) == numbered
        assert newest == [51] * len(kits)
        store.rederive()
        with store._reader.connect() as reading:
            assert reading.execute(select(DAY_ENTRIES).order_by(DAY_ENTRIES.c.record_id)).all() == before
        assert {day.patient_id for day in before} == {first, second}


# --- a server that goes ---


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGQUIT])
async def test_a_server_restarted_in_the_middle_loses_nothing_that_was_acknowledged(
    mortal_postgres: PostgresCluster,
    envelope: Make,
    now: datetime,
    monkeypatch: pytest.MonkeyPatch,
    how: signal.Signals,
) -> None:
    monkeypatch.setattr(worker_module, "FIRST_PAUSE_S", 0.05)
    monkeypatch.setattr(worker_module, "LONGEST_PAUSE_S", 0.2)
    url = mortal_postgres.create()
    topic = up_topic("kit-001", Kind.SESSION)
    records = [envelope(n + 1) for n in range(400)]
    acknowledged: list[uuid.UUID] = []
    with open_store(url) as store, ThreadPoolExecutor(1) as thread:
        worker = Worker(store, thread, signed_only=False)
        stopper: threading.Thread | None = None

        def restart() -> None:
            mortal_postgres.stop(how)
            mortal_postgres.start()

        for start in range(0, len(records), 10):
            batch = [Arrival(topic, pack([record]), now) for record in records[start : start + 10]]
            for _, words in await worker.take_in(batch):
                acknowledged += [ack.record_id for ack in words if ack.status is not AckStatus.REJECTED]
            if start == 100:
                stopper = threading.Thread(target=restart)
                stopper.start()
        assert stopper is not None
        stopper.join()
        assert acknowledged == [record.record_id for record in records]
        found = store.audit()  # on connections of before the restart
        assert (found.records, found.doubled, found.gaps) == (400, 0, ())


async def test_no_word_while_the_server_is_away(
    mortal_postgres: PostgresCluster, envelope: Make, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_module, "FIRST_PAUSE_S", 0.05)
    with open_store(mortal_postgres.create()) as store:
        mortal_postgres.stop()
        with pytest.raises(StoreUnavailableError):
            store.ingest_batch([Delivery("kit-001", (envelope(1),), now)])
        with pytest.raises(StoreUnavailableError):
            store.patients()
        mortal_postgres.start()
        assert [ack.status for ack in store.ingest("kit-001", [envelope(1)], now)] == [AckStatus.STORED]
