"""Backup and restore: the same book again on either database, or a clear refusal; never half of one."""

import hashlib
import sqlite3
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from alembic import command, config
from sqlalchemy import create_engine, insert, select

import gonio.cloud_sink.engine as engine_module
from gonio.cloud_sink import book_rows
from gonio.cloud_sink.audit_log import verify
from gonio.cloud_sink.backup import Backup, back_up
from gonio.cloud_sink.backup_file import About, BackupDamagedError, Manifest, check_file, write_manifest
from gonio.cloud_sink.book_rows import Shape, digests, sqlite_chunks
from gonio.cloud_sink.restore import restore
from gonio.cloud_sink.schema import HOME_CLINIC, PATIENTS, REVISION
from gonio.cloud_sink.schema_audit import AUDIT_LOG
from gonio.cloud_sink.store import open_store
from gonio.errors import UsageError
from gonio.messages import Envelope

if TYPE_CHECKING:
    from tests.cloud_sink.postgres import PostgresCluster

Make = Callable[..., Envelope]

#: What a restore itself adds to; all other tables come back to the bit.
NOTED = {"audit_log", "audit_heads", "down_outboxes"}


def silent(_what: str, _done: int, _total: int) -> None:
    pass


def make(url: str, to: Path, passphrase: bytes | None = None) -> Backup:
    return back_up(url, to, actor="operator:test", progress=silent, passphrase=passphrase)


def bring_back(source: Path, url: str, passphrase: bytes | None = None) -> Manifest:
    return restore(source, url, actor="operator:test", progress=silent, passphrase=passphrase)


def content(manifest: Manifest) -> dict[tuple[str, int], str]:
    return {(part.table, part.first): part.sha256 for part in manifest.digests if part.table not in NOTED}


@pytest.fixture
def filled(store_url: str, envelope: Make, now: datetime) -> str:
    """Give the address of a book with something in most tables, of several chunks, odd text and numbers included."""
    with open_store(store_url) as store:
        patient = store.add_patient("Zoë 'O; DROP' 王", "America/Chicago")
        store.bind_kit("kit-001", patient, since=now - timedelta(days=9), side="left")
        store.ingest("kit-001", [envelope(n) for n in range(1, 60)], now)
        store.ingest("kit-001", [envelope(62, clock="unsynchronised"), envelope(63, schema_version=999)], now)
        store.ingest("kit-002", [envelope(3, kit_id="kit-002", outbox_id=patient), envelope(1)], now)
        store.ingest("kit-001", [envelope(kind="health", payload='{"software":"x","pending":0}')], now)
    return store_url


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(book_rows, "CHUNK_ROWS", 20)


@pytest.fixture(params=["sqlite", "postgresql"])
def new_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Give the address of a place where a book can be restored."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/new.db"
    else:
        cluster: PostgresCluster = request.getfixturevalue("postgres")
        url = cluster.create()
        yield url
        cluster.drop(url)


@pytest.mark.parametrize("passphrase", [None, b"correct horse battery"])
def test_a_book_comes_back_as_it_was(filled: str, new_url: str, tmp_path: Path, passphrase: bytes | None) -> None:
    made = make(filled, tmp_path / "a.backup", passphrase)
    assert made.manifest.rows("records") == 61
    assert made.manifest.rows("quarantine") == 2
    assert (made.audit.records, made.audit.quarantined, made.log.intact) == (61, 2, True)
    bring_back(tmp_path / "a.backup", new_url, passphrase)
    again = make(new_url, tmp_path / "b.backup")
    assert content(again.manifest) == content(made.manifest)
    with open_store(filled, create=False) as old, open_store(new_url, create=False) as new:
        assert new.audit().records == old.audit().records == 61
        assert new.audit().gaps == old.audit().gaps
        assert new.patients() == old.patients()


def test_a_restored_book_goes_on(filled: str, new_url: str, tmp_path: Path, envelope: Make, now: datetime) -> None:
    make(filled, tmp_path / "a.backup")
    bring_back(tmp_path / "a.backup", new_url)
    with open_store(new_url, create=False) as store:
        store.ingest("kit-001", [envelope(60), envelope(61)], now)
        assert [gap.first for gap in store.audit().gaps if gap.kit_id == "kit-001"] == []
        with store._reader.connect() as connection:
            assert verify(connection).intact
            last = connection.execute(select(AUDIT_LOG.c.action).order_by(AUDIT_LOG.c.number.desc()).limit(1))
            assert last.scalar_one() == "restored-from-backup"


def test_a_backup_is_noted_in_the_book_it_was_made_of(filled: str, tmp_path: Path) -> None:
    made = make(filled, tmp_path / "a.backup")
    with open_store(filled, create=False) as store, store._reader.connect() as connection:
        row = connection.execute(select(AUDIT_LOG).where(AUDIT_LOG.c.action == "backup-made")).one()
        assert (row.actor, row.subject_kind) == ("operator:test", "store")
        assert made.manifest.sha256 in row.detail


def test_workers_write_during_a_backup_and_it_is_one_moment(
    filled: str, new_url: str, tmp_path: Path, envelope: Make, now: datetime
) -> None:
    written = threading.Semaphore(0)
    stop = threading.Event()
    per_commit = 3
    count = [0]

    def write() -> None:
        with open_store(filled, create=False) as store:
            while not stop.is_set():
                numbers = range(100 + count[0], 100 + count[0] + per_commit)
                store.ingest("kit-003", [envelope(n, kit_id="kit-003") for n in numbers], now)
                count[0] += per_commit
                written.release()

    def wait_for_a_commit(_what: str, _done: int, _total: int) -> None:
        while written.acquire(blocking=False):
            pass
        assert written.acquire(timeout=60), "a backup holds writers up"

    writer = threading.Thread(target=write)
    writer.start()
    try:
        made = back_up(filled, tmp_path / "a.backup", actor="operator:test", progress=wait_for_a_commit)
    finally:
        stop.set()
        writer.join()
    during = made.manifest.rows("records") - 61
    assert during % per_commit == 0
    assert during < count[0]
    bring_back(tmp_path / "a.backup", new_url)
    with open_store(new_url, create=False) as store:
        found = store.audit()
        assert found.records == 61 + during
        assert found.doubled == 0
        with store._reader.connect() as connection:
            assert verify(connection).intact


def test_a_backup_is_the_owners_alone_and_overwrites_nothing(filled: str, tmp_path: Path) -> None:
    target = tmp_path / "a.backup"
    make(filled, target)
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    before = target.read_bytes()
    with pytest.raises(UsageError, match="is not overwritten"):
        make(filled, target)
    assert target.read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir() if "book" not in path.name) == ["a.backup"]


def test_two_backups_to_one_name_at_once_are_refused(filled: str, tmp_path: Path) -> None:
    def second(_what: str, _done: int, _total: int) -> None:
        with pytest.raises(UsageError, match="another process is writing"):
            make(filled, tmp_path / "a.backup")

    back_up(filled, tmp_path / "a.backup", actor="operator:test", progress=second)


def test_a_book_is_not_overwritten(filled: str, tmp_path: Path) -> None:
    make(filled, tmp_path / "a.backup")
    with pytest.raises(UsageError, match="is not overwritten"):
        bring_back(tmp_path / "a.backup", filled)
    with open_store(filled, create=False) as store:
        assert store.audit().records == 61


def test_a_journal_that_a_lost_book_left_is_not_taken_up(filled: str, tmp_path: Path) -> None:
    make(filled, tmp_path / "a.backup")
    (tmp_path / "new.db-wal").write_bytes(b"of another book")
    with pytest.raises(UsageError, match=r"new\.db-wal is there already"):
        bring_back(tmp_path / "a.backup", f"sqlite:///{tmp_path}/new.db")


# --- damage; the file is the same whichever database it was made from ---


@pytest.fixture
def backup(tmp_path: Path, envelope: Make, now: datetime) -> Path:
    """Give a backup of a small book."""
    url = f"sqlite:///{tmp_path}/small.db"
    with open_store(url) as store:
        store.ingest("kit-001", [envelope(n) for n in range(1, 51)], now)
    make(url, tmp_path / "small.backup")
    return tmp_path / "small.backup"


def refused(backup: Path, text: str, tmp_path: Path) -> None:
    with pytest.raises(BackupDamagedError, match=text):
        bring_back(backup, f"sqlite:///{tmp_path}/new.db")
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith("new.db")] == []


NTH = "SELECT record_id FROM records ORDER BY record_id LIMIT 1 OFFSET "


@pytest.mark.parametrize(
    ("statement", "place"),
    [
        (f"UPDATE records SET payload = '{{}}' WHERE record_id = ({NTH}26)", "table records, rows 21 to 40"),  # noqa: S608
        (f"UPDATE records SET received_at = '2026' WHERE record_id = ({NTH}49)", "rows 41 to 50"),  # noqa: S608
        (f"DELETE FROM day_entries; DELETE FROM sessions WHERE record_id = ({NTH}0)", "table sessions, rows 1 to 20"),  # noqa: S608
        ("INSERT INTO clinics VALUES ('00000000000070008000000000000009', 'x', 'UTC')", "table clinics, rows 1 to 1"),
        ("DELETE FROM records", "table records, rows 1 to 20"),
    ],
)
def test_a_changed_backup_is_refused_with_the_place(backup: Path, tmp_path: Path, statement: str, place: str) -> None:
    with closing(sqlite3.connect(backup)) as connection:
        connection.executescript(statement)
    refused(backup, place, tmp_path)


def test_a_changed_manifest_is_refused(backup: Path, tmp_path: Path) -> None:
    with closing(sqlite3.connect(backup)) as connection:
        connection.execute("UPDATE backup_manifest SET line = replace(line, '\"rows\": 20', '\"rows\": 19')")
        connection.commit()
    refused(backup, "the manifest of .* is not what was written", tmp_path)


@pytest.mark.parametrize("share", [0.0, 0.001, 0.3, 0.7, 0.999])
def test_a_backup_that_was_cut_short_is_refused(backup: Path, tmp_path: Path, share: float) -> None:
    data = backup.read_bytes()
    backup.write_bytes(data[: int(len(data) * share)])
    refused(backup, "backup", tmp_path)


def test_a_spoilt_byte_is_found_or_stands_where_nothing_is_kept(backup: Path) -> None:
    data = bytearray(backup.read_bytes())
    whole = check_file(backup, silent)
    found = 0
    used = [at for at, byte in enumerate(data) if byte]  # a new file's empty space is zeros
    places = used[97 :: len(used) // 60]
    for at in places:
        data[at] ^= 0xFF
        backup.write_bytes(data)
        try:
            assert check_file(backup, silent) == whole
        except BackupDamagedError:
            found += 1
        data[at] ^= 0xFF
    assert found > len(places) / 2


def test_a_book_is_no_backup(tmp_path: Path, backup: Path) -> None:
    refused(tmp_path / "small.db", "no finished backup", tmp_path)


def test_a_backup_of_a_newer_gonio_is_refused(backup: Path, new_url: str) -> None:
    with closing(sqlite3.connect(backup)) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
        connection.execute("UPDATE backup_manifest SET line = replace(line, ?, ?)", (f'"{REVISION}"', '"9999"'))
        lines = [line for (line,) in connection.execute("SELECT line FROM backup_manifest ORDER BY position")]
        digest = hashlib.sha256("\n".join(lines[:-1]).encode()).hexdigest()
        connection.execute(
            "UPDATE backup_manifest SET line = ? WHERE position = ?", (f'{{"sha256": "{digest}"}}', len(lines) - 1)
        )
        connection.commit()
    with pytest.raises(UsageError, match="newer gonio"):
        bring_back(backup, new_url)


# --- kill -9 ---

KILLED = """
import sys
from pathlib import Path
from gonio.cloud_sink.backup import back_up
from gonio.cloud_sink.restore import restore
seen = set()
def progress(what, done, total):
    step = what.split()[0]
    if step not in seen:
        seen.add(step)
        print(step, flush=True)
        sys.stdin.readline()
if sys.argv[1] == "backup":
    back_up(sys.argv[2], Path(sys.argv[3]), actor="operator:test", progress=progress)
else:
    restore(Path(sys.argv[2]), sys.argv[3], actor="operator:test", progress=progress)
print("end", flush=True)
"""


def kill_at_each_step(*arguments: str, check: Callable[[str], None]) -> list[str]:
    """Run a command, kill it at its first step, then at its second, and so on; give the steps."""
    killed: list[str] = []
    while True:
        with subprocess.Popen(
            [sys.executable, "-c", KILLED, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            for _ in killed:
                process.stdout.readline()
                process.stdin.write("\n")
                process.stdin.flush()
            step = process.stdout.readline().strip()
            if step == "end":
                assert process.wait() == 0
                return killed
            process.kill()
        killed.append(step)
        check(step)


def test_a_killed_backup_leaves_no_backup_and_the_next_one_succeeds(filled: str, tmp_path: Path) -> None:
    target = tmp_path / "a.backup"

    def nothing(step: str) -> None:
        assert not target.exists(), step

    steps = kill_at_each_step("backup", filled, str(target), check=nothing)
    assert steps[-2:] == ["reading", "checking"]
    assert check_file(target, silent).rows("records") == 61
    assert not (tmp_path / "a.backup.part").exists()


def test_a_killed_restore_leaves_no_book_and_the_next_one_succeeds(filled: str, new_url: str, tmp_path: Path) -> None:
    make(filled, tmp_path / "a.backup")

    def nothing(step: str) -> None:
        if new_url.startswith("sqlite"):
            assert not (tmp_path / "new.db").exists(), step
        else:
            with open_store(new_url) as store:
                assert store.audit().records == 0, step
                assert store.patients() == [], step

    steps = kill_at_each_step("restore", str(tmp_path / "a.backup"), new_url, check=nothing)
    assert "checking" in steps
    with open_store(new_url, create=False) as store:
        assert store.audit().records == 61


# --- older backups ---


def test_a_backup_of_an_older_gonio_is_brought_up_to_date(tmp_path: Path, new_url: str, now: datetime) -> None:
    path = tmp_path / "old.backup"
    _make_old_backup(path, now)
    bring_back(path, new_url)
    with open_store(new_url, create=False) as store:
        assert [row.name for row in store.patients()] == ["Old Patient"]
        assert store.audit().records == 0
        store.add_patient("New Patient", "UTC")


def _make_old_backup(path: Path, now: datetime) -> None:
    settings = config.Config()
    settings.set_main_option("script_location", str(engine_module._MIGRATIONS))
    engine = create_engine(f"sqlite:///{path}")
    with engine.begin() as connection:
        settings.attributes["connection"] = connection
        command.upgrade(settings, "0002")
        row = {"patient_id": HOME_CLINIC, "clinic_id": HOME_CLINIC, "name": "Old Patient", "time_zone": "UTC"}
        connection.execute(insert(PATIENTS).values(row | {"added_at": now}))
    engine.dispose()
    with closing(sqlite3.connect(path)) as connection:
        names = connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table' AND name <> 'alembic_version'")
        shapes = []
        for (name,) in names.fetchall():
            columns = connection.execute(f"PRAGMA table_info({name})").fetchall()
            key = sorted((column for column in columns if column[5]), key=lambda column: column[5])
            shapes.append(Shape(name, tuple(c[1] for c in columns), tuple(c[1] for c in key)))
        found = [part for shape in shapes for part in digests(shape, sqlite_chunks(connection, shape, 3))]
        about = About("2026-01-01T00:00:00+00:00", "0002", "0.1.0", "sqlite", 3)
        write_manifest(connection, Manifest(about, tuple(shapes), tuple(found)))
