"""Rows as they are written in bulk: the very values that SQLAlchemy would have written."""

import uuid
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Column, Dialect, Uuid
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite

from gonio.cloud_sink.bulk import converter
from gonio.cloud_sink.schema import UtcDateTime

DIALECTS: tuple[Dialect, ...] = (SQLiteDialect_pysqlite(), PGDialect_psycopg())  # type: ignore[no-untyped-call] # as SQLAlchemy has it
ZONES = st.one_of(st.just(UTC), st.integers(-1439, 1439).map(lambda minutes: timezone(timedelta(minutes=minutes))))
#: A day from either end of the calendar, so that every zone's moment has a UTC.
MOMENTS = st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30), timezones=ZONES)  # noqa: DTZ001 - zones are added


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.name)
@pytest.mark.parametrize("nullable", [True, False])
@given(moment=MOMENTS, key=st.uuids())
def test_every_value_is_written_as_sqlalchemy_writes_it(
    dialect: Dialect, *, nullable: bool, moment: datetime, key: uuid.UUID
) -> None:
    columns: list[tuple[Column[Any], Any]] = [
        (Column("moment", UtcDateTime, nullable=nullable), moment),
        (Column("key", Uuid, nullable=nullable), key),
    ]
    for column, value in columns:
        values = (value, None) if nullable else (value,)
        ours = converter(column, dialect)
        theirs = column.type.dialect_impl(dialect).bind_processor(dialect)
        for given_value in values:
            expected = theirs(given_value) if theirs else given_value
            assert (ours(given_value) if ours else given_value) == expected


def test_a_moment_without_a_zone_is_refused() -> None:
    convert = converter(Column("moment", UtcDateTime), SQLiteDialect_pysqlite())
    assert convert is not None
    with pytest.raises(ValueError, match="aware"):
        convert(datetime(2026, 3, 5))  # noqa: DTZ001 - that is the fault
