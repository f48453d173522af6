"""Rows of the derived tables from one record and its kit's bindings: pure, so that they can be made again."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy import Table

from gonio.cloud_sink.bulk import Row
from gonio.cloud_sink.schema import DAY_ENTRIES, DERIVED, SESSIONS
from gonio.messages import Kind, SessionSummary


@dataclass(frozen=True, slots=True)
class Binding:
    """Who had a kit from ``bound_from`` (inclusive) to ``bound_to`` (exclusive, None is still), in which time zone."""

    patient_id: UUID
    time_zone: str
    bound_from: datetime
    bound_to: datetime | None


@dataclass(frozen=True, slots=True)
class Source:
    """What of a record the derivation needs."""

    record_id: UUID
    clinic_id: UUID
    kit_id: str
    kind: str
    captured_utc: datetime
    received_at: datetime
    clock: str
    summary: SessionSummary | None


@dataclass(frozen=True, slots=True)
class Derived:
    """Rows to insert, by table."""

    rows: dict[Table, list[Row]] = field(default_factory=lambda: {table: [] for table in DERIVED})


def whose(source: Source, bindings: Sequence[Binding]) -> Binding | None:
    """Find the binding in force when a record was captured, or None.

    A clock that was not synchronised cannot say when that was. Such a record belongs to a patient only where there
    is no choice: the kit had been bound to that one patient and to no other before the record arrived. Otherwise it
    stays without a patient rather than on a wrong patient's page.
    """
    if source.clock == "synchronised":
        for binding in bindings:
            if binding.bound_from <= source.captured_utc and (
                binding.bound_to is None or source.captured_utc < binding.bound_to
            ):
                return binding
        return None
    possible = [b for b in bindings if b.bound_from <= source.received_at]
    return possible[0] if len({b.patient_id for b in possible}) == 1 else None


def derive(source: Source, bindings: Sequence[Binding], into: Derived) -> None:
    """Add the rows that follow from one record."""
    binding = whose(source, bindings)
    if source.summary is not None:
        into.rows[SESSIONS].append(_session(source, source.summary, binding))
    if binding is not None and source.kind in {Kind.SESSION, Kind.CHECK_IN}:
        into.rows[DAY_ENTRIES].append(
            {
                "record_id": source.record_id,
                "clinic_id": source.clinic_id,
                "patient_id": binding.patient_id,
                "kit_id": source.kit_id,
                "local_date": source.captured_utc.astimezone(ZoneInfo(binding.time_zone)).date(),
                "kind": source.kind,
                "source": source.summary.source if source.summary else "self-report",
                "clock": source.clock,
                "received_at": source.received_at,
            }
        )


def _session(source: Source, summary: SessionSummary, binding: Binding | None) -> Row:
    return {
        "record_id": source.record_id,
        "clinic_id": source.clinic_id,
        "kit_id": source.kit_id,
        "patient_id": binding.patient_id if binding else None,
        "sitting_id": summary.sitting_id,
        "exercise": summary.exercise,
        "side": summary.side,
        "source": summary.source,
        "started_at": source.captured_utc,
        "duration_s": summary.duration_s,
        "interrupted": summary.interrupted,
        "rep_count": len(summary.reps),
        "max_flexion_deg": summary.max_flexion_deg,
        "min_flexion_deg": summary.min_flexion_deg,
        "ok_fraction": summary.ok_fraction,
    }
