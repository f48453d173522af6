"""The broker of a clinic, the real one with the shipped configuration: who comes in, and what they may."""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from pathlib import Path

import aiomqtt
import pytest

from gonio.cloud_sink.enrolment.keys import register
from gonio.cloud_sink.store import open_store
from gonio.gateway.clock import KitClock
from gonio.gateway.records import Draft
from gonio.gateway.store import KitStore
from gonio.gateway.uplink import Uplink
from gonio.identity.authority import Authority, Revoked
from gonio.identity.keys import KeyPemFile
from gonio.identity.mqtt import MqttClient
from gonio.identity.signatures import sign
from gonio.messages import CheckIn, Kind, new_record_id, pack, payload_text, up_topic
from tests.broker import Mosquitto, listening_sink
from tests.deploy.shipped import ShippedBroker, long_ago

pytestmark = pytest.mark.peer("mosquitto")

ONE, TWO = "kit-1111111111111111", "kit-2222222222222222"
FIVE = aiomqtt.ProtocolVersion.V5


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


@pytest.fixture
async def broker(folder: Path) -> AsyncIterator[ShippedBroker]:
    shipped = ShippedBroker(folder)
    for kit in (ONE, TWO):
        shipped.certificate(kit)
    shipped.standing((ONE, TWO))
    async with shipped.running():
        yield shipped


def connect(broker: ShippedBroker, name: str | None, *, timeout: float = 5) -> MqttClient:
    return MqttClient(**broker.address_as(name).client_arguments(), protocol=FIVE, timeout=timeout)


async def may_connect(broker: ShippedBroker, name: str | None) -> bool:
    try:
        async with connect(broker, name) as client:
            await client.subscribe("gonio/v1/none/down/+")
    except aiomqtt.MqttError:
        return False
    return True


async def test_a_kit_writes_and_reads_nothing_of_another(broker: ShippedBroker) -> None:
    async with (
        connect(broker, "gonio-sink") as clinic,
        connect(broker, ONE) as kit,
        connect(broker, TWO) as other,
    ):
        await clinic.subscribe("gonio/v1/+/up/+", qos=1)
        for topic in (f"gonio/v1/{TWO}/down/#", "gonio/v1/+/up/+", "#", "$SYS/#", f"$share/x/gonio/v1/{TWO}/down/+"):
            await kit.subscribe(topic, qos=1)
        await other.subscribe(f"gonio/v1/{TWO}/down/+", qos=1)
        for topic in (up_topic(TWO, Kind.SESSION), f"gonio/v1/{TWO}/down/command", f"gonio/v1/{ONE}/down/ack", "a/b"):
            await kit.publish(topic, b"forged", qos=1)
        await clinic.publish(f"gonio/v1/{TWO}/down/ack", b"for two", qos=1)
        await other.publish(up_topic(TWO, Kind.SESSION), b"from two", qos=1)
        async with asyncio.timeout(20):
            heard = await anext(aiter(clinic.messages))
            assert heard.payload == b"from two"  # the forged ones were published before
            assert (await anext(aiter(other.messages))).payload == b"for two"
        await asyncio.sleep(0.5)
        assert len(kit.messages) == 0


@pytest.mark.parametrize(
    "who", ["none", "foreign", "foreign, of the same name", "expired", "not yet valid", "self-made", "unknown kit"]
)
async def test_who_is_not_a_kit_of_the_clinic_does_nothing(broker: ShippedBroker, folder: Path, who: str) -> None:
    stranger = Authority.make(folder / "stranger")
    same = Authority.make(folder / "same", broker.authority.certificate.name)
    match who:
        case "foreign":
            broker.certificate(ONE, authority=stranger, file="who")
        case "foreign, of the same name":
            broker.certificate(ONE, authority=same, file="who")
        case "expired":
            broker.certificate(ONE, now=long_ago(91), file="who")
        case "not yet valid":
            broker.certificate(ONE, now=long_ago(-1), file="who")
        case "self-made":
            own = Authority.make(folder / "own", ONE)
            (folder / "who.crt").write_bytes(own.certificate_file.read_bytes())
            (folder / "who.key").write_bytes((folder / "own" / "authority.key").read_bytes())
        case "unknown kit":
            broker.certificate("kit-3333333333333333", file="who")
    if who != "unknown kit":  # it has a good certificate, and may nothing
        assert not await may_connect(broker, None if who == "none" else "who")
        return
    async with connect(broker, "gonio-sink") as clinic, connect(broker, "who") as kit:
        await clinic.subscribe("gonio/v1/+/up/+", qos=1)
        await kit.subscribe("gonio/v1/kit-3333333333333333/down/+", qos=1)
        await kit.publish(up_topic("kit-3333333333333333", Kind.SESSION), b"unknown", qos=1)
        await clinic.publish("gonio/v1/kit-3333333333333333/down/command", b"for it", qos=1)
        await asyncio.sleep(0.5)
        assert (len(clinic.messages), len(kit.messages)) == (0, 0)


async def test_a_revoked_kit_is_cut_off_while_it_is_connected_and_comes_in_no_more(broker: ShippedBroker) -> None:
    certificate = broker.certificate(ONE)
    async with (
        connect(broker, "gonio-sink") as clinic,
        connect(broker, ONE) as lost,
        connect(broker, TWO) as other,
    ):
        await clinic.subscribe("gonio/v1/+/up/+", qos=1)
        await lost.subscribe(f"gonio/v1/{ONE}/down/+", qos=1)
        messages = aiter(clinic.messages)
        async with asyncio.timeout(20):
            await lost.publish(up_topic(ONE, Kind.SESSION), b"before", qos=1)
            assert (await anext(messages)).payload == b"before"
        broker.standing((TWO,), (Revoked(certificate.serial, datetime.now(UTC)),))
        while await may_connect(broker, ONE):  # noqa: ASYNC110 - the signal is on its way
            await asyncio.sleep(0.1)
        await lost.publish(up_topic(ONE, Kind.SESSION), b"after", qos=1)
        await clinic.publish(f"gonio/v1/{ONE}/down/command", b"for the finder", qos=1)
        await other.publish(up_topic(TWO, Kind.SESSION), b"others go on", qos=1)
        async with asyncio.timeout(20):
            assert (await anext(messages)).payload == b"others go on"
        await asyncio.sleep(0.5)
        assert len(lost.messages) == 0
    assert await may_connect(broker, TWO)


async def test_a_kit_that_is_claimed_meanwhile_comes_in(broker: ShippedBroker) -> None:
    fresh = "kit-4444444444444444"
    broker.certificate(fresh)
    async with connect(broker, "gonio-sink") as clinic, connect(broker, fresh) as kit:
        await clinic.subscribe("gonio/v1/+/up/+", qos=1)
        broker.standing((ONE, TWO, fresh))
        messages = aiter(clinic.messages)
        async with asyncio.timeout(20):
            heard = None
            while heard is None:
                await kit.publish(up_topic(fresh, Kind.SESSION), b"hello", qos=1)
                try:
                    heard = await asyncio.wait_for(anext(messages), 0.5)
                except TimeoutError:
                    messages = aiter(clinic.messages)
        assert heard.payload == b"hello"


def check_in(clock: KitClock) -> Draft:
    return Draft(new_record_id(), Kind.CHECK_IN, clock.capture(), 1, payload_text(CheckIn(pain_during=2)))


async def test_a_kits_signed_records_reach_the_book_and_forged_ones_do_not(
    broker: ShippedBroker, tmp_path: Path
) -> None:
    """A second broker, which asks nobody for anything, stands for whatever else may let a record through."""
    clock = KitClock(state=lambda: "synchronised")
    open_broker = Mosquitto(tmp_path)
    open_broker.start()
    try:
        with open_store(f"sqlite:///{tmp_path}/book.sqlite") as store, KitStore.open(tmp_path / "kit") as kit:
            key = KeyPemFile(tmp_path / "kit" / "identity" / "kit-key.pem")
            with store._writer.begin() as connection:
                register(connection, kit.kit_id, key.public, at=datetime.now(UTC))
            for suffix in ("crt", "key"):  # the certificate is for the key that signs
                (broker.folder / f"{kit.kit_id}.{suffix}").unlink(missing_ok=True)
            (broker.folder / f"{kit.kit_id}.key").write_bytes(key.pem_file.read_bytes())
            broker.certificate(kit.kit_id)
            broker.standing(store.enrolment.standing().kits)
            first = kit.commit(check_in(clock))
            async with listening_sink(store, broker, share="gonio", protocol="5"):  # type: ignore[arg-type]
                uplink = Uplink(kit, broker.address_as(kit.kit_id), kit.kit_id)
                task = asyncio.create_task(uplink.run())
                try:
                    assert await uplink.drain(60.0), uplink.status
                finally:
                    task.cancel()
                    await asyncio.gather(task, return_exceptions=True)
            assert store.audit().records == 1
            attacker = KeyPemFile.make(tmp_path / "attacker.pem")
            again = {"record_id": new_record_id(), "sequence": 2}
            forged = [
                first.model_copy(update=again | {"signature": None, "key_id": None}),
                first.model_copy(update=again),
                sign(first.model_copy(update=again), attacker),
            ]
            async with (
                listening_sink(store, open_broker),
                MqttClient(**open_broker.address.client_arguments(), timeout=10) as client,
            ):
                for record in forged:
                    await client.publish(up_topic(kit.kit_id, Kind.CHECK_IN), pack([record]), qos=1)
                async with asyncio.timeout(30):
                    while len(await asyncio.to_thread(store.quarantine)) < len(forged):  # noqa: ASYNC110
                        await asyncio.sleep(0.05)
            assert store.audit().records == 1
            with store._reader.connect() as connection:
                details = connection.exec_driver_sql("SELECT detail FROM audit_log WHERE action = 'record-refused'")
                assert ['"alarm":"forged"' in detail for detail in details.scalars()] == [True] * len(forged)
    finally:
        open_broker.kill()
