"""The demo's broker lets in whom the clinic's authority names, and each to its own topics."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import aiomqtt
import pytest
from sqlalchemy import select

from gonio.cloud_sink.broker_warden import SINK_NAME
from gonio.cloud_sink.clinic_folder import ClinicFolder
from gonio.cloud_sink.schema_down import DOWN_RECEIPTS
from gonio.cloud_sink.store import Store, open_store
from gonio.demo.broker import embedded_broker
from gonio.demo.clinic import running_clinic
from gonio.gateway.kit import Kit
from gonio.gateway.links.service import FixedBluetooth
from gonio.gateway.settings import KitSettings
from gonio.identity.authority import Authority
from gonio.identity.broker import BrokerAddress, OwnCertificate
from gonio.identity.certificates import make_request
from gonio.identity.keys import KeyPemFile
from gonio.identity.mqtt import MqttClient
from gonio.messages import ClinicMessage, DownKind, down_topic, new_record_id, pack_down

ONE, TWO = "kit-1111111111111111", "kit-2222222222222222"


@dataclass
class Demo:
    folder: ClinicFolder
    url: str

    def connect(self, name: str | None, authority: Authority | None = None) -> MqttClient:
        own = None
        if name is not None:
            key_file, cert_file = self.folder.path / f"{name}.key", self.folder.path / f"{name}.crt"
            key = KeyPemFile(key_file) if key_file.exists() else KeyPemFile.make(key_file)
            cert_file.write_text((authority or self.folder.authority()).issue_kit(make_request(key, name), name).pem)
            own = OwnCertificate(cert_file, key_file)
        address = BrokerAddress.parse(self.url, ca_file=self.folder.authority_file, own=own)
        return MqttClient(**address.client_arguments(), timeout=5)


@pytest.fixture
async def demo(tmp_path: Path) -> AsyncIterator[Demo]:
    folder = ClinicFolder(tmp_path)
    Authority.make(folder.authority_folder)
    async with embedded_broker(folder) as url:
        yield Demo(folder, url)


async def test_each_reads_and_writes_its_own_topics_only(demo: Demo) -> None:
    async with demo.connect(SINK_NAME) as sink, demo.connect(ONE) as one, demo.connect(TWO) as two:
        await sink.subscribe("gonio/v1/+/up/+")
        for topic in ("#", "+/+/+/+/+", "gonio/v1/+/up/+", "gonio/v1/+/down/+", f"gonio/v1/{TWO}/down/+", "$SYS/#"):
            await one.subscribe(topic)
        await two.subscribe(f"gonio/v1/{TWO}/down/+")
        for topic in (f"gonio/v1/{TWO}/up/session", f"gonio/v1/{TWO}/down/command", f"gonio/v1/{ONE}/down/ack", "a"):
            await one.publish(topic, b"forged", qos=1)
        await sink.publish(f"gonio/v1/{TWO}/down/ack", b"for two", qos=1)
        await one.publish(f"gonio/v1/{ONE}/up/session", b"from one", qos=1)
        async with asyncio.timeout(20):
            assert (await anext(aiter(sink.messages))).payload == b"from one"
            assert (await anext(aiter(two.messages))).payload == b"for two"
        await asyncio.sleep(0.3)
        assert (len(sink.messages), len(one.messages), len(two.messages)) == (0, 0, 0)


@pytest.mark.parametrize("who", ["nobody", "a stranger"])
async def test_nobody_else_comes_in(demo: Demo, tmp_path: Path, who: str) -> None:
    stranger = Authority.make(tmp_path / "stranger")
    client = demo.connect(None) if who == "nobody" else demo.connect(ONE, stranger)
    with pytest.raises(aiomqtt.MqttError):
        async with client:
            await client.publish(f"gonio/v1/{ONE}/up/session", b"x", qos=1)


async def test_there_is_no_plain_text_and_no_old_tls(demo: Demo) -> None:
    port = int(demo.url.rpartition(":")[2])
    plain = BrokerAddress.parse(f"mqtt://127.0.0.1:{port}")
    with pytest.raises(aiomqtt.MqttError):
        async with MqttClient(**plain.client_arguments(), timeout=2):
            pass
    context = ssl.create_default_context(cafile=str(demo.folder.authority_file))
    context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        context.maximum_version = ssl.TLSVersion.TLSv1_1

    def old() -> None:
        with socket.create_connection(("127.0.0.1", port), timeout=5) as raw:
            context.wrap_socket(raw, server_hostname="localhost")

    with pytest.raises(OSError):  # noqa: PT011 - OpenSSL's or the broken connection's
        await asyncio.to_thread(old)


async def test_a_demo_that_is_started_again_has_the_kit_it_claimed(tmp_path: Path) -> None:
    settings = KitSettings.load(data_dir=tmp_path / "kit")
    async with running_clinic(tmp_path) as clinic:
        kit_id = await asyncio.to_thread(clinic.claim, settings)
        first = clinic.broker
    async with running_clinic(tmp_path) as clinic:
        assert await asyncio.to_thread(clinic.claim, settings) == kit_id
        assert clinic.broker == first
        assert str(settings.broker_address()) == first
        assert clinic.book.enrolment.standing().kits == (kit_id,)
    with open_store(f"sqlite:///{tmp_path / 'clinic.sqlite'}") as book:
        (key,) = book.enrolment.keys(kit_id)
        assert key.state == "active"


async def test_a_claimed_kit_takes_what_its_clinic_has_signed_and_nothing_else(tmp_path: Path) -> None:
    settings = KitSettings.load(data_dir=tmp_path / "kit")
    async with running_clinic(tmp_path) as clinic:
        kit_id = await asyncio.to_thread(clinic.claim, settings)
        async with Kit(settings, bluetooth=FixedBluetooth(())) as kit:
            sent = await asyncio.to_thread(clinic.book.down.send, kit_id, ClinicMessage(text="hello", sender="x"))
            await kit.uplink.drain(30)
            async with asyncio.timeout(30):
                while not kit.store.clinic_records(DownKind.MESSAGE):  # noqa: ASYNC110 - its own tasks
                    await asyncio.sleep(0.05)
            (got,) = kit.store.clinic_records(DownKind.MESSAGE)
            assert got.envelope.record_id == sent.record_id
            own = OwnCertificate(clinic.folder.program("sink").certificate, clinic.folder.program("sink").key)
            address = BrokerAddress.parse(clinic.broker, ca_file=clinic.folder.authority_file, own=own)
            unsigned = sent.model_copy(update={"record_id": new_record_id(), "sequence": 2})
            async with MqttClient(**address.client_arguments(), timeout=10) as intruder:
                await intruder.publish(down_topic(kit_id, DownKind.MESSAGE), pack_down([unsigned]), qos=1)
            async with asyncio.timeout(30):
                while not await asyncio.to_thread(_refusals, clinic.book, kit_id):  # noqa: ASYNC110
                    await asyncio.sleep(0.05)
            assert len(kit.store.clinic_records(DownKind.MESSAGE)) == 1


def _refusals(book: Store, kit_id: str) -> int:
    with book._reader.connect() as connection:
        query = select(DOWN_RECEIPTS.c.status).where(DOWN_RECEIPTS.c.kit_id == kit_id)
        return list(connection.execute(query).scalars()).count("refused")
