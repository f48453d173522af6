"""The list of patients: who was active last, with what, and how far it can be trusted."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from gonio.cloud_sink.model import PatientRow
from gonio.cloud_sink.review.book import Book
from gonio.cloud_sink.review.rows import SessionLine, session_line
from gonio.cloud_sink.review.zone import PatientZone
from gonio.web.words import UNKNOWN, age, brief_day, clock, number

#: Patients whose newest session is read for the list; the others show when it was and open as well.
NEWEST_FOR: Final = 200


@dataclass(frozen=True, slots=True)
class PatientLine:
    """A patient in the list; the newest session's time stands in the patient's own time zone."""

    address: str
    name: str
    sessions: str
    last_day: str
    last_age: str
    newest: SessionLine | None


@dataclass(frozen=True, slots=True)
class PatientsView:
    """The whole list, and the sources of what is shown in it."""

    patients: tuple[PatientLine, ...]
    sources: frozenset[str]


def view_patients(book: Book, now: datetime) -> PatientsView:
    """Read the list, most recently active first, those without a session at its end by name."""
    rows = sorted(book.patients(), key=_order)
    lines, sources = [], set[str]()
    for position, row in enumerate(rows):
        newest = book.sessions(row.patient_id, limit=1) if row.sessions and position < NEWEST_FOR else []
        sources.update(session.summary.source for session in newest)
        zone = PatientZone(row.time_zone)
        lines.append(_line(row, [session_line(session, zone) for session in newest], zone, now))
    return PatientsView(tuple(lines), frozenset(sources))


def _order(row: PatientRow) -> tuple[bool, float, str]:
    last = row.last_session_at
    return (last is None, -last.timestamp() if last else 0.0, row.name.casefold())


def _line(row: PatientRow, newest: Sequence[SessionLine], zone: PatientZone, now: datetime) -> PatientLine:
    last = row.last_session_at
    local = zone.local(last) if last else None
    return PatientLine(
        address=f"/patients/{row.patient_id}",
        name=row.name,
        sessions=number(row.sessions),
        last_day=f"{brief_day(local)}, {clock(local)}" if local else UNKNOWN,
        last_age=age(last, now) if last else "no session yet",
        newest=newest[0] if newest else None,
    )
