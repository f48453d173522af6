"""What cannot be accepted is kept aside, once each, with its reason and how often it came."""

import hashlib
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, select

from gonio.cloud_sink.alarm import Alarm
from gonio.cloud_sink.audit_log import Action, Entry, append
from gonio.cloud_sink.bulk import Row, in_slices, insert_rows
from gonio.cloud_sink.judge import Refused
from gonio.cloud_sink.model import QUARANTINE_BYTES
from gonio.cloud_sink.schema import HOME_CLINIC, QUARANTINE
from gonio.messages import new_record_id

#: A repeated refusal is counted, not kept again.
_COUNT_AGAIN: Final = """ON CONFLICT (topic_kit, content_hash) DO UPDATE SET
    times = quarantine.times + excluded.times,
    last_received_at = CASE WHEN excluded.last_received_at > quarantine.last_received_at
        THEN excluded.last_received_at ELSE quarantine.last_received_at END"""


class Quarantine:
    """The refusals of one transaction."""

    def __init__(self) -> None:
        self._rows: dict[tuple[str, bytes], Row] = {}
        self._alarms: dict[tuple[str, bytes], Alarm] = {}

    def add(self, kit: str | None, refused: Refused, received_at: datetime) -> None:
        """Add one refusal; ``kit`` is that of its topic, None where that was no kit's."""
        digest = hashlib.sha256(refused.content).digest()
        key = (kit or "", digest)
        if refused.alarm is not None:
            self._alarms[key] = refused.alarm
        if key not in self._rows:
            self._rows[key] = {
                "quarantine_id": new_record_id(),
                "topic_kit": kit or "",
                "record_id": refused.record_id,
                "outbox_id": refused.outbox_id,
                "sequence": refused.sequence,
                "reason": refused.reason,
                "content": refused.content[:QUARANTINE_BYTES],
                "content_bytes": len(refused.content),
                "content_hash": digest,
                "first_received_at": received_at,
                "times": 0,
            }
        self._rows[key] |= {"last_received_at": received_at, "times": self._rows[key]["times"] + 1}

    def write(self, connection: Connection, clinic_of: Mapping[str, Any]) -> None:
        """Write what was added, and into the audit log each alarm that is not a repeated one.

        A kit that is not in ``clinic_of`` is the home clinic's.
        """
        rows = [
            row | {"clinic_id": clinic_of.get(row["topic_kit"], HOME_CLINIC)} for _, row in sorted(self._rows.items())
        ]
        insert_rows(connection, QUARANTINE, rows, _COUNT_AGAIN)
        if self._alarms:
            made = {row["quarantine_id"]: row for row in rows if _key(row) in self._alarms}
            column = QUARANTINE.c.quarantine_id
            new = in_slices(  # of a repeated refusal the first one's row stays, under its id
                list(made), lambda ids: connection.execute(select(column).where(column.in_(ids))).scalars()
            )
            append(connection, [_entry(made[key], self._alarms[_key(made[key])]) for key in sorted(new)])


def _key(row: Row) -> tuple[str, bytes]:
    return row["topic_kit"], row["content_hash"]


def _entry(row: Row, alarm: Alarm) -> Entry:
    return Entry(
        row["clinic_id"],
        "system:intake",
        Action.ALARM,
        "kit",
        row["topic_kit"],
        reason=row["reason"],
        detail={
            "alarm": alarm.value,
            "quarantine_id": str(row["quarantine_id"]),
            "record_id": str(row["record_id"]),
            "outbox_id": str(row["outbox_id"]),
            "sequence": row["sequence"],
        },
    )
