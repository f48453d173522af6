"""A kit that its clinic wipes forgets its patient, tells the clinic with the key that it still has, and begins anew."""

import asyncio
import shutil
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from gonio.cloud_sink.down import DownState
from gonio.cloud_sink.store import Store, open_store
from gonio.errors import UsageError
from gonio.gateway.clock import KitClock
from gonio.gateway.identity_folder import IdentityFolder
from gonio.gateway.keyfile import KeyFile
from gonio.gateway.kit import Kit
from gonio.gateway.links.diary import Diary
from gonio.gateway.links.service import FixedBluetooth
from gonio.gateway.nameplate import read_plate
from gonio.gateway.orders import answer_wipe, wipe_here
from gonio.gateway.records import PairedSensor
from gonio.gateway.reports import report_draft
from gonio.gateway.settings import KitSettings
from gonio.gateway.spool import Spool
from gonio.gateway.store import KitStore
from gonio.gateway.uplink import UplinkTiming
from gonio.gateway.wiping import DecommissionedError, WipeMark, read_mark, remember_recording
from gonio.messages import (
    CheckIn,
    ClinicMessage,
    DownEnvelope,
    DownKind,
    Identify,
    PatientMessage,
    Wipe,
    new_record_id,
    payload_text,
    wire_time,
)
from tests.broker import Mosquitto, listening_sink, running_mosquitto
from tests.gateway.killed import run_killed

FAST = UplinkTiming(answer_s=0.3, longest_wait_s=0.5, reconnect_s=0.05, longest_reconnect_s=0.2, network_s=2.0)
CLOCK = KitClock()
THIGH, SHANK = "D4:22:CD:0A:0B:01", "D4:22:CD:0A:0B:02"
#: Everything of a patient that the kit is given below.
PERSONAL = ("Wilhelmina", "by-the-lake", "Ropinirole", THIGH, SHANK, "Dear-Mrs-W", "stairs-hurt")


@pytest.fixture
def book(tmp_path: Path) -> Iterator[Store]:
    with open_store(f"sqlite:///{tmp_path / 'book.sqlite3'}") as store:
        yield store


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    with running_mosquitto(tmp_path) as server:
        yield server


def lived_in(data_dir: Path) -> KeyFile:
    """Make a kit that a patient had."""
    keys = KeyFile(data_dir / "kit.key")
    with KitStore.open(data_dir, keys) as store:
        for number in range(40):
            note = f"Wilhelmina takes Ropinirole {number}"
            store.commit(report_draft(CheckIn(author="patient", pain_after=3, note=note), CLOCK.capture()))
        store.commit(report_draft(PatientMessage(text="I live by-the-lake"), CLOCK.capture()))
        store.pair([PairedSensor("thigh", THIGH, "movella_dot", "A"), PairedSensor("shank", SHANK, "movella_dot", "B")])
        said = ClinicMessage(text="Dear-Mrs-W", sender="Your physiotherapist")
        store.receive([down(store.kit_id, DownKind.MESSAGE, payload_text(said), 1)], CLOCK.capture())
    Spool(data_dir, keys).put(report_draft(PatientMessage(text="stairs-hurt"), CLOCK.capture()))
    Diary(data_dir, now=CLOCK.now).write(f"the sensor {THIGH} was heard, says Wilhelmina")
    (data_dir / "links.json").write_text(f'{{"address": "{SHANK}"}}')
    recording = data_dir.parent / "recording"
    recording.mkdir(exist_ok=True)
    for name in ("recording.toml", "thigh.csv", "shank.csv.gz"):
        (recording / name).write_text("Wilhelmina")
    (recording / "notes.txt").write_text("somebody else's")
    remember_recording(data_dir, recording)
    return keys


def down(kit_id: str, kind: DownKind, payload: str, sequence: int) -> DownEnvelope:
    return DownEnvelope(
        record_id=new_record_id(),
        kind=kind,
        kit_id=kit_id,
        outbox_id=uuid.uuid5(uuid.NAMESPACE_DNS, "clinic"),
        sequence=sequence,
        created_at=wire_time(datetime.now(UTC)),
        schema_version=1,
        payload=payload,
    )


def chunks(data_dir: Path) -> list[bytes]:
    """Give bytes of every page of the database and its log, as they lie on the disk."""
    found = []
    for file in data_dir.glob("kit.sqlite3*"):
        data = file.read_bytes()
        found += [data[at + 100 : at + 132] for at in range(0, len(data) - 132, 4096)]
    return [one for one in found if len(set(one)) > 8]  # not of zeros


def remains(data_dir: Path, old: list[bytes]) -> list[str]:
    """Name what is left of a patient or of the old database, and where."""
    found = []
    for file in (file for file in data_dir.rglob("*") if file.is_file()):
        data = file.read_bytes()
        found += [f"{word} in {file.name}" for word in PERSONAL if word.encode() in data or word in file.name]
        found += [f"old pages in {file.name}" for one in old if one in data]
    if (data_dir / "kit.sqlite3").exists():
        with KitStore.peek(data_dir) as store, store._reading() as db:
            tables = [row[0] for row in db.execute("SELECT name FROM sqlite_schema WHERE type = 'table'").fetchall()]
            text = repr([db.execute(f"SELECT * FROM {table}").fetchall() for table in tables])  # noqa: S608 - its own
        found += [f"{word} in the database" for word in PERSONAL if word in text]
    return found


@asynccontextmanager
async def running(data_dir: Path, broker: str) -> AsyncIterator[Kit]:
    settings = KitSettings(data_dir=data_dir, broker=broker)
    async with Kit(settings, uplink_timing=FAST, bluetooth=FixedBluetooth()) as kit:
        yield kit


async def until_it_ends(data_dir: Path, broker: str) -> None:
    async with asyncio.timeout(60), running(data_dir, broker):
        await asyncio.Event().wait()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not await asyncio.to_thread(condition):  # noqa: ASYNC110 - the book is a value to look at
            await asyncio.sleep(0.05)


def state(book: Store, kit_id: str) -> DownState:
    return book.down.rows(kit_id)[-1].state


@pytest.mark.peer("mosquitto")
@pytest.mark.parametrize("at_once", [False, True], ids=["drained", "at-once"])
async def test_nothing_of_the_patient_is_left_and_the_clinic_is_told(
    book: Store, broker: Mosquitto, tmp_path: Path, *, at_once: bool
) -> None:
    data_dir = tmp_path / "kit"
    keys = lived_in(data_dir)
    old, old_key = chunks(data_dir), keys.read()
    assert old
    async with listening_sink(book, broker), running(data_dir, broker.url) as kit:
        kit_id, outbox = kit.kit_id, kit.store.outbox_id
        book.add_kit(kit_id)
        book.down.send(kit_id, Wipe(do="wipe", at_once=at_once))
        await until(lambda: state(book, kit_id) == DownState.APPLIED)
        assert kit.kit_id == kit_id
        assert kit.store.outbox_id != outbox
        assert kit.store.pairing() == {}
        assert await kit.uplink.drain(30)
        assert keys.read() != old_key
        assert remains(data_dir, old) == []
        assert read_mark(data_dir) is None
        book.down.send(kit_id, Identify(do="identify"))  # it goes on as a kit does
        await until(lambda: state(book, kit_id) == DownState.REFUSED)
    assert [one.name for one in (tmp_path / "recording").iterdir()] == ["notes.txt"]
    if not at_once:
        assert book.audit().gaps == ()


@pytest.mark.peer("mosquitto")
async def test_a_decommissioned_kit_forgets_who_it_was_after_the_clinic_knows(
    book: Store, broker: Mosquitto, tmp_path: Path
) -> None:
    data_dir = tmp_path / "kit"
    lived_in(data_dir)
    old = chunks(data_dir)
    key = IdentityFolder(data_dir).key_file.read_bytes()
    async with listening_sink(book, broker):
        plate = read_plate(data_dir)
        assert plate is not None
        kit_id = plate.kit_id
        book.add_kit(kit_id)
        book.down.send(kit_id, Wipe(do="wipe", decommission=True))
        with pytest.raises(DecommissionedError):
            await until_it_ends(data_dir, broker.url)
        await until(lambda: state(book, kit_id) == DownState.APPLIED)
    assert remains(data_dir, old) == []
    assert [one.name for one in data_dir.iterdir()] == ["kit.lock"]
    with KitStore.open(data_dir) as store:
        assert store.kit_id != kit_id
        assert IdentityFolder(data_dir).key_file.read_bytes() != key


def test_a_wipe_that_is_sent_again_is_answered_and_done_once(tmp_path: Path) -> None:
    """The clinic sends until it hears: the next patient's data must not go with the last one's."""
    data_dir = tmp_path / "kit"
    lived_in(data_dir)
    with KitStore.open(data_dir) as store:
        command = down(store.kit_id, DownKind.COMMAND, payload_text(Wipe(do="wipe")), 2)
    WipeMark(stage="erase", command=command).keep(data_dir)
    with KitStore.open(data_dir) as store:
        answer_wipe(store, CLOCK.capture())
        kept = store.commit(report_draft(CheckIn(author="patient", pain_after=1), CLOCK.capture()))
        assert store.receive([command], CLOCK.capture()) == []
        assert [one.state for one in store.clinic_records(DownKind.COMMAND)] == ["applied"]
        assert store.record(kept.record_id) is not None


@pytest.mark.parametrize("decommission", [False, True], ids=["wiped", "decommissioned"])
def test_killed_at_every_step_the_next_start_goes_on(tmp_path: Path, *, decommission: bool) -> None:
    made = tmp_path / "made" / "kit"
    made.parent.mkdir()
    lived_in(made)
    with KitStore.open(made) as store:
        kit_id = store.kit_id
        command = down(kit_id, DownKind.COMMAND, payload_text(Wipe(do="wipe", decommission=decommission)), 2)
    old = chunks(made)
    (made / "recordings.list").unlink()
    WipeMark(stage="erase", decommission=decommission, command=command).keep(made)
    for at in range(1, 100):
        kit = tmp_path / str(at) / "kit"
        shutil.copytree(made, kit)
        was_killed = run_killed(at, kit, "open")
        with KitStore.open(kit) as store:
            answer_wipe(store, CLOCK.capture())
            assert store.kit_id == kit_id
            (one,) = store.clinic_records(DownKind.COMMAND)
            assert one.state == "applied"
            receipts = store.envelopes(store.pending(10))
            assert [receipt.key_id for receipt in receipts] == [store.signing_key.key_id] * len(receipts)
        mark = read_mark(kit)
        assert (mark.stage if mark else None) == ("leave" if decommission else None)
        assert remains(kit, old) == []
        shutil.rmtree(kit.parent)
        if not was_killed:
            break
    else:
        pytest.fail("it never came to its end")
    assert at > 10


async def test_no_session_begins_while_a_kit_is_being_decommissioned(tmp_path: Path) -> None:
    data_dir = tmp_path / "kit"
    with KitStore.open(data_dir) as store:
        command = down(store.kit_id, DownKind.COMMAND, payload_text(Wipe(do="wipe", decommission=True)), 1)
    WipeMark(stage="erase", decommission=True, command=command).keep(data_dir)
    async with running(data_dir, "mqtt://127.0.0.1:1") as kit:
        with pytest.raises(UsageError, match="being wiped"):
            await kit.run_session("heel-slide")
        with pytest.raises(UsageError, match="being wiped"):
            await kit.record(tmp_path / "recording", asyncio.Event())


@pytest.mark.parametrize("decommission", [False, True])
def test_a_person_at_the_kit_can_wipe_it(tmp_path: Path, *, decommission: bool) -> None:
    data_dir = tmp_path / "kit"
    keys = lived_in(data_dir)
    old, plate = chunks(data_dir), read_plate(data_dir)
    wipe_here(data_dir, keys, decommission=decommission)
    assert remains(data_dir, old) == []
    after = read_plate(data_dir)
    assert (after is None) == decommission
    with KitStore.open(data_dir, keys) as store:
        assert plate is not None
        assert (store.kit_id == plate.kit_id) != decommission


def test_a_key_on_another_medium_is_erased_too(tmp_path: Path) -> None:
    data_dir, elsewhere = tmp_path / "kit", KeyFile(tmp_path / "usb" / "kit.key")
    with KitStore.open(data_dir, elsewhere):
        pass
    wipe_here(data_dir, elsewhere, decommission=False)
    assert elsewhere.read() is None


def test_a_running_kit_is_not_wiped_under_its_feet(tmp_path: Path) -> None:
    keys = KeyFile(tmp_path / "kit" / "kit.key")
    with KitStore.open(tmp_path / "kit", keys), pytest.raises(UsageError, match="stop it first"):
        wipe_here(tmp_path / "kit", keys, decommission=False)
    assert read_mark(tmp_path / "kit") is None
