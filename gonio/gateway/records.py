"""The values that a kit keeps: drafts of records, sessions in the journal, paired sensors, the outbox's state."""

import uuid
from dataclasses import dataclass
from enum import IntEnum
from typing import Literal

from gonio.messages import Kind, RepReport
from gonio.signal.consts import Segment


@dataclass(frozen=True, slots=True)
class Capture:
    """When a record was captured, and the evidence to repair a clock that was wrong.

    Attributes:
        boot_id: which run of the kit's monotonic clock this is.
        monotonic_ns: that clock at the capture.
        captured_at: wall time with UTC offset, as ``messages.wire_time`` writes it.
        clock: whether the wall clock was synchronised then.
    """

    boot_id: uuid.UUID
    monotonic_ns: int
    captured_at: str
    clock: Literal["synchronised", "unsynchronised"]


class Priority(IntEnum):
    """What goes to the clinic first."""

    URGENT = 0  # severe pain, a red flag
    USUAL = 1
    BULK = 2  # what the clinic had already and wants again


@dataclass(frozen=True, slots=True)
class Draft:
    """A record before it has its place in the outbox."""

    record_id: uuid.UUID
    kind: Kind
    capture: Capture
    schema_version: int
    payload: str
    priority: Priority = Priority.USUAL


@dataclass(frozen=True, slots=True)
class OpenSession:
    """A session in the journal: what is needed to close it if nobody else can.

    Attributes:
        record_id: the record that it will be.
        capture: its start.
        head: its ``SessionSummary`` so far as JSON, without repetitions and curve, marked interrupted.
        reps: its completed repetitions, in order.
        curve: flexion in whole degrees at steps of the journal's curve, None where not known.
    """

    record_id: uuid.UUID
    capture: Capture
    head: str
    reps: tuple[RepReport, ...] = ()
    curve: tuple[int | None, ...] = ()


@dataclass(frozen=True, slots=True)
class PairedSensor:
    """A sensor that belongs to a segment of this kit's leg."""

    segment: Segment
    address: str
    family: str
    name: str


@dataclass(frozen=True, slots=True)
class OutboxCounts:
    """How many records stand where."""

    pending: int
    acknowledged: int
    rejected: int


@dataclass(frozen=True, slots=True)
class OutboxHead:
    """How far the outbox that takes new records has come.

    Attributes:
        outbox_id: its name.
        last_sequence: the last number given, 0 when none was.
        oldest_pending: the smallest number that waits for the clinic's word; None when none waits.
    """

    outbox_id: uuid.UUID
    last_sequence: int
    oldest_pending: int | None


@dataclass(frozen=True, slots=True)
class DatabaseSize:
    """How large the kit's database is.

    Attributes:
        page_bytes: of one page.
        pages: of the file.
        free_pages: of them that hold nothing.
        records: in the outbox, in any state.
        recent: of them captured on or after the day that was asked for.
    """

    page_bytes: int
    pages: int
    free_pages: int
    records: int
    recent: int


@dataclass(frozen=True, slots=True)
class RejectedRecord:
    """A record that the clinic refused; the kit keeps it."""

    record_id: uuid.UUID
    sequence: int
    kind: str
    captured_at: str
    reason: str
