"""Management time: the union of what therapists and assistants did, less the patient's visits, second by second.

Intervals are half-open; those of no length are ignored. Two people at once count once; such time is the therapist's.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from operator import itemgetter
from zoneinfo import ZoneInfo

from gonio.cloud_sink.billing.case import ASSISTANTS, THERAPISTS, Interval

Span = tuple[datetime, datetime]


@dataclass(slots=True)
class Month:
    """What counts of a calendar month of the clinic.

    Attributes:
        time: counted, exact.
        assistants: that of it in which assistants worked alone.
        contacts: answered calls by phone or video.
        last: the date of the last counted moment.
    """

    time: timedelta = timedelta()
    assistants: timedelta = timedelta()
    contacts: int = 0
    last: date = date.min

    @property
    def minutes(self) -> int:
        """Whole minutes, floored once."""
        return self.time // timedelta(minutes=1)

    @property
    def by_assistants(self) -> bool:
        """Whether assistants' share is strictly above a tenth."""
        return self.assistants * 10 > self.time


def months(
    intervals: Sequence[Interval], zone: ZoneInfo, counts: Callable[[date], bool]
) -> dict[tuple[int, int], Month]:
    """Count by month.

    Args:
        intervals: of all kinds.
        zone: the clinic's.
        counts: whether time of a date (the clinic's) counts.

    Returns:
        Months with counted time, by year and month.
    """
    visits = union((one.start, one.end) for one in intervals if one.kind == "visit")
    worked = [one for one in intervals if one.kind != "visit" and one.credential in THERAPISTS | ASSISTANTS]
    by_therapists = subtract(union((w.start, w.end) for w in worked if w.credential in THERAPISTS), visits)
    by_anybody = subtract(union((w.start, w.end) for w in worked), visits)
    alone = subtract(by_anybody, by_therapists)
    found: dict[tuple[int, int], Month] = {}
    for day, first, last in _by_day(by_anybody, zone):
        if counts(day):
            month = found.setdefault((day.year, day.month), Month())
            month.time += last - first
            month.last = max(month.last, day)
    for day, first, last in _by_day(alone, zone):
        if counts(day):
            found[day.year, day.month].assistants += last - first
    for call in worked:
        day = call.start.astimezone(zone).date()
        if _is_contact(call, visits) and counts(day) and (day.year, day.month) in found:
            found[day.year, day.month].contacts += 1
    return found


def union(spans: Iterable[Span]) -> list[Span]:
    """Give what is covered by any of some spans, in order, without overlap; times in UTC."""
    merged: list[Span] = []
    for first, last in sorted((a.astimezone(UTC), b.astimezone(UTC)) for a, b in spans if a < b):
        if merged and first <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], last))
        else:
            merged.append((first, last))
    return merged


def subtract(spans: Sequence[Span], taken: Sequence[Span]) -> list[Span]:
    """Give what of some spans is in none of others; both in order and without overlap."""
    left: list[Span] = []
    at = 0
    for first, last in spans:
        while at < len(taken) and taken[at][1] <= first:
            at += 1
        begin, number = first, at
        while number < len(taken) and taken[number][0] < last:
            a, b = taken[number]
            if begin < a:
                left.append((begin, a))
            begin = max(begin, b)
            number += 1
        if begin < last:
            left.append((begin, last))
    return left


def _is_contact(call: Interval, visits: Sequence[Span]) -> bool:
    return (
        call.kind == "call"
        and call.mode in {"phone", "video"}
        and call.with_ in {"patient", "caregiver"}
        and call.answered is True
        and call.start < call.end
        and not _overlaps(call, visits)
    )


def _overlaps(call: Interval, visits: Sequence[Span]) -> bool:
    """Tell whether a call has a moment in common with visits, which are in order and without overlap."""
    next_after = bisect_left(visits, call.end, key=itemgetter(0))
    return next_after > 0 and visits[next_after - 1][1] > call.start


def _by_day(spans: Iterable[Span], zone: ZoneInfo) -> Iterable[tuple[date, datetime, datetime]]:
    """Cut spans at the clinic's midnights."""
    for first, last in spans:
        begin = first
        while begin < last:
            day = begin.astimezone(zone).date()
            midnight = datetime.combine(day + timedelta(days=1), time(), tzinfo=zone).astimezone(UTC)
            end = min(last, midnight)
            yield day, begin, end
            begin = end
