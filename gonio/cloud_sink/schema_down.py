"""The tables of what the clinic sends to kits; see ``down``.

``down_outboxes``, ``down_records`` and ``recalls`` are the clinic's own; ``down_receipts`` is derived from the kits'
``receipt`` records.
"""

from typing import Final

from sqlalchemy import BigInteger, Column, ForeignKey, Index, Integer, String, Table, Text, UniqueConstraint, Uuid

from gonio.cloud_sink.schema import METADATA, UtcDateTime

#: Each kit's outbox at the clinic: its name, and the last number given in it.
DOWN_OUTBOXES: Final = Table(
    "down_outboxes",
    METADATA,
    Column("kit_id", String(64), ForeignKey("kits.kit_id"), primary_key=True),
    Column("clinic_id", Uuid, ForeignKey("clinics.clinic_id"), nullable=False),
    Column("outbox_id", Uuid, nullable=False),
    Column("last_sequence", BigInteger, nullable=False),
)

#: What was written for kits, as it goes out.
DOWN_RECORDS: Final = Table(
    "down_records",
    METADATA,
    Column("record_id", Uuid, primary_key=True),
    Column("clinic_id", Uuid, ForeignKey("clinics.clinic_id"), nullable=False),
    Column("kit_id", String(64), ForeignKey("kits.kit_id"), nullable=False),
    Column("outbox_id", Uuid, nullable=False),
    Column("sequence", BigInteger, nullable=False),
    Column("kind", String(32), nullable=False),
    Column("created_at", String(40), nullable=False),  # as it stands in the envelope
    Column("schema_version", Integer, nullable=False),
    Column("key_id", String(64), nullable=True),
    Column("signature", String(256), nullable=True),
    Column("payload", Text, nullable=False),
    Column("times", Integer, nullable=False),  # how often it was taken up to be sent
    Column("sent_at", UtcDateTime, nullable=True),  # when last
    Column("next_at", UtcDateTime, nullable=True),  # when it is due again; null: the kit has it
    UniqueConstraint("outbox_id", "sequence"),
    Index(None, "next_at"),
    Index(None, "kit_id", "created_at"),
)

#: One row for each ``receipt`` record. ``of`` may name what this book does not know: it was restored meanwhile.
DOWN_RECEIPTS: Final = Table(
    "down_receipts",
    METADATA,
    Column("record_id", Uuid, ForeignKey("records.record_id"), primary_key=True),
    Column("clinic_id", Uuid, ForeignKey("clinics.clinic_id"), nullable=False),
    Column("kit_id", String(64), ForeignKey("kits.kit_id"), nullable=False),
    Column("of", Uuid, nullable=False),
    Column("of_kind", String(32), nullable=False),
    Column("status", String(16), nullable=False),
    Column("reason", String(500), nullable=True),
    Column("at", UtcDateTime, nullable=False),  # of capture
    Column("received_at", UtcDateTime, nullable=False),
    Index(None, "kit_id", "of"),
)

#: Outboxes of kits of which the book lacks what the kit says was acknowledged, and when to ask for it again.
RECALLS: Final = Table(
    "recalls",
    METADATA,
    Column("kit_id", String(64), ForeignKey("kits.kit_id"), primary_key=True),
    Column("outbox_id", Uuid, primary_key=True),
    Column("clinic_id", Uuid, ForeignKey("clinics.clinic_id"), nullable=False),
    Column("ranges", Text, nullable=False),  # JSON: [[first, last], ...], as last asked for
    Column("times", Integer, nullable=False),
    Column("next_at", UtcDateTime, nullable=False),
)
