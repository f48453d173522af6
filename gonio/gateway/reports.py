"""What people tell, and what the kit answers to its clinic, as records for the outbox.

Everything told by a person goes the same way as a session; none of it was measured, and its schema says so for ever.
"""

from typing import Final, TypeAlias
from uuid import UUID

from gonio.gateway.records import Capture, Draft, Priority
from gonio.messages import (
    CheckIn,
    Kind,
    PatientMessage,
    Preference,
    Receipt,
    VoidReport,
    new_record_id,
    payload_text,
)

Report: TypeAlias = CheckIn | VoidReport | PatientMessage | Preference | Receipt

_KINDS: Final[dict[type[Report], Kind]] = {
    CheckIn: Kind.CHECK_IN,
    VoidReport: Kind.VOID,
    PatientMessage: Kind.MESSAGE,
    Preference: Kind.PREFERENCE,
    Receipt: Kind.RECEIPT,
}


def report_draft(report: Report, capture: Capture, record_id: UUID | None = None) -> Draft:
    """Make the record of a report; commit it with ``KitStore.commit``.

    Severe pain or a red flag goes to the clinic before everything else that waits; so does what the patient prefers,
    which must reach the clinic also where the patient wants nothing else to be sent.

    Args:
        report: what is told.
        capture: the moment it was told.
        record_id: its id, where it was made before: a form that is sent twice is one record. None for a new one.
    """
    urgent = isinstance(report, Preference) or (isinstance(report, CheckIn) and report.urgent)
    return Draft(
        record_id=record_id or new_record_id(),
        kind=_KINDS[type(report)],
        capture=capture,
        schema_version=report.SCHEMA_VERSION,
        payload=payload_text(report),
        priority=Priority.URGENT if urgent else Priority.USUAL,
    )
