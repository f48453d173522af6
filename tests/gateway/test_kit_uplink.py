"""The uplink against real brokers and a small clinic that acknowledges what it has committed."""

import asyncio
import gc
import random
import signal
import socket
import subprocess
import sys
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path
from tempfile import TemporaryDirectory

import aiomqtt
import pytest
from amqtt.broker import Broker
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from gonio.gateway.records import Capture, Draft
from gonio.gateway.store import KitStore
from gonio.gateway.uplink import Uplink, UplinkTiming
from gonio.identity.broker import NO_DELAY, BrokerAddress
from gonio.identity.mqtt import MqttClient
from gonio.messages import (
    UP_FILTER,
    Ack,
    AckBatch,
    AckStatus,
    DownKind,
    Envelope,
    HealthReport,
    Kind,
    down_topic,
    kit_of_topic,
    new_record_id,
    pack_acks,
    payload_text,
    unpack,
)
from gonio.tasks import apart

FAST = UplinkTiming(
    window=60, answer_s=0.3, longest_wait_s=0.5, reconnect_s=0.05, longest_reconnect_s=0.2, network_s=2.0
)
CAPTURE = Capture(uuid.uuid4(), 5, "2026-03-01T10:00:00.000+01:00", "synchronised")
LIMIT_S = 20.0


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


def commit(store: KitStore, count: int, kind: Kind = Kind.CHECK_IN, payload: str = '{"pain_during":3}') -> None:
    for _ in range(count):
        store.commit(Draft(new_record_id(), kind, CAPTURE, 1, payload))


class Mosquitto:
    """A mosquitto of our own on a loopback port."""

    def __init__(self, directory: Path, port: int, extra: str = "allow_anonymous true") -> None:
        self.port = port
        self._config = directory / "mosquitto.conf"
        self._config.write_text(f"listener {port} 127.0.0.1\npersistence false\nset_tcp_nodelay true\n{extra}\n")
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self._process = subprocess.Popen(
            ["/usr/sbin/mosquitto", "-c", self._config], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )

    def kill(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()
            self._process = None


@contextmanager
def mosquitto(directory: Path, extra: str = "allow_anonymous true") -> Iterator[Mosquitto]:
    broker = Mosquitto(directory, free_port(), extra)
    broker.start()
    try:
        yield broker
    finally:
        broker.kill()


@asynccontextmanager
async def embedded(port: int) -> AsyncIterator[None]:
    broker = Broker(
        {
            "listeners": {"default": {"type": "tcp", "bind": f"127.0.0.1:{port}"}},
            "plugins": {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}},
        }
    )
    await broker.start()
    try:
        yield
    finally:
        await broker.shutdown()


class Clinic:
    """Commits records to a dictionary, then acknowledges them; can be told to misbehave."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.stored: dict[uuid.UUID, Envelope] = {}
        self.came: Counter[uuid.UUID] = Counter()
        self.health: list[Envelope] = []
        self.ready = asyncio.Event()
        self.answer: Callable[[int, AckBatch], list[bytes]] = lambda _, batch: [pack_acks(batch)]
        self.judge: Callable[[Envelope], str | None] = lambda _: None
        self._publishes = 0

    async def run(self) -> None:
        while True:
            with suppress(aiomqtt.MqttError):
                await apart(self._listen(), "clinic")
            await asyncio.sleep(0.05)

    async def _listen(self) -> None:
        async with MqttClient("127.0.0.1", self._port, timeout=2.0, socket_options=NO_DELAY) as client:
            await client.subscribe(UP_FILTER, qos=1)
            self.ready.set()
            async for message in client.messages:
                await self._take(client, message)

    async def _take(self, client: aiomqtt.Client, message: aiomqtt.Message) -> None:
        kit_id = kit_of_topic(str(message.topic))
        assert kit_id is not None
        assert isinstance(message.payload, bytes)
        acks = []
        for item in unpack(message.payload):
            assert isinstance(item, Envelope)
            assert item.kit_id == kit_id
            if item.kind is Kind.HEALTH:
                self.health.append(item)
                continue
            self.came[item.record_id] += 1
            reason = self.judge(item)
            if reason:
                acks.append(Ack(record_id=item.record_id, status=AckStatus.REJECTED, reason=reason))
                continue
            status = AckStatus.REPEATED if item.record_id in self.stored else AckStatus.STORED
            self.stored[item.record_id] = item
            acks.append(Ack(record_id=item.record_id, status=status))
        if acks:
            self._publishes += 1
            for payload in self.answer(self._publishes, AckBatch(acks=tuple(acks))):
                await client.publish(down_topic(kit_id, DownKind.ACK), payload, qos=1)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(LIMIT_S):
        while not condition():  # noqa: ASYNC110 - the status is a value to look at, as a display does
            await asyncio.sleep(0.01)


@asynccontextmanager
async def running(*jobs: Awaitable[object]) -> AsyncIterator[None]:
    tasks = [asyncio.ensure_future(job) for job in jobs]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(isinstance(result, asyncio.CancelledError) for result in results), results


@pytest.fixture
def store(tmp_path: Path) -> Iterator[KitStore]:
    with KitStore.open(tmp_path / "kit") as store:
        yield store


def uplink_to(store: KitStore, port: int, timing: UplinkTiming = FAST) -> Uplink:
    address = BrokerAddress.parse(f"mqtt://127.0.0.1:{port}")
    return Uplink(store, address, store.kit_id, timing=timing, rng=random.Random(7))  # noqa: S311 - jitter


def assert_all_there(store: KitStore, clinic: Clinic, count: int) -> None:
    assert sorted(e.sequence or 0 for e in clinic.stored.values()) == list(range(1, count + 1))
    counts = store.counts()
    assert (counts.pending, counts.acknowledged, counts.rejected) == (0, count, 0)


async def test_embedded_broker_that_appears_late(store: KitStore) -> None:
    port = free_port()
    commit(store, 250)
    uplink, clinic = uplink_to(store, port), Clinic(port)
    async with running(uplink.run(), clinic.run()):
        await until(lambda: str(port) in (uplink.status.reason or ""))
        assert uplink.status.connections == 0
        async with embedded(port):
            assert await uplink.drain(LIMIT_S)
            commit(store, 5)  # a new record wakes the connected uplink
            assert await uplink.drain(LIMIT_S)
            assert uplink.status.connections == 1
    assert_all_there(store, clinic, 255)
    assert uplink.status.state == "stopped"


@pytest.mark.peer("mosquitto")
async def test_lost_acknowledgements_are_asked_for_again(store: KitStore, tmp_path: Path) -> None:
    commit(store, 40)
    with mosquitto(tmp_path) as broker:
        uplink, clinic = uplink_to(store, broker.port), Clinic(broker.port)
        clinic.answer = lambda n, batch: [] if n % 2 else [pack_acks(batch)]
        async with running(clinic.run()):
            await asyncio.wait_for(clinic.ready.wait(), LIMIT_S)
            async with running(uplink.run()):
                assert await uplink.drain(LIMIT_S)
    assert_all_there(store, clinic, 40)
    assert max(clinic.came.values()) > 1  # so something was sent again
    (resends,) = store._db.execute("SELECT sum(resends) FROM outbox").fetchone()
    assert resends > 0


@pytest.mark.peer("mosquitto")
async def test_repeated_foreign_and_broken_acknowledgements_do_no_harm(store: KitStore, tmp_path: Path) -> None:
    commit(store, 70)
    foreign = pack_acks(AckBatch(acks=(Ack(record_id=uuid.uuid4(), status=AckStatus.STORED),)))
    with mosquitto(tmp_path) as broker:
        uplink, clinic = uplink_to(store, broker.port), Clinic(broker.port)
        clinic.answer = lambda _, batch: [b"no zlib", foreign, pack_acks(batch), pack_acks(batch)]
        async with running(clinic.run()):
            await asyncio.wait_for(clinic.ready.wait(), LIMIT_S)
            async with running(uplink.run()):
                assert await uplink.drain(LIMIT_S)
    assert_all_there(store, clinic, 70)
    assert uplink.status.unreadable > 0


@pytest.mark.peer("mosquitto")
async def test_a_refused_record_is_kept_reported_and_blocks_nobody(store: KitStore, tmp_path: Path) -> None:
    commit(store, 30)
    with mosquitto(tmp_path) as broker:
        uplink, clinic = uplink_to(store, broker.port), Clinic(broker.port)
        clinic.judge = lambda e: "pain is missing" if e.sequence == 4 else None
        async with running(clinic.run()):
            await asyncio.wait_for(clinic.ready.wait(), LIMIT_S)
            async with running(uplink.run()):
                assert await uplink.drain(LIMIT_S)
    assert [(r.sequence, r.reason) for r in store.rejected()] == [(4, "pain is missing")]
    assert store.counts().acknowledged == 29
    assert "pain is missing" in (uplink.status.trouble or "")
    assert store.envelopes([4])[0].payload == '{"pain_during":3}'


@pytest.mark.peer("mosquitto")
async def test_a_broker_killed_again_and_again_costs_only_time(store: KitStore, tmp_path: Path) -> None:
    rng = random.Random(3)  # noqa: S311 - a test's
    with mosquitto(tmp_path) as broker:
        uplink, clinic = uplink_to(store, broker.port), Clinic(broker.port)
        async with running(clinic.run(), uplink.run()):
            for _ in range(3):
                commit(store, 100)
                await asyncio.sleep(rng.uniform(0.02, 0.4))
                broker.kill()
                await asyncio.sleep(rng.uniform(0, 0.1))
                broker.start()
            assert await uplink.drain(LIMIT_S)
    assert_all_there(store, clinic, 300)
    assert uplink.status.connections > 1


@pytest.mark.peer("mosquitto")
async def test_records_too_large_together_arrive_apart(store: KitStore, tmp_path: Path) -> None:
    rng = random.Random(5)  # noqa: S311 - a test's
    for _ in range(20):
        commit(store, 1, payload=f'{{"x":"{rng.randbytes(4000).hex()}"}}')
    with mosquitto(tmp_path, "allow_anonymous true\nmessage_size_limit 12000\nmax_packet_size 12000") as broker:
        uplink, clinic = uplink_to(store, broker.port), Clinic(broker.port)
        async with running(clinic.run()):
            await asyncio.wait_for(clinic.ready.wait(), LIMIT_S)
            async with running(uplink.run()):
                assert await uplink.drain(LIMIT_S)
    assert_all_there(store, clinic, 20)


@pytest.mark.peer("mosquitto")
async def test_version_5_and_health(store: KitStore, tmp_path: Path) -> None:
    commit(store, 3)
    kit_id = store.kit_id

    async def health() -> Envelope:
        report = HealthReport(software="gonio test", pending=store.counts().pending)
        return Envelope(
            record_id=new_record_id(),
            kind=Kind.HEALTH,
            kit_id=kit_id,
            outbox_id=None,
            sequence=None,
            boot_id=CAPTURE.boot_id,
            monotonic_ns=0,
            captured_at=CAPTURE.captured_at,
            clock="synchronised",
            schema_version=1,
            payload=payload_text(report),
        )

    with mosquitto(tmp_path) as broker:
        address = BrokerAddress.parse(f"mqtt://127.0.0.1:{broker.port}")
        clinic = Clinic(broker.port)
        uplink = Uplink(store, address, kit_id, mqtt_version="5", timing=FAST, health=health)
        async with running(clinic.run()):
            await asyncio.wait_for(clinic.ready.wait(), LIMIT_S)
            async with running(uplink.run()):
                assert await uplink.drain(LIMIT_S)
                await until(lambda: bool(clinic.health))
    assert_all_there(store, clinic, 3)
    assert HealthReport.model_validate_json(clinic.health[0].payload).software == "gonio test"


@pytest.mark.peer("mosquitto")
async def test_a_refused_login_is_said(store: KitStore, tmp_path: Path) -> None:
    with mosquitto(tmp_path, "allow_anonymous false") as broker:
        uplink = uplink_to(store, broker.port)
        async with running(uplink.run()):
            await until(lambda: "authori" in (uplink.status.reason or ""))
            assert uplink.status.connections == 0


def make_certificates(directory: Path) -> None:
    """Make an authority (ca.pem) and a broker's certificate for 127.0.0.1 (broker.pem, broker.key)."""
    now = datetime.now(UTC)

    def certificate(
        name: str, key: ec.EllipticCurvePrivateKey, issuer: str, issuer_key: ec.EllipticCurvePrivateKey, *, ca: bool
    ) -> bytes:
        def named(text: str) -> x509.Name:
            return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)])

        usage = x509.KeyUsage(
            digital_signature=not ca,
            content_commitment=False,
            key_encipherment=False,
            data_encipherment=False,
            key_agreement=False,
            key_cert_sign=ca,
            crl_sign=ca,
            encipher_only=False,
            decipher_only=False,
        )
        alternative = x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))])
        builder = (
            x509.CertificateBuilder()
            .subject_name(named(name))
            .issuer_name(named(issuer))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(hours=1))
            .not_valid_after(now + timedelta(hours=1))
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
            .add_extension(alternative, critical=False)
            # RFC 5280 wants these three, and Python 3.13 checks them
            .add_extension(usage, critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False)
        )
        return builder.sign(issuer_key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)

    directory.chmod(0o755)
    ca_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    (directory / "ca.pem").write_bytes(certificate("gonio test CA", ca_key, "gonio test CA", ca_key, ca=True))
    (directory / "broker.pem").write_bytes(certificate("broker", key, "gonio test CA", ca_key, ca=False))
    pem, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    (directory / "broker.key").write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain))
    (directory / "broker.key").chmod(0o644)


@pytest.mark.peer("mosquitto")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # paho drops a socket that failed TLS
async def test_tls_with_the_right_authority_and_with_a_wrong_one(store: KitStore) -> None:
    commit(store, 12)
    with TemporaryDirectory() as folder:  # readable by the broker, which gives up root
        directory = Path(folder)
        make_certificates(directory)
        plain = free_port()
        extra = (
            f"allow_anonymous true\ncertfile {directory}/broker.pem\nkeyfile {directory}/broker.key\n"
            f"listener {plain} 127.0.0.1"
        )
        with mosquitto(directory, extra) as broker:
            clinic = Clinic(plain)
            trusted = BrokerAddress.parse(f"mqtts://127.0.0.1:{broker.port}", ca_file=directory / "ca.pem")
            distrusted = BrokerAddress.parse(f"mqtts://127.0.0.1:{broker.port}")
            async with running(clinic.run()):
                await asyncio.wait_for(clinic.ready.wait(), LIMIT_S)
                uplink = Uplink(store, distrusted, store.kit_id, timing=FAST)
                async with running(uplink.run()):
                    await until(lambda: "certificate verify failed" in (uplink.status.reason or ""))
                assert not clinic.stored
                uplink = Uplink(store, trusted, store.kit_id, timing=FAST)
                async with running(uplink.run()):
                    assert await uplink.drain(LIMIT_S)
    assert_all_there(store, clinic, 12)
    gc.collect()  # here, where the dropped socket is expected


KIT = """
import asyncio, sys
from pathlib import Path
from gonio.gateway.clock import KitClock
from gonio.gateway.records import Draft
from gonio.gateway.store import KitStore
from gonio.gateway.uplink import Uplink, UplinkTiming
from gonio.identity.broker import BrokerAddress
from gonio.messages import Kind, new_record_id

async def main(store, uplink, clock):
    running = asyncio.create_task(uplink.run())
    while True:
        draft = Draft(new_record_id(), Kind.CHECK_IN, clock.capture(), 1, '{"pain_during":3}')
        await asyncio.to_thread(store.commit, draft)
        print(draft.record_id, flush=True)
        await asyncio.sleep(0.002)

async def start():
    store = KitStore.open(Path(sys.argv[1]))
    timing = UplinkTiming(answer_s=0.3, longest_wait_s=0.5, reconnect_s=0.05, longest_reconnect_s=0.2)
    await main(store, Uplink(store, BrokerAddress.parse(sys.argv[2]), store.kit_id, timing=timing), KitClock())

asyncio.run(start())
"""


@pytest.mark.peer("mosquitto")
async def test_a_kit_killed_in_its_uplink_loses_nothing_and_doubles_nothing(tmp_path: Path) -> None:
    said: list[uuid.UUID] = []
    with mosquitto(tmp_path) as broker:
        clinic, url = Clinic(broker.port), f"mqtt://127.0.0.1:{broker.port}"
        async with running(clinic.run()):
            for records in (15, 90):
                child = await asyncio.create_subprocess_exec(
                    sys.executable, "-c", KIT, str(tmp_path / "kit"), url, stdout=subprocess.PIPE
                )
                assert child.stdout is not None
                lines = [await child.stdout.readline() for _ in range(records)]
                child.kill()
                said += [uuid.UUID(line.decode().strip()) for line in lines]
                said += [uuid.UUID(line) for line in (await child.stdout.read()).decode().split() if len(line) == 36]
                assert await child.wait() == -signal.SIGKILL
            with KitStore.open(tmp_path / "kit") as store:
                uplink = uplink_to(store, broker.port)
                async with running(uplink.run()):
                    assert await uplink.drain(LIMIT_S)
                count = store.counts().acknowledged
                assert_all_there(store, clinic, count)
    assert set(said) <= set(clinic.stored)
    assert len(said) <= count <= len(said) + 2


async def test_a_broker_that_never_answers_is_no_busy_loop(store: KitStore) -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(writer)
        await reader.read(-1)
        writer.close()

    connections: list[asyncio.StreamWriter] = []
    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    timing = UplinkTiming(network_s=0.1, reconnect_s=0.1, longest_reconnect_s=0.2)
    uplink = uplink_to(store, port, timing)
    commit(store, 1)
    async with server, running(uplink.run()):
        assert not await uplink.drain(1.0)
        assert "timed out" in (uplink.status.reason or "")
        assert 1 <= len(connections) <= 10
        for writer in connections:
            writer.close()
