"""Opening the book: the tables are those of the schema, and what cannot be opened is said plainly."""

import sqlite3
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, ForeignKeyConstraint, inspect
from sqlalchemy.schema import SchemaItem

import gonio.cloud_sink.engine as engine_module
from gonio.cloud_sink import admin, sqlite_book
from gonio.cloud_sink.engine import StoreUnavailableError
from gonio.cloud_sink.partitions import parts
from gonio.cloud_sink.schema import HOME_CLINIC, METADATA, REVISION
from gonio.cloud_sink.store import Store, open_store
from gonio.errors import UsageError
from gonio.messages import Envelope

if TYPE_CHECKING:
    from tests.cloud_sink.postgres import PostgresCluster


def differences(connection: Connection) -> list[object]:
    """Compare the tables with the schema; a table in parts is compared as a whole, not part by part."""
    months = set(parts(connection))

    def of_the_whole(thing: SchemaItem, name: str | None, *_: object) -> bool:
        return name not in months and not (
            isinstance(thing, ForeignKeyConstraint) and thing.elements[0].target_fullname.split(".")[0] in months
        )

    context = MigrationContext.configure(connection, opts={"compare_type": True, "include_object": of_the_whole})
    return list(compare_metadata(context, METADATA))


def test_the_migrations_make_the_schema(store: Store) -> None:
    with store._reader.connect() as connection:
        assert differences(connection) == []


def test_the_last_migration_is_the_one_that_a_store_is_measured_against() -> None:
    config = Config()
    config.set_main_option("script_location", str(engine_module._MIGRATIONS))
    assert ScriptDirectory.from_config(config).get_current_head() == REVISION


def test_every_table_knows_its_clinic() -> None:
    assert all("clinic_id" in table.c for table in METADATA.tables.values())


@pytest.fixture
def sqlite_store(tmp_path: Path) -> Iterator[Store]:
    with open_store(f"sqlite:///{tmp_path}/book.db") as book:
        yield book


def test_a_commit_is_on_disk(sqlite_store: Store) -> None:
    with sqlite_store._writer.connect() as connection:
        pragmas = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys")
        }
    assert pragmas == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1}


def test_the_file_is_the_owners_alone(tmp_path: Path) -> None:
    with open_store(f"sqlite:///{tmp_path}/book.db"):
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    assert set(modes.values()) == {0o600}


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("book.db", "cannot be read"),
        ("sqlite://", "must name a file"),
        ("sqlite:///:memory:", "must name a file"),
        ("mysql://localhost/gonio", "cannot be mysql"),
        ("sqlite:////nowhere/at/all/book.db", "does not exist"),
    ],
)
def test_an_address_of_no_use(url: str, text: str) -> None:
    with pytest.raises(UsageError, match=text):
        open_store(url)


def test_nothing_is_made_where_nothing_should_be(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no store"):
        open_store(f"sqlite:///{tmp_path}/book.db", create=False)
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    (tmp_path / "book.db").write_bytes(b"this is a text, not a database; " * 100)
    with pytest.raises(UsageError, match="not a gonio store or is damaged"):
        open_store(f"sqlite:///{tmp_path}/book.db")


def test_another_programs_database(tmp_path: Path) -> None:
    other = sqlite3.connect(tmp_path / "book.db")
    other.execute("CREATE TABLE recipes (name TEXT)")
    other.close()
    with pytest.raises(UsageError, match="another program's database"):
        open_store(f"sqlite:///{tmp_path}/book.db")


def test_a_store_of_a_newer_gonio(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/book.db"
    open_store(url).close()
    other = sqlite3.connect(tmp_path / "book.db")
    other.execute("UPDATE alembic_version SET version_num = '9999'")
    other.commit()
    other.close()
    with pytest.raises(UsageError, match="newer gonio"):
        open_store(url)


def test_a_store_that_somebody_holds(
    tmp_path: Path, envelope: Callable[..., Envelope], now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_book, "BUSY_TIMEOUT_MS", 50)
    url = f"sqlite:///{tmp_path}/book.db"
    with open_store(url) as store:
        other = sqlite3.connect(tmp_path / "book.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreUnavailableError, match="locked"):
            store.ingest("kit-001", [envelope()], now)
        other.execute("ROLLBACK")
        other.close()
        store.ingest("kit-001", [envelope()], now)


def test_a_full_disk_changes_nothing_and_passes(
    sqlite_store: Store, envelope: Callable[..., Envelope], now: datetime
) -> None:
    records = [envelope(n + 1) for n in range(50)]
    with sqlite_store._writer.connect() as connection:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
        connection.exec_driver_sql(f"PRAGMA max_page_count = {pages + 2}")
    with pytest.raises(StoreUnavailableError, match="full"):
        sqlite_store.ingest("kit-001", records, now)
    assert sqlite_store.audit().records == 0
    with sqlite_store._writer.connect() as connection:
        connection.exec_driver_sql("PRAGMA max_page_count = 1000000")
    sqlite_store.ingest("kit-001", records, now)
    assert sqlite_store.audit().records == 50


def test_a_new_file_that_somebody_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite_book, "BUSY_TIMEOUT_MS", 50)
    other = sqlite3.connect(tmp_path / "book.db", isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    with pytest.raises(UsageError, match="another program holds"):
        open_store(f"sqlite:///{tmp_path}/book.db")
    other.close()


def test_a_folder_that_cannot_be_written() -> None:
    with pytest.raises(UsageError, match="cannot be created"):
        open_store("sqlite:////proc/book.db")  # where not even root can


def test_three_processes_make_one_book(new_place: str) -> None:
    code = f"from gonio.cloud_sink.store import open_store; open_store({new_place!r}).close()"
    started = [subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE) for _ in range(3)]
    said = [process.communicate()[1].splitlines() for process in started]
    assert [process.returncode for process in started] == [0, 0, 0]
    assert [line for lines in said for line in lines if b"fsync=off" not in line] == []


@pytest.fixture(params=["sqlite", "postgresql"])
def new_place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Give an address where no book is yet."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/book.db"
        return
    cluster: PostgresCluster = request.getfixturevalue("postgres")
    url = cluster.create()
    yield url
    cluster.drop(url)


def test_a_book_of_the_first_tables_is_brought_up_to_date(new_place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_module, "REVISION", "0001")
    with open_store(new_place) as store, store._writer.begin() as connection:
        # the store's own call notes it in later tables
        patient = admin.add_patient(connection, "A", "America/Chicago", HOME_CLINIC)
    monkeypatch.undo()
    with open_store(new_place, create=False) as store:
        assert store.patient(patient) is not None
        test_the_migrations_make_the_schema(store)
        assert inspect(store._engine).get_view_names() == ["repetitions"]


@pytest.mark.parametrize("create", [True, False])
def test_a_folder_in_place_of_the_file_is_told(tmp_path: Path, create: bool) -> None:  # noqa: FBT001 - a parameter
    folder = tmp_path / "clinic.sqlite"
    folder.mkdir()
    with pytest.raises(UsageError, match=r"clinic\.sqlite is a folder where the store's file should be"):
        open_store(f"sqlite:///{folder}", create=create)
