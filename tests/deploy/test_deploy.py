"""What is shipped for a clinic's servers, tried with the real programs as far as they can be had."""

import ssl
from itertools import takewhile
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography.hazmat.primitives import serialization
from typer.testing import CliRunner

from gonio.cli.main import app
from gonio.cloud_sink.store import open_store
from gonio.errors import UsageError
from gonio.identity.authority import Authority
from gonio.identity.broker import BrokerAddress, OwnCertificate
from tests.cloud_sink.postgres import PostgresCluster, installed_postgres, running_cluster

DEPLOY = Path(__file__).parents[2] / "deploy"
COMPOSE: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))


@pytest.fixture
def tls(tmp_path: Path) -> Path:
    """Certificates and keys of a clinic's programs."""
    authority = Authority.make(tmp_path / "authority")
    for name in ("sink", "broker"):
        authority.issue_program(name, "client", (tmp_path / f"{name}.crt", tmp_path / f"{name}.key"))
    return tmp_path


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
    key = serialization.load_pem_private_key((tls / "sink.key").read_bytes(), password=None)
    locked.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"secret"),
        )
    )
    with pytest.raises(UsageError, match="without a passphrase"):
        BrokerAddress.parse("mqtts://localhost", own=OwnCertificate(tls / "sink.crt", locked)).tls_context()
    context = BrokerAddress.parse("mqtts://localhost", own=OwnCertificate.of(tls / "sink.crt", tls / "sink.key"))
    assert isinstance(context.tls_context(), ssl.SSLContext)


def test_postgresql_takes_the_shipped_configuration() -> None:
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
    made = {"clinic", "secrets"}  # by the first steps of the README
    for service in COMPOSE["services"].values():
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            if source.startswith("./") and source.split("/")[1] not in made:
                assert (DEPLOY / source).exists(), source
    assert (DEPLOY / COMPOSE["services"]["sink"]["build"]["dockerfile"].removeprefix("deploy/")).exists()


@pytest.mark.parametrize("name", [name for name, s in COMPOSE["services"].items() if s.get("image") == "gonio"])
def test_compose_gives_commands_that_gonio_takes(name: str) -> None:
    words = COMPOSE["services"][name]["command"]
    named = list(takewhile(lambda word: not word.startswith("-"), words))
    shown = CliRunner().invoke(app, [*named, "--help"], env={"COLUMNS": "200", "TERMINAL_WIDTH": "200"})
    assert shown.exit_code == 0
    for option in (word for word in words if word.startswith("--")):
        assert option in shown.output


def test_secrets_and_keys_of_a_clinic_are_not_committed() -> None:
    ignored = (DEPLOY.parent / ".gitignore").read_text(encoding="utf-8").splitlines()
    assert {"/deploy/clinic/", "/deploy/secrets/"} <= set(ignored)


def test_the_pages_reach_no_key_but_their_own() -> None:
    """They are what browsers talk to: whoever breaks into them must not find the authority's key."""
    pages = COMPOSE["services"]["pages"]
    assert (pages["read_only"], pages["cap_drop"]) == (True, ["ALL"])
    mounted = {volume.split(":")[0] for volume in pages["volumes"]}
    assert mounted == {
        "./clinic/authority/authority.crt",
        "./clinic/pages.key",
        "./clinic/tls/pages.crt",
        "./clinic/tls/pages.key",
    }
    assert all(volume.endswith(":ro") for volume in pages["volumes"])
