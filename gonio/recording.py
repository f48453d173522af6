"""Recordings: real or simulated motion of a leg in a folder of plain text, to be read, written, played and analysed.

The folder holds

- ``recording.toml``: ``rate_hz``; optionally ``side`` (left, right or none), ``exercise``, ``source``, ``licence``,
  ``subject``, ``note``. Other keys are ignored.
- ``thigh.csv`` and ``shank.csv``: ``t_s`` (s, that sensor's own clock), ``acc_x`` to ``acc_z`` (m/s²), ``gyr_x`` to
  ``gyr_z`` (rad/s), optionally ``arrival_s`` (s, host's clock; in both files or in neither). A sensor without a clock
  has no ``t_s``, and then needs ``arrival_s``. A sensor without a gyroscope has no ``gyr_`` columns, or ``nan`` or
  nothing in all of them from the first row to the last; they are written with ``nan``.
- optionally ``truth.csv`` (``t_s``, ``knee_flexion_deg``, ``valid``), ``reps.csv`` (``start_s``, ``end_s``) and
  ``sets.csv`` (``start_s``, ``end_s``, ``count``).

Every table may be gzipped (``.csv.gz``); the order of its columns is free. Rows are counted as an editor shows them:
the header is row 1. Numbers are written with as many digits as it takes to read the same number again.
"""

import contextlib
import gzip
import json
import math
import os
import time
import tomllib
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, NoReturn, Self, TextIO

import numpy as np

from gonio.errors import UsageError
from gonio.signal.chunks import SampleChunk
from gonio.signal.consts import EXERCISES, NO_EXERCISE, SEGMENTS, BoolArray, FloatArray, Segment, Side

#: The largest table that is read, bytes of text: over a day of one sensor at 100 Hz, and what a small gzip can reach.
MAX_TABLE_BYTES: Final = 1_000_000_000
#: The largest recording.toml that is read.
MAX_META_BYTES: Final = 65_536
#: No body-worn sensor measures beyond these; a larger value is another unit or a broken packet.
MAX_ACC: Final = 2000.0  # m/s², about 200 g
MAX_GYR: Final = 100.0  # rad/s, about 5700 dps
MAX_TIME_S: Final = 1e11  # seconds since 1970 fit, milliseconds do not
#: How far the median step of ``t_s`` may be from ``rate_hz``: real recorders miss it by 10 %, a wrong unit by 1000.
RATE_FACTOR: Final = 4.0
#: How often a recording that is being made is forced to the disk, s: what a cut of power can cost.
SYNC_S: Final = 2.0

_ACC: Final = ("acc_x", "acc_y", "acc_z")
_GYR: Final = ("gyr_x", "gyr_y", "gyr_z")
_VALUES: Final = (*_ACC, *_GYR)
_LIMITS: Final[Mapping[str, float]] = {
    **{name: MAX_ACC if name.startswith("acc") else MAX_GYR for name in _VALUES},
    **dict.fromkeys(("t_s", "arrival_s", "start_s", "end_s"), MAX_TIME_S),
    "knee_flexion_deg": 360.0,
    "valid": 1.0,
    "count": 1e6,
}


class RecordingError(UsageError):
    """A recording that cannot be read or written.

    Attributes:
        path: the file or folder at fault.
        row: its row, the header being 1; None when it is not one row.
        column: the column's name, or None.
    """

    def __init__(self, path: Path, problem: str, *, row: int | None = None, column: str | None = None) -> None:
        where = (f", row {row}" if row is not None else "") + (f", column {column}" if column is not None else "")
        super().__init__(f"{path}{where}: {problem}")
        self.path = path
        self.row = row
        self.column = column


@dataclass(frozen=True, slots=True)
class RecordingMeta:
    """What a recording is.

    Attributes:
        rate_hz: the sensors' nominal rate, Hz.
        side: the leg that wears the sensors; None when it is no leg (a rig).
        exercise: its product-wide name, or "none".
        source: who made it, or "simulated".
        licence: under which terms it may be used.
        subject: whose leg, never a name.
        note: anything else that a reader must know.
    """

    rate_hz: float
    side: Side | None = None
    exercise: str = NO_EXERCISE
    source: str = ""
    licence: str = ""
    subject: str = ""
    note: str = ""

    def __post_init__(self) -> None:
        if not 1 <= self.rate_hz <= 10_000:  # noqa: PLR2004 - false for NaN too
            raise ValueError(f"rate_hz must be 1 to 10000, not {self.rate_hz}")
        if self.side not in ("left", "right", None):
            raise ValueError(f"side must be left, right or none, not {self.side!r}")
        if self.exercise not in (*EXERCISES, NO_EXERCISE):
            names = ", ".join((*EXERCISES, NO_EXERCISE))
            raise ValueError(f"exercise {self.exercise!r} is not known; known are {names}")


@dataclass(frozen=True, slots=True, eq=False)
class Truth:
    """A reference for the knee angle.

    Attributes:
        t_s: (n,) s, on the clock of the sensors.
        flexion: (n,) rad; may be NaN where not valid.
        valid: (n,) whether the reference can be trusted.
    """

    t_s: FloatArray
    flexion: FloatArray
    valid: BoolArray


@dataclass(frozen=True, slots=True)
class RepSpan:
    """A repetition that was really done, s."""

    start_s: float
    end_s: float


@dataclass(frozen=True, slots=True)
class SetSpan:
    """A stretch of time, s, and how many repetitions were done in it."""

    start_s: float
    end_s: float
    count: int


@dataclass(frozen=True, slots=True, eq=False)
class Recording:
    """Two sensors on a leg, and what is known about what they saw; the optional parts are None when there are none."""

    meta: RecordingMeta
    thigh: SampleChunk
    shank: SampleChunk
    truth: Truth | None = None
    reps: tuple[RepSpan, ...] | None = None
    sets: tuple[SetSpan, ...] | None = None

    def samples(self, segment: Segment) -> SampleChunk:
        """Give the samples of the sensor on a segment."""
        return self.thigh if segment == "thigh" else self.shank


# --- reading ---------------------------------------------------------------------------------------------------------


def read(directory: Path) -> Recording:
    """Read a recording.

    Raises:
        RecordingError: something is missing or wrong; the text names file, row and column.
    """
    if not directory.is_dir():
        raise RecordingError(directory, "no such folder; a recording is a folder with a recording.toml")
    meta = _read_meta(directory / "recording.toml")
    thigh, shank = (_read_samples(_need(directory, segment), meta.rate_hz) for segment in SEGMENTS)
    if (thigh.arrival_s is None) != (shank.arrival_s is None):
        raise RecordingError(directory, "one of thigh and shank has arrival_s, the other has not: both or neither")
    return Recording(meta, thigh, shank, _read_truth(directory), _read_reps(directory), _read_sets(directory))


def _read_meta(path: Path) -> RecordingMeta:
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_META_BYTES + 1)
    except FileNotFoundError as error:
        raise RecordingError(path, "no such file; it must name at least rate_hz") from error
    except OSError as error:
        raise RecordingError(path, f"cannot be read: {error.strerror}") from error
    if len(raw) > MAX_META_BYTES:
        raise RecordingError(path, f"is over {MAX_META_BYTES} bytes")
    try:
        table = tomllib.loads(raw.decode())
    except (ValueError, RecursionError) as error:  # broken TOML or broken UTF-8
        raise RecordingError(path, f"is no valid TOML: {error}") from error
    rate = table.get("rate_hz")
    if isinstance(rate, bool) or not isinstance(rate, int | float):
        raise RecordingError(path, "rate_hz must be there and be a number")
    texts = {name: table.get(name, "") for name in ("side", "exercise", "source", "licence", "subject", "note")}
    for name, text in texts.items():
        if not isinstance(text, str):
            raise RecordingError(path, f"{name} must be a text")
    side = texts.pop("side")
    exercise = texts.pop("exercise") or NO_EXERCISE
    try:
        return RecordingMeta(float(rate), None if side in ("", "none") else side, exercise, **texts)
    except (ValueError, OverflowError) as error:
        raise RecordingError(path, str(error)) from error


def _find(directory: Path, name: str) -> Path | None:
    found = [path for path in (directory / f"{name}.csv", directory / f"{name}.csv.gz") if path.exists()]
    if len(found) > 1:
        raise RecordingError(found[0], f"{found[1].name} stands beside it: remove one of them")
    return found[0] if found else None


def _need(directory: Path, name: str) -> Path:
    path = _find(directory, name)
    if path is None:
        raise RecordingError(directory / f"{name}.csv", "no such file, nor gzipped as .csv.gz")
    return path


def _text(path: Path) -> str:
    try:
        with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as file:
            raw = file.read(MAX_TABLE_BYTES + 1)
        if len(raw) > MAX_TABLE_BYTES:
            raise RecordingError(path, f"holds over {MAX_TABLE_BYTES} bytes: cut the recording into parts")
        return raw.decode("utf-8-sig")
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise RecordingError(path, f"is no whole gzip file: {error}") from error
    except UnicodeDecodeError as error:
        raise RecordingError(path, "is no text") from error
    except OSError as error:
        raise RecordingError(path, f"cannot be read: {error.strerror or error}") from error


class _Table:
    """The numbers of one CSV file, by column, and where they stand in it."""

    def __init__(
        self, path: Path, columns: Sequence[str], optional: Sequence[str] = (), together: Sequence[str] = ()
    ) -> None:
        """Read the table.

        Args:
            path: where it is.
            columns: those that it must have.
            optional: those that it may have.
            together: those of which it has all or none; a cell of them may be empty, which reads as NaN.
        """
        self.path = path
        self._together = together
        self._lines = _text(path).replace("\r\n", "\n").rstrip("\n").split("\n")
        self._header = [name.strip() for name in self._lines[0].split(",")]
        if self._header == [""]:
            raise RecordingError(path, "is empty: it must begin with the names of its columns")
        if any(name in self._header for name in together):
            columns = (*columns, *together)
        for name in columns:
            if name not in self._header:
                raise RecordingError(path, f"has no column {name}; its header is {self._lines[0][:200]!r}", row=1)
        for name in self._header:
            if name not in columns and name not in optional:
                raise RecordingError(path, f"unknown column {name[:40]!r}", row=1)
            if self._header.count(name) > 1:
                raise RecordingError(path, "stands twice", row=1, column=name)
        self._values = self._parse()

    def _parse(self) -> FloatArray:
        rows = self._lines[1:]
        if not rows:
            return np.empty((0, len(self._header)))
        values = np.empty((0, 0))
        with contextlib.suppress(ValueError):
            if any(row.strip() for row in rows):  # numpy warns of blank text
                values = np.loadtxt(rows, delimiter=",", comments=None, ndmin=2, dtype=np.float64)
        if values.shape != (len(rows), len(self._header)):
            values = np.array([self._parse_row(row, line) for row, line in enumerate(rows)])
        return values

    def _parse_row(self, row: int, line: str) -> list[float]:
        cells = line.split(",")
        if len(cells) != len(self._header):
            self.fail(row, None, f"has {len(cells)} cells where the header names {len(self._header)} columns")
        numbers = []
        for name, cell in zip(self._header, cells, strict=True):
            if name in self._together and not cell.strip():
                numbers.append(math.nan)
                continue
            try:
                numbers.append(float(cell.replace("_", "?")))  # Python reads 1_000, other programs do not
            except ValueError:
                self.fail(row, name, f"{cell.strip()[:40]!r} is no number")
        return numbers

    def __len__(self) -> int:
        return len(self._values)

    def __contains__(self, name: str) -> bool:
        return name in self._header

    def fail(self, row: int, column: str | None, problem: str) -> NoReturn:
        raise RecordingError(self.path, problem, row=row + 2, column=column)

    def told(self, names: Sequence[str]) -> bool:
        """Tell whether any cell of these columns holds something."""
        there = [self._header.index(name) for name in names if name in self]
        return not np.isnan(self._values[:, there]).all()

    def column(self, name: str, *, lowest: float | None = None, needed: BoolArray | None = None) -> FloatArray:
        """Give a column whose numbers are finite and within what such a column can hold; NaN only if not needed."""
        values = np.ascontiguousarray(self._values[:, self._header.index(name)])
        limit = _LIMITS[name]
        bad = ~((values >= (-limit if lowest is None else lowest)) & (values <= limit))  # NaN is bad too
        if needed is not None:
            bad &= needed | ~np.isnan(values)
        if bad.any():
            row = int(bad.argmax())
            value = float(values[row])
            if math.isfinite(value):
                self.fail(row, name, f"{value:g} is out of bounds ({limit:g} at most): is it in another unit?")
            self.fail(row, name, f"{self._lines[row + 1].split(',')[self._header.index(name)].strip()!r} is no number")
        return values

    def clock(self, name: str, *, restarts: bool = False) -> FloatArray:
        """Give a column of times, which may run backwards only where a sensor's clock may restart."""
        times = self.column(name)
        backwards = np.diff(times) < 0
        if not restarts and backwards.any():
            row = int(backwards.argmax()) + 1
            self.fail(row, name, f"the clock runs backwards, from {times[row - 1]:.6f} to {times[row]:.6f} s")
        return times


def _read_samples(path: Path, rate_hz: float) -> SampleChunk:
    table = _Table(path, _ACC, ("t_s", "arrival_s"), together=_GYR)
    if "t_s" not in table and "arrival_s" not in table:
        raise RecordingError(path, "has no column t_s (only a table with arrival_s may do without)", row=1)
    if len(table) == 0:
        raise RecordingError(path, "holds no samples")
    arrival = table.clock("arrival_s") if "arrival_s" in table else None
    times = table.clock("t_s", restarts=arrival is not None) if "t_s" in table else None
    if times is not None and len(times) > 1:
        step = float(np.median(np.diff(times)))
        if not 1 / RATE_FACTOR <= step * rate_hz <= RATE_FACTOR:
            problem = f"its steps are of {step:g} s, but rate_hz = {rate_hz:g}: is it in seconds?"
            raise RecordingError(path, problem, column="t_s")
    acc = np.column_stack([table.column(name) for name in _ACC])
    gyr = np.full_like(acc, math.nan)
    if table.told(_GYR):
        gyr = np.column_stack([table.column(name) for name in _GYR])
    return SampleChunk(acc, gyr, times, arrival)


def _read_truth(directory: Path) -> Truth | None:
    path = _find(directory, "truth")
    if path is None:
        return None
    table = _Table(path, ("t_s", "knee_flexion_deg", "valid"))
    valid = table.column("valid", lowest=0.0) != 0
    flexion = table.column("knee_flexion_deg", needed=valid)  # where the reference was lost there need be none
    return Truth(table.clock("t_s"), np.radians(flexion), valid)


def _spans(directory: Path, name: str, columns: Sequence[str]) -> list[list[float]] | None:
    path = _find(directory, name)
    if path is None:
        return None
    table = _Table(path, columns)
    values = [table.column(column) for column in columns]
    backwards = values[1] < values[0]
    if backwards.any():
        table.fail(int(backwards.argmax()), "end_s", "ends before it starts")
    if "count" in table:
        broken = (values[2] < 0) | (values[2] % 1 != 0)
        if broken.any():
            table.fail(int(broken.argmax()), "count", "is no whole number of repetitions")
    return [list(row) for row in zip(*(column.tolist() for column in values), strict=True)]


def _read_reps(directory: Path) -> tuple[RepSpan, ...] | None:
    rows = _spans(directory, "reps", ("start_s", "end_s"))
    return None if rows is None else tuple(RepSpan(*row) for row in rows)


def _read_sets(directory: Path) -> tuple[SetSpan, ...] | None:
    rows = _spans(directory, "sets", ("start_s", "end_s", "count"))
    return None if rows is None else tuple(SetSpan(start, end, int(count)) for start, end, count in rows)


# --- writing ---------------------------------------------------------------------------------------------------------


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")  # a JSON string but for DEL is TOML's


def _meta_text(meta: RecordingMeta) -> str:
    lines = [f"rate_hz = {float(meta.rate_hz)!r}", f"side = {_quoted(meta.side or 'none')}"]
    texts = {name: getattr(meta, name) for name in ("exercise", "source", "licence", "subject", "note")}
    lines += [f"{name} = {_quoted(text)}" for name, text in texts.items() if text]
    return "\n".join(lines) + "\n"


def _rows_text(columns: Sequence[FloatArray]) -> str:
    rows = zip(*(map(repr, column.tolist()) for column in columns), strict=True)
    return "".join(",".join(row) + "\n" for row in rows)


def _sample_columns(chunk: SampleChunk) -> dict[str, FloatArray]:
    columns = {} if chunk.sensor_s is None else {"t_s": chunk.sensor_s}
    columns |= {name: (chunk.acc, chunk.gyr)[i // 3][:, i % 3] for i, name in enumerate(_VALUES)}
    return columns if chunk.arrival_s is None else columns | {"arrival_s": chunk.arrival_s}


def _begin(directory: Path, meta: RecordingMeta) -> None:
    """Make the folder and its recording.toml; never over another recording."""
    path = directory / "recording.toml"
    try:
        directory.mkdir(parents=True, exist_ok=True)
        if any(directory.iterdir()):
            raise RecordingError(directory, "is not empty: name a new folder")
        path.write_text(_meta_text(meta), encoding="utf-8")
    except OSError as error:
        raise RecordingError(path, f"cannot be written: {error.strerror}") from error


def write(directory: Path, recording: Recording) -> None:
    """Write a recording into a new or empty folder, its tables gzipped.

    Raises:
        RecordingError: the folder is not empty, or cannot be written.
    """
    named: dict[str, Mapping[str, FloatArray]] = {
        segment: _sample_columns(recording.samples(segment)) for segment in SEGMENTS
    }
    if recording.truth is not None:
        truth = recording.truth
        flexion = np.degrees(truth.flexion)
        named["truth"] = {"t_s": truth.t_s, "knee_flexion_deg": flexion, "valid": truth.valid.astype(np.float64)}
    if recording.reps is not None:
        spans = np.array([(rep.start_s, rep.end_s) for rep in recording.reps]).reshape(-1, 2)
        named["reps"] = {"start_s": spans[:, 0], "end_s": spans[:, 1]}
    if recording.sets is not None:
        spans = np.array([(one.start_s, one.end_s, one.count) for one in recording.sets], dtype=float).reshape(-1, 3)
        named["sets"] = {"start_s": spans[:, 0], "end_s": spans[:, 1], "count": spans[:, 2]}
    _begin(directory, recording.meta)
    for name, columns in named.items():
        path = directory / f"{name}.csv.gz"
        text = ",".join(columns) + "\n" + _rows_text(list(columns.values()))
        try:
            path.write_bytes(gzip.compress(text.encode(), 6, mtime=0))
        except OSError as error:
            raise RecordingError(path, f"cannot be written: {error.strerror}") from error


class RecordingWriter:
    """Writes a recording while it is being made.

    Each ``append`` hands its rows to the operating system before it returns, so a killed program loses none of them;
    they are forced to the disk every SYNC_S seconds and on leaving, so a cut of power costs no more than that. The
    tables are plain text, for a gzip that is cut short cannot be read.
    """

    def __init__(self, directory: Path, meta: RecordingMeta, *, origin_s: float = 0.0) -> None:
        """Begin a recording in a new or empty folder.

        Args:
            directory: the folder.
            meta: what the recording is.
            origin_s: host's clock at the beginning, s: ``arrival_s`` is written in seconds after it.

        Raises:
            RecordingError: the folder is not empty, or cannot be written.
        """
        _begin(directory, meta)
        self._directory = directory
        self._origin_s = origin_s
        self._files: dict[Segment, tuple[tuple[str, ...], TextIO]] = {}
        self._synced_s = time.monotonic()

    def append(self, segment: Segment, chunk: SampleChunk) -> None:
        """Write the samples of one sensor behind those it gave before.

        Raises:
            RecordingError: the disk is full or gone, or the columns are not those of the samples before.
        """
        columns = _sample_columns(chunk)
        if chunk.arrival_s is not None:
            columns["arrival_s"] = chunk.arrival_s - self._origin_s
        path = self._directory / f"{segment}.csv"
        try:
            if segment not in self._files:
                self._files[segment] = (tuple(columns), path.open("x", encoding="utf-8"))
                self._files[segment][1].write(",".join(columns) + "\n")
            names, file = self._files[segment]
            if names != tuple(columns):
                raise RecordingError(path, f"samples with {', '.join(columns)} do not fit its columns")
            file.write(_rows_text(list(columns.values())))
            file.flush()
            if time.monotonic() - self._synced_s > SYNC_S:
                self._sync()
        except OSError as error:
            raise RecordingError(path, f"cannot be written: {error.strerror}") from error

    def _sync(self) -> None:
        for _, file in self._files.values():
            os.fsync(file.fileno())
        self._synced_s = time.monotonic()

    def close(self) -> None:
        """Force everything to the disk and close the files."""
        try:
            self._sync()
        except OSError as error:
            raise RecordingError(self._directory, f"cannot be written: {error.strerror}") from error
        finally:
            for _, file in self._files.values():
                file.close()
            self._files.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
