import ssl
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gonio.errors import UsageError
from gonio.identity.broker import PLAIN_PORT, TLS_PORT, BrokerAddress


def test_tls_is_checked_and_modern() -> None:
    address = BrokerAddress.parse("mqtts://clinic.example")
    context = address.tls_context()
    assert context is not None
    assert address.port == TLS_PORT
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.9.8.7", "[::1]"])
def test_plain_to_this_machine_is_allowed(host: str) -> None:
    address = BrokerAddress.parse(f"mqtt://{host}")
    assert address.port == PLAIN_PORT
    assert address.tls_context() is None
    assert str(address) == f"mqtt://{host}:{PLAIN_PORT}"


@pytest.mark.parametrize("host", ["clinic.example", "10.0.0.1", "192.168.1.4", "localhost.evil.example"])
def test_plain_to_another_machine_is_refused_and_the_cure_named(host: str) -> None:
    with pytest.raises(UsageError, match=r"plain text: write mqtts://"):
        BrokerAddress.parse(f"mqtt://{host}:1883")


@pytest.mark.parametrize(
    "url",
    [
        "",
        "clinic.example",
        "http://clinic.example",
        "mqtts://",
        "mqtts://host:99999",
        "mqtts://host:0",
        "mqtts://host:x",
        "mqtts://host/path",
        "mqtts://host?x=1",
        "mqtts://[::1",
    ],
)
def test_anything_else_is_refused_in_a_sentence(url: str) -> None:
    with pytest.raises(UsageError, match="broker's"):
        BrokerAddress.parse(url)


def test_credentials_are_used_and_never_shown() -> None:
    address = BrokerAddress.parse("mqtts://kit-1:s%40cret@clinic.example:8884")
    arguments = address.client_arguments()
    assert (arguments["username"], arguments["password"], arguments["port"]) == ("kit-1", "s@cret", 8884)
    assert "s@cret" not in f"{address!r}{address}"
    assert "kit-1" not in f"{address!r}{address}"


def test_credentials_may_stand_beside_the_address() -> None:
    address = BrokerAddress.parse("mqtts://clinic.example", username="u", password="p")  # noqa: S106 - a test's
    assert (address.username, address.password) == ("u", "p")


def test_a_ca_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    missing = tmp_path / "ca.pem"
    with pytest.raises(UsageError, match=r"ca\.pem"):
        BrokerAddress.parse("mqtts://clinic.example", ca_file=missing).tls_context()
    missing.write_text("no certificate")
    with pytest.raises(UsageError, match=r"ca\.pem"):
        BrokerAddress.parse("mqtts://clinic.example", ca_file=missing).tls_context()


@given(st.text(max_size=40))
def test_no_text_makes_it_fail_otherwise(text: str) -> None:
    for url in (text, f"mqtts://{text}", f"mqtt://{text}"):
        try:
            address = BrokerAddress.parse(url)
        except UsageError:
            continue
        assert 1 <= address.port <= 65_535
