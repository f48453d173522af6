"""What an operator reads when the broker refuses, the certificate is wrong, or nobody answers."""

import asyncio
import gc
import ipaddress
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeAlias

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from gonio.cli.gateway_status import status_answer, status_lines
from gonio.gateway.store import KitStore
from gonio.gateway.uplink import MqttVersion, Uplink, UplinkHooks
from gonio.gateway.uplink_status import UplinkBoard, UplinkStatus, read_uplink
from gonio.identity.broker import BrokerAddress
from tests.broker import Mosquitto, running_mosquitto
from tests.gateway.test_kit_uplink import FAST, LIMIT_S, Clinic, commit, running, until, uplink_to

CONNACK = b"\x20\x02\x00\x00"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[KitStore]:
    with KitStore.open(tmp_path / "kit") as store:
        yield store


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    """Give a broker whose access list lets kits read, and write nothing but their health."""
    rules = tmp_path / "acl"
    rules.write_text("topic read gonio/#\ntopic write gonio/v1/+/up/health\n")
    rules.chmod(0o600)
    with running_mosquitto(tmp_path, "allow_anonymous true", f"acl_file {rules}") as server:
        yield server


def uplink(store: KitStore, broker: Mosquitto, version: MqttVersion) -> Uplink:
    return Uplink(store, broker.address, store.kit_id, mqtt_version=version, timing=replace(FAST, silence_s=1.0))


@pytest.mark.peer("mosquitto")
async def test_with_mqtt_5_a_refused_record_is_said_to_be_refused(store: KitStore, broker: Mosquitto) -> None:
    commit(store, 3)
    link = uplink(store, broker, "5")
    async with running(link.run()):
        await until(lambda: "not authorised" in (link.status.refused or ""))
        assert "access list" in (link.status.problem or "")
    assert store.counts().pending == 3


@pytest.mark.peer("mosquitto")
async def test_with_mqtt_3_a_refused_record_shows_by_the_clinics_silence(store: KitStore, broker: Mosquitto) -> None:
    commit(store, 3)
    link = uplink(store, broker, "3.1.1")
    async with running(link.run()):
        await until(lambda: link.status.unanswered is not None)
        assert "takes the records but the clinic does not answer" in (link.status.unanswered or "")
        assert link.status.refused is None
        published = link.status.published
        await until(lambda: link.status.connections >= 3)  # it tries a new connection now and then
        assert link.status.published - published <= 6  # and sends a probe, not everything
        assert link.status.unanswered is not None
    assert store.counts().pending == 3


@pytest.mark.peer("mosquitto")
async def test_with_mqtt_5_a_sink_that_does_not_run_is_said(store: KitStore, tmp_path: Path) -> None:
    commit(store, 3)
    with running_mosquitto(tmp_path) as server:
        link, clinic = uplink(store, server, "5"), Clinic(server.port)
        async with running(link.run()):
            await until(lambda: "nobody to pass the records on to" in (link.status.refused or ""))
            async with running(clinic.run()):
                assert await link.drain(LIMIT_S)
                await until(lambda: link.status.problem is None)
    assert len(clinic.stored) == 3


@pytest.mark.peer("mosquitto")
async def test_a_clinic_that_comes_back_gets_everything_at_once(store: KitStore, tmp_path: Path) -> None:
    commit(store, 250)
    with running_mosquitto(tmp_path) as server:
        link, clinic = uplink(store, server, "3.1.1"), Clinic(server.port)
        async with running(link.run()):
            await until(lambda: link.status.unanswered is not None)
            async with running(clinic.run()):
                assert await link.drain(LIMIT_S)
            assert link.status.problem is None
    assert len(clinic.stored) == 250


@pytest.mark.peer("mosquitto")
@pytest.mark.parametrize("version", ["3.1.1", "5"])
async def test_a_login_refused_says_what_to_do(version: MqttVersion, store: KitStore, tmp_path: Path) -> None:
    with running_mosquitto(tmp_path, "allow_anonymous false") as server:
        link = uplink(store, server, version)
        async with running(link.run()):
            await until(lambda: "not authorised" in (link.status.reason or ""))
            assert "access list" in (link.status.reason or "")


Script: TypeAlias = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def speaking(script: Script) -> AsyncIterator[int]:
    """Run a server that follows a script with each that connects; gives its port."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await script(reader, writer)
        except (OSError, EOFError):
            pass
        finally:
            writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1]


async def silent_after_connack(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(4096)
    writer.write(CONNACK)
    while await reader.read(4096):
        pass


async def byte_by_byte(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(4096)
    for byte in CONNACK[:3]:
        writer.write(bytes([byte]))
        await asyncio.sleep(0.05)
    while await reader.read(4096):
        pass


async def no_mqtt(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(4096)
    writer.write(CONNACK)
    subscription = await reader.read(4096)
    writer.write(
        b"\x90\x03" + subscription[2:4] + b"\x01" + b"\x30\x05\xff\xff\xff\xff\xff" + b"\xf0\xff\xff\xff\x01" * 9
    )
    while await reader.read(4096):
        pass


@pytest.mark.parametrize("script", [silent_after_connack, byte_by_byte])
async def test_a_broker_that_goes_silent_is_left(script: Script, store: KitStore) -> None:
    commit(store, 1)
    async with speaking(script) as port:
        link = uplink_to(store, port, replace(FAST, network_s=0.3))
        async with running(link.run()):
            await until(lambda: "timed out" in (link.status.reason or ""))
            assert "does not answer" in (link.status.reason or "")


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # paho's own, of what it cannot read
async def test_garbage_ends_the_connection_and_nothing_else(store: KitStore) -> None:
    commit(store, 1)
    async with speaking(no_mqtt) as port:
        link = uplink_to(store, port, replace(FAST, network_s=0.3))
        async with running(link.run()):
            await until(lambda: link.status.reason is not None and link.status.connections >= 2)
    assert store.counts().pending == 1


def make_certificate(folder: Path, *, address: str = "127.0.0.1", days: tuple[int, int] = (-1, 1)) -> ssl.SSLContext:
    """Make a certificate that is its own authority (cert.pem) and a server's settings with it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "gonio test broker")])
    now = datetime.now(UTC)
    alternative = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + timedelta(days=days[0]))
        .not_valid_after(now + timedelta(days=days[1]))
        .add_extension(alternative, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    plain = serialization.NoEncryption()
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
    (folder / "cert.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (folder / "both.pem").write_bytes(pem + certificate.public_bytes(serialization.Encoding.PEM))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "both.pem")
    return context


@pytest.mark.parametrize(
    ("made", "authority", "said"),
    [
        ({"days": (-3, -1)}, "cert.pem", "its certificate has expired"),
        ({"days": (1, 3)}, "cert.pem", "its certificate is not valid yet: check this machine's clock"),
        ({"address": "127.0.0.9"}, "cert.pem", "its certificate is for another"),
        ({}, None, "name it as the CA file"),
        (None, "cert.pem", "nothing there speaks TLS"),
    ],
    ids=["expired", "not yet valid", "another name", "unknown authority", "no TLS"],
)
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # paho drops a socket that failed TLS
async def test_a_wrong_certificate_is_said_in_words(
    made: dict[str, object] | None, authority: str | None, said: str, store: KitStore, tmp_path: Path
) -> None:
    context = make_certificate(tmp_path, **made or {})  # type: ignore[arg-type]

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if made is None:
            await reader.read(1)
            writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=None if made is None else context)
    async with server:
        port = server.sockets[0].getsockname()[1]
        address = BrokerAddress.parse(f"mqtts://127.0.0.1:{port}", ca_file=tmp_path / authority if authority else None)
        link = Uplink(store, address, store.kit_id, timing=FAST)
        async with running(link.run()):
            await until(lambda: said in (link.status.reason or ""))
    gc.collect()  # here, where the dropped socket is expected


async def test_the_status_is_there_for_another_process(store: KitStore, tmp_path: Path) -> None:
    folder = tmp_path / "kit"
    assert read_uplink(folder) is None
    hooks = UplinkHooks(on_change=UplinkBoard(folder).changed)
    address = BrokerAddress.parse("mqtt://127.0.0.1:1")
    link = Uplink(store, address, store.kit_id, timing=FAST, hooks=hooks)
    async with running(link.run()):
        await until(lambda: read_uplink(folder) is not None)
    told = read_uplink(folder)
    assert told is not None
    assert told.state == "stopped"
    assert "nobody listens there" in (told.problem or "")
    assert any("nobody listens there" in line for line in status_lines(folder, 0))
    assert "nobody listens there" in status_answer(folder, 0)["uplink"]["problem"]


def test_a_status_that_cannot_be_written_or_read_costs_nothing_else(tmp_path: Path) -> None:
    board = UplinkBoard(tmp_path / "missing")
    board.changed(UplinkStatus(state="stopped"))
    (tmp_path / "uplink.json").write_bytes(b"\xff{")
    assert read_uplink(tmp_path) is None
