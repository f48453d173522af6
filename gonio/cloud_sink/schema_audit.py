"""The tables of the audit log: rows that are only ever added, each chained to the one before it; see ``audit_log``."""

from typing import Final

from sqlalchemy import BigInteger, Column, ForeignKey, LargeBinary, String, Table, Text, Uuid

from gonio.cloud_sink.schema import METADATA, UtcDateTime

#: What was done, by whom, to what; nothing of a patient's content. The database refuses to change or delete rows.
AUDIT_LOG: Final = Table(
    "audit_log",
    METADATA,
    Column("clinic_id", Uuid, ForeignKey("clinics.clinic_id"), primary_key=True),
    Column("number", BigInteger, primary_key=True, autoincrement=False),  # 1, 2, 3 ... in each clinic
    Column("at", UtcDateTime, nullable=False),
    Column("actor", String(128), nullable=False),  # "operator:login" or "system:part"
    Column("action", String(64), nullable=False),
    Column("subject_kind", String(32), nullable=False),
    Column("subject_id", String(128), nullable=False),
    Column("reason", String(500), nullable=False),
    Column("detail", Text, nullable=False),  # a JSON object
    Column("previous_hash", LargeBinary(32), nullable=False),
    Column("row_hash", LargeBinary(32), nullable=False),
)

#: Each clinic's last row: a log that was cut at its end does not reach it. It can only move forward.
AUDIT_HEADS: Final = Table(
    "audit_heads",
    METADATA,
    Column("clinic_id", Uuid, ForeignKey("clinics.clinic_id"), primary_key=True),
    Column("number", BigInteger, nullable=False),
    Column("row_hash", LargeBinary(32), nullable=False),
)
