"""Sequences of an outbox that the book does not have, and what is known of each: pure.

A kit numbers its records without a gap, so whatever lacks below the last number that arrived is missing. What lies
above it the kit itself tells in its health report: the last number it gave, and the smallest one that still waits. A
number below that one was acknowledged, so the clinic had it: if it is not in the book now, the book lost it.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias
from uuid import UUID

from gonio.messages import HealthReport

#: First and last, both included.
Range: TypeAlias = tuple[int, int]


class Standing(StrEnum):
    """What is known of a record that is not in the book."""

    WAITING = "waiting"  # the kit says that it holds it: it will come
    LOST = "lost"  # the kit says that it was acknowledged, and the book lacks it: an alarm
    REFUSED = "refused"  # it stands in the quarantine
    LOST_ON_KIT = "lost-on-kit"  # the kit's outbox was damaged, and it could not be read there
    UNKNOWN = "unknown"  # later ones arrived, and the kit has not said since


@dataclass(frozen=True, slots=True)
class Lack:
    """A stretch of sequences that are not in the book, ``first`` to ``last``, all of one standing."""

    first: int
    last: int
    standing: Standing

    @property
    def count(self) -> int:
        """How many they are."""
        return self.last - self.first + 1


def lacking(
    outbox_id: UUID,
    gaps: Sequence[Range],
    last_here: int,
    report: HealthReport | None,
    refused: Iterable[int],
) -> list[Lack]:
    """Say what of an outbox is not in the book.

    Args:
        outbox_id: the outbox.
        gaps: what lacks below ``last_here``, in order.
        last_here: the last sequence in the book; 0 when there is none.
        report: the kit's newest health report; None when it sent none.
        refused: sequences of this outbox that stand in the quarantine.
    """
    ended = next((e for e in report.ended if e.outbox_id == outbox_id), None) if report else None
    given = last_here
    if report and report.outbox_id == outbox_id:
        given = max(last_here, report.last_sequence or 0)
    elif ended:
        given = max(last_here, ended.last_sequence)
    ranges = [*gaps, (last_here + 1, given)] if given > last_here else list(gaps)
    marks = [(number, number, Standing.REFUSED) for number in sorted(set(refused))]
    if ended:
        marks += [(first, last, Standing.LOST_ON_KIT) for first, last in sorted(ended.lost)]
    marks += _told(outbox_id, report, ended_last=ended.last_sequence if ended else None)
    found: list[Lack] = []
    for first, last in ranges:
        found += _split(first, last, marks)
    return found


def _told(outbox_id: UUID, report: HealthReport | None, *, ended_last: int | None) -> list[tuple[int, int, Standing]]:
    """Give what the report says of stretches of the outbox: waiting, or acknowledged and so lost if not here."""
    if report is None:
        return []
    if report.outbox_id == outbox_id and report.last_sequence is not None:
        oldest = report.oldest_pending
        if oldest is None:
            return [(1, report.last_sequence, Standing.LOST)]
        return [(1, oldest - 1, Standing.LOST), (oldest, report.last_sequence, Standing.WAITING)]
    if ended_last is not None and report.pending == 0:
        return [(1, ended_last, Standing.LOST)]
    return []


def _split(first: int, last: int, marks: Sequence[tuple[int, int, Standing]]) -> list[Lack]:
    """Cut a stretch where its standing changes; of marks that overlap the first one holds."""
    stretches: list[tuple[int, int, Standing | None]] = [(first, last, None)]
    for low, high, standing in marks:
        if low > high:
            continue  # as a kit might send it
        cut: list[tuple[int, int, Standing | None]] = []
        for start, end, known in stretches:
            if known is not None or high < start or low > end:
                cut.append((start, end, known))
                continue
            if start < low:
                cut.append((start, low - 1, None))
            cut.append((max(start, low), min(end, high), standing))
            if end > high:
                cut.append((high + 1, end, None))
        stretches = cut
    return [Lack(start, end, known or Standing.UNKNOWN) for start, end, known in stretches]
