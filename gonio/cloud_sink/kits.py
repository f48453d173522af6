"""Kits as a transaction that writes needs them: locked, known, and with who has them."""

from collections.abc import Container, Sequence
from datetime import datetime
from itertools import groupby
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import Connection, select

from gonio.cloud_sink.bulk import ON_CONFLICT_SKIP, in_slices, insert_rows
from gonio.cloud_sink.derive import Binding
from gonio.cloud_sink.schema import HOME_CLINIC, KIT_BINDINGS, KITS, PATIENTS


class KnownKit(NamedTuple):
    """What a kit's row says of how its records are to be taken in."""

    clinic_id: UUID
    has_voids: bool
    has_unsynchronised: bool


def lock_kits(connection: Connection, kits: Sequence[str], *, to_change: bool) -> dict[str, Any]:
    """Hold kits' rows until the transaction ends, and give each one's clinic; SQLite's one writer needs no more.

    Args:
        connection: within a transaction that writes.
        kits: their ids, sorted.
        to_change: to change who has them, or what derives from records already in the book, which nobody may meanwhile
            read or add to; else to read that and to add.
    """
    return {kit_id: kit.clinic_id for kit_id, kit in _lock(connection, kits, to_change=to_change).items()}


def know_kits(
    connection: Connection, kits: Sequence[str], new: dict[str, datetime], alone: set[str]
) -> dict[str, KnownKit]:
    """Lock the kits of a batch and enter those that nobody has entered: their records wait for a patient, unlost.

    Args:
        connection: within a transaction that writes; nothing is locked in it yet.
        kits: those on whose topics something came, sorted.
        new: of those that sent what is to be stored, when that came.
        alone: those that must be held alone, as their records concern others. A kit that has unsynchronised records
            is held alone anyway.

    Returns:
        The kits that are known by now.
    """
    at_once = connection.dialect.name == "sqlite"  # it has one writer: there is nothing to lock
    if not at_once:
        alone = alone | _with_unsynchronised(connection, kits)
    known = _lock_some(connection, kits, () if at_once else alone)
    unknown = sorted(new.keys() - known.keys())
    if unknown:
        rows = [
            {
                "kit_id": kit_id,
                "clinic_id": HOME_CLINIC,
                "label": "",
                "first_seen_at": new[kit_id],
                "has_voids": False,
                "has_unsynchronised": False,
            }
            for kit_id in unknown
        ]
        insert_rows(connection, KITS, rows, ON_CONFLICT_SKIP)
        known |= _lock_some(connection, unknown, () if at_once else alone)
    late = sorted(kit_id for kit_id, kit in known.items() if kit.has_unsynchronised and kit_id not in alone)
    if (
        late and not at_once
    ):  # since it was asked a moment ago: so rare that a deadlock, tried again, is the cheaper way
        known |= _lock(connection, late, to_change=True)
    return known


def bindings_of(connection: Connection, kits: Sequence[str]) -> dict[str, list[Binding]]:
    """Give the bindings of some kits, each kit's in order of time."""
    found: dict[str, list[Binding]] = {}
    rows = in_slices(
        kits,
        lambda ids: connection.execute(
            select(
                KIT_BINDINGS.c.kit_id,
                KIT_BINDINGS.c.patient_id,
                PATIENTS.c.time_zone,
                KIT_BINDINGS.c.bound_from,
                KIT_BINDINGS.c.bound_to,
            )
            .join(PATIENTS, PATIENTS.c.patient_id == KIT_BINDINGS.c.patient_id)
            .where(KIT_BINDINGS.c.kit_id.in_(ids))
            .order_by(KIT_BINDINGS.c.bound_from)
        ),
    )
    for kit_id, patient_id, time_zone, bound_from, bound_to in rows:
        found.setdefault(kit_id, []).append(Binding(patient_id, time_zone, bound_from, bound_to))
    return found


def _with_unsynchronised(connection: Connection, kits: Sequence[str]) -> set[str]:
    columns = KITS.c
    found = in_slices(
        kits,
        lambda ids: connection.execute(
            select(columns.kit_id).where(columns.kit_id.in_(ids), columns.has_unsynchronised)
        ),
    )
    return {kit_id for (kit_id,) in found}


def _lock_some(connection: Connection, kits: Sequence[str], alone: Container[str]) -> dict[str, KnownKit]:
    """Lock kits in their order, whichever way each one is to be held."""
    known: dict[str, KnownKit] = {}
    for to_change, some in groupby(kits, alone.__contains__):
        known |= _lock(connection, list(some), to_change=to_change)
    return known


def _lock(connection: Connection, kits: Sequence[str], *, to_change: bool) -> dict[str, KnownKit]:
    columns = KITS.c
    found = in_slices(
        kits,
        lambda ids: connection.execute(
            select(columns.kit_id, columns.clinic_id, columns.has_voids, columns.has_unsynchronised)
            .where(columns.kit_id.in_(ids))
            .order_by(columns.kit_id)
            .with_for_update(read=not to_change, key_share=not to_change)
        ),
    )
    return {kit_id: KnownKit(*rest) for kit_id, *rest in found}
