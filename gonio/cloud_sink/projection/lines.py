"""Line protocol: how InfluxDB is told points (https://docs.influxdata.com/influxdb/v2/reference/syntax/line-protocol/).

The tags of a record's points are the same for all of them, so they are written once; that is 20 times as fast as the
client library's point by point, which a rebuild of years needs.
"""

from collections.abc import Mapping
from typing import Final, TypeAlias

FieldValue: TypeAlias = bool | int | float | str | None

_IN_NAMES: Final = str.maketrans({",": r"\,", "=": r"\=", " ": r"\ "})
_IN_STRINGS: Final = str.maketrans({'"': r"\"", "\\": r"\\"})

#: What stands for an empty tag: line protocol has none.
NONE: Final = "none"

#: The moments that InfluxDB can hold, in nanoseconds after 1970.
EARLIEST_NS: Final = -(2**63) + 2
LATEST_NS: Final = 2**63 - 2


def head(measurement: str, tags: Mapping[str, str]) -> str:
    """Write a measurement with its tags, sorted; an empty tag is NONE, what cannot be written is an underscore."""
    pairs = "".join(f",{key.translate(_IN_NAMES)}={_tag(tags[key])}" for key in sorted(tags))
    return measurement.translate(_IN_NAMES) + pairs


def line(start: str, fields: Mapping[str, FieldValue], time_ns: int) -> str | None:
    """Write one point.

    Args:
        start: what ``head`` gave.
        fields: those that are None are left out. A bool, an int and a float are three types: a field keeps to one.
        time_ns: nanoseconds after 1970, between EARLIEST_NS and LATEST_NS.

    Returns:
        The line without its end, or None where no field is left.
    """
    told = ",".join(f"{key}={_value(value)}" for key, value in fields.items() if value is not None)
    return f"{start} {told} {time_ns}" if told else None


def _tag(value: str) -> str:
    # a backslash would escape what follows it and cannot itself be escaped here; a line's end cannot be written at all
    plain = "".join("_" if c == "\\" or not c.isprintable() else c for c in value)
    return (plain or NONE).translate(_IN_NAMES)


def _value(value: bool | float | str) -> str:  # noqa: FBT001 - a value of a field
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return f"{value}i"
    if isinstance(value, float):
        return repr(value)
    plain = "".join(c if c.isprintable() else "_" for c in value)
    return f'"{plain.translate(_IN_STRINGS)}"'
