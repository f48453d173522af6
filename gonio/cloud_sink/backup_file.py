"""A backup as a file: an SQLite book with a manifest, in which every row stands under a digest.

The manifest is a table of lines of JSON: what the backup is, each table's columns and key, a digest for each
CHUNK_ROWS rows, and a digest of these lines. It finds what a disk or a transport spoilt and names the place. It does
not stop somebody who changes the file and makes its manifest anew: an encrypted backup does, and so does the audit
log's head, where it was noted elsewhere.
"""

import hashlib
import json
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, TypeAlias
from urllib.parse import quote

from gonio.cloud_sink.book_rows import Digest, Shape, digests, sqlite_chunks
from gonio.errors import GonioError

FORMAT: Final = 1

#: Told how far a long step has come: what it does, rows or bytes done, and in all (0: not known).
Progress: TypeAlias = Callable[[str, int, int], None]

_TABLE: Final = "backup_manifest"


class BackupDamagedError(GonioError):
    """A backup is not what was written: cut short, changed, or no backup at all; the text names the place."""


@dataclass(frozen=True, slots=True)
class About:
    """What a backup is: of which moment, schema, software and database; and how many rows stand under one digest."""

    made_at: str
    revision: str
    software: str
    database: str
    chunk_rows: int


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a backup holds, as it was when the book was read."""

    about: About
    shapes: tuple[Shape, ...]
    digests: tuple[Digest, ...]

    def lines(self) -> list[str]:
        """Write it as lines of JSON."""
        head = {"format": FORMAT, **asdict(self.about)}
        return [json.dumps(part) for part in (head, *map(asdict, self.shapes), *map(asdict, self.digests))]

    @property
    def sha256(self) -> str:
        """The digest of its lines, which names the backup."""
        return _sha256(self.lines())

    def rows(self, table: str) -> int:
        """Count the rows of a table."""
        return sum(part.rows for part in self.digests if part.table == table)

    def of(self, table: str) -> list[Digest]:
        """Give the digests of a table."""
        return [part for part in self.digests if part.table == table]


def write_manifest(connection: sqlite3.Connection, manifest: Manifest) -> None:
    """Put the manifest into the file."""
    connection.execute(f"CREATE TABLE {_TABLE} (position INTEGER PRIMARY KEY, line TEXT NOT NULL)")
    lines = [*manifest.lines(), json.dumps({"sha256": manifest.sha256})]
    connection.executemany(f"INSERT INTO {_TABLE} VALUES (?, ?)", enumerate(lines))  # noqa: S608 - a constant
    connection.commit()


def drop_manifest(connection: sqlite3.Connection) -> None:
    """Take the manifest out of a copy: what remains is a book."""
    connection.execute(f"DROP TABLE {_TABLE}")
    connection.commit()


def open_read_only(path: Path) -> sqlite3.Connection:
    """Open a backup such that nothing is written beside it, so that it may lie on a medium that is read-only."""
    return sqlite3.connect(f"file:{quote(str(path.absolute()))}?mode=ro&immutable=1", uri=True)


def check_file(path: Path, progress: Progress) -> Manifest:
    """Read a whole backup and hold it against its manifest.

    Raises:
        BackupDamagedError: it is not what was written, with the place.
    """
    try:
        with closing(open_read_only(path)) as connection:
            manifest = _read_manifest(connection, path)
            _check_pages(connection, path)
            check_rows(connection, manifest, path.name, progress)
    except (sqlite3.Error, UnicodeDecodeError) as error:
        raise BackupDamagedError(f"{path} is no backup, or is cut short or damaged ({error}): take another") from error
    return manifest


def check_rows(connection: Any, manifest: Manifest, name: str, progress: Progress) -> None:  # noqa: ANN401 - the driver's
    """Hold the tables of an SQLite database against a manifest.

    Raises:
        BackupDamagedError: at the first rows that are not those of the manifest.
    """
    total = sum(part.rows for part in manifest.digests)
    done = 0
    for shape in manifest.shapes:
        expected = manifest.of(shape.table)
        found = digests(shape, sqlite_chunks(connection, shape, manifest.about.chunk_rows))
        for part in compared(expected, found, name):
            done += part.rows
            progress("checking the copy", done, total)


def compared(expected: Sequence[Digest], found: Iterator[Digest], name: str) -> Iterator[Digest]:
    """Pass digests on as long as they are the expected ones.

    Raises:
        BackupDamagedError: at the first that is not, or where some lack or there are more.
    """
    waiting = list(reversed(expected))
    for part in found:
        wanted = waiting.pop() if waiting else None
        if part != wanted:
            raise BackupDamagedError(f"{name} is not what was written ({(wanted or part).place}): take another backup")
        yield part
    if waiting:
        raise BackupDamagedError(f"{name} lacks what was written ({waiting[-1].place}): take another backup")


def _check_pages(connection: sqlite3.Connection, path: Path) -> None:
    (found,) = connection.execute("PRAGMA integrity_check(1)").fetchone()
    if found != "ok":
        raise BackupDamagedError(f"{path} is damaged ({' '.join(str(found).split())}): take another backup")


def _read_manifest(connection: sqlite3.Connection, path: Path) -> Manifest:
    known = connection.execute("SELECT count(*) FROM sqlite_schema WHERE name = ?", (_TABLE,)).fetchone()
    if known != (1,):
        raise BackupDamagedError(f"{path} is no finished backup of gonio: name one that `gonio sink backup` made")
    lines = [line for (line,) in connection.execute(f"SELECT line FROM {_TABLE} ORDER BY position")]  # noqa: S608 - a constant
    try:
        head, *parts, tail = (json.loads(line) for line in lines)
        if head.pop("format") != FORMAT:
            raise BackupDamagedError(f"{path} was made by a newer gonio: update this one")
        manifest = Manifest(
            About(**head),
            tuple(Shape(p["table"], tuple(p["columns"]), tuple(p["key"])) for p in parts if "columns" in p),
            tuple(Digest(**part) for part in parts if "sha256" in part),
        )
        names = [name for shape in manifest.shapes for name in (shape.table, *shape.columns, *shape.key)]
        sound = (
            tail == {"sha256": manifest.sha256}
            and manifest.lines() == lines[:-1]
            and all(name.isidentifier() for name in names)  # they become part of statements
            and manifest.about.chunk_rows > 0
        )
    except (ValueError, TypeError, KeyError, AttributeError):
        sound = False
    if not sound:
        raise BackupDamagedError(f"the manifest of {path} is not what was written: take another backup")
    return manifest


def _sha256(lines: Sequence[str]) -> str:
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()
