"""What the clinic sends is taken once, answered in the same transaction, and answered again where it is asked again."""

import os
import random
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from gonio.gateway.inbox import InboxGap
from gonio.gateway.records import Capture, Draft, Priority
from gonio.gateway.store import KitStore
from gonio.messages import (
    Ack,
    AckStatus,
    ClinicMessage,
    DownEnvelope,
    DownKind,
    Identify,
    Kind,
    Prescribed,
    Program,
    Receipt,
    Resend,
    new_record_id,
    payload_text,
)

CAPTURE = Capture(uuid.uuid4(), 5, "2026-03-01T10:00:00.000+01:00", "synchronised")
CLINIC = uuid.UUID("00000000-0000-4000-8000-000000000001")
DAY = date(2026, 3, 1)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[KitStore]:
    with KitStore.open(tmp_path / "kit") as store:
        yield store


def sent(store: KitStore, payload: BaseModel | str, sequence: int = 1, *, version: int = 1) -> DownEnvelope:
    kind = DownKind.COMMAND
    if isinstance(payload, Program | ClinicMessage):
        kind = DownKind.PROGRAM if isinstance(payload, Program) else DownKind.MESSAGE
    return DownEnvelope(
        record_id=new_record_id(),
        kind=kind,
        kit_id=store.kit_id,
        outbox_id=CLINIC,
        sequence=sequence,
        created_at=f"2026-03-01T09:00:00.{sequence:03}+00:00",
        schema_version=version,
        payload=payload if isinstance(payload, str) else payload.model_dump_json(exclude_none=True),
    )


def message(store: KitStore, sequence: int = 1, text: str = "Well done") -> DownEnvelope:
    return sent(store, ClinicMessage(text=text, sender="Your physiotherapist"), sequence)


def program(version: int, since: date, until: date | None = None, program_id: uuid.UUID = CLINIC) -> Program:
    one = Prescribed(exercise="heel-slide", side="right", reps=10)
    return Program(program_id=program_id, version=version, valid_from=since, valid_to=until, exercises=(one,))


def receipts(store: KitStore) -> list[Receipt]:
    """Give the receipts that wait for the clinic, in order."""
    found = store.envelopes(store.pending(1000))
    return [Receipt.model_validate_json(e.payload) for e in found if e.kind is Kind.RECEIPT]


def acknowledge_all(store: KitStore) -> None:
    waiting = store.envelopes(store.pending(1000))
    store.settle([Ack(record_id=e.record_id, status=AckStatus.STORED) for e in waiting])


def commit(store: KitStore, count: int) -> None:
    for _ in range(count):
        store.commit(Draft(new_record_id(), Kind.CHECK_IN, CAPTURE, 1, "{}"))


def test_a_message_is_kept_once_and_its_receipt_waits_for_the_clinic(store: KitStore) -> None:
    one = message(store)
    assert store.receive([one], CAPTURE) == [one]
    assert store.receive([one, one], CAPTURE) == []
    assert receipts(store) == [Receipt(of=one.record_id, of_kind=DownKind.MESSAGE, status="received")]
    assert [(r.envelope, r.state) for r in store.clinic_records(DownKind.MESSAGE)] == [(one, "received")]


def test_a_clinic_that_asks_again_gets_the_same_answer_again(store: KitStore) -> None:
    one = message(store)
    store.receive([one], CAPTURE)
    store.answer(one.record_id, "read", CAPTURE)
    acknowledge_all(store)
    assert store.receive([one], CAPTURE) == []
    assert [receipt.status for receipt in receipts(store)] == ["read"]
    assert store.counts().acknowledged == 1


def test_an_answer_that_is_no_longer_kept_is_given_anew(store: KitStore) -> None:
    one = message(store)
    store.receive([one], CAPTURE)
    acknowledge_all(store)
    store._db.executescript("DELETE FROM outbox; DELETE FROM record")
    store.receive([one], CAPTURE)
    assert [receipt.status for receipt in receipts(store)] == ["received"]


def test_what_cannot_be_read_is_kept_and_refused_with_the_reason(store: KitStore) -> None:
    strange, newer = sent(store, '{"do":"dance"}', 1), sent(store, Identify(do="identify"), 2, version=7)
    assert store.receive([strange, newer], CAPTURE) == []
    first, second = receipts(store)
    assert (first.status, second.status) == ("refused", "refused")
    assert first.reason
    assert "version 7" in (second.reason or "")
    assert {one.state for one in store.clinic_records(DownKind.COMMAND)} == {"refused"}
    assert not store.answer(strange.record_id, "applied", CAPTURE)


def test_a_record_for_another_kit_is_not_kept(store: KitStore) -> None:
    stray = message(store).model_copy(update={"kit_id": "kit-of-somebody-else"})
    assert store.receive([stray], CAPTURE) == []
    assert store.clinic_records(DownKind.MESSAGE) == []
    assert store.counts().pending == 0


def test_answers_go_forward_only(store: KitStore) -> None:
    one = message(store)
    store.receive([one], CAPTURE)
    assert store.answer(one.record_id, "read", CAPTURE)
    assert not store.answer(one.record_id, "read", CAPTURE)
    assert not store.answer(one.record_id, "applied", CAPTURE)
    assert [receipt.status for receipt in receipts(store)] == ["received", "read"]
    with pytest.raises(KeyError):
        store.answer(new_record_id(), "read", CAPTURE)


def test_a_receipt_from_elsewhere_brings_the_inbox_along(store: KitStore) -> None:
    one = message(store)
    store.receive([one], CAPTURE)
    receipt = Receipt(of=one.record_id, of_kind=DownKind.MESSAGE, status="read")
    draft = Draft(new_record_id(), Kind.RECEIPT, CAPTURE, 1, payload_text(receipt))
    assert store.commit(draft) == store.commit(draft)
    assert [r.state for r in store.clinic_records(DownKind.MESSAGE)] == ["read"]


def test_a_resend_brings_acknowledged_records_back_behind_what_is_new(store: KitStore) -> None:
    commit(store, 6)
    acknowledge_all(store)
    commit(store, 1)
    command = sent(store, Resend(do="resend", outbox_id=store.outbox_id, first=2, last=4))
    store.receive([command], CAPTURE)
    assert store.pending(100) == [7, 8, 2, 3, 4]
    assert store.pending(100, Priority.USUAL) == [7, 8]
    assert [(r.status, r.reason) for r in receipts(store)] == [("applied", None)]
    acknowledge_all(store)
    assert store.counts().acknowledged == 8


def test_a_resend_brings_refused_records_back_too(store: KitStore) -> None:
    """Somebody else may have refused them in the clinic's name, or the clinic may take them by now."""
    commit(store, 2)
    first, second = store.envelopes([1, 2])
    store.settle([Ack(record_id=e.record_id, status=AckStatus.REJECTED, reason="odd") for e in (first, second)])
    store.receive([sent(store, Resend(do="resend", outbox_id=store.outbox_id, first=1, last=1))], CAPTURE)
    assert store.pending(100) == [3, 1]
    assert [record.record_id for record in store.rejected()] == [second.record_id]
    store.settle([Ack(record_id=first.record_id, status=AckStatus.STORED)])
    assert (store.counts().acknowledged, store.counts().rejected) == (1, 1)


def test_a_resend_of_what_is_not_here_is_told(store: KitStore) -> None:
    commit(store, 2)
    acknowledge_all(store)
    here, elsewhere = store.outbox_id, uuid.uuid4()
    store.receive([sent(store, Resend(do="resend", outbox_id=elsewhere, first=1, last=2), 1)], CAPTURE)
    store.receive([sent(store, Resend(do="resend", outbox_id=here, first=2, last=1_000_000), 2)], CAPTURE)
    first, second = receipts(store)
    assert (first.status, second.status) == ("refused", "applied")
    assert "not on this kit any more" in (second.reason or "")


def test_the_program_in_force_is_the_newest_that_covers_the_day(store: KitStore) -> None:
    later = date(2026, 3, 9)
    store.receive([sent(store, program(1, date(2026, 2, 1)), 1), sent(store, program(3, later), 3)], CAPTURE)
    store.receive([sent(store, program(2, date(2026, 2, 20)), 4)], CAPTURE)  # late, and older than the third
    assert [r.status for r in receipts(store)] == ["applied"] * 3
    in_force = [store.program_on(day) for day in (date(2026, 1, 1), date(2026, 2, 2), DAY, later)]
    assert [p and p.version for p in in_force] == [None, 1, 2, 3]
    store.receive([sent(store, program(1, DAY, DAY, uuid.uuid4()), 5)], CAPTURE)
    other = store.program_on(DAY)
    assert other is not None
    assert other.program_id != CLINIC
    assert store.program_on(date(2026, 3, 2)) == program(2, date(2026, 2, 20))


@given(st.lists(st.integers(1, 30), max_size=20))
@settings(max_examples=25, deadline=None)
def test_gaps_are_exactly_the_numbers_that_are_missing(numbers: list[int]) -> None:
    with TemporaryDirectory() as directory, KitStore.open(Path(directory)) as store:
        store.receive([message(store, number) for number in numbers], CAPTURE)
        missing = {n for gap in store.inbox_gaps() for n in range(gap.first, gap.last + 1)}
        assert missing == set(range(1, max(numbers, default=0))) - set(numbers)
        assert all(gap.outbox_id == CLINIC for gap in store.inbox_gaps())


def test_a_gap_is_closed_by_what_was_missing(store: KitStore) -> None:
    store.receive([message(store, 1), message(store, 4)], CAPTURE)
    assert store.inbox_gaps() == [InboxGap(CLINIC, 2, 3)]
    store.receive([message(store, 3), message(store, 2)], CAPTURE)
    assert store.inbox_gaps() == []


def test_a_listener_hears_of_receipts(store: KitStore) -> None:
    heard = []
    store.listen(lambda: heard.append(1))
    store.receive([message(store)], CAPTURE)
    assert heard == [1]


RECEIVER = """
import sys, uuid
from pathlib import Path
from gonio.gateway.records import Capture
from gonio.gateway.store import KitStore
from gonio.messages import ClinicMessage, DownEnvelope, DownKind, new_record_id

store, sequence = KitStore.open(Path(sys.argv[1])), 0
capture = Capture(uuid.uuid4(), 5, "2026-03-01T10:00:00.000+01:00", "synchronised")
while True:
    sequence += 1
    one = DownEnvelope(record_id=new_record_id(), kind=DownKind.MESSAGE, kit_id=store.kit_id, outbox_id=uuid.uuid4(),
                       sequence=1, created_at="2026-03-01T09:00:00.000+00:00", schema_version=1,
                       payload=ClinicMessage(text="x", sender="y").model_dump_json())
    store.receive([one], capture)
    print(one.record_id, flush=True)
"""


def test_kill_9_never_parts_a_record_from_its_receipt(tmp_path: Path) -> None:
    said: set[str] = set()
    rng = random.Random(5)  # noqa: S311 - a test's
    for _ in range(3):
        child = subprocess.Popen([sys.executable, "-c", RECEIVER, str(tmp_path)], stdout=subprocess.PIPE, text=True)
        assert child.stdout is not None
        until = rng.randrange(1, 50)
        for number, line in enumerate(child.stdout, 1):
            said.add(line.strip())
            if number == until:
                os.kill(child.pid, signal.SIGKILL)
        child.stdout.close()
        assert child.wait() == -signal.SIGKILL
    with KitStore.open(tmp_path) as store:
        kept = {str(one.envelope.record_id) for one in store.clinic_records(DownKind.MESSAGE)}
        assert said <= kept
        assert sorted(str(receipt.of) for receipt in receipts(store)) == sorted(kept)
