"""What derives from records, in the transaction that changes records, bindings or voids.

Nearly every record is derived from itself and its kit's bindings. Two kinds say something about others: a void strikes
another record out, and a synchronised record tells when an unsynchronised one of the same boot was. Either may come
first. A kit with such records is marked in ``kits`` and its further records are held against them; the batch that
brings one holds the kit alone (see ``intake``). So the outcome is the same in whatever order and grouping records come.
"""

from collections import defaultdict
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, TypeAlias
from uuid import UUID

from sqlalchemy import ColumnElement, Connection, delete, select, update

from gonio.cloud_sink.bulk import in_slices, insert_rows
from gonio.cloud_sink.clock_evidence import Boot, Repairs, repairs_of, settle, settle_kit
from gonio.cloud_sink.derive import OF_A_RECORD, Binding, Derived, Source, Struck, derive
from gonio.cloud_sink.engine import StoreError
from gonio.cloud_sink.judge import Accepted
from gonio.cloud_sink.projection.marks import mark_again, mark_kit
from gonio.cloud_sink.schema import KITS, RECORDS
from gonio.cloud_sink.schema_kinds import DERIVED, STAFF_VOIDS, VOIDS
from gonio.messages import CheckIn, Envelope, Kind, MessageError, SessionSummary, VoidReport, read_payload

#: What a kit's row says of its records, beside its clinic.
HAS_VOIDS: Final = "has_voids"
HAS_UNSYNCHRONISED: Final = "has_unsynchronised"

Bindings: TypeAlias = Mapping[str, Sequence[Binding]]


def concerns_others(judged: Accepted) -> bool:
    """Tell whether a record can change what derives from others, so that its kit must be held alone."""
    return judged.envelope.kind is Kind.VOID or _is_unsynchronised(judged)


def derive_new(
    connection: Connection,
    new: Sequence[Accepted],
    kits: Mapping[str, Any],
    bindings: Bindings,
    ticks: Mapping[Boot, Sequence[int]],
) -> None:
    """Derive what follows from new records, also for older ones.

    Args:
        connection: within the transaction that has inserted them, their kits locked: alone where it has
            unsynchronised records or a record ``concerns_others``.
        new: the records.
        kits: of each kit its row (``clinic_id``, ``has_voids``, ``has_unsynchronised``), read under the lock.
        bindings: of each kit, in order of time.
        ticks: where health reports brought evidence on boots' clocks (``clock_evidence.keep_first_ticks``).
    """
    sources = [_source(judged, kits[judged.envelope.kit_id].clinic_id) for judged in new]
    voids = [source for source in sources if isinstance(source.payload, VoidReport)]
    unset = [source for source in sources if source.clock == "unsynchronised"]
    with_voids = {kit for kit, row in kits.items() if row.has_voids} | {source.kit_id for source in voids}
    with_unset = {kit for kit, row in kits.items() if row.has_unsynchronised} | {source.kit_id for source in unset}
    _mark(connection, HAS_VOIDS, {s.kit_id for s in voids if not kits[s.kit_id].has_voids})
    _mark(connection, HAS_UNSYNCHRONISED, {s.kit_id for s in unset if not kits[s.kit_id].has_unsynchronised})

    changes: dict[Boot, list[int]] = defaultdict(list)
    for source in sources:
        if source.kit_id in with_unset:
            changes[source.kit_id, source.boot_id].append(source.monotonic_ns)
    for boot, places in ticks.items():
        if boot[0] in with_unset:
            changes[boot].extend(places)
    repairs = settle(connection, changes, [source.record_id for source in sources]) if changes else {}

    _write(connection, sources, bindings, repairs, with_voids)
    targets = {source.payload.record_id for source in sources if isinstance(source.payload, VoidReport)}
    again = (targets | repairs.keys()) - {source.record_id for source in sources}
    if again:
        derive_again(connection, sorted(again), kits, bindings)


def derive_again(connection: Connection, record_ids: Sequence[UUID], kits: Container[str], bindings: Bindings) -> None:
    """Make anew what derives from records already in the book, whatever else is known of them by now.

    Args:
        connection: within the transaction, the kits locked to change.
        record_ids: which; those that are not in the book, or of another kit than ``kits``, are left.
        kits: whose records may be touched.
        bindings: of each kit, in order of time.
    """
    slices = in_slices(record_ids, lambda ids: [RECORDS.c.record_id.in_(ids)])
    sources = [source for some in slices for source in _stored(connection, some) if source.kit_id in kits]
    ids = [source.record_id for source in sources]
    for table in OF_A_RECORD:
        for some in in_slices(ids, lambda some: [some]):
            connection.execute(delete(table).where(table.c.record_id.in_(some)))
    _write(connection, sources, bindings, repairs_of(connection, ids), {source.kit_id for source in sources})
    mark_again(connection, ids)


def derive_kit(connection: Connection, kit_id: str, bindings: Sequence[Binding]) -> None:
    """Make anew all that derives from a kit's records; the kit is locked to change."""
    of_kit = select(RECORDS.c.record_id).where(RECORDS.c.kit_id == kit_id)
    for table in DERIVED:
        connection.execute(delete(table).where(table.c.record_id.in_(of_kit)))
    sources = list(_stored(connection, RECORDS.c.kit_id == kit_id))
    if any(isinstance(source.payload, VoidReport) for source in sources):
        _mark(connection, HAS_VOIDS, [kit_id])
    if any(source.clock == "unsynchronised" for source in sources):
        _mark(connection, HAS_UNSYNCHRONISED, [kit_id])
    _write(connection, sources, {kit_id: bindings}, settle_kit(connection, kit_id), {kit_id})
    mark_kit(connection, kit_id)


def strike(connection: Connection, record_id: UUID, kit_id: str, bindings: Sequence[Binding]) -> None:
    """Make anew what derives from a record that the clinic's staff have just voided; its kit is locked to change."""
    _mark(connection, HAS_VOIDS, [kit_id])
    derive_again(connection, [record_id], {kit_id}, {kit_id: bindings})


def _write(
    connection: Connection, sources: Sequence[Source], bindings: Bindings, repairs: Repairs, with_voids: Container[str]
) -> None:
    """Derive and insert: voids first, as what they strike out may stand beside them."""
    for some in (
        [source for source in sources if isinstance(source.payload, VoidReport)],
        [source for source in sources if not isinstance(source.payload, VoidReport)],
    ):
        struck = _struck(connection, [source for source in some if source.kit_id in with_voids])
        derived = Derived()
        for source in some:
            derive(
                source,
                bindings.get(source.kit_id, ()),
                derived,
                found=repairs.get(source.record_id),
                struck=struck.get(source.record_id),
            )
        for table in reversed(OF_A_RECORD):
            insert_rows(connection, table, derived.rows[table])


def _struck(connection: Connection, sources: Sequence[Source]) -> dict[UUID, Struck]:
    """Say which of some sessions and check-ins are struck out, by staff or by a void of the same kit."""
    kit_of = {s.record_id: s.kit_id for s in sources if isinstance(s.payload, SessionSummary | CheckIn)}
    ids = list(kit_of)
    by_kit = in_slices(
        ids,
        lambda some: connection.execute(
            select(VOIDS.c.target, VOIDS.c.kit_id, VOIDS.c.said_by).where(VOIDS.c.target.in_(some))
        ),
    )
    found: dict[UUID, Struck] = {}
    for target, kit_id, said_by in by_kit:
        if kit_of[target] == kit_id and not (target in found and found[target].by_person):
            found[target] = Struck(by_person=said_by == "person")
    by_staff = in_slices(
        ids,
        lambda some: connection.execute(select(STAFF_VOIDS.c.record_id).where(STAFF_VOIDS.c.record_id.in_(some))),
    )
    return found | {record_id: Struck(by_person=True) for (record_id,) in by_staff}


def _mark(connection: Connection, what: str, kits: Iterable[str]) -> None:
    for some in in_slices(sorted(kits), lambda some: [some]):
        connection.execute(update(KITS).where(KITS.c.kit_id.in_(some)).values({what: True}))


def _is_unsynchronised(judged: Accepted) -> bool:
    return judged.envelope.clock == "unsynchronised" and judged.envelope.kind is not Kind.HEALTH


def _source(judged: Accepted, clinic_id: UUID) -> Source:
    envelope = judged.envelope
    return Source(
        envelope.record_id,
        clinic_id,
        envelope.kit_id,
        envelope.boot_id,
        envelope.monotonic_ns,
        judged.captured_utc,
        judged.received_at,
        envelope.clock,
        judged.payload,
    )


def _stored(connection: Connection, which: ColumnElement[bool]) -> Iterator[Source]:
    """Read records as the derivation needs them.

    Raises:
        StoreError: a payload that was taken in and that this software cannot read any more.
    """
    for row in connection.execute(select(RECORDS).where(which)).mappings():
        envelope = Envelope(**{name: row[name] for name in Envelope.model_fields})
        try:
            payload = read_payload(envelope)
        except MessageError as error:
            raise StoreError(
                f"record {envelope.record_id} of kit {envelope.kit_id} cannot be read by this gonio: {error}"
            ) from error
        yield Source(
            envelope.record_id,
            row["clinic_id"],
            envelope.kit_id,
            envelope.boot_id,
            envelope.monotonic_ns,
            row["captured_utc"],
            row["received_at"],
            envelope.clock,
            payload,
        )
