"""True moments of records whose kit's clock was not synchronised: pure.

Within one boot of a kit the monotonic clock runs on whatever the wall clock shows. So where the book has a synchronised
record of the same kit and boot, before or after, an unsynchronised one's true moment is that record's moment plus the
monotonic time between the two. The nearest such record in monotonic time is taken: the quartz runs away least.

Where there is one on either side they must agree, but for the quartz's drift; a wall clock that was stepped between the
two, or a computer that slept (its monotonic clock stood still), makes them disagree, and nobody can say on which side
of the step the record lies. Then it is a *conflict*: the record stays unsynchronised and never counts, and both are
named. So is a moment that cannot be: before EARLIEST, or over a day after the record arrived. What the two neighbours
say is all that decides, so the outcome is the same in whatever order records come.
"""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID

from gonio.cloud_sink.judge import EARLIEST, MAX_AHEAD

#: How far two synchronised records of one boot may disagree at once: what "synchronised" may mean on a poor network.
TOLERANCE_S: Final = 120.0
#: And how much more for each second between them: twice what a plain quartz may be off (50 parts per million).
DRIFT: Final = 1e-4

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_US: Final = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True, order=True)
class Tick:
    """One moment of one boot of a kit: where its monotonic clock stood when its wall clock was right."""

    monotonic_ns: int
    captured_utc: datetime
    record_id: UUID


@dataclass(frozen=True, slots=True)
class Repair:
    """What is known of an unsynchronised record's true moment.

    Attributes:
        at: the true moment, UTC; None in a conflict.
        evidence: the synchronised record that is nearest in monotonic time.
        apart_s: monotonic seconds from it to the record; negative: the record is the earlier one.
        other: the nearest on the other side, where there is one.
        disagree_s: by how much ``other`` disagrees with ``evidence``.
    """

    at: datetime | None
    evidence: UUID
    apart_s: float
    other: UUID | None
    disagree_s: float | None


def repair(monotonic_ns: int, received_at: datetime, ticks: Sequence[Tick]) -> Repair | None:
    """Find the true moment of a record.

    Args:
        monotonic_ns: the kit's monotonic clock at the record's capture.
        received_at: when the record arrived.
        ticks: of the same boot, sorted; the nearest on either side, where there is one, is among them.

    Returns:
        What is known, or None where there is no evidence.
    """
    place = bisect_right(ticks, monotonic_ns, key=lambda tick: tick.monotonic_ns)
    sides = sorted(ticks[max(place - 1, 0) : place + 1], key=lambda tick: abs(tick.monotonic_ns - monotonic_ns))
    if not sides:
        return None
    nearest, other = sides[0], sides[1] if len(sides) > 1 else None
    moment_us = _us(nearest.captured_utc) + (monotonic_ns - nearest.monotonic_ns) // 1000
    disagree_s = None if other is None else abs(_offset_us(nearest) - _offset_us(other)) / 1e6
    agreed = other is None or disagree_s is None or disagree_s <= TOLERANCE_S + DRIFT * _apart_s(nearest, other)
    possible = _us(EARLIEST) <= moment_us <= _us(received_at + MAX_AHEAD)
    return Repair(
        _EPOCH + moment_us * _US if agreed and possible else None,
        nearest.record_id,
        (monotonic_ns - nearest.monotonic_ns) / 1e9,
        None if other is None else other.record_id,
        disagree_s,
    )


def _us(moment: datetime) -> int:
    return (moment - _EPOCH) // _US


def _offset_us(tick: Tick) -> int:
    """Give the wall clock's lead over the monotonic clock, in whole microseconds."""
    return _us(tick.captured_utc) - tick.monotonic_ns // 1000


def _apart_s(one: Tick, other: Tick) -> float:
    return abs(one.monotonic_ns - other.monotonic_ns) / 1e9
