"""What the clinic sends: numbered without a gap, claimed by one worker at a time, sent until the kit has it."""

import json
import random
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

import pytest

from gonio.cloud_sink import down
from gonio.cloud_sink.down import ANSWER, LONGEST_WAIT, MAX_CLAIMED, DownState
from gonio.cloud_sink.schema_audit import AUDIT_LOG
from gonio.cloud_sink.schema_down import DOWN_RECORDS
from gonio.cloud_sink.store import Store, open_store
from gonio.errors import UsageError
from gonio.messages import (
    ClinicMessage,
    DownEnvelope,
    DownKind,
    Envelope,
    Identify,
    Prescribed,
    Program,
    read_down,
)

KIT = "kit-001"
NOW = datetime(2026, 3, 5, 18, 0, tzinfo=UTC)
RNG = random.Random(4)  # noqa: S311 - jitter
HELLO = ClinicMessage(text="How is the knee?", sender="Your physiotherapist")

Make = Callable[..., Envelope]


@pytest.fixture
def clinic(store: Store) -> Store:
    store.add_kit(KIT)
    return store


def claim(store: Store, now: datetime) -> list[DownEnvelope]:
    with store.down._writer.begin() as connection:
        return down.claim(connection, now, RNG)


def queue(store: Store, kit_id: str = KIT, payload: ClinicMessage = HELLO) -> DownEnvelope:
    with store.down._writer.begin() as connection:
        return down.queue(connection, kit_id, payload, actor="operator:test", now=NOW)


def wake(store: Store, now: datetime, *kits: str) -> None:
    with store.down._writer.begin() as connection:
        down.wake(connection, kits, now)


def receipt(envelope: Make, of: DownEnvelope, sequence: int, status: str = "received", kit_id: str = KIT) -> Envelope:
    reason = ',"reason":"the page is too old"' if status == "refused" else ""
    payload = f'{{"of":"{of.record_id}","of_kind":"{of.kind}","status":"{status}"{reason}}}'
    return envelope(sequence, kind="receipt", payload=payload, kit_id=kit_id)


def test_numbers_have_no_gap_and_payloads_come_out_as_they_went_in(clinic: Store) -> None:
    program = Program(
        program_id=uuid.uuid4(),
        version=1,
        valid_from=date(2026, 3, 6),
        exercises=(Prescribed(exercise="heel-slide", side="left", reps=10),),
    )
    payloads = (HELLO, program, Identify(do="identify"))
    sent = [clinic.down.send(KIT, payload, actor="operator:test") for payload in payloads]
    assert [envelope.sequence for envelope in sent] == [1, 2, 3]
    assert [envelope.kind for envelope in sent] == [DownKind.MESSAGE, DownKind.PROGRAM, DownKind.COMMAND]
    assert len({envelope.outbox_id for envelope in sent}) == 1
    claimed = {envelope.record_id: envelope for envelope in clinic.down.claim()}
    assert [claimed[one.record_id] for one in sent] == sent
    assert tuple(read_down(claimed[one.record_id]) for one in sent) == payloads


def test_each_kit_has_numbers_of_its_own_and_an_unknown_one_none(clinic: Store) -> None:
    clinic.add_kit("kit-002")
    assert [queue(clinic).sequence, queue(clinic, "kit-002").sequence, queue(clinic).sequence] == [1, 1, 2]
    with pytest.raises(UsageError, match="the clinic has no kit kit-009"):
        queue(clinic, "kit-009")


def test_what_is_sent_is_in_the_audit_log_without_its_content(clinic: Store) -> None:
    sent = queue(clinic)
    with clinic._reader.connect() as connection:
        rows = connection.execute(AUDIT_LOG.select().where(AUDIT_LOG.c.action == "message-sent")).all()
    assert [(row.actor, row.subject_id, json.loads(row.detail)) for row in rows] == [
        ("operator:test", KIT, {"record": str(sent.record_id)})
    ]


def test_numbers_stay_gapless_when_many_write_at_once(clinic: Store, store_url: str) -> None:
    with open_store(store_url) as other, ThreadPoolExecutor(4) as pool:
        sent = list(pool.map(lambda n: (clinic, other)[n % 2].down.send(KIT, HELLO), range(40)))
    assert sorted(envelope.sequence for envelope in sent) == list(range(1, 41))


def test_two_workers_never_claim_the_same(clinic: Store, store_url: str) -> None:
    for _ in range(3 * MAX_CLAIMED):
        queue(clinic)
    with open_store(store_url) as other, ThreadPoolExecutor(4) as pool:
        taken = list(pool.map(lambda n: (clinic, other)[n % 2].down.claim(), range(12)))
    ids = [envelope.record_id for claimed in taken for envelope in claimed]
    assert len(ids) == len(set(ids)) == 3 * MAX_CLAIMED


def test_an_unanswered_record_is_due_again_after_growing_waits(clinic: Store) -> None:
    queue(clinic)
    now, waits = NOW, []
    for _ in range(20):
        assert len(claim(clinic, now)) == 1
        assert claim(clinic, now) == []
        with clinic.down._reader.connect() as connection:
            (row,) = connection.execute(DOWN_RECORDS.select()).all()
        waits.append(row.next_at - now)
        now = row.next_at
    assert all(ANSWER <= wait <= ANSWER + LONGEST_WAIT for wait in waits)
    assert waits[0] <= 2 * ANSWER
    assert max(waits) > timedelta(hours=1)
    assert [row.times for row in clinic.down.rows(KIT)] == [20]


def test_a_kit_that_is_back_is_served_at_once_but_not_in_a_storm(clinic: Store) -> None:
    queue(clinic)
    now = NOW
    for _ in range(12):  # it is away for hours
        claim(clinic, now)
        now += LONGEST_WAIT + ANSWER
    (sent,) = claim(clinic, now)
    wake(clinic, now + timedelta(seconds=1), KIT)  # its report comes just after: the answer's time is granted
    assert claim(clinic, now + timedelta(seconds=2)) == []
    assert claim(clinic, now + ANSWER) == [sent]
    wake(clinic, now + timedelta(hours=1), "kit-002")  # another's report changes nothing
    assert claim(clinic, now + timedelta(seconds=11)) == []


@pytest.mark.parametrize("status", ["received", "refused", "applied"])
def test_a_receipt_ends_the_sending_and_shows(clinic: Store, envelope: Make, now: datetime, status: str) -> None:
    first, second = queue(clinic), queue(clinic)
    assert [row.state for row in clinic.down.rows(KIT)] == [DownState.QUEUED] * 2
    claim(clinic, NOW)
    assert [row.state for row in clinic.down.rows(KIT)] == [DownState.SENT] * 2
    clinic.ingest(KIT, [receipt(envelope, first, 1, status)], now)
    assert claim(clinic, NOW + timedelta(days=1)) == [second]
    assert claim(clinic, NOW + timedelta(days=9)) == [second]
    rows = clinic.down.rows(KIT)
    assert [row.state for row in rows] == [DownState(status), DownState.SENT]
    assert rows[0].reason == ("the page is too old" if status == "refused" else None)


def test_receipts_in_any_order_and_repeated_say_the_furthest(clinic: Store, envelope: Make, now: datetime) -> None:
    sent = queue(clinic)
    words = [receipt(envelope, sent, n, status) for n, status in enumerate(("applied", "received", "received"), 1)]
    clinic.ingest(KIT, [*words, *words], now)
    assert [row.state for row in clinic.down.rows(KIT)] == [DownState.APPLIED]
    clinic.rederive()
    assert [row.state for row in clinic.down.rows(KIT)] == [DownState.APPLIED]


def test_another_kits_receipt_changes_nothing(clinic: Store, envelope: Make, now: datetime) -> None:
    sent = queue(clinic)
    clinic.ingest("kit-002", [receipt(envelope, sent, 1, kit_id="kit-002")], now)
    assert claim(clinic, NOW) == [sent]
    assert [row.state for row in clinic.down.rows(KIT)] == [DownState.SENT]


def test_after_a_restore_no_number_is_given_twice_under_one_name(clinic: Store) -> None:
    before = [queue(clinic), queue(clinic)]
    with clinic.down._writer.begin() as connection:
        down.begin_again(connection)
    after = [queue(clinic), queue(clinic)]
    assert [envelope.sequence for envelope in after] == [1, 2]
    assert {one.outbox_id for one in before}.isdisjoint(one.outbox_id for one in after)
    assert sorted(one.record_id for one in claim(clinic, NOW)) == sorted(one.record_id for one in before + after)


def test_what_is_claimed_stands_by_kit_and_kind_in_the_order_it_was_written(clinic: Store) -> None:
    clinic.add_kit("kit-000")
    for n in range(20):
        queue(clinic, ("kit-000", KIT)[n % 2])
    places = [(one.kit_id, one.kind, one.sequence) for one in claim(clinic, NOW)]
    assert all(earlier < later for earlier, later in pairwise(places))
