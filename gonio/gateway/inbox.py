"""The inbox's rows: what the clinic sent, once each, and the receipts that answer it.

Functions on an open database, for :class:`gonio.gateway.store.KitStore`, which calls them in a transaction.

A record and its receipt are committed together, so the clinic never has a receipt of what a power cut took from the
kit. A program is in force from its days on as soon as it is on the disk, and a ``resend`` is carried out at once: both
are answered ``applied``. What a person must see, or a part of the kit must do, is answered ``received`` first.

A kit that a clinic has claimed takes what that clinic has signed. All else is refused and kept apart: it takes no
number of the clinic's, and the very record may still come from the clinic itself.
"""

import logging
import sqlite3
import uuid
from dataclasses import dataclass
from datetime import date, datetime
from itertools import groupby, pairwise
from operator import itemgetter
from typing import Final, Literal, TypeAlias

from gonio.gateway import outbox
from gonio.gateway.kit_key import Signer
from gonio.gateway.patient.schedule import Given, in_force
from gonio.gateway.records import Capture, Draft
from gonio.gateway.reports import report_draft
from gonio.identity.signatures import signed_by
from gonio.messages import DownEnvelope, DownKind, DownPayload, MessageError, Program, Receipt, Resend, read_down

log = logging.getLogger(__name__)

State: TypeAlias = Literal["received", "applied", "read", "refused"]

_COLUMNS = "record_id, kind, outbox_id, sequence, created_at, schema_version, key_id, signature, payload, state"
#: Records without the clinic's signature that are kept and answered: whoever sends more of them fills no disk.
MAX_FORGED: Final = 200
NOT_SIGNED: Final = "it bears no signature of this kit's clinic"
#: A state is only ever followed by one that stands after it; what was refused stays so.
_ORDER: Final[tuple[State, ...]] = ("received", "applied", "read", "refused")


@dataclass(frozen=True, slots=True)
class InboxRecord:
    """A record of the clinic's, and what became of it."""

    envelope: DownEnvelope
    state: State


@dataclass(frozen=True, slots=True)
class Forged:
    """A record that came in the clinic's name without its signature, and when (by the kit's clock, ISO 8601)."""

    envelope: DownEnvelope
    arrived_at: str


@dataclass(frozen=True, slots=True)
class InboxGap:
    """Records that the clinic has numbered and that are not here: the first and the last number, inclusive."""

    outbox_id: uuid.UUID
    first: int
    last: int


def receive(db: sqlite3.Connection, who: Signer, envelope: DownEnvelope, capture: Capture) -> bool:
    """Take a record with its receipt; False where it is no new one for this kit, or was refused.

    One that is here already is answered once more: a clinic that asks again may have lost the answer.
    """
    if envelope.kit_id != who.kit_id:
        log.error("record %s of the clinic is addressed to another kit: passed over", envelope.record_id)
        return False
    if who.clinic is not None and not signed_by(envelope, who.clinic):
        _refuse_forged(db, who, envelope, capture)
        return False
    known = db.execute("SELECT state, receipt_id FROM inbox WHERE record_id = ?", (str(envelope.record_id),)).fetchone()
    if known is not None:
        _answer_again(db, who, envelope, capture, *known)
        return False
    state, reason = _outcome(db, envelope)
    values = (
        str(envelope.record_id),
        envelope.kind.value,
        str(envelope.outbox_id),
        envelope.sequence,
        envelope.created_at,
        envelope.schema_version,
        envelope.key_id,
        envelope.signature,
        envelope.payload,
        state,
    )
    db.execute(f"INSERT INTO inbox ({_COLUMNS}, receipt_id) VALUES ({'?, ' * 10}'')", values)  # noqa: S608 - constants
    _put(db, who, _receipt(envelope.record_id, envelope.kind, state, reason, capture))
    return state != "refused"


def answer(
    db: sqlite3.Connection, who: Signer, record_id: uuid.UUID, state: State, reason: str | None, capture: Capture
) -> bool:
    """Note what became of a record, with its receipt; False where that is not new.

    Raises:
        KeyError: there is no such record.
    """
    row = db.execute("SELECT kind, state FROM inbox WHERE record_id = ?", (str(record_id),)).fetchone()
    if row is None:
        raise KeyError(record_id)
    if _ORDER.index(state) <= _ORDER.index(row[1]):
        return False
    _put(db, who, _receipt(record_id, DownKind(row[0]), state, reason, capture))
    return True


def note_receipt(db: sqlite3.Connection, draft: Draft) -> None:
    """Bring the inbox up to a receipt that goes into the outbox."""
    receipt = Receipt.model_validate_json(draft.payload)
    row = db.execute("SELECT state FROM inbox WHERE record_id = ?", (str(receipt.of),)).fetchone()
    if row is not None and _ORDER.index(receipt.status) >= _ORDER.index(row[0]):
        db.execute(
            "UPDATE inbox SET state = ?, receipt_id = ? WHERE record_id = ?",
            (receipt.status, str(draft.record_id), str(receipt.of)),
        )


def records(db: sqlite3.Connection, kit_id: str, kind: DownKind) -> list[InboxRecord]:
    """Give the records of a kind, in the order in which the clinic made them."""
    rows = db.execute(
        f"SELECT {_COLUMNS} FROM inbox WHERE kind = ? ORDER BY rowid",  # noqa: S608 - a constant
        (kind.value,),
    ).fetchall()
    found = [InboxRecord(_envelope(kit_id, row), row[9]) for row in rows]
    return sorted(found, key=lambda one: (datetime.fromisoformat(one.envelope.created_at), one.envelope.sequence))


def program_on(db: sqlite3.Connection, kit_id: str, day: date) -> Program | None:
    """Give the program that is in force on a day; None where there is none.

    See ``patient.schedule.in_force``.
    """
    read = (_readable(one) for one in records(db, kit_id, DownKind.PROGRAM))
    return in_force([Given(program) for program in read if isinstance(program, Program)], day)


def forged(db: sqlite3.Connection) -> list[Forged]:
    """Give what came in the clinic's name without its signature, oldest first."""
    rows = db.execute("SELECT envelope, arrived_at FROM forged ORDER BY number").fetchall()
    return [Forged(DownEnvelope.model_validate_json(row[0]), row[1]) for row in rows]


def gaps(db: sqlite3.Connection) -> list[InboxGap]:
    """Name the numbers that are missing before the last that arrived, of each outbox of the clinic's."""
    rows = db.execute("SELECT DISTINCT outbox_id, sequence FROM inbox ORDER BY outbox_id, sequence").fetchall()
    found = []
    for outbox_id, group in groupby(rows, itemgetter(0)):
        numbers = [0, *(row[1] for row in group)]
        found += [InboxGap(uuid.UUID(outbox_id), a + 1, b - 1) for a, b in pairwise(numbers) if b > a + 1]
    return found


def _outcome(db: sqlite3.Connection, envelope: DownEnvelope) -> tuple[State, str | None]:
    """Carry out what needs nothing but the database; gives the state, and a reason where there is one to tell."""
    try:
        payload = read_down(envelope)
    except MessageError as error:
        return "refused", str(error)
    if isinstance(payload, Program):
        return "applied", None
    if isinstance(payload, Resend):
        return _resend(db, payload)
    return "received", None


def _resend(db: sqlite3.Connection, wanted: Resend) -> tuple[State, str | None]:
    outbox.send_again(db, wanted.outbox_id, wanted.first, wanted.last)
    there = outbox.count_between(db, wanted.outbox_id, wanted.first, wanted.last)
    if there == 0:
        return "refused", "none of these records is on this kit"
    missing = wanted.last - wanted.first + 1 - there
    return "applied", f"{missing} of these records are not on this kit any more" if missing else None


def _refuse_forged(db: sqlite3.Connection, who: Signer, envelope: DownEnvelope, capture: Capture) -> None:
    """Keep it, and tell the clinic; one that bears the name of what the clinic did send is only kept."""
    log.error("record %s in the clinic's name: %s; it is refused", envelope.record_id, NOT_SIGNED)
    record_id = str(envelope.record_id)
    (kept,) = db.execute("SELECT count(*) FROM forged").fetchone()
    if kept >= MAX_FORGED or db.execute("SELECT 1 FROM forged WHERE record_id = ?", (record_id,)).fetchone():
        return
    db.execute(
        "INSERT INTO forged (record_id, arrived_at, envelope) VALUES (?, ?, ?)",
        (record_id, capture.captured_at, envelope.model_dump_json()),
    )
    if db.execute("SELECT 1 FROM inbox WHERE record_id = ?", (record_id,)).fetchone() is None:
        outbox.insert(db, who, _receipt(envelope.record_id, envelope.kind, "refused", NOT_SIGNED, capture))


def _answer_again(
    db: sqlite3.Connection, who: Signer, envelope: DownEnvelope, capture: Capture, state: State, receipt_id: str
) -> None:
    if not outbox.send_one_again(db, receipt_id):
        _put(db, who, _receipt(envelope.record_id, envelope.kind, state, None, capture))


def _put(db: sqlite3.Connection, who: Signer, draft: Draft) -> None:
    outbox.insert(db, who, draft)
    note_receipt(db, draft)


def _receipt(record_id: uuid.UUID, kind: DownKind, state: State, reason: str | None, capture: Capture) -> Draft:
    told = reason[:500] if reason else None
    return report_draft(Receipt(of=record_id, of_kind=kind, status=state, reason=told), capture)


def _readable(one: InboxRecord) -> DownPayload | None:
    try:
        return read_down(one.envelope)
    except MessageError:
        return None


def _envelope(kit_id: str, row: outbox.Row) -> DownEnvelope:
    return DownEnvelope(
        record_id=uuid.UUID(row[0]),
        kind=DownKind(row[1]),
        kit_id=kit_id,
        outbox_id=uuid.UUID(row[2]),
        sequence=row[3],
        created_at=row[4],
        schema_version=row[5],
        key_id=row[6],
        signature=row[7],
        payload=row[8],
    )
