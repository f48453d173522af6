"""What the clinic sends to kits: written once, under a gapless number, and sent again until the kit has it.

The mirror of the kit's own outbox. A record of the clinic's is queued in one transaction with its number; whoever
publishes claims what is due, which pushes the next sending back by a growing, random wait; it is due no more once a
receipt of the kit's is in the book, whatever the receipt says. Nothing here trusts a broker, and nothing is lost with
a worker: what it claimed and did not send is due again.

All functions work within the caller's transaction.
"""

import random
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, Final
from uuid import UUID, uuid4

from sqlalchemy import Connection, insert, select, tuple_, update

from gonio.cloud_sink import audit_log
from gonio.cloud_sink.bulk import ON_CONFLICT_SKIP, in_slices, insert_rows
from gonio.cloud_sink.kits import lock_kits
from gonio.cloud_sink.schema_down import DOWN_OUTBOXES, DOWN_RECEIPTS, DOWN_RECORDS
from gonio.errors import UsageError
from gonio.messages import (
    ClinicMessage,
    DownEnvelope,
    DownKind,
    DownPayload,
    Program,
    new_record_id,
    payload_text,
    wire_time,
)

#: How long a kit's receipt may take before a record is sent again.
ANSWER: Final = timedelta(seconds=10)
#: Bound of the random wait that is added to it and doubles with each sending. A kit that comes back is served at once.
LONGEST_WAIT: Final = timedelta(hours=6)
#: What one claim takes: with the largest payloads 13 MB.
MAX_CLAIMED: Final = 100


class DownState(StrEnum):
    """How far a record of the clinic's has come; a later one includes the earlier."""

    QUEUED = "queued"
    SENT = "sent"
    RECEIVED = "received"
    READ = "read"
    APPLIED = "applied"
    REFUSED = "refused"


_ORDER: Final = tuple(DownState)


@dataclass(frozen=True, slots=True)
class DownRow:
    """One record of the clinic's.

    Attributes:
        envelope: the record as it goes out.
        state: how far it has come.
        reason: the kit's words, where it refused; else None.
        times: how often it was sent.
        sent_at: when last, or None.
        since: when the kit got as far as ``state`` says, by its own clock; None before it has it.
    """

    envelope: DownEnvelope
    state: DownState
    reason: str | None
    times: int
    sent_at: datetime | None
    since: datetime | None


def queue(connection: Connection, kit_id: str, payload: DownPayload, *, actor: str, now: datetime) -> DownEnvelope:
    """Write a record for a kit; see ``DownOutbox.send``."""
    clinic_id = lock_kits(connection, [kit_id], to_change=False).get(kit_id)
    if clinic_id is None:
        raise UsageError(f"the clinic has no kit {kit_id}: enter it (gonio clinic kit bind), or check its id")
    fresh = {"kit_id": kit_id, "clinic_id": clinic_id, "outbox_id": uuid4(), "last_sequence": 0}
    insert_rows(connection, DOWN_OUTBOXES, [fresh], ON_CONFLICT_SKIP)
    outbox_id, sequence = connection.execute(
        update(DOWN_OUTBOXES)
        .where(DOWN_OUTBOXES.c.kit_id == kit_id)
        .values(last_sequence=DOWN_OUTBOXES.c.last_sequence + 1)
        .returning(DOWN_OUTBOXES.c.outbox_id, DOWN_OUTBOXES.c.last_sequence)
    ).one()
    kind = kind_of(payload)
    envelope = DownEnvelope(
        record_id=new_record_id(),
        kind=kind,
        kit_id=kit_id,
        outbox_id=outbox_id,
        sequence=sequence,
        created_at=wire_time(now.astimezone(UTC)),
        schema_version=1,
        payload=payload_text(payload),
    )
    row = envelope.model_dump() | {"kind": kind.value, "clinic_id": clinic_id, "times": 0, "next_at": now}
    connection.execute(insert(DOWN_RECORDS).values(row))
    entry = audit_log.Entry(clinic_id, actor, f"{kind}-sent", "kit", kit_id, detail={"record": str(envelope.record_id)})
    audit_log.append(connection, [entry], at=now)
    return envelope


def kind_of(payload: DownPayload) -> DownKind:
    """Tell on which topic a payload goes down."""
    match payload:
        case Program():
            return DownKind.PROGRAM
        case ClinicMessage():
            return DownKind.MESSAGE
        case _:
            return DownKind.COMMAND


def claim(connection: Connection, now: datetime, rng: random.Random) -> list[DownEnvelope]:
    """Take what is due: nobody else gets it before its next sending; see ``DownOutbox.claim``."""
    columns = DOWN_RECORDS.c
    rows = (
        connection.execute(
            select(DOWN_RECORDS)
            .where(columns.next_at <= now)
            .order_by(columns.next_at)
            .limit(MAX_CLAIMED)
            .with_for_update(skip_locked=True)
        )
        .mappings()
        .all()
    )
    received = _received(connection, [(row["kit_id"], row["record_id"]) for row in rows])
    due = []
    for row in rows:
        change: dict[str, Any] = {"next_at": None}
        if (row["kit_id"], row["record_id"]) not in received:
            due.append(row)
            change = {"times": row["times"] + 1, "sent_at": now, "next_at": now + _wait(row["times"], rng)}
        connection.execute(update(DOWN_RECORDS).where(columns.record_id == row["record_id"]).values(change))
    return [_envelope(row) for row in sorted(due, key=_place)]


def is_due(connection: Connection, now: datetime) -> bool:
    """Tell whether anything is due."""
    return (
        connection.execute(select(DOWN_RECORDS.c.record_id).where(DOWN_RECORDS.c.next_at <= now).limit(1)).first()
        is not None
    )


def wake(connection: Connection, kits: Collection[str], now: datetime) -> None:
    """Make due at once what kits that are back have not received; what was just sent only after its answer's time."""
    columns = DOWN_RECORDS.c
    for kit_id in sorted(kits):
        waiting = (columns.kit_id == kit_id, columns.next_at > now)
        open_rows = connection.execute(
            select(columns.record_id, columns.sent_at, columns.next_at)
            .where(*waiting)
            .order_by(columns.record_id)
            .with_for_update()
        ).all()
        for record_id, sent_at, next_at in open_rows:
            earliest = now if sent_at is None else max(now, sent_at + ANSWER)
            if earliest < next_at:
                row = update(DOWN_RECORDS).where(columns.record_id == record_id)
                connection.execute(row.values(next_at=earliest))


def waiting_kits(connection: Connection, kits: Sequence[str]) -> set[str]:
    """Tell which of some kits have something that they have not received."""
    columns = DOWN_RECORDS.c
    found = in_slices(
        kits,
        lambda ids: connection.execute(
            select(columns.kit_id).where(columns.kit_id.in_(ids), columns.next_at.is_not(None)).distinct()
        ).scalars(),
    )
    return set(found)


def rows_of(connection: Connection, kit_id: str) -> list[DownRow]:
    """Give all that was written for a kit, oldest first, with how far each has come."""
    receipts = connection.execute(
        select(DOWN_RECEIPTS.c.of, DOWN_RECEIPTS.c.status, DOWN_RECEIPTS.c.reason, DOWN_RECEIPTS.c.at).where(
            DOWN_RECEIPTS.c.kit_id == kit_id
        )
    )
    furthest: dict[UUID, tuple[DownState, str | None, datetime]] = {}
    for of, status, reason, at in receipts:
        state = DownState(status)
        if of not in furthest or _ORDER.index(furthest[of][0]) < _ORDER.index(state):
            furthest[of] = (state, reason, at)
    columns = DOWN_RECORDS.c
    records = connection.execute(
        select(DOWN_RECORDS).where(columns.kit_id == kit_id).order_by(columns.created_at, columns.sequence)
    ).mappings()
    found = []
    for row in records:
        unheard = (DownState.SENT if row["times"] else DownState.QUEUED, None, None)
        state, reason, since = furthest.get(row["record_id"], unheard)
        found.append(DownRow(_envelope(row), state, reason, row["times"], row["sent_at"], since))
    return found


def begin_again(connection: Connection) -> None:
    """Give every kit's outbox a new name and its numbers from 1 on.

    After a restore: kits have seen numbers that the older copy does not know of; under the old name they would be
    given a second time.
    """
    for kit_id in connection.execute(select(DOWN_OUTBOXES.c.kit_id)).scalars().all():
        row = update(DOWN_OUTBOXES).where(DOWN_OUTBOXES.c.kit_id == kit_id)
        connection.execute(row.values(outbox_id=uuid4(), last_sequence=0))


def _received(connection: Connection, keys: Sequence[tuple[str, UUID]]) -> set[tuple[str, UUID]]:
    columns = DOWN_RECEIPTS.c
    found = in_slices(
        keys,
        lambda some: connection.execute(
            select(columns.kit_id, columns.of).where(tuple_(columns.kit_id, columns.of).in_(some))
        ),
    )
    return {(kit_id, of) for kit_id, of in found}


def _wait(times: int, rng: random.Random) -> timedelta:
    return ANSWER + rng.random() * min(LONGEST_WAIT, ANSWER * 2.0 ** min(times, 20))


def _envelope(row: Any) -> DownEnvelope:  # noqa: ANN401 - SQLAlchemy's mapping of a row
    return DownEnvelope(**{name: row[name] for name in DownEnvelope.model_fields})


def _place(row: Any) -> tuple[str, str, str, int]:  # noqa: ANN401 - as above
    return row["kit_id"], row["kind"], row["created_at"], row["sequence"]
