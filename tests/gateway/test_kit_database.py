"""The kit's data are encrypted on the disk; a database in the clear is converted, whatever is killed."""

import errno
import os
import signal
import sqlite3
import subprocess
import sys
import uuid
from pathlib import Path

import pytest

from gonio.errors import UsageError
from gonio.gateway.cipher import connect
from gonio.gateway.database import DATABASE_NAME, DirectoryLock, StoreWriteError
from gonio.gateway.keyfile import KEY_NAME, KeyFile
from gonio.gateway.records import Capture, Draft
from gonio.gateway.store import KitStore
from gonio.gateway.tables import APPLICATION_ID, MIGRATIONS
from gonio.identity.keys import KeyFaultError
from gonio.messages import Kind, new_record_id

CAPTURE = Capture(uuid.uuid4(), 5, "2026-03-01T10:00:00.000+01:00", "synchronised")
MARK = "knee-marked-text"
OLD_SCHEMA = 2  # the last that was kept in the clear


def draft(payload: str = "{}") -> Draft:
    return Draft(new_record_id(), Kind.CHECK_IN, CAPTURE, 1, payload)


def in_the_clear(directory: Path, records: int, *, payload: str = MARK) -> list[str]:
    """Make a database as the first release did; gives its record ids in order."""
    directory.mkdir(parents=True, exist_ok=True)
    db = sqlite3.connect(directory / DATABASE_NAME, isolation_level=None)
    db.execute("PRAGMA journal_mode = WAL")
    for script in MIGRATIONS[:OLD_SCHEMA]:
        db.executescript(script)
    db.execute(f"PRAGMA user_version = {OLD_SCHEMA}")
    db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    outbox, ids = str(uuid.uuid4()), [str(new_record_id()) for _ in range(records)]
    db.execute("BEGIN")
    db.execute("INSERT INTO kit VALUES (1, 'kit-0123456789abcdef')")
    db.execute("INSERT INTO outbox_head VALUES (1, ?, ?)", (outbox, records))
    for number, record_id in enumerate(ids, 1):
        row = (record_id, "check-in", outbox, number, str(CAPTURE.boot_id), 5, CAPTURE.captured_at, CAPTURE.clock)
        db.execute("INSERT INTO record VALUES (?, ?, ?, ?, ?, ?, ?, ?, 1, NULL, NULL, ?)", (*row, payload))
        db.execute("INSERT INTO outbox (record_id, sequence) VALUES (?, ?)", (record_id, number))
    db.execute("COMMIT")
    db.close()
    return ids


def stored_ids(directory: Path) -> list[str]:
    with KitStore.open(directory) as store:
        return [row[0] for row in store._db.execute("SELECT record_id FROM record ORDER BY sequence")]


def on_disk(directory: Path) -> bytes:
    return b"".join(file.read_bytes() for file in sorted(directory.iterdir()) if file.is_file())


def test_nothing_of_a_record_can_be_read_from_the_disk(tmp_path: Path) -> None:
    with KitStore.open(tmp_path) as store:
        store.commit(draft(MARK))
        assert (tmp_path / f"{DATABASE_NAME}-wal").stat().st_size > 0
        assert MARK.encode() not in on_disk(tmp_path)
        assert store.kit_id.encode() not in (tmp_path / f"{DATABASE_NAME}-wal").read_bytes()
    data = on_disk(tmp_path)
    assert MARK.encode() not in data
    assert b"SQLite format 3" not in data
    assert b"CREATE TABLE" not in data


def test_the_key_may_lie_elsewhere(tmp_path: Path) -> None:
    keys = KeyFile(tmp_path / "safe" / "key")
    with KitStore.open(tmp_path / "kit", keys) as store:
        store.commit(draft())
        with KitStore.peek(tmp_path / "kit", keys) as reader:
            assert reader.counts().pending == 1
    assert not (tmp_path / "kit" / KEY_NAME).exists()
    with KitStore.open(tmp_path / "kit", keys) as store:
        assert store.counts().pending == 1


@pytest.mark.parametrize(
    ("content", "said"),
    [(None, "is missing: put it back"), ("00" * 32, "does not open"), ("00" * 31, "holds no key"), ("no key", "holds")],
)
def test_without_its_key_the_database_is_not_touched(tmp_path: Path, content: str | None, said: str) -> None:
    with KitStore.open(tmp_path) as store:
        store.commit(draft())
    key, before = (tmp_path / KEY_NAME).read_bytes(), (tmp_path / DATABASE_NAME).read_bytes()
    (tmp_path / KEY_NAME).unlink()
    if content is not None:
        (tmp_path / KEY_NAME).write_text(content)
    names = sorted(file.name for file in tmp_path.iterdir())
    for _ in range(2):
        with pytest.raises(KeyFaultError, match=said):
            KitStore.open(tmp_path)
        with pytest.raises(UsageError):
            KitStore.peek(tmp_path)
    assert (tmp_path / DATABASE_NAME).read_bytes() == before
    assert sorted(file.name for file in tmp_path.iterdir()) == names
    (tmp_path / KEY_NAME).write_bytes(key)
    assert len(stored_ids(tmp_path)) == 1


@pytest.mark.parametrize("place", ["file/key", "/proc/gonio/key"])
def test_a_place_where_no_key_can_be_kept_is_told(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="GONIO_KIT_KEY_FILE"):
        KitStore.open(tmp_path / "kit", KeyFile(tmp_path / place))
    KitStore.open(tmp_path / "kit").close()


def test_a_key_is_never_written_over(tmp_path: Path) -> None:
    keys = KeyFile(tmp_path / KEY_NAME)
    key = keys.make()
    with pytest.raises(FileExistsError):
        keys.make()
    assert keys.read() == key


def test_a_database_in_the_clear_is_encrypted_with_all_it_holds(tmp_path: Path) -> None:
    ids = in_the_clear(tmp_path, 200)
    assert MARK.encode() in on_disk(tmp_path)
    with pytest.raises(UsageError, match="start the kit once"):
        KitStore.peek(tmp_path)
    assert stored_ids(tmp_path) == ids
    assert MARK.encode() not in on_disk(tmp_path)
    with KitStore.open(tmp_path) as store:
        assert store.kit_id == "kit-0123456789abcdef"
        assert store.counts().pending == 200
        assert store.commit(draft()).sequence == 201


def test_what_is_only_in_the_log_is_encrypted_too(tmp_path: Path) -> None:
    ids = in_the_clear(tmp_path / "a", 50)
    writer = sqlite3.connect(tmp_path / "a" / DATABASE_NAME)
    writer.execute("UPDATE outbox SET state = 'acknowledged' WHERE sequence <= 10")
    writer.commit()
    (tmp_path / "b").mkdir()
    for suffix in ("", "-wal"):  # as a power cut leaves them
        source = tmp_path / "a" / f"{DATABASE_NAME}{suffix}"
        (tmp_path / "b" / source.name).write_bytes(source.read_bytes())
    writer.close()
    assert stored_ids(tmp_path / "b") == ids
    with KitStore.peek(tmp_path / "b") as store:
        assert store.counts().acknowledged == 10


KILLED = """
import os, signal, sys
from pathlib import Path
from gonio.gateway.store import KitStore

left = int(sys.argv[2])
def count(event, arguments):
    global left
    if event in {"open", "os.rename", "os.remove", "sqlite3.connect", "os.chmod"} or event.startswith("gonio"):
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
sys.addaudithook(count)
for name in ("sync", "_copy", "connect"):
    import gonio.gateway.conversion as module
    def traced(*arguments, _whole=getattr(module, name), **options):
        sys.audit("gonio.before")
        answer = _whole(*arguments, **options)
        sys.audit("gonio.after")
        return answer
    setattr(module, name, traced)
sys.stdout.write("ready")
KitStore.open(Path(sys.argv[1])).close()
"""


def test_a_kill_at_any_step_leaves_the_old_database_or_the_new(tmp_path: Path) -> None:
    killed = 0
    for step in range(1, 200):
        directory = tmp_path / str(step)
        ids = in_the_clear(directory, 20)
        ended = subprocess.run([sys.executable, "-c", KILLED, str(directory), str(step)], check=False).returncode
        assert ended in {0, -signal.SIGKILL}
        killed += ended != 0
        assert stored_ids(directory) == ids
        left = {file.name for file in directory.iterdir()}
        assert not {name for name in left if "encrypting" in name or name.endswith(".new")}
        assert MARK.encode() not in on_disk(directory)
        if ended == 0:
            break
    assert killed > 10


def test_a_full_disk_passes_and_a_wrong_place_does_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(number: int) -> None:
        def opened(*_: object, **__: object) -> int:
            raise OSError(number, os.strerror(number))

        monkeypatch.setattr(os, "open", opened)

    for number in (errno.ENOSPC, errno.EDQUOT, errno.EIO):
        refuse(number)
        with pytest.raises(StoreWriteError, match="disk"):
            DirectoryLock(tmp_path)
    refuse(errno.EACCES)
    with pytest.raises(UsageError, match="--data-dir"):
        DirectoryLock(tmp_path)


def test_log_and_pages_are_as_durable_as_before(tmp_path: Path) -> None:
    with KitStore.open(tmp_path) as store:
        for pragma, value in (("journal_mode", "wal"), ("synchronous", 2), ("temp_store", 2), ("foreign_keys", 1)):
            assert store._db.execute(f"PRAGMA {pragma}").fetchone() == (value,)


def test_the_driver_is_the_one_that_encrypts(tmp_path: Path) -> None:
    connection = connect(tmp_path / "x", bytes(32))
    assert connection.execute("PRAGMA cipher_version").fetchone() is not None
    connection.close()
