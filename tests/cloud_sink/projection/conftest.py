"""A book, a server, and what carries one to the other."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime

import pytest
from sqlalchemy import Engine

from gonio.cloud_sink.engine import open_engine
from gonio.cloud_sink.projection.queue import ProjectionQueue
from gonio.cloud_sink.projection.run import Projector, Round, project_all
from gonio.cloud_sink.projection.writer import Influx, Target
from gonio.cloud_sink.store import Store
from gonio.messages import AckStatus, Envelope
from tests.cloud_sink.projection.influx_server import InfluxServer, Series, running_influx
from tests.cloud_sink.projection.line_protocol import Value


@pytest.fixture
def influx() -> Iterator[InfluxServer]:
    with running_influx() as server:
        yield server


def target(server: InfluxServer, *, org: str = "", bucket: str = "", token: str = "") -> Target:
    return Target(server.url, org or server.org, bucket or server.bucket, token or server.token)


@dataclass
class Bench:
    """A book and the projection of it into a server."""

    store: Store
    engine: Engine
    server: InfluxServer
    now: datetime
    rounds: list[Round] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.queue = ProjectionQueue(self.engine, "influx")

    def take_in(self, *envelopes: Envelope) -> None:
        acks = self.store.ingest(envelopes[0].kit_id, envelopes, self.now)
        assert {ack.status for ack in acks} <= {AckStatus.STORED, AckStatus.REPEATED}

    def register(self, *, rebuild: bool = False) -> None:
        self.queue.register(str(target(self.server)), rebuild=rebuild, actor="operator:test")

    def project(self) -> None:
        """Project until nothing waits, as a new process does."""
        with Influx(target(self.server)) as influx:
            project_all(Projector(self.queue, influx), self.rounds.append)

    def fresh(self) -> dict[Series, dict[int, dict[str, Value]]]:
        """Give what a projection of the book as it is now, into an empty server, comes to."""
        with running_influx() as empty:
            queue = ProjectionQueue(self.engine, "fresh")
            queue.register(str(target(empty)), rebuild=False, actor="operator:test")
            with Influx(target(empty)) as influx:
                project_all(Projector(queue, influx), lambda _round: None)
            queue.forget()
            return empty.snapshot()


@pytest.fixture
def bench(store: Store, store_url: str, influx: InfluxServer, now: datetime) -> Iterator[Bench]:
    engine = open_engine(store_url, create=False)
    yield Bench(store, engine, influx, now)
    engine.dispose()


@pytest.fixture
def at_work(bench: Bench) -> Bench:
    """Give a projection that is registered, of a book without a record."""
    bench.register()
    return bench


EnvelopeMaker = Callable[..., Envelope]
