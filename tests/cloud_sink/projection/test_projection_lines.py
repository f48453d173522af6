"""Line protocol: what we write, an independent reader reads back to the letter; and the reader refuses what is none."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from influxdb_client.client.write.point import Point as LibraryPoint

from gonio.cloud_sink.projection.lines import EARLIEST_NS, LATEST_NS, head, line
from tests.cloud_sink.projection.line_protocol import LineError, read_line

names = st.from_regex(r"[a-z][a-z0-9_ ,=]{0,15}", fullmatch=True).filter(lambda name: name != "time")
values = st.one_of(
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(),
)
times = st.integers(EARLIEST_NS, LATEST_NS)


def writable(text: str) -> str:
    return "".join(c if c.isprintable() else "_" for c in text)


@given(
    measurement=st.from_regex(r"[a-z][a-z0-9_ ,]{0,15}", fullmatch=True),
    tags=st.dictionaries(names, st.text(), max_size=4),
    fields=st.dictionaries(
        st.from_regex(r"[a-z][a-z0-9_]{0,15}", fullmatch=True).filter(lambda k: k != "time"), values
    ),
    at=times,
)
def test_whatever_is_written_reads_back(
    measurement: str, tags: dict[str, str], fields: dict[str, bool | float | str], at: int
) -> None:
    written = line(head(measurement, tags), fields, at)
    if not fields:
        assert written is None
        return
    assert written is not None
    point = read_line(written)
    assert point.measurement == measurement
    assert dict(point.tags) == {key: writable(value).replace("\\", "_") or "none" for key, value in tags.items()}
    assert point.time_ns == at
    told = {key: writable(value) if isinstance(value, str) else value for key, value in fields.items()}
    assert point.fields == told
    assert {key: type(value) for key, value in point.fields.items()} == {key: type(v) for key, v in told.items()}


@given(
    tag=st.text(
        st.characters(categories=["L", "N", "Zs", "P"], exclude_characters="\\\u2028\u2029"), min_size=1
    ).filter(str.isprintable),
    number=st.integers(-(2**63), 2**63 - 1),
    text=st.text(st.characters(categories=["L", "N", "P"])).filter(str.isprintable),
)
def test_the_library_writes_the_same(tag: str, number: int, text: str) -> None:
    ours = line(head("m", {"kit": tag}), {"i": number, "s": text, "t": True}, 5)
    record = {"measurement": "m", "tags": {"kit": tag}, "fields": {"i": number, "s": text, "t": True}, "time": 5}
    assert ours == LibraryPoint.from_dict(record).to_line_protocol()


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_float_comes_back_to_the_last_bit(value: float) -> None:
    written = line("m", {"f": value}, 1)
    assert written is not None
    read = read_line(written).fields["f"]
    assert isinstance(read, float)
    assert math.copysign(1, read) == math.copysign(1, value)
    assert read == value


def test_a_point_without_a_field_is_no_line() -> None:
    assert line("m", {"f": None}, 1) is None
    assert line("m", {"f": None, "g": 1}, 1) == "m g=1i 1"


@pytest.mark.parametrize(
    ("text", "tags", "fields"),
    [  # of the documentation's own examples
        (
            'myMeasurement,tag1=value1,tag2=value2 fieldKey="fieldValue" 1556813561098000000',
            {"tag1": "value1", "tag2": "value2"},
            {"fieldKey": "fieldValue"},
        ),
        (r'my\ Measurement fieldKey="string value" 1', {}, {"fieldKey": "string value"}),
        (
            r"myMeasurement,tag\ Key1=tag\ Value1,tag\ Key2=tag\ Value2 fieldKey=100i 1",
            {"tag Key1": "tag Value1", "tag Key2": "tag Value2"},
            {"fieldKey": 100},
        ),
        (r'myMeasurement fieldKey="\"string\" within a string" 1', {}, {"fieldKey": '"string" within a string'}),
        (r"myMeasurement f=-1.234456e+78,g=T,h=false 1", {}, {"f": -1.234456e78, "g": True, "h": False}),
    ],
)
def test_the_reader_reads_the_documentations_examples(
    text: str, tags: dict[str, str], fields: dict[str, object]
) -> None:
    point = read_line(text)
    assert dict(point.tags) == tags
    assert point.fields == fields


@pytest.mark.parametrize(
    "text",
    [
        "m f=1", "m f=1 x", "m f=1 1.5", "m 1", "m  f=1 1", ",a=b f=1 1", "m,a= f=1 1", "m,=b f=1 1", "m,a=b,a=c f=1 1",
        "m f=1,f=2 1", "m f=nan 1", "m f=1u2 1", "m f= 1", 'm f="x 1', 'm f="x"y 1', "m,a=b c f=1 1", "_m f=1 1",
        "m,time=a f=1 1", "m f=9223372036854775808i 1", "m f=1 9223372036854775807", "m f=1i 1 1", "m,a=b", "m", "m f",
    ],
)  # fmt: skip
def test_the_reader_refuses_what_is_no_line(text: str) -> None:
    with pytest.raises(LineError):
        read_line(text)
