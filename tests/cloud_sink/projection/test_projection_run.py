"""From the book to the server: each record stands there once, wherever it belongs now, whatever happens on the way."""

import json
import uuid
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select

from gonio.cloud_sink.audit_log import Action
from gonio.cloud_sink.projection import queue as queue_module
from gonio.cloud_sink.projection.marks import mark_again
from gonio.cloud_sink.projection.queue import Backlog, ProjectionQueue
from gonio.cloud_sink.projection.run import Projector, project_all
from gonio.cloud_sink.projection.writer import Influx
from gonio.cloud_sink.schema_audit import AUDIT_LOG
from gonio.errors import UsageError
from gonio.messages import AngleCurve, Envelope
from tests.cloud_sink.projection.conftest import Bench, target
from tests.cloud_sink.projection.influx_server import running_influx

Make = Callable[..., Envelope]


def some_records(envelope: Make, now: datetime) -> list[Envelope]:
    """Four sessions on four days, a check-in and a message of one kit."""
    sessions = [envelope(n, captured=now - timedelta(days=n)) for n in range(1, 5)]
    return [*sessions, envelope(5, kind="check-in"), envelope(6, kind="message")]


def records_of(bench: Bench, measurement: str) -> list[str]:
    return sorted(str(fields["record"]) for _, _, fields in bench.server.rows(measurement))


def test_what_is_taken_in_stands_in_the_server_once(at_work: Bench, envelope: Make, now: datetime) -> None:
    records = some_records(envelope, now)
    health = envelope(kind="health")
    at_work.take_in(*records)
    at_work.take_in(health)
    at_work.project()
    assert records_of(at_work, "session") == sorted(str(r.record_id) for r in records[:4])
    assert records_of(at_work, "check_in") == [str(records[4].record_id)]
    assert records_of(at_work, "kit_health") == [str(health.record_id)]
    assert len(at_work.server.rows("repetition")) == 8
    assert len(at_work.server.rows("angle")) == 12
    before = at_work.server.snapshot()
    at_work.take_in(*records)  # once more, as kits do
    at_work.project()
    assert at_work.server.snapshot() == before
    assert at_work.queue.backlog() == Backlog(0, 0)
    assert at_work.server.gzipped == len(at_work.server.writes)


def test_without_a_projection_nothing_is_queued(bench: Bench, envelope: Make, now: datetime) -> None:
    bench.take_in(*some_records(envelope, now))
    assert bench.queue.backlog() == Backlog(0, 0)


def test_what_was_in_the_book_before_comes_too(
    bench: Bench, envelope: Make, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queue_module, "FILL_SLICE", 2)
    records = some_records(envelope, now)
    bench.take_in(*records[:3])
    bench.take_in(envelope(kind="health"))
    bench.register()
    bench.take_in(*records[3:])
    bench.project()
    assert len(bench.server.rows("session")) == 4
    assert len(bench.server.rows("check_in")) == 1
    assert len(bench.server.rows("kit_health")) == 1
    assert bench.queue.stage() == "ready"


def test_every_health_report_comes_though_the_book_keeps_the_newest(at_work: Bench, envelope: Make) -> None:
    for n in (1, 2, 3):
        at_work.take_in(envelope(n, kind="health"))
    at_work.project()
    assert sorted(int(fields["pending"]) for _, _, fields in at_work.server.rows("kit_health")) == [1, 2, 3]


def test_a_kit_given_to_a_patient_later_moves_its_points(at_work: Bench, envelope: Make, now: datetime) -> None:
    at_work.take_in(*some_records(envelope, now))
    at_work.project()
    assert {tags["episode"] for tags, _, _ in at_work.server.rows("angle")} == {"none"}
    patient = at_work.store.add_patient("A B", "Europe/Berlin")
    at_work.store.bind_kit("kit-001", patient, since=now - timedelta(days=2, hours=1))
    at_work.project()
    episodes = [tags["episode"] for tags, _, _ in at_work.server.rows("session")]
    assert episodes[:2] == ["none", "none"]
    assert episodes[2] == episodes[3] != "none"
    assert len(at_work.server.rows("repetition")) == 8
    assert len(at_work.server.rows("angle")) == 12
    assert at_work.server.snapshot() == at_work.fresh()
    assert str(patient) not in json.dumps([tags for tags, _, _ in at_work.server.rows("session")])


def test_what_is_struck_out_is_taken_away(at_work: Bench, envelope: Make, now: datetime) -> None:
    records = some_records(envelope, now)
    at_work.take_in(*records)
    at_work.project()
    for n, struck in ((7, records[1]), (8, records[4])):
        void = json.dumps({"record_id": str(struck.record_id), "reason": "mistake"})
        at_work.take_in(envelope(n, kind="void", payload=void))
    at_work.project()
    assert str(records[1].record_id) not in records_of(at_work, "session")
    assert len(at_work.server.rows("session")) == 3
    assert len(at_work.server.rows("repetition")) == 6
    assert len(at_work.server.rows("angle")) == 9
    assert at_work.server.rows("check_in") == []
    assert at_work.server.snapshot() == at_work.fresh()


def test_a_record_struck_out_in_its_own_batch_is_never_written(at_work: Bench, envelope: Make) -> None:
    session = envelope(1)
    void = json.dumps({"record_id": str(session.record_id), "reason": "not-me"})
    at_work.take_in(session, envelope(2, kind="void", payload=void))
    at_work.project()
    assert at_work.server.snapshot() == {}


def test_a_clock_repaired_later_moves_the_points(at_work: Bench, envelope: Make, now: datetime) -> None:
    boot = uuid.uuid4()
    unset = envelope(
        1,
        captured=datetime.fromisoformat("1970-01-01T00:00:10+00:00"),
        clock="unsynchronised",
        boot_id=boot,
        monotonic_ns=10 * 10**9,
    )
    at_work.take_in(unset)
    at_work.project()
    assert [tags["clock"] for tags, _, _ in at_work.server.rows("session")] == ["unsynchronised"]
    known = envelope(2, captured=now - timedelta(hours=1), boot_id=boot, monotonic_ns=3610 * 10**9)
    at_work.take_in(known)
    at_work.project()
    first, second = at_work.server.rows("session")
    assert first[0]["clock"] == "repaired"
    assert (second[1] - first[1]) // 10**9 in {3599, 3600}  # to the millisecond, and the offsets of two ids
    assert len(at_work.server.rows("angle")) == 6
    assert at_work.server.snapshot() == at_work.fresh()


def test_taking_points_away_spares_what_stands_in_the_same_span(
    at_work: Bench, envelope: Make, session_payload: Callable[..., str], now: datetime
) -> None:
    """Two boots of a kit without a clock: both sessions stand at 1970, one of them moves."""
    boot = datetime.fromisoformat("1970-01-01T00:00:10+00:00")
    payload = session_payload(curve=AngleCurve(step_s=1.0, flexion_deg=tuple(range(60))))
    unknown = [
        envelope(n, captured=boot + timedelta(seconds=n), clock="unsynchronised", boot_id=uuid.uuid4(), payload=payload)
        for n in (1, 2)
    ]
    at_work.take_in(*unknown)
    at_work.project()
    assert len(at_work.server.rows("angle")) == 120
    with at_work.engine.begin() as connection:  # only the first is looked at again, and is said to stand elsewhere
        connection.exec_driver_sql(
            "UPDATE projection_places SET place = first.place FROM "
            "(SELECT place FROM projection_places ORDER BY first_ns DESC LIMIT 1) AS first "
            "WHERE first_ns = (SELECT min(first_ns) FROM projection_places)"
        )
        mark_again(connection, [unknown[0].record_id])
    at_work.project()
    assert at_work.server.deletes
    assert len(at_work.server.rows("angle")) == 120
    assert at_work.server.snapshot() == at_work.fresh()


def test_a_change_in_the_middle_of_a_round_is_not_lost(at_work: Bench, envelope: Make, now: datetime) -> None:
    at_work.take_in(*some_records(envelope, now))
    patient = at_work.store.add_patient("A B", "Europe/Berlin")

    def rebind() -> None:
        at_work.server.on_write = lambda: None
        at_work.store.bind_kit("kit-001", patient, since=now - timedelta(days=30))

    at_work.server.on_write = rebind  # the round has read the old state, and writes it now
    at_work.project()
    assert "none" not in {tags["episode"] for tags, _, _ in at_work.server.rows("session")}
    assert at_work.server.snapshot() == at_work.fresh()


@pytest.mark.parametrize("step", ["place", "settle"])
def test_a_round_cut_off_between_its_steps_is_done_again(
    at_work: Bench, envelope: Make, now: datetime, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_work.take_in(*some_records(envelope, now))
    at_work.project()
    patient = at_work.store.add_patient("A B", "Europe/Berlin")
    at_work.store.bind_kit("kit-001", patient, since=now - timedelta(days=30))

    def die(*_args: Any) -> None:  # noqa: ANN401 - whatever the step takes
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(ProjectionQueue, step, die)
        with pytest.raises(KeyboardInterrupt):
            at_work.project()
    second = at_work.store.add_patient("C D", "Europe/Berlin")  # and it moves again before anybody goes on
    at_work.store.bind_kit("kit-001", second, since=now - timedelta(days=2, hours=1))
    at_work.project()
    assert at_work.server.snapshot() == at_work.fresh()


def test_a_rebuild_comes_to_the_same(at_work: Bench, envelope: Make, now: datetime) -> None:
    at_work.take_in(*some_records(envelope, now))
    at_work.take_in(envelope(kind="health"))
    at_work.project()
    before = at_work.server.snapshot()
    at_work.server.points[("session", (("kit", "stray"),))] = {5: {"duration_s": 1.0}}
    at_work.register(rebuild=True)
    at_work.project()
    assert at_work.server.snapshot() == before


def test_a_rebuild_is_noted_in_the_audit_log(at_work: Bench) -> None:
    at_work.register()
    at_work.register(rebuild=True)
    with at_work.engine.connect() as connection:
        noted = connection.execute(select(AUDIT_LOG.c.actor).where(AUDIT_LOG.c.action == Action.PROJECTION_REBUILT))
        assert noted.scalars().all() == ["operator:test"]


@pytest.mark.parametrize("step", ["cleared", "fill", "place", "settle"])
def test_a_rebuild_cut_off_is_gone_on_with(
    at_work: Bench, envelope: Make, now: datetime, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_work.take_in(*some_records(envelope, now))
    at_work.project()
    before = at_work.server.snapshot()
    at_work.server.points[("session", (("kit", "stray"),))] = {5: {"duration_s": 1.0}}
    at_work.register(rebuild=True)

    def die(*_args: Any) -> None:  # noqa: ANN401 - whatever the step takes
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(ProjectionQueue, step, die)
        with pytest.raises(KeyboardInterrupt):
            at_work.project()
    at_work.project()
    assert at_work.server.snapshot() == before


def test_another_bucket_needs_to_be_asked_for(at_work: Bench, envelope: Make, now: datetime) -> None:
    at_work.take_in(*some_records(envelope, now))
    at_work.project()
    with running_influx() as other:
        elsewhere = str(target(other))
        with pytest.raises(UsageError, match="--rebuild"):
            at_work.queue.register(elsewhere, rebuild=False, actor="operator:test")
        at_work.queue.register(elsewhere, rebuild=True, actor="operator:test")
        with Influx(target(other)) as influx:
            project_all(Projector(at_work.queue, influx), at_work.rounds.append)
        assert other.snapshot() == at_work.server.snapshot()


def test_a_projection_taken_out_is_queued_for_no_more(at_work: Bench, envelope: Make, now: datetime) -> None:
    assert at_work.queue.forget()
    assert not at_work.queue.forget()
    at_work.take_in(*some_records(envelope, now))
    assert at_work.queue.backlog() == Backlog(0, 0)
    with pytest.raises(UsageError, match="taken out"):
        at_work.project()
