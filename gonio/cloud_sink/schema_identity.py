"""The table of kits' keys: whose signature counts, since when, and until when; see ``enrolment``."""

from typing import Final

from sqlalchemy import Column, ForeignKey, Index, LargeBinary, String, Table, Text, Uuid

from gonio.cloud_sink.schema import METADATA, UtcDateTime

#: Every key that a kit was ever enrolled with: none is removed, so that old records can be proven.
KIT_KEYS: Final = Table(
    "kit_keys",
    METADATA,
    Column("key_id", String(64), primary_key=True),  # see ``identity.keys.key_id``
    Column("clinic_id", Uuid, ForeignKey("clinics.clinic_id"), nullable=False),
    Column("kit_id", String(64), ForeignKey("kits.kit_id"), nullable=False),
    Column("public_key", LargeBinary, nullable=False),  # SubjectPublicKeyInfo in DER
    Column("request", Text, nullable=True),  # the certificate request that it came with, PEM
    Column("certificate", Text, nullable=True),  # PEM; null while an authority outside has to sign
    Column("serial", String(64), nullable=True),  # its serial number, hexadecimal
    Column("not_before", UtcDateTime, nullable=True),
    Column("not_after", UtcDateTime, nullable=True),
    Column("state", String(16), nullable=False),  # active; superseded by a newer key; revoked
    Column("issued_at", UtcDateTime, nullable=False),
    Column("ended_at", UtcDateTime, nullable=True),  # when it was superseded or revoked
    Column("reason", String(500), nullable=False),  # why it was revoked
    Index(None, "kit_id", "state"),
    Index(None, "serial"),
)
