"""A server that is away, slow, in doubt or refuses: nothing is lost, nothing blocks, and the operator is told which."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from gonio.cloud_sink.projection.marks import mark_again
from gonio.cloud_sink.projection.queue import Backlog
from gonio.cloud_sink.projection.run import LONGEST_PAUSE_S, Projector, pause_s, project_on
from gonio.cloud_sink.projection.writer import Influx, ServerAwayError, Target
from gonio.errors import UsageError
from gonio.messages import Envelope
from tests.cloud_sink.projection.conftest import Bench, target
from tests.cloud_sink.projection.influx_server import Answer

Make = Callable[..., Envelope]


@pytest.fixture
def loaded(at_work: Bench, envelope: Make, now: datetime) -> Bench:
    """Give a projection of which four sessions wait."""
    at_work.take_in(*(envelope(n, captured=now - timedelta(days=n)) for n in range(1, 5)))
    return at_work


class Patience:
    """Waits in no time, remembers for how long, and stops when nothing waits any more or after some waits."""

    def __init__(self, bench: Bench, most: int = 1000) -> None:
        self.pauses: list[float] = []
        self._bench = bench
        self._most = most

    def __call__(self, seconds: float) -> bool:
        if seconds:
            self.pauses.append(seconds)
        return len(self.pauses) >= self._most or not self._bench.queue.backlog().waiting


def project_through(bench: Bench, most: int = 1000) -> list[float]:
    patience = Patience(bench, most)
    with Influx(target(bench.server)) as influx:
        project_on(Projector(bench.queue, influx), bench.rounds.append, check=lambda: None, wait=patience)
    return patience.pauses


@pytest.mark.parametrize("status", [0, 429, 500, 502, 503, 504])
def test_an_outage_is_waited_for(loaded: Bench, status: int) -> None:
    loaded.server.answers = [Answer(status, "busy") for _ in range(40)]
    pauses = project_through(loaded)
    assert len(pauses) == 40
    assert pauses[0] <= 1.0
    assert max(pauses) <= LONGEST_PAUSE_S
    assert loaded.server.snapshot() == loaded.fresh()


def test_a_server_that_is_not_there_is_waited_for(loaded: Bench) -> None:
    lost = Target("http://127.0.0.1:9", "clinic", "gonio")
    patience = Patience(loaded, most=5)
    with Influx(lost) as influx:
        project_on(Projector(loaded.queue, influx), loaded.rounds.append, check=lambda: None, wait=patience)
        with pytest.raises(ServerAwayError, match="cannot be reached"):
            influx.write(["m f=1 1"])
    assert len(patience.pauses) == 5
    assert loaded.queue.backlog() == Backlog(4, 0)


def test_the_server_says_how_long_to_wait(loaded: Bench) -> None:
    soon = format_datetime(datetime.now(UTC) + timedelta(hours=30), usegmt=True)
    loaded.server.answers = [
        Answer(429, "", {"Retry-After": "77"}),
        Answer(503, "", {"Retry-After": soon}),
        Answer(503, "", {"Retry-After": "whenever"}),
    ]
    first, second, third = project_through(loaded)
    assert first == 77.0
    assert second == 3600.0  # however long it asks for
    assert third <= 4.0


def test_pauses_grow_and_scatter() -> None:
    assert [pause_s(n, 1.0) for n in range(8)] == [1, 2, 4, 8, 16, 32, 60, 60]
    assert pause_s(3, 0.0) == 4.0
    assert pause_s(10_000, 1.0) == 60.0


@pytest.mark.parametrize("answer", [Answer(503, after=True), Answer(0, after=True), Answer(200, "<html>", after=True)])
def test_points_whose_answer_was_lost_are_written_again_and_stand_once(loaded: Bench, answer: Answer) -> None:
    loaded.server.answers = [answer]
    assert len(project_through(loaded)) == 1
    assert loaded.server.snapshot() == loaded.fresh()
    assert sum(len(times) for times in loaded.server.snapshot().values()) == 4 * (1 + 2 + 3)


def test_a_page_that_is_no_answer_of_influxdb_is_no_promise(loaded: Bench) -> None:
    loaded.server.answers = [Answer(200, "<html>log in to this network</html>")]
    assert len(project_through(loaded)) == 1
    assert loaded.server.snapshot() == loaded.fresh()


def test_a_refused_point_sets_its_record_aside_and_no_other(loaded: Bench, envelope: Make, now: datetime) -> None:
    bad = envelope(9, captured=now - timedelta(hours=3))
    loaded.take_in(bad)
    name = str(bad.record_id)
    loaded.server.refuses = lambda point: "a fault of this point" if point.fields.get("record") == name else None
    loaded.project()
    assert loaded.queue.backlog() == Backlog(0, 1)
    ((record_id, reason),) = loaded.queue.refused(10)
    assert record_id == bad.record_id
    assert "a fault of this point" in reason
    assert len(loaded.server.rows("session")) == 4
    loaded.server.refuses = lambda _point: None
    loaded.project()  # nobody tries again unasked
    assert loaded.queue.backlog() == Backlog(0, 1)
    with loaded.engine.begin() as connection:
        mark_again(connection, [bad.record_id])
    loaded.project()
    assert loaded.queue.backlog() == Backlog(0, 0)
    assert loaded.server.snapshot() == loaded.fresh()


def test_a_bucket_with_a_field_of_another_type_refuses_and_tells(loaded: Bench, envelope: Make) -> None:
    loaded.server.types["repetition", "rom_deg"] = str
    loaded.take_in(envelope(7, kind="check-in"))
    loaded.project()
    assert loaded.queue.backlog() == Backlog(0, 4)
    assert "field type conflict" in loaded.queue.refused(1)[0][1]
    assert len(loaded.server.rows("check_in")) == 1
    loaded.server.types["repetition", "rom_deg"] = float
    loaded.register(rebuild=True)
    loaded.project()
    assert loaded.queue.backlog() == Backlog(0, 0)
    assert loaded.server.snapshot() == loaded.fresh()


def test_a_body_too_large_is_divided(loaded: Bench) -> None:
    loaded.server.max_body = 2500  # one record, not two
    loaded.project()
    assert len(loaded.server.writes) > 1
    assert loaded.server.snapshot() == loaded.fresh()


def test_a_single_record_too_large_is_set_aside(loaded: Bench) -> None:
    loaded.server.max_body = 10
    loaded.project()
    assert loaded.queue.backlog() == Backlog(0, 4)
    assert "too large" in loaded.queue.refused(1)[0][1]


def test_what_is_beyond_the_retention_is_no_fault(loaded: Bench, now: datetime) -> None:
    loaded.server.oldest_ns = int((now - timedelta(days=2, hours=12)).timestamp()) * 10**9
    loaded.project()
    assert len(loaded.server.rows("session")) == 2
    assert loaded.queue.backlog() == Backlog(0, 0)


def test_a_server_that_cannot_delete_never_has_a_record_twice(loaded: Bench, now: datetime) -> None:
    loaded.project()
    loaded.server.can_delete = False
    before = loaded.server.snapshot()
    loaded.store.bind_kit("kit-001", loaded.store.add_patient("A B", "UTC"), since=now - timedelta(days=30))
    loaded.project()
    assert loaded.server.snapshot() == before
    assert loaded.queue.backlog() == Backlog(0, 4)
    assert "rebuild into an empty bucket" in loaded.queue.refused(1)[0][1]
    loaded.register(rebuild=True)
    with pytest.raises(UsageError, match="new, empty bucket"):
        loaded.project()


def test_not_let_in_is_told_as_such(loaded: Bench) -> None:
    with Influx(target(loaded.server, token="another")) as influx:  # noqa: S106 - a test's
        with pytest.raises(UsageError, match=r"does not let this token in \(401\)") as caught:
            influx.write(["m f=1 1"])
        assert "another" not in str(caught.value)
        with pytest.raises(UsageError, match="does not let"):
            influx.delete("session", 0, 1)
    with Influx(target(loaded.server, bucket="nowhere")) as influx, pytest.raises(UsageError, match="make the bucket"):
        influx.write(["m f=1 1"])
    with Influx(target(loaded.server, org="nobody")) as influx, pytest.raises(UsageError, match="make the bucket"):
        influx.delete("session", 0, 1)
    assert loaded.queue.backlog() == Backlog(4, 0)


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("http://influx.example:8086", "plain text"),
        ("influx.example", "must be like"),
        ("https://user:secret@influx.example", "must be like"),
        ("https://influx.example:port", "cannot be read"),
        ("ftp://127.0.0.1", "must be like"),
    ],
)
def test_an_address_that_would_not_be_safe_is_refused(url: str, text: str) -> None:
    with pytest.raises(UsageError, match=text) as caught:
        Target(url, "clinic", "gonio")
    assert "secret" not in str(caught.value)
