"""The tables of the time-series projection: who is registered, what waits, and where each record's points stand.

They refer to records by id only, without a foreign key: a health report is no row of ``records``, and a check for each
queued row would cost the intake more than the row itself.
"""

from typing import Final

from sqlalchemy import BigInteger, Column, ForeignKey, Index, LargeBinary, String, Table, Text, Uuid

from gonio.cloud_sink.schema import METADATA, UtcDateTime

#: What is filled from the book; the intake queues only what is registered here.
PROJECTIONS: Final = Table(
    "projections",
    METADATA,
    Column("projection", String(64), primary_key=True),
    Column("clinic_id", Uuid, ForeignKey("clinics.clinic_id"), nullable=False),  # whose records it takes
    Column("target", String(500), nullable=False),  # address, organisation, bucket; no token
    Column("stage", String(16), nullable=False),  # moved, clearing, filling, ready
    Column("filled_to", Uuid, nullable=True),  # while filling: records up to this id are queued
    Column("registered_at", UtcDateTime, nullable=False),
)

#: Records whose points must be written, or taken away: not a log of events but what is to be looked at again.
PROJECTION_QUEUE: Final = Table(
    "projection_queue",
    METADATA,
    Column("projection", String(64), primary_key=True),
    Column("record_id", Uuid, primary_key=True),
    Column("clinic_id", Uuid, nullable=False),
    Column("kind", String(32), nullable=False),
    Column("ticket", Uuid, nullable=False),  # new with each marking: who has the old one may not take the row away
    Column("due_at", UtcDateTime, nullable=True),  # null: refused, and nobody tries again until it is marked again
    Column("reason", String(500), nullable=True),  # why it was refused
    Column("content", Text, nullable=True),  # of health, which the book keeps the newest of only
    Index(None, "projection", "due_at"),
)

#: Where the points of a record stand in the time-series store, written before the points are.
PROJECTION_PLACES: Final = Table(
    "projection_places",
    METADATA,
    Column("projection", String(64), primary_key=True),
    Column("record_id", Uuid, primary_key=True),
    Column("clinic_id", Uuid, nullable=False),
    Column("kit_id", String(64), nullable=False),
    Column("kind", String(32), nullable=False),
    Column("place", LargeBinary(16), nullable=False),  # a digest of tags and times
    Column("first_ns", BigInteger, nullable=False),
    Column("last_ns", BigInteger, nullable=False),
    Index(None, "projection", "kit_id", "first_ns"),
)
