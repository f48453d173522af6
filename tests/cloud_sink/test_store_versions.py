"""Old and new payloads side by side: publishes as kits of each version sent them, to the letter."""

import json
import zlib
from datetime import datetime

import pytest
from sqlalchemy import select

from gonio.cloud_sink.inbox import Arrival
from gonio.cloud_sink.schema import KIT_HEALTH, RECORDS
from gonio.cloud_sink.store import Store
from gonio.cloud_sink.worker import read_publish
from gonio.messages import AckStatus, HealthReport

SESSION_1 = (
    '{"sitting_id":"00000000-0000-0000-0000-000000000007","exercise":"heel-slide","side":"left","source":"sensor",'
    '"duration_s":60.0,"reps":[{"start_s":0.0,"peak_s":1.0,"end_s":2.0,"signal":"knee","peak_flexion_deg":91.5,'
    '"min_flexion_deg":2.0,"rom_deg":89.5}],"max_flexion_deg":91.5,"min_flexion_deg":2.0,"zero":"standing",'
    '"calibrated_at_s":4.0,"ok_fraction":0.95,"sensors":[{"segment":"thigh","family":"movesense","name":"M 1",'
    '"samples":3120,"lost":4}],"curve":{"step_s":0.5,"flexion_deg":[0,45,null,91]},"software":"0.1.0"}'
)
SESSION_2 = (
    '{"sitting_id":"00000000-0000-0000-0000-000000000007","exercise":"heel-slide","side":"left","source":"sensor",'
    '"duration_s":60.0,"reps":[{"start_s":0.0,"peak_s":1.0,"end_s":2.0,"signal":"knee","peak_flexion_deg":91.5,'
    '"min_flexion_deg":2.0,"rom_deg":89.5,"concentric_s":1.0,"hold_s":0.2,"eccentric_s":0.8,'
    '"peak_velocity_dps":140.0,"smoothness":-1.9,"on_target":true}],"max_flexion_deg":91.5,"min_flexion_deg":2.0,'
    '"zero":"standing","calibration":"stored","calibrated_at_s":4.0,"ok_fraction":0.95,"sensors":[{"segment":"thigh",'
    '"family":"movesense","name":"M 1","samples":3120,"clipped":3}],"curve":{"step_s":0.5,"flexion_deg":[0,45],'
    '"tilt_deg":[0,1]},"goal":{"flexion_deg":90.0},"sets":[{"start_s":0.0,"end_s":2.0,"complete":1,"on_target":1}],'
    '"likeness":0.9,"software":"0.2.0"}'
)
SESSION_3 = SESSION_2.replace('"clipped":3', '"clipped":3,"away_s":2.5').replace("0.2.0", "0.3.0")
HEALTH_1 = '{"software":"0.1.0","pending":3,"batteries_percent":{"thigh":81},"troubles":["the clock is not set"]}'
HEALTH_2 = (
    '{"software":"0.3.0","outbox_id":"00000000-0000-0000-0000-000000000001","last_sequence":9,"pending":1,'
    '"oldest_pending":9,"ended":[{"outbox_id":"00000000-0000-0000-0000-000000000002","last_sequence":7,"saved":5,'
    '"lost":[[6,7]]}],"disk_free_mb":12000,"days_left":900}'
)


def publish(number: int, kind: str, version: int, payload: str) -> bytes:
    """Write a publish as a kit does, without the help of the code that reads it."""
    place = f'"outbox_id":"00000000-0000-0000-0000-000000000001","sequence":{number},' if kind == "session" else ""
    envelope = (
        f'{{"record_id":"01900000-0000-7000-8000-{number:012}","kind":"{kind}","kit_id":"kit-001",{place}'
        f'"boot_id":"00000000-0000-0000-0000-000000000002","monotonic_ns":{number},'
        f'"captured_at":"2026-03-05T11:00:0{number}.000-06:00","clock":"synchronised","schema_version":{version},'
        f'"payload":{json.dumps(payload)}}}'
    )
    return zlib.compress(f"[{envelope}]".encode())


def take_in(store: Store, now: datetime, *publishes: bytes) -> list[AckStatus]:
    arrivals = [read_publish(Arrival("gonio/v1/kit-001/up/session", data, now)) for data in publishes]
    return [ack.status for acks in store.ingest_batch(arrivals) for ack in acks]


def test_sessions_of_every_version_stand_side_by_side(store: Store, now: datetime) -> None:
    payloads = {1: SESSION_1, 2: SESSION_2, 3: SESSION_3}
    patient = store.add_patient("A", "America/Chicago")
    store.bind_kit("kit-001", patient, since=datetime.fromisoformat("2026-01-01T00:00:00+00:00"))
    sent = [publish(version, "session", version, payload) for version, payload in payloads.items()]
    assert take_in(store, now, *sent) == [AckStatus.STORED] * 3
    three, two, one = (row.summary for row in store.sessions(patient))
    assert {summary.max_flexion_deg for summary in (one, two, three)} == {91.5}
    assert (one.sets, one.goal, one.likeness, one.reps[0].concentric_s) == ((), None, None, None)
    assert (len(two.sets), two.reps[0].on_target, two.calibration, two.sensors[0].away_s) == (1, True, "stored", 0)
    assert three.sensors[0].away_s == 2.5
    with store._reader.connect() as connection:
        kept = {row.schema_version: row.payload for row in connection.execute(select(RECORDS))}
        reps = connection.exec_driver_sql("SELECT count(*) FROM repetitions").scalar()
    assert kept == payloads
    assert reps == 3
    store.rederive()
    assert [row.summary for row in store.sessions(patient)] == [three, two, one]


@pytest.mark.parametrize("order", [(1, 2), (2, 1)])
def test_health_of_either_version_the_newest_is_kept(store: Store, now: datetime, order: tuple[int, int]) -> None:
    payloads = {1: HEALTH_1, 2: HEALTH_2}
    for number, version in enumerate(order, start=1):
        assert take_in(store, now, publish(number, "health", version, payloads[version])) == [AckStatus.STORED]
    with store._reader.connect() as connection:
        (payload,) = connection.execute(select(KIT_HEALTH.c.payload)).scalars()
    assert payload == payloads[order[-1]]
    report = HealthReport.model_validate_json(payload)
    assert (report.pending, report.last_sequence) == ((3, None) if order[-1] == 1 else (1, 9))


@pytest.mark.parametrize(("kind", "version"), [("session", 4), ("health", 3)])
def test_a_version_of_tomorrow_is_refused_and_kept_aside(store: Store, now: datetime, kind: str, version: int) -> None:
    payload = {"session": SESSION_3, "health": HEALTH_2}[kind]
    assert take_in(store, now, publish(1, kind, version, payload)) == [AckStatus.REJECTED]
    (row,) = store.quarantine()
    assert row.reason == f"schema version {version} of {kind} is not known here"
