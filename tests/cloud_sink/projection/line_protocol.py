"""A strict reader of line protocol, written from its documentation and from nothing of ours.

https://docs.influxdata.com/influxdb/v2/reference/syntax/line-protocol/ : measurement, tags, a blank, fields, a blank,
time. In measurements ``,`` and blank are escaped, in keys and tag values also ``=``; in strings ``"`` and ``\\``.
Stricter than a server: a point needs its time, tags and fields are there once, names have no leading underscore.
"""

import re
from dataclasses import dataclass
from typing import Final

Value = bool | int | float | str

_FLOAT: Final = re.compile(r"-?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_INT: Final = re.compile(r"-?\d+i")
_TIME: Final = re.compile(r"-?\d+")
_TRUE: Final = ("t", "T", "true", "True", "TRUE")
_FALSE: Final = ("f", "F", "false", "False", "FALSE")
_INT64: Final = range(-(2**63), 2**63)
_TIMES: Final = range(-(2**63) + 2, 2**63 - 1)


class LineError(ValueError):
    """A line that is none."""


@dataclass(frozen=True)
class Point:
    """One point as its line says it."""

    measurement: str
    tags: tuple[tuple[str, str], ...]
    fields: dict[str, Value]
    time_ns: int


def read_lines(body: bytes) -> list[Point]:
    try:
        text = body.decode("utf-8", errors="strict")
    except UnicodeDecodeError as error:
        raise LineError("not UTF-8") from error
    return [read_line(line) for line in text.split("\n") if line and not line.startswith("#")]


def read_line(line: str) -> Point:
    if "\r" in line or "\0" in line:
        raise LineError("a control character")
    measurement, at = _word(line, 0, ends=", ", escapes=", ")
    _check_name(measurement, "measurement")
    tags: list[tuple[str, str]] = []
    while line[at] == ",":
        key, at = _word(line, at + 1, ends="=", escapes=",= ", forbidden=", ")
        _check_name(key, "tag key")
        value, at = _word(line, at + 1, ends=", ", escapes=",= ", forbidden="=")
        if not value:
            raise LineError(f"tag {key} is empty")
        tags.append((key, value))
    if len({key for key, _ in tags}) != len(tags):
        raise LineError("a tag is there twice")
    fields: dict[str, Value] = {}
    at += 1
    while True:
        key, at = _word(line, at, ends="=", escapes=",= ", forbidden=", ")
        _check_name(key, "field key")
        if key in fields:
            raise LineError(f"field {key} is there twice")
        fields[key], at = _field(line, at + 1)
        if line[at] == " ":
            break
        at += 1
    time = line[at + 1 :]
    if not _TIME.fullmatch(time) or int(time) not in _TIMES:
        raise LineError(f"{time!r} is no time")
    return Point(measurement, tuple(sorted(tags)), fields, int(time))


def _check_name(name: str, what: str) -> None:
    if not name or name.startswith("_") or name == "time":
        raise LineError(f"{name!r} is no {what}")


def _word(line: str, at: int, *, ends: str, escapes: str, forbidden: str = "") -> tuple[str, int]:
    """Read up to an unescaped character of ``ends``; a backslash before none of ``escapes`` stands for itself."""
    out: list[str] = []
    while at < len(line):
        char = line[at]
        if char == "\\" and at + 1 < len(line) and line[at + 1] in escapes:
            out.append(line[at + 1])
            at += 2
            continue
        if char in ends:
            return "".join(out), at
        if char in forbidden:
            raise LineError(f"{char!r} is not escaped")
        out.append(char)
        at += 1
    raise LineError("the line ends too early")


def _field(line: str, at: int) -> tuple[Value, int]:
    if line[at : at + 1] == '"':
        return _string(line, at + 1)
    end = at
    while end < len(line) and line[end] not in ", ":
        end += 1
    if end == len(line):
        raise LineError("the time is missing")
    return _plain(line[at:end]), end


def _string(line: str, at: int) -> tuple[str, int]:
    out: list[str] = []
    while at < len(line):
        if line[at] == "\\" and line[at + 1 : at + 2] in {'"', "\\"}:
            out.append(line[at + 1])
            at += 2
        elif line[at] == '"':
            if line[at + 1 : at + 2] not in {",", " "}:
                raise LineError("something stands after a string")
            return "".join(out), at + 1
        else:
            out.append(line[at])
            at += 1
    raise LineError("a string has no end")


def _plain(text: str) -> Value:
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    if _INT.fullmatch(text):
        if int(text[:-1]) not in _INT64:
            raise LineError(f"{text} is over 64 bits")
        return int(text[:-1])
    if _FLOAT.fullmatch(text):
        return float(text)
    raise LineError(f"{text!r} is no value")
