"""How each kit is doing: of its ``health`` reports the book keeps the newest."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from sqlalchemy import Connection, select

from gonio.cloud_sink.bulk import Row, in_slices, insert_rows
from gonio.cloud_sink.judge import Accepted
from gonio.cloud_sink.schema import KIT_HEALTH
from gonio.messages import AckStatus

#: As ``_is_newer``, by the database: another worker may have written since this one looked.
_REPLACE_OLDER: Final = (
    "ON CONFLICT (kit_id) DO UPDATE SET "
    + ", ".join(f"{c.name} = excluded.{c.name}" for c in KIT_HEALTH.columns if not c.primary_key)
    + """ WHERE CASE WHEN excluded.boot_id = kit_health.boot_id
    THEN excluded.monotonic_ns > kit_health.monotonic_ns
    ELSE (excluded.as_of, excluded.record_id) > (kit_health.as_of, kit_health.record_id) END"""
)


class NewestHealth:
    """The reports of one transaction, held against those in the book."""

    def __init__(self, connection: Connection, reports: Sequence[Accepted]) -> None:
        """Look up what the book has of the kits that report."""
        found = in_slices(
            sorted({report.envelope.kit_id for report in reports}),
            lambda ids: connection.execute(select(KIT_HEALTH).where(KIT_HEALTH.c.kit_id.in_(ids))).mappings(),
        )
        self._known: dict[str, Row] = {row["kit_id"]: dict(row) for row in found}
        self._newer: dict[str, Row] = {}

    def may_be_first(self, reports: Sequence[Accepted]) -> list[Accepted]:
        """Give the reports of a right clock that may be the first such of their boot: none in the usual course."""
        return [report for report in reports if report.envelope.clock == "synchronised" and not self._is_later(report)]

    def _is_later(self, report: Accepted) -> bool:
        """Tell whether the report in the book is of the same boot, before this one, and of a right clock too."""
        known = self._known.get(report.envelope.kit_id)
        return (
            known is not None
            and known["clock"] == "synchronised"
            and known["boot_id"] == report.envelope.boot_id
            and known["monotonic_ns"] < report.envelope.monotonic_ns
        )

    def take(self, judged: Accepted) -> AckStatus:
        """Take one report; ``REPEATED`` says that a newer one was there."""
        row = _row(judged)
        kit = row["kit_id"]
        if kit in self._known and not _is_newer(row, self._known[kit]):
            return AckStatus.REPEATED
        self._known[kit] = self._newer[kit] = row
        return AckStatus.STORED

    def write(self, connection: Connection, clinic_of: Mapping[str, Any]) -> None:
        """Write what is newer."""
        rows = [self._newer[kit] | {"clinic_id": clinic_of[kit]} for kit in sorted(self._newer)]
        insert_rows(connection, KIT_HEALTH, rows, _REPLACE_OLDER)


def _row(judged: Accepted) -> Row:
    envelope = judged.envelope
    synchronised = envelope.clock == "synchronised"
    return {
        "kit_id": envelope.kit_id,
        "record_id": envelope.record_id,
        "as_of": min(judged.captured_utc, judged.received_at) if synchronised else judged.received_at,
        "received_at": judged.received_at,
        "boot_id": envelope.boot_id,
        "monotonic_ns": envelope.monotonic_ns,
        "captured_at": envelope.captured_at,
        "clock": envelope.clock,
        "payload": envelope.payload,
    }


def _is_newer(row: Row, other: Row) -> bool:
    """Compare two health records of a kit: within one boot its monotonic clock knows, else the time of capture."""
    if row["boot_id"] == other["boot_id"]:
        return bool(row["monotonic_ns"] > other["monotonic_ns"])
    return bool((row["as_of"], row["record_id"]) > (other["as_of"], other["record_id"]))
