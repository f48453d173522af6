"""The sink against a real broker: nothing is acknowledged before it is stored, nothing is lost, nothing is doubled."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import uuid
import zlib
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import aiomqtt
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from gonio.cloud_sink import worker as worker_module
from gonio.cloud_sink.ingest import Protocol
from gonio.cloud_sink.store import Store, open_store
from gonio.messages import (
    Ack,
    AckStatus,
    DownKind,
    Envelope,
    Kind,
    down_topic,
    pack,
    unpack_acks,
    up_topic,
)
from tests.broker import Mosquitto, listening_sink, running_mosquitto

pytestmark = pytest.mark.peer("mosquitto")

Make = Callable[..., Envelope]
LIMIT_S = 60.0  # after which a test gives up; none waits for it


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    with running_mosquitto(tmp_path) as server:
        yield server


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_module, "FIRST_PAUSE_S", 0.02)
    monkeypatch.setattr(worker_module, "LONGEST_PAUSE_S", 0.1)


class FakeKit:
    """Sends its records until each is acknowledged, as a kit does: through lost links, and again after a while."""

    def __init__(self, broker: Mosquitto, records: Sequence[Envelope], *, at_once: int = 5) -> None:
        self._broker = broker
        self._kit_id = records[0].kit_id
        self._waiting = {record.record_id: record for record in records}
        self._at_once = at_once
        self.acks: list[Ack] = []
        self.on_ack: Callable[[Ack], None] = lambda _ack: None

    async def run(self) -> None:
        async with asyncio.timeout(LIMIT_S):
            while self._waiting:
                with contextlib.suppress(aiomqtt.MqttError):
                    async with aiomqtt.Client("127.0.0.1", self._broker.port, timeout=2) as client:
                        await client.subscribe(down_topic(self._kit_id, DownKind.ACK), qos=1)
                        while self._waiting:
                            await self._send(client)
                            await self._hear(client)
                await asyncio.sleep(0.02)

    async def _send(self, client: aiomqtt.Client) -> None:
        batch = list(self._waiting.values())[: self._at_once]
        await client.publish(up_topic(self._kit_id, Kind.SESSION), pack(batch), qos=1)

    async def _hear(self, client: aiomqtt.Client) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.5):
                async for message in client.messages:
                    assert isinstance(message.payload, bytes)
                    for ack in unpack_acks(message.payload).acks:
                        self.acks.append(ack)
                        self.on_ack(ack)
                        self._waiting.pop(ack.record_id, None)
                    return


@pytest.fixture
def records(envelope: Make) -> Callable[[int, int], list[Envelope]]:
    """Make n records of one kit as of now, numbered from 1."""

    def make(kit: int, n: int) -> list[Envelope]:
        outbox = uuid.uuid4()
        begin = datetime.now(UTC) - timedelta(days=1)
        return [
            envelope(i + 1, kit_id=f"kit-{kit:03}", outbox_id=outbox, captured=begin + timedelta(minutes=i))
            for i in range(n)
        ]

    return make


Records = Callable[[int, int], list[Envelope]]


@pytest.mark.parametrize("protocol", ["3.1.1", "5"])
async def test_what_is_acknowledged_is_there_for_everybody(
    store: Store, store_url: str, broker: Mosquitto, records: Records, protocol: Protocol
) -> None:
    sent = records(1, 20)
    kit = FakeKit(broker, sent)
    with open_store(store_url) as other:

        def is_stored(ack: Ack) -> None:
            assert other.session(ack.record_id) is not None

        kit.on_ack = is_stored
        async with listening_sink(store, broker, protocol=protocol) as reports:
            await kit.run()
    assert {ack.record_id for ack in kit.acks} == {record.record_id for record in sent}
    assert sum(report.stored for report in reports) == 20
    assert store.audit().records == 20


async def test_no_word_while_the_book_cannot_be_written(
    store: Store, store_url: str, broker: Mosquitto, records: Records
) -> None:
    kit = FakeKit(broker, records(1, 1))
    with open_store(store_url) as other:
        async with listening_sink(store, broker):
            with other._writer.connect() as holder, holder.begin() as held:
                if holder.dialect.name == "postgresql":  # on SQLite it has the only right to write
                    holder.exec_driver_sql("LOCK TABLE records IN EXCLUSIVE MODE")
                sending = asyncio.create_task(kit.run())
                await asyncio.sleep(1)
                assert kit.acks == []
                held.rollback()
            await sending
    assert kit.acks
    assert store.audit().records == 1


async def test_two_workers_share_the_load(store_url: str, broker: Mosquitto, records: Records) -> None:
    kits = [FakeKit(broker, records(n, 30), at_once=3) for n in range(1, 5)]
    with open_store(store_url) as one, open_store(store_url) as other:
        async with (
            listening_sink(one, broker, share="clinic") as first,
            listening_sink(other, broker, share="clinic") as second,
        ):
            await asyncio.gather(*(kit.run() for kit in kits))
        found = one.audit()
    assert (found.records, found.doubled, found.gaps) == (120, 0, ())
    assert first
    assert second


async def test_a_broker_that_dies_and_returns(store: Store, broker: Mosquitto, records: Records) -> None:
    kits = [FakeKit(broker, records(n, 60), at_once=2) for n in range(1, 4)]
    async with listening_sink(store, broker):
        sending = asyncio.gather(*(kit.run() for kit in kits))
        for _ in range(3):
            await asyncio.sleep(0.3)
            broker.kill()
            await asyncio.sleep(0.1)
            broker.start()
        await sending
    found = store.audit()
    assert (found.records, found.doubled, found.gaps, found.quarantined) == (180, 0, (), 0)


async def test_nothing_that_comes_stops_the_sink(
    store: Store, broker: Mosquitto, records: Records, caplog: pytest.LogCaptureFixture
) -> None:
    good = records(1, 3)
    forged = records(2, 1)
    topic = up_topic("kit-001", Kind.SESSION)
    hostile = [
        (topic, b""),
        (topic, b"\xff" * 10_000_000),
        (topic, zlib.compress(b"[" + b"0," * 30_000_000 + b"0]", 9)),
        (topic, zlib.compress(b'[{"kind": NaN}]')),
        (topic, zlib.compress(b'[{"kind": "Mary Miller has pain"}]')),
        (topic, pack(forged)),
        ("gonio/v1/Mary%20Miller/up/session", pack(good[:1])),
        ("gonio/v1/kit-001/up/" + "x" * 60_000, pack(good[:1])),
    ]
    async with listening_sink(store, broker):
        async with aiomqtt.Client("127.0.0.1", broker.port) as client:
            for name, data in hostile:
                await client.publish(name, data, qos=1)
        await FakeKit(broker, good).run()
    found = store.audit()
    assert (found.records, found.quarantined) == (3, 7)  # the long topic is a topic of kit-001
    assert "Mary" not in caplog.text


def start_worker(store_url: str, broker_url: str, *options: str, **environment: str) -> subprocess.Popen[bytes]:
    arguments = ["run", "--store", store_url, "--broker", broker_url, *options]
    return subprocess.Popen(
        [sys.executable, "-c", "from gonio.cli.sink import app; app()", *arguments],
        stderr=subprocess.PIPE,
        env=os.environ | environment,
    )


def stop_worker(worker: subprocess.Popen[bytes]) -> str:
    worker.send_signal(signal.SIGTERM)
    said = worker.communicate(timeout=LIMIT_S)[1].decode()
    assert worker.returncode == 0
    assert "Traceback" not in said
    assert "stopped" in said
    return said


async def test_kill_9_of_the_sink_in_mid_stream(
    store: Store, store_url: str, broker: Mosquitto, records: Records
) -> None:
    kits = [FakeKit(broker, records(n, 80), at_once=1) for n in range(1, 4)]
    worker = start_worker(store_url, broker.url)
    sending = asyncio.gather(*(kit.run() for kit in kits))
    killed_at = []
    for _ in range(2):
        before = store.audit().records
        while store.audit().records < before + 20:
            assert not sending.done(), "the records were through before the kill"
            await asyncio.sleep(0.01)
        worker.kill()
        worker.communicate()
        killed_at.append(store.audit().records)
        worker = start_worker(store_url, broker.url)
    await sending
    stop_worker(worker)
    found = store.audit()
    assert (found.records, found.doubled, found.gaps, found.quarantined) == (240, 0, (), 0)
    assert killed_at[-1] < 240
    assert all(ack.status is not AckStatus.REJECTED for kit in kits for ack in kit.acks)


def make_certificate(folder: Path) -> tuple[Path, Path]:
    """Make a self-signed certificate for localhost; gives the PEM files of certificate and key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    begin = datetime.now(UTC) - timedelta(days=1)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(begin)
        .not_valid_after(begin + timedelta(days=2))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    files = folder / "broker.crt", folder / "broker.key"
    files[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    files[1].write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return files


def make_passwords(folder: Path) -> Path:
    path = folder / "passwords"
    subprocess.run(["mosquitto_passwd", "-c", "-b", str(path), "clinic", "s3cret"], check=True)
    return path


async def test_a_broker_behind_tls_with_a_password(tmp_path: Path) -> None:
    certificate, key = make_certificate(tmp_path)
    passwords = make_passwords(tmp_path)
    login = {"GONIO_SINK_BROKER_USERNAME": "clinic", "GONIO_SINK_BROKER_PASSWORD": "s3cret"}
    lines = ("allow_anonymous false", f"password_file {passwords}", f"certfile {certificate}", f"keyfile {key}")
    with running_mosquitto(tmp_path, *lines) as server:
        url = f"mqtts://localhost:{server.port}"
        heard = [
            await hear(tmp_path, url, "--broker-ca", str(certificate), **login),
            await hear(tmp_path, url, "--broker-ca", str(certificate)),
            await hear(tmp_path, url, **login),
        ]
    for said, expected in zip(heard, ("listening", "not authorised", "certificate verify failed"), strict=True):
        assert expected in said
        assert "s3cret" not in said


async def hear(tmp_path: Path, url: str, *options: str, **environment: str) -> str:
    """Start a worker, wait for the first it has to say, stop it; gives all that it said."""
    worker = start_worker(f"sqlite:///{tmp_path}/book.db", url, *options, **environment)
    assert worker.stderr is not None
    first = await asyncio.to_thread(worker.stderr.readline)
    return first.decode() + stop_worker(worker)
