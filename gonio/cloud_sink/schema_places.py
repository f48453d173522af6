"""Which place of which outbox is taken, and by which record: what makes a sequence unique and its gaps provable.

On PostgreSQL ``records`` is cut by time, and no key across the parts is possible; so the places have a table of their
own, on both stores. They outlive what retention removes: a removed record leaves no gap, and is not taken in again.
"""

from typing import Final

from sqlalchemy import BigInteger, Column, ForeignKey, String, Table, Uuid

from gonio.cloud_sink.schema import METADATA

RECORD_PLACES: Final = Table(
    "record_places",
    METADATA,
    Column("outbox_id", Uuid, primary_key=True),
    Column("sequence", BigInteger, primary_key=True, autoincrement=False),
    Column("clinic_id", Uuid, ForeignKey("clinics.clinic_id"), nullable=False),
    Column("kit_id", String(64), nullable=False),
    Column("record_id", Uuid, nullable=False),
    sqlite_with_rowid=False,
)
