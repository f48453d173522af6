"""A fleet against a real broker and a real sink: what the kits hold, what the truth says and what the clinic has."""

import asyncio
import contextlib
import json
import re
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import select
from typer.testing import CliRunner

from gonio.cli.main import app
from gonio.cloud_sink import down
from gonio.cloud_sink.model import Delivery
from gonio.cloud_sink.schema import RECORDS
from gonio.cloud_sink.store import Store, open_store
from gonio.errors import GonioError, UsageError
from gonio.gateway.clock import KitClock
from gonio.gateway.database import StoreWriteError
from gonio.gateway.records import Draft
from gonio.gateway.store import KitStore
from gonio.gateway.uplink import UplinkTiming
from gonio.identity.broker import BrokerAddress
from gonio.messages import ClinicMessage, Envelope
from gonio.simulators import fleet, fleet_kit
from gonio.simulators.fleet import FleetOptions, run_fleet
from gonio.simulators.fleet_record import simulated_draft
from gonio.simulators.fleet_yard import Yard
from tests.broker import Mosquitto, free_port, listening_sink, running_mosquitto

FAST = UplinkTiming(answer_s=1.0, longest_wait_s=1.0, reconnect_s=0.05, longest_reconnect_s=0.2, network_s=2.0)
LIMIT_S = 120.0  # after which a test gives up; none waits for it

Row = tuple[str, int, str]  # kit, sequence, record's id


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    with running_mosquitto(tmp_path) as server:
        yield server


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_store(f"sqlite:///{tmp_path}/book.db") as book:
        yield book


def options(tmp_path: Path, url: str, *, kits: int, records: int) -> FleetOptions:
    return FleetOptions(
        kits=kits,
        records=records,
        rate=0.0,
        broker=BrokerAddress.parse(url),
        data_dir=tmp_path / "fleet",
        truth=tmp_path / "truth",
        timing=FAST,
    )


def quiet(_: str) -> None:
    pass


def truth_rows(tmp_path: Path) -> list[Row]:
    lines = [json.loads(line) for line in (tmp_path / "truth").read_text().splitlines()]
    return [(line["kit"], line["sequence"], line["record_id"]) for line in lines]


def outboxes(tmp_path: Path) -> dict[str, list[Envelope]]:
    """Read what each kit holds, by the name of its directory."""
    held = {}
    for directory in sorted((tmp_path / "fleet" / "kits").iterdir()):
        with KitStore.open(directory) as kit:
            counts = kit.counts()
            total = counts.pending + counts.acknowledged + counts.rejected
            held[directory.name] = kit.envelopes(range(1, total + 1))
    return held


def outbox_rows(tmp_path: Path) -> list[Row]:
    return [
        (e.kit_id, e.sequence or 0, str(e.record_id)) for envelopes in outboxes(tmp_path).values() for e in envelopes
    ]


def book_rows(store: Store) -> list[Row]:
    with store._engine.connect() as connection:
        rows = connection.execute(select(RECORDS.c.kit_id, RECORDS.c.sequence, RECORDS.c.record_id))
        return [(kit, sequence, str(record_id)) for kit, sequence, record_id in rows]


def assert_all_agree(tmp_path: Path, store: Store, count: int) -> None:
    truth = sorted(truth_rows(tmp_path))
    assert len(truth) == count
    assert truth == sorted(outbox_rows(tmp_path)) == sorted(book_rows(store))
    found = store.audit()
    assert (found.records, found.doubled, found.gaps, found.quarantined) == (count, 0, (), 0)


@pytest.mark.peer("mosquitto")
async def test_every_record_of_every_kit_arrives_once(
    tmp_path: Path, store: Store, broker: Mosquitto, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More kits than places, and paced: each has several turns."""
    monkeypatch.setattr(fleet, "TURN_S", 0.05)
    turns: Counter[int] = Counter()

    async def counted(shared: fleet_kit.Shared, number: int) -> bool:
        turns[number] += 1
        assert len(shared.awake) < 2
        return await fleet_kit.take_turn(shared, number)

    monkeypatch.setattr(fleet, "take_turn", counted)
    wanted = replace(options(tmp_path, broker.url, kits=9, records=12), at_once=2, rate=200.0)
    async with listening_sink(store, broker):
        result = await asyncio.wait_for(run_fleet(wanted, quiet), LIMIT_S)
    assert (result.records, result.acknowledged, result.rejected, result.made) == (108, 108, 0, 108)
    assert result.made_s > 0.4
    assert set(turns.values()) == {3}
    assert_all_agree(tmp_path, store, 108)


@pytest.mark.peer("mosquitto")
async def test_each_kit_can_be_a_simulated_patients(tmp_path: Path, store: Store, broker: Mosquitto) -> None:
    """Also when the fleet is started again, with everything entered or only the patient."""
    wanted = options(tmp_path, broker.url, kits=3, records=20)
    wanted = replace(wanted, book=f"sqlite:///{tmp_path}/book.db")
    await make_all(wanted, 1)
    async with listening_sink(store, broker):
        for _ in range(2):
            await asyncio.wait_for(run_fleet(wanted, quiet), LIMIT_S)
    patients = store.patients()
    assert len(patients) == 3
    assert all(10 <= row.sessions <= 20 for row in patients)  # the others are check-ins, messages and so on
    assert all(row.name.startswith("Simulated patient of kit-") for row in patients)
    found = store.audit()
    assert (found.records, found.unassigned, found.data_days) == (60, 0, 0)  # simulated days are no data days


@pytest.mark.peer("mosquitto")
async def test_a_truth_file_with_another_fleets_kits_is_told(tmp_path: Path, store: Store, broker: Mosquitto) -> None:
    wanted = options(tmp_path, broker.url, kits=1, records=1)
    line = {"kit": "kit-strange", "sequence": 1, "record_id": "018e2b2e-0000-7000-8000-000000000000"}
    (tmp_path / "truth").write_text(json.dumps(line) + "\n")
    async with listening_sink(store, broker):
        assert "kit-strange" in await refusal(wanted)


def start_fleet(tmp_path: Path, broker: Mosquitto, *, kits: int, records: int, rate: float) -> subprocess.Popen[str]:
    arguments = [
        *("simulate", "fleet", "--kits", str(kits), "--records", str(records), "--rate", str(rate)),
        *("--broker", broker.url, "--data-dir", str(tmp_path / "fleet"), "--truth", str(tmp_path / "truth"), "--json"),
    ]
    return subprocess.Popen(
        [sys.executable, "-m", "gonio", *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def lines_of(tmp_path: Path) -> int:
    try:
        return (tmp_path / "truth").read_bytes().count(b"\n")
    except FileNotFoundError:
        return 0


@pytest.mark.peer("mosquitto")
async def test_killed_again_and_again_it_goes_on_where_it_stopped(
    tmp_path: Path, store: Store, broker: Mosquitto
) -> None:
    kits, records, kills = 6, 80, 4
    made_before: list[int] = []
    async with listening_sink(store, broker):
        for _ in range(kills):
            goal = lines_of(tmp_path) + 30
            process = start_fleet(tmp_path, broker, kits=kits, records=records, rate=40.0)
            async with asyncio.timeout(LIMIT_S):
                while lines_of(tmp_path) < goal:
                    assert process.poll() is None, process.communicate()[1]
                    await asyncio.sleep(0.01)
            process.kill()
            process.communicate()
            made_before.append(len(outbox_rows(tmp_path)))
        process = start_fleet(tmp_path, broker, kits=kits, records=records, rate=0.0)
        said, complained = await asyncio.wait_for(asyncio.to_thread(process.communicate), LIMIT_S)
        assert process.returncode == 0, complained
        again = start_fleet(tmp_path, broker, kits=kits, records=records, rate=0.0)
        said_again, _ = await asyncio.wait_for(asyncio.to_thread(again.communicate), LIMIT_S)
    assert made_before == sorted(set(made_before))
    assert made_before[-1] < kits * records
    last = json.loads(said.splitlines()[-1])
    assert (last["source"], last["records"], last["acknowledged"]) == ("simulated", 480, 480)
    assert last["made"] == kits * records - made_before[-1]
    assert (again.returncode, json.loads(said_again)["made"]) == (0, 0)
    assert_all_agree(tmp_path, store, kits * records)
    audited = CliRunner().invoke(app, ["sink", "audit", "--store", f"sqlite:///{tmp_path}/book.db", "--json"])
    audit = json.loads(audited.output)
    assert (audit["records"], audit["doubled"], audit["missing"], audit["quarantined"]) == (480, 0, [], 0)


@pytest.mark.peer("mosquitto")
async def test_a_broker_that_is_away_is_waited_for_and_named(
    tmp_path: Path, store: Store, broker: Mosquitto, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fleet, "REPORT_S", 0.1)
    monkeypatch.setattr(fleet_kit, "AWAY_S", 0.0)
    broker.kill()
    told: list[str] = []
    wanted = replace(options(tmp_path, broker.url, kits=4, records=5), at_once=1)
    running = asyncio.create_task(run_fleet(wanted, told.append))
    async with asyncio.timeout(LIMIT_S):
        # all are made though nobody can be reached, and the one place goes round
        while lines_of(tmp_path) < 20 or not any(f"no connection to the broker {broker.url}" in t for t in told):
            assert not running.done()
            await asyncio.sleep(0.02)
        broker.start()
        async with listening_sink(store, broker):
            result = await running
    assert result.acknowledged == 20
    assert_all_agree(tmp_path, store, 20)


@pytest.mark.peer("mosquitto")
async def test_a_silent_clinic_is_named(tmp_path: Path, broker: Mosquitto, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fleet, "REPORT_S", 0.05)
    monkeypatch.setattr(fleet, "SILENT_S", 0.1)
    told: list[str] = []
    running = asyncio.create_task(run_fleet(options(tmp_path, broker.url, kits=2, records=2), told.append))
    async with asyncio.timeout(LIMIT_S):
        while not any("the clinic does not answer" in text for text in told):
            assert not running.done()
            await asyncio.sleep(0.02)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running


@pytest.mark.peer("mosquitto")
async def test_a_full_disk_is_named_and_costs_only_time(
    tmp_path: Path, store: Store, broker: Mosquitto, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fleet_kit, "RETRY_S", 0.0)
    real_open, real_commit = KitStore.open, KitStore.commit
    faults = {"open": 2, "commit": 5}
    told: list[str] = []

    def full(what: str) -> bool:
        faults[what] -= 1
        return faults[what] >= 0

    def faulty_open(directory: Path) -> KitStore:
        if full("open"):
            raise StoreWriteError("the disk is full: free some space on it")
        return real_open(directory)

    def faulty_commit(kit: KitStore, draft: Draft) -> Envelope:
        if kit.counts().pending and full("commit"):
            raise StoreWriteError("the disk is full: free some space on it")
        return real_commit(kit, draft)

    monkeypatch.setattr(KitStore, "open", faulty_open)
    monkeypatch.setattr(KitStore, "commit", faulty_commit)
    async with listening_sink(store, broker):
        result = await asyncio.wait_for(
            run_fleet(options(tmp_path, broker.url, kits=3, records=30), told.append), LIMIT_S
        )
    assert max(faults.values()) < 0
    assert any("the disk is full" in text for text in told)
    assert (result.records, result.acknowledged) == (90, 90)
    assert_all_agree(tmp_path, store, 90)


class KilledError(GonioError):
    """The test's own end of a run."""


_OWN_IDS = re.compile('"(sitting_id|follows|about|record_id)":"[^"]*"')


def content(tmp_path: Path) -> dict[str, list[tuple[object, ...]]]:
    """Give what the kits of a fleet tell, without the names that are the outboxes' own."""
    return {
        name: [(e.sequence, e.captured_at, e.clock, e.monotonic_ns, _OWN_IDS.sub("", e.payload)) for e in envelopes]
        for name, envelopes in outboxes(tmp_path).items()
    }


async def make_all(wanted: FleetOptions, kill_after: int | None) -> None:
    """Run a fleet without a broker until everything is made, or until it has made so many records more."""
    real = simulated_draft
    made = 0

    def draft(*arguments: Any) -> Draft:  # noqa: ANN401 - simulated_draft's
        nonlocal made
        made += 1
        if kill_after is not None and made > kill_after:
            raise KilledError("killed")
        return real(*arguments)

    assert wanted.truth is not None
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fleet_kit, "simulated_draft", draft)
        running = asyncio.create_task(run_fleet(wanted, quiet))
        async with asyncio.timeout(LIMIT_S):
            while not running.done() and lines_of(wanted.truth.parent) < wanted.kits * wanted.records:  # noqa: ASYNC110 - a file
                await asyncio.sleep(0.005)
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError, KilledError):
            await running


@given(st.lists(st.integers(0, 9), max_size=4), st.integers(0, 3))
@settings(max_examples=12, deadline=None)
def test_stopped_at_any_points_it_makes_the_same_records(stops: list[int], seed: int) -> None:
    """Also where a record is committed and its line of truth is not written."""
    with TemporaryDirectory() as one, TemporaryDirectory() as other:
        # a fleet's end is the moment at which it was begun: the second has the first one's
        straight = replace(options(Path(one), f"mqtt://127.0.0.1:{free_port()}", kits=2, records=8), seed=seed)
        asyncio.run(make_all(straight, None))
        broken = replace(straight, data_dir=Path(other) / "fleet", truth=Path(other) / "truth")
        broken.data_dir.mkdir()
        shutil.copy(straight.data_dir / "fleet.json", broken.data_dir)
        for stop in stops:
            asyncio.run(make_all(broken, stop))
        asyncio.run(make_all(broken, None))
        assert content(Path(one)) == content(Path(other))
        for directory in (Path(one), Path(other)):
            assert sorted(truth_rows(directory)) == sorted(outbox_rows(directory))
            assert len(truth_rows(directory)) == 16
        assert not {row[2] for row in truth_rows(Path(one))} & {row[2] for row in truth_rows(Path(other))}


@pytest.mark.peer("mosquitto")
async def test_what_the_clinic_sends_to_a_kit_is_answered_beside_its_own_records(
    tmp_path: Path, store: Store, broker: Mosquitto
) -> None:
    """A receipt takes a number of the outbox: it has a line of truth, and the kit still makes all its records."""
    wanted = options(tmp_path, f"mqtt://127.0.0.1:{free_port()}", kits=1, records=12)
    await make_all(wanted, 5)
    with KitStore.open(tmp_path / "fleet" / "kits" / "000001") as kit:
        store.add_kit(kit.kit_id)
        with store._writer.begin() as connection:
            message = ClinicMessage(text="How is the stair?", sender="Your therapist", simulated=True)
            sent = down.queue(connection, kit.kit_id, message, actor="staff", now=datetime.now(UTC))
        assert kit.receive([sent], KitClock().capture()) == [sent]
    async with listening_sink(store, broker):
        result = await asyncio.wait_for(
            run_fleet(replace(wanted, broker=BrokerAddress.parse(broker.url)), quiet), LIMIT_S
        )
    assert (result.records, result.acknowledged) == (13, 13)
    assert_all_agree(tmp_path, store, 13)
    kinds = [json.loads(line)["kind"] for line in (tmp_path / "truth").read_text().splitlines()]
    assert kinds.index("receipt") == 5


async def refusal(wanted: FleetOptions) -> str:
    with pytest.raises(UsageError) as refused:
        await asyncio.wait_for(run_fleet(wanted, quiet), LIMIT_S)
    return str(refused.value)


async def test_what_is_not_the_same_fleet_is_refused(tmp_path: Path) -> None:
    wanted = options(tmp_path, f"mqtt://127.0.0.1:{free_port()}", kits=2, records=3)
    await make_all(wanted, None)
    for other in (replace(wanted, kits=3), replace(wanted, records=4), replace(wanted, seed=9)):
        assert "--kits 2 --records 3 --seed 1" in await refusal(other)
    (tmp_path / "fleet" / "fleet.json").write_text("{}")
    assert "cannot be read" in await refusal(wanted)
    (tmp_path / "fleet" / "fleet.json").unlink()
    assert "no fleet.json" in await refusal(wanted)


async def test_a_second_fleet_on_the_directory_is_refused(tmp_path: Path) -> None:
    wanted = options(tmp_path, f"mqtt://127.0.0.1:{free_port()}", kits=1, records=1)
    with Yard(wanted.data_dir, kits=1, records=1, seed=1):
        assert "another fleet already runs" in await refusal(wanted)


async def test_a_record_that_a_kit_has_lost_is_told_and_not_made_anew(tmp_path: Path) -> None:
    wanted = options(tmp_path, f"mqtt://127.0.0.1:{free_port()}", kits=1, records=3)
    await make_all(wanted, None)
    before = (tmp_path / "truth").read_text()
    with KitStore.open(tmp_path / "fleet" / "kits" / "000001") as store:
        store._db.execute("DELETE FROM outbox WHERE sequence = 3")
        store._db.execute("DELETE FROM record WHERE sequence = 3")
        store._db.execute("UPDATE outbox_head SET last_sequence = 2")
    assert "record 3" in await refusal(wanted)
    assert (tmp_path / "truth").read_text() == before


@pytest.mark.peer("mosquitto")
async def test_refused_records_end_the_command_with_an_error(tmp_path: Path, store: Store, broker: Mosquitto) -> None:
    """The clinic holds other content under a record's id: it refuses, and the fleet says so."""
    wanted = options(tmp_path, broker.url, kits=1, records=2)
    await make_all(replace(wanted, broker=BrokerAddress.parse(f"mqtt://127.0.0.1:{free_port()}")), None)
    (first, _) = outboxes(tmp_path)["000001"]
    changed = first.model_copy(update={"monotonic_ns": first.monotonic_ns + 1})
    store.ingest_batch([Delivery(first.kit_id, (changed,), datetime.now(UTC))])
    async with listening_sink(store, broker):
        process = start_fleet(tmp_path, broker, kits=1, records=2, rate=0)
        said, complained = await asyncio.wait_for(asyncio.to_thread(process.communicate), LIMIT_S)
    assert process.returncode == 1
    assert json.loads(said)["rejected"] == 1
    assert "the clinic refused 1 record(s)" in complained
    assert "Traceback" not in complained


def test_signals_end_it_with_a_word_and_no_traceback(tmp_path: Path) -> None:
    broker = Mosquitto(tmp_path)  # never started
    process = start_fleet(tmp_path, broker, kits=2, records=2, rate=0)
    end_s = time.monotonic() + LIMIT_S
    while lines_of(tmp_path) < 4 and time.monotonic() < end_s:
        time.sleep(0.02)
    process.terminate()
    _, complained = process.communicate(timeout=LIMIT_S)
    assert process.returncode == 130, complained
    assert "goes on from here" in complained
    assert "Traceback" not in complained
