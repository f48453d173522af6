"""Rows of the derived tables from one record and what the book says around it: pure, so that they can be made again."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, NamedTuple
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy import Table

from gonio.cloud_sink.bulk import Row
from gonio.cloud_sink.clock_repair import Repair
from gonio.cloud_sink.schema import DAY_ENTRIES, SESSIONS
from gonio.cloud_sink.schema_down import DOWN_RECEIPTS
from gonio.cloud_sink.schema_kinds import CHECK_INS, CLOCK_REPAIRS, DERIVED, PATIENT_MESSAGES, PREFERENCES, VOIDS
from gonio.messages import CheckIn, Kind, PatientMessage, Payload, Preference, Receipt, SessionSummary, VoidReport

#: Derived tables whose rows follow from one record; ``clock_repairs`` follow from several.
OF_A_RECORD: Final = tuple(table for table in DERIVED if table is not CLOCK_REPAIRS)


@dataclass(frozen=True, slots=True)
class Binding:
    """Who had a kit from ``bound_from`` (inclusive) to ``bound_to`` (exclusive, None is still), in which time zone."""

    patient_id: UUID
    time_zone: str
    bound_from: datetime
    bound_to: datetime | None


class Source(NamedTuple):
    """A record in the book as the derivation needs it; ``clock`` and ``captured_utc`` are as sent."""

    record_id: UUID
    clinic_id: UUID
    kit_id: str
    boot_id: UUID
    monotonic_ns: int
    captured_utc: datetime
    received_at: datetime
    clock: str
    payload: Payload


@dataclass(frozen=True, slots=True)
class Struck:
    """Voids of one record, as far as they matter: whether a person said so, or simulators only."""

    by_person: bool


@dataclass(frozen=True, slots=True)
class Derived:
    """Rows to insert, by table."""

    rows: dict[Table, list[Row]] = field(default_factory=lambda: {table: [] for table in OF_A_RECORD})


def whose(at: datetime, clock: str, received_at: datetime, bindings: Sequence[Binding]) -> Binding | None:
    """Find the binding in force when a record was captured, or None.

    A clock that was not synchronised cannot say when that was. Such a record belongs to a patient only where there
    is no choice: the kit had been bound to that one patient and to no other before the record arrived. Otherwise it
    stays without a patient rather than on a wrong patient's page.

    Args:
        at: the moment in force: as captured, or as repaired.
        clock: ``synchronised``, ``repaired`` or ``unsynchronised``.
        received_at: when the record arrived.
        bindings: of its kit, in order of time.
    """
    if clock != "unsynchronised":
        for binding in bindings:
            if binding.bound_from <= at and (binding.bound_to is None or at < binding.bound_to):
                return binding
        return None
    possible = [b for b in bindings if b.bound_from <= received_at]
    return possible[0] if len({b.patient_id for b in possible}) == 1 else None


def derive(
    source: Source,
    bindings: Sequence[Binding],
    into: Derived,
    *,
    found: Repair | None = None,
    struck: Struck | None = None,
) -> None:
    """Add the rows that follow from one record.

    Args:
        source: the record.
        bindings: of its kit, in order of time.
        into: where the rows go.
        found: what is known of its true moment, where its clock was not synchronised.
        struck: what voids it, if anything does: what a simulator voids is struck out only if it is simulated itself.
    """
    at, clock = source.captured_utc, source.clock
    if found is not None and found.at is not None:
        at, clock = found.at, "repaired"
    binding = whose(at, clock, source.received_at, bindings)
    patient_id = binding.patient_id if binding else None
    head: Row = {"record_id": source.record_id, "clinic_id": source.clinic_id, "kit_id": source.kit_id}
    placed: Row = {**head, "at": at, "clock": clock}
    match source.payload:
        case SessionSummary() | CheckIn() as told:
            voided = struck is not None and (struck.by_person or told.simulated)
            if isinstance(told, SessionSummary):
                kind, table, row = (
                    Kind.SESSION.value,
                    SESSIONS,
                    {**head, **_session(told), "started_at": at, "clock": clock},
                )
            else:
                kind, table, row = Kind.CHECK_IN.value, CHECK_INS, {**placed, **_check_in(told)}
            row["patient_id"] = patient_id
            row["voided"] = voided
            into.rows[table].append(row)
            if binding is not None and not voided:
                into.rows[DAY_ENTRIES].append(
                    {
                        **head,
                        "patient_id": patient_id,
                        "local_date": at.astimezone(ZoneInfo(binding.time_zone)).date(),
                        "kind": kind,
                        "source": _source(told),
                        "clock": clock,
                        "counts": kind == Kind.SESSION and not told.simulated and clock != "unsynchronised",
                        "received_at": source.received_at,
                    }
                )
        case VoidReport() as told:
            row = placed | _fields(told, "said_by", "author", "reason")
            into.rows[VOIDS].append(row | {"target": told.record_id})
        case PatientMessage() as told:
            row = placed | _fields(told, "said_by", "author", "answers", "about", "ask")
            into.rows[PATIENT_MESSAGES].append(row | {"patient_id": patient_id})
        case Preference():
            into.rows[PREFERENCES].append(placed | {"patient_id": patient_id})
        case Receipt() as told:
            row = head | _fields(told, "of", "status", "reason") | {"of_kind": told.of_kind.value}
            into.rows[DOWN_RECEIPTS].append(row | {"at": at, "received_at": source.received_at})


def _source(told: SessionSummary | CheckIn) -> str:
    if isinstance(told, SessionSummary):
        return told.source
    return "simulated" if told.simulated else "self-report"


def _session(told: SessionSummary) -> Row:
    return {
        "sitting_id": told.sitting_id,
        "exercise": told.exercise,
        "side": told.side,
        "source": told.source,
        "duration_s": told.duration_s,
        "interrupted": told.interrupted,
        "rep_count": len(told.reps),
        "max_flexion_deg": told.max_flexion_deg,
        "min_flexion_deg": told.min_flexion_deg,
        "ok_fraction": told.ok_fraction,
    }


def _check_in(told: CheckIn) -> Row:
    names = ("said_by", "author", "about", "follows", "sitting_id", "effort", "stop_reason", "urgent")
    return _fields(told, *names, "pain_before", "pain_during", "pain_after")


def _fields(told: Payload, *names: str) -> Row:
    return {name: getattr(told, name) for name in names}
