"""What is shipped for a clinic's servers, tried with the real programs as far as they can be had."""

import asyncio
import shutil
import ssl
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiomqtt
import pytest
import yaml
from typer.testing import CliRunner

from gonio.cli.main import app
from gonio.cloud_sink.store import open_store
from gonio.errors import UsageError
from gonio.gateway.clock import KitClock
from gonio.gateway.records import Draft
from gonio.gateway.store import KitStore
from gonio.gateway.uplink import Uplink
from gonio.identity.broker import BrokerAddress, OwnCertificate
from gonio.identity.mqtt import MqttClient
from gonio.messages import CheckIn, Kind, new_record_id, payload_text, up_topic
from tests.broker import find_mosquitto, free_port, listening_sink
from tests.cloud_sink.postgres import PostgresCluster, installed_postgres, running_cluster

DEPLOY = Path(__file__).parents[2] / "deploy"
COMPOSE: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))


def make_certificates(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the shipped script."""
    return subprocess.run(
        [DEPLOY / "make-certificates.sh", *arguments],
        env={"PATH": "/usr/bin:/bin", "GONIO_TLS_DIR": str(folder)},
        capture_output=True,
        check=False,
        text=True,
    )


@pytest.fixture(scope="module")
def tls() -> Iterator[Path]:
    """Certificates as the script makes them, readable by a broker that gives up root."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed (apt-get install openssl)")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for arguments in ([], ["--kit", "kit-one"], ["--kit", "kit-two"]):
            assert make_certificates(folder, *arguments).returncode == 0
        folder.chmod(0o755)
        for file in folder.iterdir():
            file.chmod(0o644)
        yield folder


class ShippedBroker:
    """mosquitto with the shipped configuration: only paths, port and address are this test's."""

    def __init__(self, tls: Path) -> None:
        self.port, self.tls = free_port(), tls
        text = (DEPLOY / "mosquitto" / "mosquitto.conf").read_text(encoding="utf-8")
        for shipped, here in (
            ("listener 8883", f"listener {self.port} 127.0.0.1"),
            ("/mosquitto/tls", str(tls)),
            ("/mosquitto/config/acl", str(tls / "acl")),
        ):
            assert shipped in text
            text = text.replace(shipped, here)
        shutil.copy(DEPLOY / "mosquitto" / "acl", tls / "acl")
        (tls / "acl").chmod(0o644)
        (tls / "mosquitto.conf").write_text(text, encoding="utf-8")

    def address_as(self, name: str | None) -> BrokerAddress:
        own = None if name is None else OwnCertificate(self.tls / f"{name}.crt", self.tls / f"{name}.key")
        return BrokerAddress.parse(f"mqtts://localhost:{self.port}", ca_file=self.tls / "ca.crt", own=own)

    @property
    def address(self) -> BrokerAddress:
        """As the workers come to it."""
        return self.address_as("sink")


@pytest.fixture
async def broker(tls: Path) -> Any:  # noqa: ANN401 - an async fixture's
    shipped = ShippedBroker(tls)
    server = await asyncio.create_subprocess_exec(
        find_mosquitto() or "mosquitto", "-c", str(tls / "mosquitto.conf"), stdout=asyncio.subprocess.DEVNULL
    )
    try:
        while True:
            assert server.returncode is None, "mosquitto does not take its shipped configuration"
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", shipped.port)
            except OSError:
                await asyncio.sleep(0.05)
                continue
            writer.close()
            break
        yield shipped
    finally:
        server.kill()
        await server.wait()


def check_in(clock: KitClock) -> Draft:
    return Draft(new_record_id(), Kind.CHECK_IN, clock.capture(), 1, payload_text(CheckIn(pain_during=2)))


@pytest.mark.peer("mosquitto")
async def test_a_kit_reaches_its_clinic_through_the_shipped_broker(broker: ShippedBroker, tmp_path: Path) -> None:
    with open_store(f"sqlite:///{tmp_path}/book.sqlite") as store, KitStore.open(tmp_path / "kit") as kit:
        kit_id = kit.kit_id
        make_certificates(broker.tls, "--kit", kit_id)
        for _ in range(3):
            kit.commit(check_in(KitClock(state=lambda: "synchronised")))
        async with listening_sink(store, broker, share="gonio", protocol="5"):  # type: ignore[arg-type]
            uplink = Uplink(kit, broker.address_as(kit_id), kit_id)
            task = asyncio.create_task(uplink.run())
            try:
                assert await uplink.drain(60.0), uplink.status
            finally:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
        assert store.audit().records == 3


@pytest.mark.peer("mosquitto")
async def test_nobody_comes_in_without_a_certificate(broker: ShippedBroker) -> None:
    with pytest.raises(aiomqtt.MqttError):
        async with MqttClient(**broker.address_as(None).client_arguments(), timeout=5) as client:
            await client.publish("gonio/v1/kit-one/up/session", b"x", qos=1)


@pytest.mark.peer("mosquitto")
async def test_a_kit_writes_and_reads_nothing_of_another(broker: ShippedBroker) -> None:
    arguments = broker.address_as("kit-one").client_arguments()
    five = aiomqtt.ProtocolVersion.V5
    sink = broker.address.client_arguments()
    async with (
        MqttClient(**sink, timeout=10) as clinic,
        MqttClient(**arguments, protocol=five, timeout=10) as kit,
        MqttClient(**broker.address_as("kit-two").client_arguments(), timeout=10) as other,
    ):
        await clinic.subscribe("gonio/v1/+/up/+", qos=1)
        await kit.subscribe("gonio/v1/kit-two/down/#", qos=1)
        await kit.subscribe("gonio/v1/+/up/+", qos=1)
        await kit.subscribe("#", qos=1)
        await other.subscribe("gonio/v1/kit-two/down/+", qos=1)
        await kit.publish(up_topic("kit-two", Kind.SESSION), b"forged", qos=1)
        await clinic.publish("gonio/v1/kit-two/down/ack", b"for two", qos=1)
        await other.publish(up_topic("kit-two", Kind.SESSION), b"from two", qos=1)
        async with asyncio.timeout(20):
            heard = await anext(aiter(clinic.messages))
            assert heard.payload == b"from two"  # the forged one was published before
            assert (await anext(aiter(other.messages))).payload == b"for two"
        await asyncio.sleep(0.5)
        assert len(kit.messages) == 0


def test_a_certificate_needs_its_key_and_tls(tls: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="needs its key too"):
        OwnCertificate.of(tls / "sink.crt", None)
    own = OwnCertificate(tls / "sink.crt", tls / "broker.key")
    with pytest.raises(UsageError, match="belong together"):
        BrokerAddress.parse("mqtts://localhost", own=own).tls_context()
    with pytest.raises(UsageError, match="over TLS only"):
        BrokerAddress.parse("mqtt://localhost", own=own)
    with pytest.raises(UsageError, match="cannot be used"):
        BrokerAddress.parse("mqtts://localhost", own=OwnCertificate(tmp_path / "no", tmp_path / "no")).tls_context()
    locked = tmp_path / "locked.key"
    subprocess.run(
        ["openssl", "ec", "-in", tls / "sink.key", "-aes128", "-passout", "pass:secret", "-out", locked],
        check=True,
        capture_output=True,
    )
    with pytest.raises(UsageError, match="without a passphrase"):
        BrokerAddress.parse("mqtts://localhost", own=OwnCertificate(tls / "sink.crt", locked)).tls_context()
    context = BrokerAddress.parse("mqtts://localhost", own=OwnCertificate.of(tls / "sink.crt", tls / "sink.key"))
    assert isinstance(context.tls_context(), ssl.SSLContext)


@pytest.mark.parametrize("name", ["Kit-One", "kit/one", "kit+", "gonio-sink", "-kit"])
def test_the_script_makes_no_certificate_for_what_is_no_kit(tls: Path, name: str) -> None:
    run = make_certificates(tls, "--kit", name)
    assert run.returncode == 2
    assert "is no kit's id" in run.stderr


def test_postgresql_takes_the_shipped_configuration(tls: Path) -> None:
    """Every setting is one that the server knows; sizes and places are this test's."""
    settings: dict[str, str] = {}
    for line in (DEPLOY / "postgresql" / "gonio.conf").read_text(encoding="utf-8").splitlines():
        text = line.split("#")[0].strip()
        if text:
            name, value = (part.strip() for part in text.split("=", 1))
            settings[name] = value.strip("'")
    assert (settings["fsync"], settings["synchronous_commit"], settings["ssl"]) == ("on", "on", "on")
    here = settings | {"ssl": "off", "listen_addresses": "", "shared_buffers": "16MB", "max_wal_size": "64MB"}
    with running_cluster(installed_postgres(), **here) as cluster:
        assert isinstance(cluster, PostgresCluster)
        with open_store(cluster.url("postgres")) as store:
            assert store.audit().records == 0


def test_every_file_of_compose_is_there() -> None:
    made = {"tls", "secrets"}  # by the first steps of the README
    for service in COMPOSE["services"].values():
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            if source.startswith("./") and source.split("/")[1] not in made:
                assert (DEPLOY / source).exists(), source
    assert (DEPLOY / COMPOSE["services"]["sink"]["build"]["dockerfile"].removeprefix("deploy/")).exists()


@pytest.mark.parametrize("name", [name for name, s in COMPOSE["services"].items() if s.get("image") == "gonio"])
def test_compose_gives_commands_that_gonio_takes(name: str) -> None:
    words = COMPOSE["services"][name]["command"]
    shown = CliRunner().invoke(app, [*words[:2], "--help"], env={"COLUMNS": "200", "TERMINAL_WIDTH": "200"})
    assert shown.exit_code == 0
    for option in (word for word in words if word.startswith("--")):
        assert option in shown.output


def test_secrets_and_keys_of_a_clinic_are_not_committed() -> None:
    ignored = (DEPLOY.parent / ".gitignore").read_text(encoding="utf-8").splitlines()
    assert {"/deploy/tls/", "/deploy/secrets/"} <= set(ignored)
