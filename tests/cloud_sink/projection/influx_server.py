"""A server of the tests' own that answers as InfluxDB 2 is documented to: where none can be installed.

https://docs.influxdata.com/influxdb/v2/api/ : ``/ping``, ``/health``, ``/api/v2/write`` (line protocol, gzip, precision
``ns``; 400 for a line that is none: nothing is written; 422 for a field of another type or a point beyond the
retention: the others are written; 401, 404, 413, 429 and 503 with Retry-After), ``/api/v2/delete`` (both ends of the
span included; predicates of ``=`` joined by AND), and ``/api/v2/query`` for this much of Flux:
``from(bucket) |> range(start, stop) |> filter(fn: (r) => r.K == "V" and ...) [|> count()]``, as annotated CSV.

What it is not: InfluxDB. Shards, limits of cardinality, compaction, the rest of Flux stay untested.
"""

import csv
import gzip
import io
import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

from tests.cloud_sink.projection.line_protocol import LineError, Point, Value, read_lines

Series = tuple[str, tuple[tuple[str, str], ...]]

_TYPES = {bool: "boolean", int: "integer", float: "float", str: "string"}
_CSV_TYPES = {bool: "boolean", int: "long", float: "double", str: "string"}


@dataclass
class Answer:
    """What the server says next to a write in place of taking it; ``after`` says it once the points are taken."""

    status: int
    body: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    after: bool = False


class InfluxServer:
    """A server with one bucket; what a test may look at and change stands in its attributes."""

    def __init__(self) -> None:
        self.org, self.bucket, self.token = "clinic", "gonio", "t0ken"
        self.version = "v2.7.11"
        self.can_delete = True
        self.oldest_ns: int | None = None  # the retention's end
        self.max_body = 50_000_000
        self.points: dict[Series, dict[int, dict[str, Value]]] = {}
        self.types: dict[tuple[str, str], type] = {}
        self.answers: list[Answer] = []
        self.refuses: Callable[[Point], str | None] = lambda _point: None
        self.on_write: Callable[[], None] = lambda: None
        self.on_delete: Callable[[], None] = lambda: None
        self.writes: list[int] = []  # points of each write that was taken up
        self.gzipped = 0
        self.deletes: list[str] = []
        self.lock = threading.Lock()
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    # --- what tests ask ---

    def rows(self, measurement: str, **tags: str) -> list[tuple[dict[str, str], int, dict[str, Value]]]:
        """Give the points of a measurement by time, with their tags."""
        with self.lock:
            found = [
                (dict(series[1]), at, fields)
                for series, times in self.points.items()
                if series[0] == measurement and dict(series[1]).items() >= tags.items()
                for at, fields in times.items()
            ]
        return sorted(found, key=lambda row: row[1])

    def snapshot(self) -> dict[Series, dict[int, dict[str, Value]]]:
        with self.lock:
            return {series: {at: dict(f) for at, f in times.items()} for series, times in self.points.items() if times}

    # --- the API ---

    def write(self, body: bytes, query: dict[str, str]) -> Answer:
        if query.get("org") != self.org:
            return _error(404, "not found", f'organization name "{query.get("org")}" not found')
        if query.get("bucket") != self.bucket:
            return _error(404, "not found", f'bucket "{query.get("bucket")}" not found')
        if query.get("precision", "ns") != "ns":
            return _error(400, "invalid", "this server is told nanoseconds")
        try:
            points = read_lines(body)
        except LineError as error:
            return _error(400, "invalid", f"unable to parse: {error}")
        reasons: list[str] = []
        with self.lock:
            self.writes.append(len(points))
            for point in points:
                reason = self._refusal(point)
                if reason is None:
                    self._take(point)
                else:
                    reasons.append(reason)
        if reasons:
            said = f"failure writing points to database: partial write: {reasons[0]} dropped={len(reasons)}"
            return _error(422, "unprocessable entity", said)
        return Answer(204)

    def _refusal(self, point: Point) -> str | None:
        if self.oldest_ns is not None and point.time_ns < self.oldest_ns:
            return "points beyond retention policy"
        for name, value in point.fields.items():
            known = self.types.setdefault((point.measurement, name), type(value))
            if known is not type(value):
                return (
                    f'field type conflict: input field "{name}" on measurement "{point.measurement}" is type '
                    f"{_TYPES[type(value)]}, already exists as type {_TYPES[known]}"
                )
        return self.refuses(point)

    def _take(self, point: Point) -> None:
        times = self.points.setdefault((point.measurement, point.tags), {})
        times.setdefault(point.time_ns, {}).update(point.fields)  # a point that is there: its fields are overwritten

    def delete(self, body: bytes, query: dict[str, str]) -> Answer:
        if not self.can_delete:
            return _error(404, "not found", "path not found")
        if query.get("bucket") != self.bucket or query.get("org") != self.org:
            return _error(404, "not found", "bucket not found")
        asked = json.loads(body)
        first, last = _nanoseconds(asked["start"]), _nanoseconds(asked["stop"])
        parts = [re.fullmatch(r'(\w+)="([^"\\]*)"', part) for part in asked["predicate"].split(" AND ")]
        if not all(parts):
            return _error(400, "invalid", "this predicate cannot be read")
        wanted = {part[1]: part[2] for part in parts if part}
        measurement = wanted.pop("_measurement", None)
        with self.lock:
            self.deletes.append(asked["predicate"])
            for (name, tags), times in self.points.items():
                if measurement in {None, name} and dict(tags).items() >= wanted.items():
                    for at in [at for at in times if first <= at <= last]:
                        del times[at]
        return Answer(204)

    def flux(self, body: bytes) -> Answer:
        text = json.loads(body)["query"]
        asked = re.fullmatch(
            r'\s*from\(bucket: ?"([^"]+)"\)\s*\|> range\(start: ?([^,)]+)(?:, stop: ?([^)]+))?\)'
            r"\s*\|> filter\(fn: \(r\) => ([^)]+)\)\s*(\|> count\(\))?\s*",
            text,
        )
        if asked is None or asked[1] != self.bucket:
            return _error(400, "invalid", "this server does not know that query")
        first = 0 if asked[2] == "0" else _nanoseconds(asked[2])
        last = _nanoseconds(asked[3]) - 1 if asked[3] else 2**63  # of a range the stop is excluded
        wanted = dict(re.findall(r'r\.(\w+) == "([^"]*)"', asked[4]))
        return Answer(200, self._csv(wanted, first, last, count=asked[5] is not None), {"Content-Type": "text/csv"})

    def _csv(self, wanted: dict[str, str], first: int, last: int, *, count: bool) -> str:
        out = io.StringIO()
        table = 0
        for (measurement, tags), times in sorted(self.snapshot().items()):
            names = sorted({name for fields in times.values() for name in fields})
            for name in names:
                key = {"_field": name, "_measurement": measurement, **dict(tags)}
                if not key.items() >= wanted.items():
                    continue
                values = [(at, f[name]) for at, f in sorted(times.items()) if name in f and first <= at <= last]
                if values:
                    _write_table(out, table, key, values, count=count)
                    table += 1
        return out.getvalue()


def _write_table(
    out: io.StringIO, table: int, key: dict[str, str], values: list[tuple[int, Value]], *, count: bool
) -> None:
    writer = csv.writer(out, lineterminator="\r\n")
    columns = ["_value"] if count else ["_time", "_value"]
    kind = "long" if count else _CSV_TYPES[type(values[0][1])]
    writer.writerow(
        ["#datatype", "string", "long", *(["dateTime:RFC3339"] if not count else []), kind, *["string"] * len(key)]
    )
    writer.writerow(["#group", "false", "false", *["false"] * len(columns), *["true"] * len(key)])
    writer.writerow(["#default", "_result", *[""] * (1 + len(columns) + len(key))])
    writer.writerow(["", "result", "table", *columns, *key])
    for at, value in [(0, len(values))] if count else values:
        shown = str(value).lower() if isinstance(value, bool) else value
        writer.writerow(["", "", table, *([] if count else [_rfc3339(at)]), shown, *key.values()])
    out.write("\r\n")


def _nanoseconds(text: str) -> int:
    whole = re.fullmatch(r"(-?\d+-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?Z", text)
    if whole is None:
        raise ValueError(f"{text!r} is no RFC 3339 time")
    seconds = int(
        (datetime.fromisoformat(whole[1] + "+00:00") - datetime.fromisoformat("1970-01-01T00:00:00Z")).total_seconds()
    )
    return seconds * 1_000_000_000 + int((whole[2] or "0").ljust(9, "0"))


def _rfc3339(at: int) -> str:
    seconds, rest = divmod(at, 1_000_000_000)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(seconds))}.{rest:09}Z"


def _error(status: int, code: str, message: str) -> Answer:
    return Answer(status, json.dumps({"code": code, "message": message}), {"Content-Type": "application/json"})


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    influx: InfluxServer

    def do_GET(self) -> None:
        if urlsplit(self.path).path == "/ping":
            self._say(Answer(204))
        elif urlsplit(self.path).path == "/health":
            document = {"name": "influxdb", "status": "pass", "version": self.influx.version, "checks": []}
            self._say(Answer(200, json.dumps(document), {"Content-Type": "application/json"}))
        else:
            self._say(_error(404, "not found", "path not found"))

    def do_POST(self) -> None:
        length = int(self.headers["Content-Length"])
        body = self.rfile.read(length)
        path = urlsplit(self.path).path
        if self.headers.get("Authorization") != f"Token {self.influx.token}":
            self._say(_error(401, "unauthorized", "unauthorized access"))
            return
        query = {key: values[0] for key, values in parse_qs(urlsplit(self.path).query).items()}
        if path == "/api/v2/write":
            self._say(self._write(body, query))
        elif path == "/api/v2/delete":
            self.influx.on_delete()
            self._say(self.influx.delete(body, query))
        elif path == "/api/v2/query":
            self._say(self.influx.flux(body))
        else:
            self._say(_error(404, "not found", "path not found"))

    def _write(self, body: bytes, query: dict[str, str]) -> Answer:
        influx = self.influx
        influx.on_write()
        if self.headers.get("Content-Encoding") == "gzip":
            influx.gzipped += 1
            body = gzip.decompress(body)
        if len(body) > influx.max_body:
            return _error(413, "request too large", "cannot read data: points data is too large")
        planned = influx.answers.pop(0) if influx.answers else None
        if planned is not None and not planned.after:
            return planned
        answer = influx.write(body, query)
        return planned or answer

    def _say(self, answer: Answer) -> None:
        if answer.status == 0:  # nothing: the connection breaks
            self.close_connection = True
            return
        try:
            self._send(answer)
        except OSError:  # who asked was killed
            self.close_connection = True

    def _send(self, answer: Answer) -> None:
        self.send_response(answer.status)
        self.send_header("X-Influxdb-Version", self.influx.version)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        if answer.status != 204:
            self.send_header("Content-Length", str(len(answer.body.encode())))
        self.end_headers()
        if answer.status != 204:
            self.wfile.write(answer.body.encode())

    def log_message(self, *args: object) -> None:
        pass


@contextmanager
def running_influx(influx: InfluxServer | None = None) -> Iterator[InfluxServer]:
    """Run a server on a loopback port as long as the context lasts; given one that ran before, with all it has."""
    influx = influx or InfluxServer()
    handler = type("Handler", (_Handler,), {"influx": influx})
    server = ThreadingHTTPServer(("127.0.0.1", influx.port), handler)
    server.daemon_threads = True
    influx.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield influx
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
