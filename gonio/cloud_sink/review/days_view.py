"""The list of patients as a biller needs it: who has how many days with data, and nothing of what they did."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from gonio.cloud_sink.review.book import ClinicBook

WINDOW = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class DaysLine:
    """A patient and the data days of the last 30 days."""

    name: str
    days: int


@dataclass(frozen=True, slots=True)
class DaysView:
    """All patients, by name, and the dates between which days were counted, inclusive."""

    patients: tuple[DaysLine, ...]
    first: str
    last: str


def view_days(book: ClinicBook, now: datetime) -> DaysView:
    """Read the list."""
    last = now.date()
    first = last - WINDOW + timedelta(days=1)
    days = book.data_days(first, last)
    rows = sorted(book.patients(), key=lambda row: row.name.casefold())
    lines = tuple(DaysLine(row.name, days.get(row.patient_id, 0)) for row in rows)
    return DaysView(lines, f"{first.day} {first:%b %Y}", f"{last.day} {last:%b %Y}")
