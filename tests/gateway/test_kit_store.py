import sqlite3
import stat
import uuid
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from pydantic import ValidationError

from gonio.errors import UsageError
from gonio.gateway import outbox
from gonio.gateway.database import DATABASE_NAME, StoreWriteError
from gonio.gateway.records import Capture, Draft, OpenSession, OutboxCounts, PairedSensor, Priority
from gonio.gateway.reports import report_draft
from gonio.gateway.store import KitStore
from gonio.gateway.tables import APPLICATION_ID, MIGRATIONS
from gonio.identity.keys import KeyFaultError
from gonio.messages import Ack, AckStatus, CheckIn, Kind, RepReport, new_record_id

CAPTURE = Capture(uuid.uuid4(), 5, "2026-03-01T10:00:00.000+01:00", "synchronised")
REP = RepReport(
    start_s=1, peak_s=2, end_s=3, signal="knee", peak_flexion_deg=90.0, min_flexion_deg=2.0, rom_deg=88.0, measured=True
)


def draft(payload: str = "{}") -> Draft:
    return Draft(new_record_id(), Kind.CHECK_IN, CAPTURE, 1, payload)


def ack(record_id: uuid.UUID, status: AckStatus = AckStatus.STORED, reason: str | None = None) -> Ack:
    return Ack(record_id=record_id, status=status, reason=reason)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[KitStore]:
    with KitStore.open(tmp_path / "kit") as store:
        yield store


class StoreMachine(RuleBasedStateMachine):
    """Any order of commits, failed commits, acknowledgements, kills and restarts keeps the promise."""

    def __init__(self) -> None:
        super().__init__()
        self.directory = TemporaryDirectory()
        self.store = KitStore.open(Path(self.directory.name))
        self.drafts: list[Draft] = []
        self.state: dict[uuid.UUID, str] = {}
        self.dropped: set[int] = set()
        self.open: dict[uuid.UUID, int] = {}

    @rule(payload=st.text(max_size=20))
    def commit(self, payload: str) -> None:
        self.drafts.append(draft(payload))
        envelope = self.store.commit(self.drafts[-1])
        assert envelope.sequence == len(self.drafts)
        self.state[envelope.record_id] = "pending"

    def kept(self) -> list[int]:
        return [n for n in range(1, len(self.drafts) + 1) if n not in self.dropped]

    @precondition(lambda self: self.drafts)
    @rule(data=st.data())
    def commit_again(self, data: st.DataObject) -> None:
        number = data.draw(st.sampled_from(self.kept()))
        assert self.store.commit(self.drafts[number - 1]).sequence == number

    @rule()
    def commit_is_refused(self) -> None:
        bad = Draft(new_record_id(), Kind.CHECK_IN, Capture(uuid.uuid4(), 5, "yesterday", "synchronised"), 1, "{}")
        with pytest.raises(ValidationError):
            self.store.commit(bad)

    @rule()
    def disk_is_full(self) -> None:
        (pages,) = self.store._db.execute("PRAGMA page_count").fetchone()
        self.store._db.execute(f"PRAGMA max_page_count = {pages}")
        with pytest.raises(StoreWriteError, match="full"):
            self.store.commit(draft("x" * 50_000))
        self.store._db.execute("PRAGMA max_page_count = 1000000")

    @rule()
    def journal(self) -> None:
        record_id = new_record_id()
        self.store.journal(OpenSession(record_id, CAPTURE, "{}", (REP,)))
        self.open[record_id] = 1

    @precondition(lambda self: self.open)
    @rule(data=st.data())
    def journal_more(self, data: st.DataObject) -> None:
        record_id = data.draw(st.sampled_from(sorted(self.open)))
        self.open[record_id] += 1
        self.store.journal(OpenSession(record_id, CAPTURE, "{}", (REP,)), first_rep=self.open[record_id])

    @precondition(lambda self: self.open)
    @rule(data=st.data())
    def close_session(self, data: st.DataObject) -> None:
        record_id = data.draw(st.sampled_from(sorted(self.open)))
        del self.open[record_id]
        self.drafts.append(Draft(record_id, Kind.SESSION, CAPTURE, 1, "{}"))
        self.store.commit(self.drafts[-1], closes=record_id)
        self.state[record_id] = "pending"

    @precondition(lambda self: self.drafts)
    @rule(data=st.data(), status=st.sampled_from(AckStatus))
    def settle(self, data: st.DataObject, status: AckStatus) -> None:
        number = data.draw(st.sampled_from(self.kept()))
        record_id = self.drafts[number - 1].record_id
        assert self.store.settle([ack(record_id, status), ack(uuid.uuid4())]) == [number]
        if self.state[record_id] != "acknowledged":
            self.state[record_id] = "rejected" if status is AckStatus.REJECTED else "acknowledged"

    @rule()
    def tidy(self) -> None:
        last = len(self.drafts)
        gone = [n for n in self.kept() if n < last and self.state[self.drafts[n - 1].record_id] == "acknowledged"]
        assert self.store.drop_oldest() == len(gone)
        self.dropped.update(gone)
        for number in gone:
            del self.state[self.drafts[number - 1].record_id]

    @precondition(lambda self: self.drafts)
    @rule(data=st.data())
    def the_clinic_lost_some(self, data: st.DataObject) -> None:
        first = data.draw(st.integers(1, len(self.drafts)))
        last = data.draw(st.integers(first, len(self.drafts) + 3))
        with self.store._transaction() as db:
            outbox.send_again(db, self.store.outbox_id, first, last)
        for number in self.kept():
            record_id = self.drafts[number - 1].record_id
            if first <= number <= last:  # also what it refused: it would not ask for it to refuse it again
                self.state[record_id] = "pending"

    @rule()
    def restart(self) -> None:
        self.store.close()
        self.store = KitStore.open(Path(self.directory.name))

    @invariant()
    def sequence_is_gapless_and_each_record_is_there_once(self) -> None:
        rows = self.store._db.execute("SELECT record_id, sequence FROM record ORDER BY sequence").fetchall()
        assert rows == [(str(self.drafts[n - 1].record_id), n) for n in self.kept()]
        ranges = self.store._db.execute("SELECT first, last FROM compacted").fetchall()
        assert sorted(n for first, last in ranges for n in range(first, last + 1)) == sorted(self.dropped)
        assert self.store.head().last_sequence == len(self.drafts)
        states = dict(self.store._db.execute("SELECT record_id, state FROM outbox").fetchall())
        assert states == {str(k): v for k, v in self.state.items()}

    @invariant()
    def the_journal_holds_what_is_open(self) -> None:
        assert {i: len(self.store.open_session(i).reps) for i in self.store.open_session_ids()} == self.open

    def teardown(self) -> None:
        self.store.close()
        self.directory.cleanup()


TestStoreMachine = StoreMachine.TestCase
TestStoreMachine.settings = settings(max_examples=15, stateful_step_count=20, deadline=None)


def test_identity_is_made_once(tmp_path: Path) -> None:
    with KitStore.open(tmp_path) as store:
        identity = (store.kit_id, store.outbox_id)
    with KitStore.open(tmp_path) as store:
        assert (store.kit_id, store.outbox_id) == identity


def test_only_the_owner_may_read_it(tmp_path: Path) -> None:
    directory = tmp_path / "kit"
    directory.mkdir(mode=0o755)
    with KitStore.open(directory) as store:
        store.commit(draft())
        assert stat.S_IMODE(directory.stat().st_mode) == 0o700
        assert {stat.S_IMODE(file.stat().st_mode) for file in directory.rglob("*") if file.is_file()} == {0o600}
        assert {stat.S_IMODE(file.stat().st_mode) for file in directory.rglob("*") if file.is_dir()} == {0o700}


def test_it_is_on_the_disk_before_it_counts(store: KitStore) -> None:
    assert store._db.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert store._db.execute("PRAGMA synchronous").fetchone() == (2,)


def test_a_second_kit_is_kept_out_and_a_reader_is_not(tmp_path: Path) -> None:
    with KitStore.open(tmp_path) as store:
        store.commit(draft())
        with pytest.raises(UsageError, match="another kit already runs"):
            KitStore.open(tmp_path)
        with KitStore.peek(tmp_path) as reader:
            assert reader.counts().pending == 1
            with pytest.raises(UsageError, match="for reading only"):
                reader.commit(draft())
            with pytest.raises(StoreWriteError):
                reader.count_resends([1])
    KitStore.open(tmp_path).close()


def test_a_directory_without_a_kit_is_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no kit"):
        KitStore.peek(tmp_path)


def test_a_directory_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    with pytest.raises(UsageError, match=r"cannot be written .*--data-dir"):
        KitStore.open(file / "kit")


def test_a_place_where_not_even_root_may_write_is_told() -> None:
    with pytest.raises(UsageError, match="cannot be written"):
        KitStore.open(Path("/proc/gonio-kit"))


def test_a_file_that_is_no_database_is_told_and_kept(tmp_path: Path) -> None:
    file = tmp_path / DATABASE_NAME
    file.write_bytes(b"a text, and certainly no database" * 100)
    with pytest.raises(KeyFaultError, match="move the database aside"):
        KitStore.open(tmp_path)
    assert file.read_bytes().startswith(b"a text")
    file.unlink()
    KitStore.open(tmp_path).close()  # the lock was released


def test_another_programs_database_is_left_alone(tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / DATABASE_NAME)
    connection.execute("CREATE TABLE theirs (x)")
    connection.close()
    with pytest.raises(UsageError, match="another program"):
        KitStore.open(tmp_path)


def test_a_newer_schema_is_refused(tmp_path: Path) -> None:
    with KitStore.open(tmp_path) as store:
        store._db.execute("PRAGMA user_version = 99")
    with pytest.raises(UsageError, match="newer gonio"):
        KitStore.open(tmp_path)


def test_what_was_stored_late_is_not_refused_again(store: KitStore) -> None:
    record_id = store.commit(draft()).record_id
    store.settle([ack(record_id, AckStatus.REJECTED, "odd")])
    assert store.rejected()[0].reason == "odd"
    store.settle([ack(record_id)])
    store.settle([ack(record_id, AckStatus.REJECTED, "odd")])
    assert store.rejected() == []
    assert store.counts().acknowledged == 1


def test_the_very_text_comes_back(store: KitStore) -> None:
    committed = store.commit(draft('{"a": 1.50, "é": "\\u00e9"}'))
    assert store.envelopes([1]) == [committed]
    assert store.pending(10) == [1]


def test_an_urgent_record_goes_before_a_backlog(store: KitStore) -> None:
    backlog = [store.commit(draft()).sequence for _ in range(5)]
    bad = report_draft(CheckIn(pain_during=7), CAPTURE)
    flagged = report_draft(CheckIn(pain_after=0, red_flags=("calf-swelling",)), CAPTURE)
    mild = report_draft(CheckIn(pain_during=6), CAPTURE)
    for one in (mild, bad, flagged):
        store.commit(one)
    assert store.pending(100) == [7, 8, *backlog, 6]
    assert store.pending(100, Priority.URGENT) == [7, 8]
    assert [e.record_id for e in store.envelopes([8, 99, 7])] == [flagged.record_id, bad.record_id]


OLD = """
INSERT INTO kit VALUES (1, 'kit-0123456789abcdef');
INSERT INTO outbox_head VALUES (1, '00000000-0000-4000-8000-000000000001', 3);
INSERT INTO record SELECT printf('00000000-0000-7000-8000-00000000000%d', value), 'check-in',
    '00000000-0000-4000-8000-000000000001', value, '00000000-0000-4000-8000-000000000002', 5,
    '2026-03-01T10:00:00.000+01:00', 'synchronised', 1, NULL, NULL, '{}' FROM json_each('[3,1,2]');
INSERT INTO outbox SELECT record_id, sequence, iif(sequence = 2, 'acknowledged', 'pending'), 0, NULL FROM record;
"""


def test_an_outbox_of_an_older_gonio_is_brought_up_to_date(tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / DATABASE_NAME)
    connection.executescript(f"{MIGRATIONS[0]}; {MIGRATIONS[1]}; {OLD}")
    connection.executescript(f"PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = 2")
    connection.close()
    with KitStore.open(tmp_path) as store:
        assert (store.kit_id, store.head().last_sequence, store.head().oldest_pending) == ("kit-0123456789abcdef", 3, 1)
        assert [e.sequence for e in store.envelopes(store.pending(10))] == [1, 3]
        assert store.counts() == OutboxCounts(2, 1, 0)
        assert store.commit(draft()).sequence == 4


def test_pairing_is_replaced_as_a_whole(store: KitStore) -> None:
    old = PairedSensor("thigh", "AA", "movella_dot", "a")
    store.pair([old, PairedSensor("shank", "BB", "movella_dot", "b")])
    new = PairedSensor("shank", "AA", "movella_dot", "a")
    store.pair([new])
    assert store.pairing() == {"shank": new}


def test_a_journalled_curve_is_put_together_with_its_holes(store: KitStore) -> None:
    session = OpenSession(new_record_id(), CAPTURE, "{}", curve=(1, None))
    store.journal(session)
    store.journal(OpenSession(session.record_id, CAPTURE, '{"later":1}', curve=(5,)), first_point=4)
    assert store.open_session_ids() == [session.record_id]
    kept = store.open_session(session.record_id)
    assert kept.curve == (1, None, None, None, 5)
    assert kept.head == '{"later":1}'
