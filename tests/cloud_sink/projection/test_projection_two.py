"""Several processes at once: no order of commits loses a record, and two projectors do not work against each other."""

import threading
import time
from collections.abc import Callable, Iterator
from datetime import datetime

import pytest
from sqlalchemy import insert, select, text

from gonio.cloud_sink.engine import StoreUnavailableError, open_engine
from gonio.cloud_sink.projection.lock import only_projector
from gonio.cloud_sink.projection.marks import mark_again, mark_new
from gonio.cloud_sink.projection.queue import Backlog
from gonio.cloud_sink.schema import RECORDS, SESSIONS
from gonio.cloud_sink.store import open_store
from gonio.errors import UsageError
from gonio.messages import Envelope, new_record_id
from tests.cloud_sink.postgres import PostgresCluster
from tests.cloud_sink.projection.conftest import Bench
from tests.cloud_sink.projection.influx_server import InfluxServer

Make = Callable[..., Envelope]


@pytest.fixture
def pair(postgres_url: str, influx: InfluxServer, now: datetime) -> Iterator[Bench]:
    """Give a book on PostgreSQL, where two transactions write at once."""
    engine = open_engine(postgres_url, create=True)
    with open_store(postgres_url) as store:
        yield Bench(store, engine, influx, now)
    engine.dispose()


def test_a_mark_that_commits_after_later_ones_is_not_skipped(pair: Bench, envelope: Make) -> None:
    pair.take_in(envelope(1), envelope(2))
    pair.register()
    pair.project()
    pair.server.points.clear()
    with pair.store._reader.connect() as reading:
        first, second = reading.execute(select(RECORDS.c.record_id).order_by(RECORDS.c.record_id)).scalars()
    with pair.engine.begin() as slow:
        mark_again(slow, [first])  # the lower id, marked first
        with pair.engine.begin() as quick:
            mark_again(quick, [second])
        pair.project()
        assert [fields["record"] for _, _, fields in pair.server.rows("session")] == [str(second)]
        assert pair.queue.backlog() == Backlog(0, 0)
    pair.project()
    assert {fields["record"] for _, _, fields in pair.server.rows("session")} == {str(first), str(second)}


def test_registering_waits_for_who_has_asked_before(pair: Bench, envelope: Make) -> None:
    pair.take_in(envelope(1))
    registering = threading.Thread(target=pair.register)
    with pair.engine.begin() as intake:
        mark_new(intake, [], {})  # has asked: nobody is registered
        registering.start()
        with pair.engine.connect() as watching:
            waiting = text("SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'projections'::regclass")
            while not watching.execute(waiting).scalar():
                watching.rollback()
                time.sleep(0.01)
        another = {"record_id": new_record_id()}
        for table in (RECORDS, SESSIONS):
            known = intake.execute(select(table)).mappings().one()
            intake.execute(insert(table).values(dict(known) | another))
    registering.join()
    pair.project()
    assert len(pair.server.rows("session")) == 2


def test_a_second_projector_is_sent_away(bench: Bench, store_url: str) -> None:
    with only_projector(bench.engine, "influx") as check:
        check()
        with pytest.raises(UsageError, match="another process"), only_projector(bench.engine, "influx"):
            pass
        with only_projector(bench.engine, "another"):
            pass
    with only_projector(bench.engine, "influx"):
        pass


def test_a_projector_that_lost_its_lock_is_told(mortal_postgres: PostgresCluster) -> None:
    engine = open_engine(mortal_postgres.create(), create=True)
    with only_projector(engine, "influx") as check:
        check()
        mortal_postgres.stop()
        mortal_postgres.start()
        with pytest.raises(StoreUnavailableError):
            check()
    with only_projector(engine, "influx"):
        pass
    engine.dispose()
