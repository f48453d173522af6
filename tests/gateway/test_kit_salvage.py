"""A damaged database is set aside and what can be read of it is kept: any damage, and a kill at any moment."""

import random
import shutil
import signal
import subprocess
import sys
import uuid
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gonio.errors import UsageError
from gonio.gateway.calibrations import calibration_text
from gonio.gateway.cipher import PAGE, connect
from gonio.gateway.database import DATABASE_NAME, StoreDamagedError, StoreWriteError
from gonio.gateway.ended import ended_outboxes, gaps
from gonio.gateway.keeper import RecordKeeper
from gonio.gateway.keyfile import KEY_NAME, KeyFile
from gonio.gateway.layout import layouts
from gonio.gateway.log_file import read_log
from gonio.gateway.nameplate import PLATE_NAME
from gonio.gateway.pages import PageImage
from gonio.gateway.records import Capture, Draft, OpenSession, PairedSensor
from gonio.gateway.rows import rows
from gonio.gateway.salvage import salvage
from gonio.gateway.store import KitStore
from gonio.gateway.swap import KEPT
from gonio.gateway.tables import APPLICATION_ID, MIGRATIONS
from gonio.messages import Ack, AckStatus, Envelope, Kind, RepReport, new_record_id
from gonio.signal.knee.stored import StoredCalibration

CAPTURE = Capture(uuid.uuid4(), 5, "2026-03-01T10:00:00.000+01:00", "synchronised")
REP = RepReport(
    start_s=1, peak_s=2, end_s=3, signal="knee", peak_flexion_deg=90.0, min_flexion_deg=2.0, rom_deg=88.0, measured=True
)
RECORDS = 120
ACKNOWLEDGED = 40
WAL = f"{DATABASE_NAME}-wal"


#: What a column may hold that does not take just anything.
SAMPLES: dict[str, object] = {
    "record_id": str(uuid.uuid4()),
    "outbox_id": str(uuid.uuid4()),
    "side": "left",
    "state": "received",
    "calibration": calibration_text(StoredCalibration((0.6, 0.8, 0.0), (0.0, 0.0, 1.0), 0.05, -0.1, "standing")),
}


@dataclass(frozen=True)
class Filled:
    """A kit's directory, closed in order, and what it holds."""

    directory: Path
    envelopes: dict[uuid.UUID, Envelope]
    kit_id: str
    outbox_id: uuid.UUID
    open_session: uuid.UUID
    key: bytes


def fill(directory: Path) -> Filled:
    """Commit records short and long (on several pages), some acknowledged, and begin a session."""
    drawn = random.Random(5)  # noqa: S311 - test data
    with KitStore.open(directory) as store:
        store.pair([PairedSensor("thigh", "AA", "movella_dot", "a"), PairedSensor("shank", "BB", "movella_dot", "b")])
        kept = {}
        for _ in range(RECORDS):
            text = "".join(drawn.choices("abcdefgh", k=drawn.choice((10, 300, 3500, 9000))))
            envelope = store.commit(Draft(new_record_id(), Kind.CHECK_IN, CAPTURE, 1, f'{{"note":"{text}"}}'))
            kept[envelope.record_id] = envelope
        store.settle([Ack(record_id=one, status=AckStatus.STORED) for one in list(kept)[:ACKNOWLEDGED]])
        session = OpenSession(new_record_id(), CAPTURE, "{}", (REP, REP), (1, 2, None))
        store.journal(session)
        key = KeyFile(directory / KEY_NAME).read()
        assert key is not None
        return Filled(directory, kept, store.kit_id, store.outbox_id, session.record_id, key)


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Filled:
    return fill(tmp_path_factory.mktemp("filled"))


def saved(directory: Path) -> dict[uuid.UUID, Envelope]:
    """Open the kit and give all records that it holds; none is there twice."""
    with KitStore.open(directory) as store:
        ids = [row[0] for row in store._db.execute("SELECT record_id FROM record")]
        rows = [row[0] for row in store._db.execute("SELECT record_id FROM outbox")]
        assert len(set(ids)) == len(ids)
        assert sorted(rows) == sorted(ids)
        assert store._db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert store._db.execute("PRAGMA foreign_key_check").fetchall() == []
        numbers = [row[0] for row in store._db.execute("SELECT number FROM outbox ORDER BY number")]
        return {envelope.record_id: envelope for envelope in store.envelopes(numbers)}


def copy_of(filled: Filled, to: Path) -> Path:
    shutil.copytree(filled.directory, to, dirs_exist_ok=True)
    return to


def damaged_files(directory: Path) -> list[Path]:
    return sorted(directory.glob(f"{DATABASE_NAME}.damaged-*"))


@pytest.fixture(scope="module")
def standing(filled: Filled) -> dict[uuid.UUID, set[int]]:
    """Tell, for each record, every page that its row stands on."""
    pages: dict[uuid.UUID, set[int]] = {}
    with PageImage(filled.directory / DATABASE_NAME, filled.key) as image:
        for number in range(1, image.count + 1):
            page = image.read(number)
            assert page is not None
            for index in range(int.from_bytes(page[3:5], "big") if page[0] == 0x0D else 0):
                visited = {number}

                def read(other: int, visited: set[int] = visited) -> bytes | None:
                    visited.add(other)
                    return image.read(other)

                one = page[:3] + b"\0\1" + page[5:8] + page[8 + 2 * index : 10 + 2 * index] + page[10:]
                for row in rows(number, one if number > 1 else page, image.usable, read):
                    if len(row.values) == 12:
                        pages.setdefault(uuid.UUID(str(row.values[0])), set()).update(visited)
    return pages


def test_every_row_of_a_sound_database_is_found(filled: Filled, tmp_path: Path) -> None:
    directory = copy_of(filled, tmp_path)
    salvage(directory / DATABASE_NAME, filled.key, MIGRATIONS, APPLICATION_ID)
    with KitStore.open(directory) as store:
        assert store.kit_id == filled.kit_id
        assert set(store.pairing()) == {"thigh", "shank"}
        assert store.outbox_id != filled.outbox_id
        counts = store.counts()
        assert (counts.pending, counts.acknowledged) == (RECORDS - ACKNOWLEDGED, ACKNOWLEDGED)
        assert store.open_session(filled.open_session).reps == (REP, REP)
        assert store.open_session(filled.open_session).curve == (1, 2, None)
        (ended,) = ended_outboxes(store._db)
        assert (ended.outbox_id, ended.last_sequence, ended.saved, ended.lost) == (
            filled.outbox_id,
            RECORDS,
            RECORDS,
            (),
        )
        assert store.commit(Draft(new_record_id(), Kind.CHECK_IN, CAPTURE, 1, "{}")).sequence == 1
    assert saved(directory).items() >= filled.envelopes.items()


def test_no_table_is_forgotten(filled: Filled, tmp_path: Path) -> None:
    """Whatever a later schema keeps is kept by a salvage too."""
    directory = copy_of(filled, tmp_path)

    def content(store: KitStore) -> dict[str, list[tuple[object, ...]]]:
        tables = sorted(set(layouts(store._db)) - {"outbox_head", "ended_outbox"})
        return {one: sorted(store._db.execute(f"SELECT * FROM {one}").fetchall(), key=repr) for one in tables}  # noqa: S608 - ours

    with KitStore.open(directory) as store:
        for table, layout in layouts(store._db).items():
            (count,) = store._db.execute(f"SELECT count(*) FROM {table}").fetchone()  # noqa: S608 - ours
            if not count and table != "ended_outbox":
                row = [
                    SAMPLES.get(name, 1 if kind == "INTEGER" else "x")
                    for name, kind in zip(layout.names, layout.types, strict=True)
                ]
                marks = ",".join("?" * len(row))
                names = ",".join(layout.names)
                store._db.execute(f"INSERT INTO {table} ({names}) VALUES ({marks})", row)  # noqa: S608 - ours
        before = content(store)
    assert all(before.values())
    salvage(directory / DATABASE_NAME, filled.key, MIGRATIONS, APPLICATION_ID)
    with KitStore.open(directory) as store:
        assert content(store) == before


@pytest.mark.parametrize("seed", range(12))
def test_all_records_outside_damaged_pages_are_saved(
    filled: Filled, standing: dict[uuid.UUID, set[int]], tmp_path: Path, seed: int
) -> None:
    drawn = random.Random(seed)  # noqa: S311 - test data
    directory = copy_of(filled, tmp_path)
    file = directory / DATABASE_NAME
    content = bytearray(file.read_bytes())
    count = len(content) // PAGE
    hit = set(drawn.sample(range(1, count + 1), drawn.randint(1, 12)))
    for number in hit:
        content[(number - 1) * PAGE + drawn.randrange(PAGE)] ^= 1 << drawn.randrange(8)
    if seed % 3 == 0:
        end = drawn.randint(PAGE, len(content))
        hit |= set(range(end // PAGE + 1, count + 1))
        del content[end:]
    file.write_bytes(content)
    kept = saved(directory)
    assert kept.items() <= filled.envelopes.items()
    assert {one for one, pages in standing.items() if not pages & hit} <= set(kept)
    with KitStore.open(directory) as store:
        assert store.kit_id == filled.kit_id
        (ended,) = ended_outboxes(store._db)
    there = [given for one in kept if (given := filled.envelopes[one].sequence) is not None]
    assert ended.outbox_id == filled.outbox_id
    assert ended.saved == len(kept)
    assert not any(first <= given <= last for first, last in ended.lost for given in there)
    assert saved(directory) == kept  # the new one is sound: nothing more is set aside
    assert len(damaged_files(directory)) == 1


@pytest.mark.parametrize("seed", range(8))
def test_a_damaged_database_in_the_clear_never_stops_a_kit(filled: Filled, tmp_path: Path, seed: int) -> None:
    drawn = random.Random(seed)  # noqa: S311 - test data
    directory = copy_of(filled, tmp_path)
    file = in_the_clear(directory, filled.key)
    content = bytearray(file.read_bytes())
    for number in drawn.sample(range(1, len(content) // PAGE), drawn.randint(1, 8)):
        start = number * PAGE + drawn.randrange(PAGE - 64)
        content[start : start + 64] = drawn.randbytes(64)
    file.write_bytes(content)
    kept = saved(directory)
    sequences = [(one.outbox_id, one.sequence) for one in kept.values()]
    assert len(set(sequences)) == len(sequences)
    assert saved(directory) == kept


def in_the_clear(directory: Path, key: bytes) -> Path:
    """Make the database what an older gonio left."""
    file, plain = directory / DATABASE_NAME, directory / "plain"
    db = connect(file, key)
    db.execute("ATTACH DATABASE ? AS clear KEY ''", (str(plain),))
    db.execute("SELECT sqlcipher_export('clear')")
    db.execute(f"PRAGMA clear.user_version = {len(MIGRATIONS)}")
    db.execute(f"PRAGMA clear.application_id = {APPLICATION_ID}")
    db.close()
    plain.replace(file)
    return file


def test_the_root_of_all_is_lost_and_every_record_is_there(filled: Filled, tmp_path: Path) -> None:
    """Without the first page nobody knows the tables: rows say themselves what they are."""
    directory = copy_of(filled, tmp_path)
    overwrite(directory / DATABASE_NAME, 0, PAGE)
    assert saved(directory) == filled.envelopes
    with KitStore.open(directory) as store:
        assert store.kit_id == filled.kit_id
        assert set(store.pairing()) == {"thigh", "shank"}
        assert store.counts().acknowledged == ACKNOWLEDGED
        assert store.open_session_ids() == [filled.open_session]
        assert ended_outboxes(store._db)[0].outbox_id == filled.outbox_id
    (aside,) = damaged_files(directory)
    assert aside.stat().st_size == (filled.directory / DATABASE_NAME).stat().st_size


def test_nothing_is_left_and_the_kit_is_still_the_same_kit(filled: Filled, tmp_path: Path) -> None:
    directory = copy_of(filled, tmp_path)
    file = directory / DATABASE_NAME
    overwrite(file, 0, file.stat().st_size)
    assert saved(directory) == {}
    with KitStore.open(directory) as store:
        assert store.kit_id == filled.kit_id


def test_a_lost_plate_is_written_anew(filled: Filled, tmp_path: Path) -> None:
    directory = copy_of(filled, tmp_path)
    (directory / PLATE_NAME).write_text("{")
    KitStore.open(directory).close()
    assert (directory / PLATE_NAME).read_bytes() == (filled.directory / PLATE_NAME).read_bytes()


@pytest.mark.parametrize("last", [False, True])
def test_a_damaged_log_loses_only_the_damaged_frame(tmp_path: Path, *, last: bool) -> None:
    """SQLite itself would forget, without a word, every commit behind the damaged frame."""
    with KitStore.open(tmp_path / "a") as store:
        kept = [store.commit(Draft(new_record_id(), Kind.CHECK_IN, CAPTURE, 1, "{}")) for _ in range(50)]
        shutil.copytree(tmp_path / "a", tmp_path / "b")
    assert not read_log(tmp_path / "b" / WAL).damaged
    frames = (tmp_path / "b" / WAL).stat().st_size // (PAGE + 24)
    overwrite(tmp_path / "b" / WAL, 32 + (frames - 1 if last else 40) * (PAGE + 24) + 100, 8)
    assert read_log(tmp_path / "b" / WAL).damaged
    there = saved(tmp_path / "b")
    assert len(there) >= 49
    assert last or kept[-1].record_id in there
    with KitStore.open(tmp_path / "b") as store:
        assert ended_outboxes(store._db)[0].last_sequence >= 49
        assert store.outbox_id != kept[0].outbox_id  # no number is given a second time


@pytest.mark.parametrize("cut_off", [False, True])
def test_commits_of_a_log_that_lost_its_beginning_are_there(tmp_path: Path, *, cut_off: bool) -> None:
    """SQLite forgets a log whose header does not check, and deletes one whose database is empty."""
    with KitStore.open(tmp_path / "a") as store:
        kept = {store.commit(Draft(new_record_id(), Kind.CHECK_IN, CAPTURE, 1, "{}")).record_id for _ in range(30)}
        shutil.copytree(tmp_path / "a", tmp_path / "b")
    if cut_off:
        (tmp_path / "b" / DATABASE_NAME).write_bytes(b"")
    else:
        overwrite(tmp_path / "b" / WAL, 0, 32)
    assert set(saved(tmp_path / "b")) == kept


def test_the_torn_end_of_a_power_cut_is_no_damage(tmp_path: Path) -> None:
    with KitStore.open(tmp_path / "a") as store:
        for _ in range(20):
            store.commit(Draft(new_record_id(), Kind.CHECK_IN, CAPTURE, 1, "{}"))
        shutil.copytree(tmp_path / "a", tmp_path / "b")
    log = tmp_path / "b" / WAL
    for cut in (1, 100, PAGE, 2 * PAGE + 100):
        log.write_bytes(log.read_bytes()[:-cut])
        assert not read_log(log).damaged
    frame = PAGE + 24
    content = log.read_bytes()
    end = 32 + (len(content) - 32) // frame * frame
    for torn in (frame, 2 * frame):  # room was made for them, and they never came
        log.write_bytes(content[: end - torn] + bytes(torn))
        assert not read_log(log).damaged
    with KitStore.open(tmp_path / "b") as store:
        assert ended_outboxes(store._db) == ()
    assert damaged_files(tmp_path / "b") == []


COMMITS = """
import sys, uuid
from pathlib import Path
from gonio.gateway.records import Capture, Draft
from gonio.gateway.store import KitStore
from gonio.messages import Kind, new_record_id

capture = Capture(uuid.uuid4(), 5, "2026-03-01T10:00:00.000+01:00", "synchronised")
with KitStore.open(Path(sys.argv[1])) as store:
    while True:
        envelope = store.commit(Draft(new_record_id(), Kind.CHECK_IN, capture, 1, '{"n":"' + "x" * 5000 + '"}'))
        print(envelope.sequence, flush=True)
"""


def test_kills_while_committing_are_no_damage(tmp_path: Path) -> None:
    drawn = random.Random(3)  # noqa: S311 - test data
    last, outboxes = 0, set()
    for _ in range(6):
        arguments = [sys.executable, "-c", COMMITS, str(tmp_path)]
        with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            for _ in range(drawn.randrange(1, 250)):
                last = int(process.stdout.readline())
            process.kill()
            rest = process.stdout.read().split()
        last = int(rest[-1]) if rest else last
        with KitStore.open(tmp_path) as store:
            outboxes.add(store.outbox_id)
            assert store.counts().pending in {last, last + 1}
    assert len(outboxes) == 1
    assert damaged_files(tmp_path) == []


def test_no_more_than_some_damaged_databases_are_kept(tmp_path: Path) -> None:
    fill_once = tmp_path / "kit"
    for _ in range(KEPT + 2):
        KitStore.open(fill_once).close()
        overwrite(fill_once / DATABASE_NAME, 0, PAGE)
    KitStore.open(fill_once).close()
    assert len(damaged_files(fill_once)) == KEPT


def test_a_second_damage_keeps_what_the_first_left(filled: Filled, tmp_path: Path) -> None:
    directory = copy_of(filled, tmp_path)
    overwrite(directory / DATABASE_NAME, 0, PAGE)
    with KitStore.open(directory) as store:
        second = store.outbox_id
        new = store.commit(Draft(new_record_id(), Kind.CHECK_IN, CAPTURE, 1, "{}"))
    overwrite(directory / DATABASE_NAME, 0, PAGE)
    assert saved(directory) == filled.envelopes | {new.record_id: new}
    with KitStore.open(directory) as store:
        ended = {one.outbox_id: one for one in ended_outboxes(store._db)}
    assert set(ended) == {filled.outbox_id, second}
    assert (ended[filled.outbox_id].saved, ended[filled.outbox_id].lost) == (RECORDS, ())
    assert (ended[second].last_sequence, ended[second].saved) == (1, 1)


def test_damage_met_while_running_is_healed_with_the_next_attempt(filled: Filled, tmp_path: Path) -> None:
    directory = copy_of(filled, tmp_path)
    draft = Draft(new_record_id(), Kind.CHECK_IN, CAPTURE, 1, "{}")
    with KitStore.open(directory) as store:
        store._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        store._db.execute("PRAGMA shrink_memory")
        overwrite(directory / DATABASE_NAME, PAGE, (directory / DATABASE_NAME).stat().st_size // 3)
        with pytest.raises(StoreWriteError, match="next attempt"):
            store.envelopes(range(1, RECORDS + 1))
        envelope = store.commit(draft)
        assert envelope.sequence == 1
        assert store.kit_id == filled.kit_id
        assert store.commit(draft) == envelope
    assert saved(directory)[draft.record_id] == envelope


async def test_a_record_that_met_the_damage_is_held_and_then_kept(filled: Filled, tmp_path: Path) -> None:
    directory = copy_of(filled, tmp_path)
    draft = Draft(new_record_id(), Kind.CHECK_IN, CAPTURE, 1, "{}")
    with KitStore.open(directory) as store:
        keeper = RecordKeeper(store)
        store._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        store._db.execute("PRAGMA shrink_memory")
        overwrite(directory / DATABASE_NAME, PAGE, (directory / DATABASE_NAME).stat().st_size)
        await keeper.commit(draft)
        await keeper.retry()
        assert keeper.held == 0
        assert keeper.trouble is None
        assert damaged_files(directory)  # while the kit ran
    assert draft.record_id in saved(directory)


def test_a_reader_is_told_what_to_do(filled: Filled, tmp_path: Path) -> None:
    directory = copy_of(filled, tmp_path)
    overwrite(directory / DATABASE_NAME, 0, PAGE)
    with pytest.raises(StoreDamagedError, match="start the kit again"):
        KitStore.peek(directory)
    assert damaged_files(directory) == []


def test_a_foreign_database_that_is_damaged_is_left_alone(tmp_path: Path) -> None:
    file = tmp_path / DATABASE_NAME
    file.write_bytes(b"SQLite format 3\0" + b"\xa5" * 3 * PAGE)
    with pytest.raises(UsageError):
        KitStore.open(tmp_path)
    assert file.read_bytes().endswith(b"\xa5")
    assert damaged_files(tmp_path) == []


def test_a_full_disk_leaves_the_damaged_database_where_it_is(
    filled: Filled, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = copy_of(filled, tmp_path)
    overwrite(directory / DATABASE_NAME, 0, PAGE)
    before = (directory / DATABASE_NAME).read_bytes()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("gonio.gateway.swap.sync", full)
        with pytest.raises(StoreWriteError):
            KitStore.open(directory)
    assert (directory / DATABASE_NAME).read_bytes() == before
    assert not list(directory.glob("*salvag*"))
    assert saved(directory) == filled.envelopes


KILLED = """
import os, signal, sys
from pathlib import Path
from gonio.gateway import salvage, swap
from gonio.gateway.store import KitStore

left = int(sys.argv[2])
def count(event, arguments):
    global left
    if event in {"os.rename", "os.remove", "os.chmod", "gonio"}:
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
sys.addaudithook(count)
def watched(module, name):
    whole = getattr(module, name)
    def traced(*arguments, **options):
        sys.audit("gonio")
        answer = whole(*arguments, **options)
        sys.audit("gonio")
        return answer
    setattr(module, name, traced)
for name in ("_fill", "_insert", "_settle", "new_file"):
    watched(salvage, name)
watched(swap, "sync")
KitStore.open(Path(sys.argv[1])).close()
"""


def test_a_kill_at_any_step_of_the_salvage_loses_nothing(filled: Filled, tmp_path: Path) -> None:
    with_log = tmp_path / "with-log"
    shutil.copytree(filled.directory, with_log)
    store = KitStore.open(with_log)
    late = store.commit(Draft(new_record_id(), Kind.CHECK_IN, CAPTURE, 1, '{"late":1}'))  # stands only in the log
    shutil.copytree(with_log, tmp_path / "killed")
    store.close()
    overwrite(tmp_path / "killed" / DATABASE_NAME, 0, PAGE)
    killed = 0
    for step in range(1, 100):
        directory = tmp_path / str(step)
        shutil.copytree(tmp_path / "killed", directory)
        overwrite(directory / DATABASE_NAME, 30 * PAGE, 10)
        ended = subprocess.run(
            [sys.executable, "-c", KILLED, str(directory), str(step)], check=False, capture_output=True
        ).returncode
        assert ended in {0, -signal.SIGKILL}
        there = saved(directory)
        assert late.record_id in there
        assert len(there) >= RECORDS - 10
        names = {file.name for file in directory.iterdir()}
        assert not {name for name in names if "salvag" in name}
        assert len([name for name in names if "damaged" in name and name.endswith("-wal")]) <= 1
        assert f"{len(there)}" == f"{len(saved(directory))}"
        shutil.rmtree(directory)
        if ended == 0:
            break
        killed += 1
    assert killed > 12


def test_gaps_are_what_no_range_covers() -> None:
    assert gaps([(2, 3), (3, 5), (9, 9)], 10) == [(1, 1), (6, 8), (10, 10)]
    assert gaps([], 3) == [(1, 3)]
    assert gaps([(1, 3)], 3) == []


@settings(max_examples=200, deadline=None)
@given(start=st.binary(min_size=20, max_size=60), seed=st.integers(0, 2**32), kind=st.sampled_from([0x0D, 0x0A, 2, 5]))
def test_no_page_whatever_is_on_it_stops_the_reading(start: bytes, seed: int, kind: int) -> None:
    rest = random.Random(seed).randbytes(PAGE - len(start) - 1)  # noqa: S311 - test data
    page = bytes([kind]) + start + rest
    for row in rows(2, page, PAGE, lambda _number: page):
        assert len(row.values) < PAGE


def test_the_layouts_are_those_of_the_schema(filled: Filled, tmp_path: Path) -> None:
    directory = copy_of(filled, tmp_path)
    with KitStore.open(directory) as store:
        known = layouts(store._db)
    assert {"kit", "record", "outbox", "open_rep", "ended_outbox"} <= set(known)
    assert known["open_rep"].names == ("record_id", "number", "rep")
    assert known["open_rep"].alias is None
    assert known["kit"].alias == 0


def overwrite(file: Path, start: int, count: int) -> None:
    with file.open("r+b") as opened:
        opened.seek(start)
        opened.write(b"\xa5" * count)
