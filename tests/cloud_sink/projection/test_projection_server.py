"""The tests' own server answers as InfluxDB 2 is documented to, asked by InfluxData's own client."""

import warnings
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta

import pytest
from influxdb_client.client.influxdb_client import InfluxDBClient
from influxdb_client.rest import ApiException

from gonio.cloud_sink.projection.writer import rfc3339
from gonio.messages import Envelope
from tests.cloud_sink.projection.conftest import Bench
from tests.cloud_sink.projection.influx_server import InfluxServer

Make = Callable[..., Envelope]


@pytest.fixture
def client(influx: InfluxServer) -> Iterator[InfluxDBClient]:
    with InfluxDBClient(influx.url, influx.token, org=influx.org) as ours:
        yield ours


def write(client: InfluxDBClient, *lines: str) -> None:
    from influxdb_client.client.write_api import SYNCHRONOUS  # noqa: PLC0415 - beside its only use

    with client.write_api(write_options=SYNCHRONOUS) as api:
        api.write("gonio", record=list(lines))


def test_it_is_up(client: InfluxDBClient, influx: InfluxServer) -> None:
    assert client.ping()
    assert client.version() == influx.version
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of the library, for what is still documented
        assert client.health().status == "pass"


def test_what_is_projected_is_read_back_and_counted(
    at_work: Bench, client: InfluxDBClient, envelope: Make, now: datetime
) -> None:
    records = [envelope(n, captured=now - timedelta(days=n)) for n in (1, 2, 3)]
    at_work.take_in(*records)
    at_work.project()
    within = f'from(bucket: "gonio") |> range(start: {now - timedelta(days=9):%Y-%m-%dT%H:%M:%SZ})'
    asked = f'{within} |> filter(fn: (r) => r._measurement == "repetition" and r._field == "rom_deg")'
    (table,) = client.query_api().query(asked)
    assert [row.values["_value"] for row in table.records] == [89.5] * 6
    assert {row.values["kit"] for row in table.records} == {"kit-001"}
    (counted,) = client.query_api().query(f"{asked} |> count()")
    assert [row.values["_value"] for row in counted.records] == [6]
    (ids,) = client.query_api().query(
        f'{within} |> filter(fn: (r) => r._measurement == "session" and r._field == "record")'
    )
    assert {row.values["_value"] for row in ids.records} == {str(record.record_id) for record in records}


def test_a_repeated_point_overwrites_its_fields_and_keeps_the_others(
    client: InfluxDBClient, influx: InfluxServer
) -> None:
    write(client, "m,kit=a f=1,g=2i 5", "m,kit=a f=3 5", "m,kit=b f=1 5")
    assert influx.rows("m", kit="a") == [({"kit": "a"}, 5, {"f": 3.0, "g": 2})]


@pytest.mark.parametrize("line", ["m f=nan 1", "m,a= f=1 1", "m f=1"])
def test_a_line_that_is_none_refuses_the_whole_write(client: InfluxDBClient, influx: InfluxServer, line: str) -> None:
    with pytest.raises(ApiException) as caught:
        write(client, "m f=1 1", line)
    assert caught.value.status == 400
    assert influx.snapshot() == {}


def test_a_field_of_another_type_refuses_its_point_only(client: InfluxDBClient, influx: InfluxServer) -> None:
    with pytest.raises(ApiException) as caught:
        write(client, "m f=1 1", "m f=2i 2", "m f=3 3")
    assert caught.value.status == 422
    assert "partial write: field type conflict" in str(caught.value.body)
    assert [at for _, at, _ in influx.rows("m")] == [1, 3]


def test_deletion_takes_both_ends_of_the_span_and_heeds_the_predicate(
    client: InfluxDBClient, influx: InfluxServer
) -> None:
    write(client, *(f"m,kit={kit} f=1 {at}" for kit in "ab" for at in (10, 11, 12, 13)))
    client.delete_api().delete(rfc3339(11), rfc3339(12), '_measurement="m" AND kit="a"', "gonio")
    assert [at for _, at, _ in influx.rows("m", kit="a")] == [10, 13]
    assert len(influx.rows("m", kit="b")) == 4


@pytest.mark.parametrize(
    ("time_ns", "text"),
    [
        (0, "1970-01-01T00:00:00.000000000Z"),
        (-1, "1969-12-31T23:59:59.999999999Z"),
        (1_772_730_000_123_456_789, "2026-03-05T17:00:00.123456789Z"),
    ],
)
def test_a_moment_is_written_with_nine_digits(time_ns: int, text: str) -> None:
    assert rfc3339(time_ns) == text
