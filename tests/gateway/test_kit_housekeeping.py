"""What the clinic has had for long goes, nothing else ever does; and a disk that is really full costs no session."""

import os
import random
import resource
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gonio.gateway.clock import KitClock
from gonio.gateway.compaction import merged
from gonio.gateway.database import DATABASE_NAME, StoreWriteError
from gonio.gateway.health import health_envelope
from gonio.gateway.housekeeping import RECORD_BYTES, DiskState, Housekeeper, disk_state, tidy
from gonio.gateway.records import Capture, Draft, OpenSession
from gonio.gateway.reserve import RESERVE_BYTES, RESERVE_NAME, Reserve
from gonio.gateway.store import KitStore
from gonio.messages import (
    Ack,
    AckStatus,
    AngleCurve,
    EndedOutbox,
    HealthReport,
    Kind,
    RepReport,
    SessionSummary,
    new_record_id,
    payload_text,
    read_health,
)

CAPTURE = Capture(uuid.uuid4(), 5, "2026-03-01T10:00:00.000+01:00", "synchronised")
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
MB = 2**20


@pytest.fixture
def store(tmp_path: Path) -> Iterator[KitStore]:
    with KitStore.open(tmp_path / "kit") as store:
        yield store


@contextmanager
def small_disk(folder: Path, megabytes: int) -> Iterator[Path]:
    """Give a disk of its own that can really be filled."""
    folder.mkdir()
    mounting = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m,mode=700", "gonio-test", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mounting, check=False, capture_output=True).returncode != 0:
        pytest.skip("no small disk can be mounted here (that needs root)")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    with small_disk(tmp_path / "disk", 40) as folder:
        yield folder


def fill(disk: Path) -> Path:
    """Take every byte that is left."""
    filler = disk / "something-else"
    with filler.open("wb", buffering=0) as file:
        for size in (MB, 4096):
            try:
                while True:
                    file.write(bytes(size))
            except OSError:
                continue
    return filler


def commit(store: KitStore, count: int, payload: str = "{}") -> list[uuid.UUID]:
    return [store.commit(Draft(new_record_id(), Kind.CHECK_IN, CAPTURE, 1, payload)).record_id for _ in range(count)]


def acknowledge(store: KitStore, ids: list[uuid.UUID], status: AckStatus = AckStatus.STORED) -> None:
    store.settle([Ack(record_id=one, status=status) for one in ids])


def sequences(store: KitStore) -> list[int]:
    return [row[0] for row in store._db.execute("SELECT sequence FROM record ORDER BY sequence")]


def compacted(store: KitStore) -> list[tuple[int, int]]:
    return [tuple(row) for row in store._db.execute("SELECT first, last FROM compacted ORDER BY first")]


def later(days: float) -> datetime:
    return NOW + timedelta(days=days)


@given(st.lists(st.tuples(st.integers(1, 60), st.integers(0, 9)).map(lambda r: (r[0], r[0] + r[1]))))
def test_ranges_hold_the_same_numbers_apart_and_in_order(ranges: list[tuple[int, int]]) -> None:
    found = merged(ranges)
    assert {n for a, b in found for n in range(a, b + 1)} == {n for a, b in ranges for n in range(a, b + 1)}
    assert all(after[0] > before[1] + 1 for before, after in pairwise(found))


def test_only_what_the_clinic_has_had_for_long_goes(store: KitStore) -> None:
    ids = commit(store, 10)
    acknowledge(store, ids[:3] + ids[5:])
    acknowledge(store, [ids[3]], AckStatus.REJECTED)
    tidy(store, NOW, clock_sure=True, keep_days=400)
    tidy(store, later(400), clock_sure=True, keep_days=400)
    assert sequences(store) == list(range(1, 11))
    tidy(store, later(400.1), clock_sure=True, keep_days=400)
    assert sequences(store) == [4, 5, 10]  # refused, waiting, and the last one
    assert compacted(store) == [(1, 3), (6, 9)]
    commit(store, 1)
    assert store.head().last_sequence == 11
    assert store.head().oldest_pending == 5


def test_a_clock_that_cannot_be_trusted_deletes_nothing(store: KitStore) -> None:
    acknowledge(store, commit(store, 3))
    tidy(store, later(-20_000), clock_sure=False, keep_days=1)
    tidy(store, later(20_000), clock_sure=False, keep_days=1)
    tidy(store, later(10), clock_sure=True, keep_days=1)
    tidy(store, NOW, clock_sure=True, keep_days=1)  # set back: what was noted of the future does not count
    tidy(store, later(0.9), clock_sure=True, keep_days=1)
    assert sequences(store) == [1, 2, 3]
    tidy(store, later(1.1), clock_sure=True, keep_days=1)
    assert sequences(store) == [3]


def test_a_record_asked_for_again_is_as_new(store: KitStore) -> None:
    acknowledge(store, commit(store, 3))
    tidy(store, NOW, clock_sure=True, keep_days=1)
    store._db.execute("UPDATE outbox SET state = 'pending', seen_acknowledged = NULL WHERE sequence = 1")
    tidy(store, later(2), clock_sure=True, keep_days=1)
    assert sequences(store) == [1, 3]


def test_the_file_shrinks_when_records_go(store: KitStore) -> None:
    acknowledge(store, commit(store, 300, '{"note":"' + "x" * 8000 + '"}'))
    file = store.path.parent / DATABASE_NAME
    tidy(store, NOW, clock_sure=True, keep_days=1)
    before = file.stat().st_size
    state = tidy(store, later(2), clock_sure=True, keep_days=1)
    assert file.stat().st_size < before / 5
    assert state.database_bytes == file.stat().st_size
    commit(store, 1)
    store.close()
    with KitStore.open(store.path.parent) as again:
        assert sequences(again) == [300, 301]


def session_text() -> str:
    """Give what a session of 12 repetitions with its angle curve comes to."""
    rep = RepReport(
        start_s=11.37, peak_s=12.94, end_s=14.51, signal="knee", peak_flexion_deg=91.3, min_flexion_deg=3.4,
        rom_deg=87.9, concentric_s=1.57, hold_s=0.42, eccentric_s=1.48, peak_velocity_dps=94.2, smoothness=-2.31,
    )  # fmt: skip
    return payload_text(
        SessionSummary(
            sitting_id=uuid.uuid4(), exercise="heel-slide", side="right", source="simulated", duration_s=61.4,
            reps=(rep,) * 12, max_flexion_deg=93.1, min_flexion_deg=2.2, zero="standing", calibrated_at_s=4.1,
            ok_fraction=0.97, sensors=(), curve=AngleCurve(step_s=0.3, flexion_deg=tuple(range(100)) * 2),
            software="gonio",
        )
    )  # fmt: skip


def test_a_session_takes_less_of_the_disk_than_is_reckoned_with(store: KitStore) -> None:
    commit(store, 1)
    before = store.size("2026-01-01")
    commit(store, 300, session_text())
    after = store.size("2026-01-01")
    assert (after.pages - before.pages) * after.page_bytes / 300 <= RECORD_BYTES
    assert after.recent == after.records == 301


def test_people_are_told_long_before_the_disk_is_full() -> None:
    def state(room: int, days: int, *, reserve: bool = True) -> DiskState:
        return DiskState(room, 0, room, days, reserve)

    assert state(10**9, 9999).trouble is None
    assert "room for 364 days" in (state(20 * MB, 364).trouble or "")
    assert not state(20 * MB, 364).short
    assert "full" in (state(MB, 3, reserve=False).trouble or "")


def test_days_left_follow_the_pace_of_the_last_days(store: KitStore) -> None:
    calm = disk_state(store, NOW).days_left
    commit(store, 600)
    assert disk_state(store, NOW).days_left <= calm
    busy = store.size("2026-02-01")
    assert busy.recent == 600
    assert store.size("2026-03-02").recent == 0


def test_a_full_disk_lets_a_session_under_way_be_closed(disk: Path) -> None:
    with KitStore.open(disk / "kit") as store:
        commit(store, 5)
        assert tidy(store, NOW, clock_sure=True, keep_days=400).reserve
        filler = fill(disk)
        record_id, text = new_record_id(), session_text()
        rep = SessionSummary.model_validate_json(text).reps[0]
        for number in range(1, 41):
            session = OpenSession(record_id, CAPTURE, text, (rep,), tuple(range(50)))
            store.journal(session, first_rep=number, first_point=50 * (number - 1))
        assert len(store.open_session(record_id).reps) == 40
        envelope = store.commit(Draft(record_id, Kind.SESSION, CAPTURE, 3, text), closes=record_id)
        assert envelope.sequence == 6
        state = disk_state(store, NOW)
        assert not state.reserve
        filler.unlink()
        assert tidy(store, NOW, clock_sure=True, keep_days=400).reserve
        assert sequences(store) == [1, 2, 3, 4, 5, 6]


def test_without_the_reserve_the_same_disk_refuses(disk: Path) -> None:
    """Without it the test above could not tell whether the reserve did anything."""
    with KitStore.open(disk / "kit") as store:
        commit(store, 5)
        fill(disk)
        with pytest.raises(StoreWriteError, match="full"):
            commit(store, 5000, session_text())
        held = store.counts().pending
        assert sequences(store) == list(range(1, held + 1))


def test_on_a_short_disk_the_oldest_acknowledged_go_and_nothing_else(disk: Path) -> None:
    with KitStore.open(disk / "kit") as store:
        ids = commit(store, 900, '{"note":"' + "x" * 16_000 + '"}')
        acknowledge(store, ids[:500] + ids[600:])
        assert tidy(store, NOW, clock_sure=False, keep_days=400).reserve
        fill(disk)
        state = tidy(store, NOW, clock_sure=False, keep_days=400)
        left = sequences(store)
        assert set(range(501, 601)) <= set(left)
        assert left[-1] == 900
        assert left[0] > 200
        assert not state.short
        commit(store, 100, session_text())  # into the pages that became free
        assert store.head().last_sequence == 1000


def test_a_disk_without_room_gets_no_reserve_and_keeps_what_it_has(tmp_path: Path) -> None:
    with small_disk(tmp_path / "tiny", 4) as folder:
        reserve = Reserve(folder)
        assert not reserve.restore()
        assert not (folder / RESERVE_NAME).exists()
        assert os.statvfs(folder).f_bavail * os.statvfs(folder).f_frsize == 4 * MB
        assert not reserve.release()


def test_a_reserve_is_real_blocks(tmp_path: Path) -> None:
    reserve = Reserve(tmp_path)
    assert reserve.restore()
    assert (tmp_path / RESERVE_NAME).stat().st_blocks * 512 >= RESERVE_BYTES
    with (tmp_path / RESERVE_NAME).open("wb") as file:  # a copy with holes is none
        file.truncate(RESERVE_BYTES)
    assert not reserve.ready
    assert reserve.restore()


def test_a_limit_on_files_is_named_and_costs_nothing_that_was_committed(store: KitStore) -> None:
    """The disk that refuses where no small one can be mounted."""
    commit(store, 3)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (64 * 1024, before[1]))
    try:
        with pytest.raises(StoreWriteError, match="check the disk"):
            commit(store, 100, session_text())
        held = sequences(store)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert held == list(range(1, len(held) + 1))
    commit(store, 1)
    assert store.head().last_sequence == len(held) + 1


async def test_the_clinic_is_told_how_far_the_outbox_and_the_disk_are(store: KitStore) -> None:
    ids = commit(store, 4)
    acknowledge(store, ids[:2])
    before = EndedOutbox(outbox_id=uuid.uuid4(), last_sequence=9, saved=7, lost=((4, 5),))
    store._db.execute(
        "INSERT INTO ended_outbox (outbox_id, last_sequence, saved, lost, ended_at, file) "
        "VALUES (?, 9, 7, '[[4,5]]', '2026-02-01T00:00:00+00:00', 'x')",
        (str(before.outbox_id),),
    )
    housekeeper = Housekeeper(store, KitClock(), keep_days=400)
    assert housekeeper.trouble is None
    await housekeeper.look()
    envelope = await health_envelope(
        store, KitClock().capture(), held=1, disk=housekeeper.state, batteries={}, troubles=("a", None)
    )
    report = read_health(envelope)
    assert (envelope.sequence, envelope.schema_version) == (None, HealthReport.SCHEMA_VERSION)
    assert (report.outbox_id, report.last_sequence, report.oldest_pending) == (store.outbox_id, 4, 3)
    assert (report.pending, report.troubles) == (3, ("a",))
    assert report.ended == (before,)
    assert report.disk_free_mb is not None
    assert report.days_left is not None


CHILD = """
import sys, uuid
from pathlib import Path
from gonio.gateway.records import Capture, Draft
from gonio.gateway.store import KitStore
from gonio.messages import Ack, AckStatus, Kind, new_record_id

store = KitStore.open(Path(sys.argv[1]))
capture = Capture(uuid.uuid4(), 5, "2026-03-01T10:00:00.000+01:00", "synchronised")
while True:
    made = [store.commit(Draft(new_record_id(), Kind.CHECK_IN, capture, 1, '{"note":"' + "x" * 9000 + '"}')) for _ in range(7)]
    store.settle([Ack(record_id=e.record_id, status=AckStatus.STORED) for e in made[:5]])
    print(made[5].sequence, made[6].sequence, flush=True)
    store.drop_oldest()
    store.give_back_pages(rebuild=True)
"""  # noqa: E501 - a program


def test_kill_9_while_tidying_leaves_every_number_accounted_for(tmp_path: Path) -> None:
    waiting: set[int] = set()
    rng = random.Random(3)  # noqa: S311 - a test's
    for _ in range(4):
        child = subprocess.Popen([sys.executable, "-c", CHILD, str(tmp_path)], stdout=subprocess.PIPE, text=True)
        assert child.stdout is not None
        until = rng.randrange(1, 15)
        for number, line in enumerate(child.stdout, 1):
            waiting |= {int(word) for word in line.split()}
            if number == until:
                os.kill(child.pid, signal.SIGKILL)
        child.stdout.close()
        assert child.wait() == -signal.SIGKILL
        with KitStore.open(tmp_path) as store:
            kept = sequences(store)
            gone = [n for first, last in compacted(store) for n in range(first, last + 1)]
            assert sorted(kept + gone) == list(range(1, store.head().last_sequence + 1))
            assert waiting <= set(kept)
