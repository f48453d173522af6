"""The tables of the boxes: where each kit is, what became of it, and the codes by which kits are claimed."""

from typing import Final

from sqlalchemy import Column, ForeignKey, Index, LargeBinary, String, Table, UniqueConstraint, Uuid

from gonio.cloud_sink.schema import METADATA, UtcDateTime

#: One row for each box; it has a kit id from the moment when its kit was claimed.
STOCK: Final = Table(
    "stock",
    METADATA,
    Column("item_id", Uuid, primary_key=True),
    Column("clinic_id", Uuid, ForeignKey("clinics.clinic_id"), nullable=False),
    Column("label", String(200), nullable=False),
    Column("serial", String(100), nullable=False),
    Column("kit_id", String(64), ForeignKey("kits.kit_id"), nullable=True),
    Column("state", String(24), nullable=False),
    Column("thigh_sensor", String(64), nullable=True),
    Column("shank_sensor", String(64), nullable=True),
    Column("changed_at", UtcDateTime, nullable=False),
    UniqueConstraint("kit_id"),
    Index(None, "clinic_id", "state"),
)

#: What happened to each box, who did it, when and why; only ever added to.
KIT_LIFE: Final = Table(
    "kit_life",
    METADATA,
    Column("event_id", Uuid, primary_key=True),
    Column("clinic_id", Uuid, ForeignKey("clinics.clinic_id"), nullable=False),
    Column("item_id", Uuid, ForeignKey("stock.item_id"), nullable=False),
    Column("state", String(24), nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Column("by", String(128), nullable=False),
    Column("reason", String(500), nullable=False),
    Column("patient_id", Uuid, ForeignKey("patients.patient_id"), nullable=True),
    Index(None, "item_id", "at"),
)

#: Claim codes that were given out, as hashes.
KIT_CLAIMS: Final = Table(
    "kit_claims",
    METADATA,
    Column("claim_id", Uuid, primary_key=True),
    Column("clinic_id", Uuid, ForeignKey("clinics.clinic_id"), nullable=False),
    Column("item_id", Uuid, ForeignKey("stock.item_id"), nullable=False),
    Column("code_hash", LargeBinary(32), nullable=False),  # see ``identity.claim.digest``
    Column("made_at", UtcDateTime, nullable=False),
    Column("expires_at", UtcDateTime, nullable=False),
    Column("made_by", String(128), nullable=False),
    Column("used_at", UtcDateTime, nullable=True),
    Column("kit_id", String(64), nullable=True),  # of the kit that used it
    Column("key_id", String(64), nullable=True),  # of its key
    UniqueConstraint("code_hash"),
    Index(None, "item_id"),
)
