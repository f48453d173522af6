"""All tables of the book, whichever module has them: importing this puts every one of them into METADATA."""

from gonio.cloud_sink import (
    schema_accounts,
    schema_audit,
    schema_down,
    schema_identity,
    schema_kinds,
    schema_places,
    schema_projection,
    schema_stock,
)
from gonio.cloud_sink.schema import METADATA, REVISION

__all__ = [
    "METADATA",
    "REVISION",
    "schema_accounts",
    "schema_audit",
    "schema_down",
    "schema_identity",
    "schema_kinds",
    "schema_places",
    "schema_projection",
    "schema_stock",
]
