"""Asking kits again for what the book lacks though they say that it was acknowledged.

A kit lets go of a record when the clinic's word on it comes, and that word is given only after a commit. Where the
book lacks such a record nevertheless, the book is not the one that committed it: it was restored from an older copy.
A kit's health report (schema version 2) says up to which number everything of its outbox was answered; what is
missing below it and is not in the quarantine is asked for by a ``resend`` command, again and again with growing waits.

Nothing has to be waited for before a gap is believed: what a kit says was acknowledged was committed before it said
so, and this looks at the book after.
"""

import json
import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from pydantic import ValidationError
from sqlalchemy import Connection, delete, func, select

from gonio.cloud_sink import down
from gonio.cloud_sink.bulk import in_slices, insert_rows
from gonio.cloud_sink.kits import lock_kits
from gonio.cloud_sink.schema import KIT_HEALTH, QUARANTINE
from gonio.cloud_sink.schema_down import RECALLS
from gonio.cloud_sink.schema_places import RECORD_PLACES
from gonio.messages import HealthReport, Resend

#: The wait after the first asking; each further one is three times as long, up to the longest.
FIRST_WAIT: Final = timedelta(minutes=10)
LONGEST_WAIT: Final = timedelta(days=7)
#: Ranges asked for at once: what lies between the last of them is asked for too, a record too many does no harm.
MAX_RANGES: Final = 16
_ACTOR: Final = "system:recall"
_REPLACE: Final = (
    "ON CONFLICT (kit_id, outbox_id) DO UPDATE SET "
    "ranges = excluded.ranges, times = excluded.times, next_at = excluded.next_at"
)

#: First and last number, both inclusive.
Range = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Answered:
    """Of an outbox everything up to ``last`` was answered, says its kit, but for what it lost itself."""

    outbox_id: UUID
    last: int
    lost: tuple[Range, ...] = ()


def answered(report: HealthReport) -> Iterator[Answered]:
    """Read from a health report up to where each outbox was answered; nothing from one of schema version 1."""
    if report.outbox_id is not None and report.last_sequence is not None:
        waiting = report.oldest_pending
        yield Answered(report.outbox_id, report.last_sequence if waiting is None else waiting - 1)
    if report.pending == 0:  # else what waits may be of an outbox that was set aside
        for ended in report.ended:
            yield Answered(ended.outbox_id, ended.last_sequence, ended.lost)


def lacking(connection: Connection, kit_id: str, outbox: Answered) -> list[Range]:
    """Give what the book lacks of what a kit says was answered, in order; nothing is listed one by one.

    What retention removed is not lacking: its place stays known.
    """
    columns = RECORD_PLACES.c
    mine = (columns.outbox_id == outbox.outbox_id, columns.kit_id == kit_id, columns.sequence <= outbox.last)
    there = connection.execute(select(func.count()).select_from(RECORD_PLACES).where(*mine)).scalar_one()
    if there >= outbox.last:
        return []
    before = func.coalesce(func.lag(columns.sequence).over(order_by=columns.sequence), 0)
    steps = select(columns.sequence, before.label("before")).where(*mine).subquery()
    rows = connection.execute(
        select(steps.c.before, steps.c.sequence).where(steps.c.sequence > steps.c.before + 1).order_by(steps.c.sequence)
    ).all()
    gaps = [(first + 1, last - 1) for first, last in rows]
    last = connection.execute(select(func.max(columns.sequence)).where(*mine)).scalar_one() or 0
    if last < outbox.last:
        gaps.append((last + 1, outbox.last))
    refused = connection.execute(
        select(QUARANTINE.c.sequence).where(
            QUARANTINE.c.topic_kit == kit_id,
            QUARANTINE.c.outbox_id == outbox.outbox_id,
            QUARANTINE.c.sequence.is_not(None),
        )
    ).scalars()
    return without(gaps, [*outbox.lost, *((number, number) for number in refused)])


def without(ranges: Iterable[Range], taken: Iterable[Range]) -> list[Range]:
    """Take ranges away from others; both are inclusive, the first are in order and apart."""
    left = list(ranges)
    for first, last in sorted(taken):
        cut: list[Range] = []
        for begin, end in left:
            if last < begin or end < first:
                cut.append((begin, end))
                continue
            if begin < first:
                cut.append((begin, first - 1))
            if last < end:
                cut.append((last + 1, end))
        left = cut
    return left


def recall(connection: Connection, kit_id: str, now: datetime, rng: random.Random) -> int:
    """Ask a kit for what the book lacks of it, if it is time to; forget what is there again.

    Args:
        connection: within a transaction that writes.
        kit_id: the kit whose newest health report is looked at.
        now: the moment, aware.
        rng: for the waits.

    Returns:
        How many ranges were asked for.
    """
    asked = 0
    for outbox, ranges in _found(connection, kit_id):
        clinic_id = lock_kits(connection, [kit_id], to_change=False)[kit_id]
        mine = (RECALLS.c.kit_id == kit_id, RECALLS.c.outbox_id == outbox.outbox_id)
        known = connection.execute(select(RECALLS.c.times, RECALLS.c.next_at).where(*mine).with_for_update()).first()
        if not ranges:
            connection.execute(delete(RECALLS).where(*mine))
            continue
        if known is not None and known.next_at > now:
            continue
        times = 0 if known is None else known.times
        chosen = _bounded(ranges)
        for first, last in chosen:
            command = Resend(do="resend", outbox_id=outbox.outbox_id, first=first, last=last)
            down.queue(connection, kit_id, command, actor=_ACTOR, now=now)
        row = {
            "kit_id": kit_id,
            "outbox_id": outbox.outbox_id,
            "clinic_id": clinic_id,
            "ranges": json.dumps(chosen),
            "times": times + 1,
            "next_at": now + min(LONGEST_WAIT, FIRST_WAIT * 3 ** min(times, 10)) * rng.uniform(1.0, 1.5),
        }
        insert_rows(connection, RECALLS, [row], _REPLACE)
        asked += len(chosen)
    return asked


def to_recall(connection: Connection, kits: Sequence[str]) -> list[str]:
    """Tell of which kits something lacks or was lacking, without changing anything."""
    known = set(
        in_slices(
            kits, lambda ids: connection.execute(select(RECALLS.c.kit_id).where(RECALLS.c.kit_id.in_(ids))).scalars()
        )
    )
    return [kit for kit in kits if kit in known or any(ranges for _, ranges in _found(connection, kit))]


def _found(connection: Connection, kit_id: str) -> Iterator[tuple[Answered, list[Range]]]:
    payload = connection.execute(select(KIT_HEALTH.c.payload).where(KIT_HEALTH.c.kit_id == kit_id)).scalar()
    if payload is None:
        return
    try:
        report = HealthReport.model_validate_json(payload)
    except ValidationError:  # of a newer version, kept by a newer worker
        return
    for outbox in answered(report):
        yield outbox, lacking(connection, kit_id, outbox)


def _bounded(ranges: Sequence[Range]) -> list[Range]:
    """Ask for no more than MAX_RANGES: the last of them spans all that remain."""
    if len(ranges) <= MAX_RANGES:
        return list(ranges)
    return [*ranges[: MAX_RANGES - 1], (ranges[MAX_RANGES - 1][0], ranges[-1][1])]
