"""A server that is spoken to in TLS: its certificate and address are checked, the password is never told."""

import ipaddress
import logging
import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from gonio.cloud_sink.store import open_store
from gonio.errors import UsageError
from tests.cloud_sink.postgres import PostgresCluster, installed_postgres, running_cluster

ADDRESS = "127.0.0.77"  # loopback, and not where a server of the computer's own listens


def certificate(folder: Path, name: str, address: str) -> tuple[Path, Path]:
    """Make a self-signed certificate for an address; gives the PEM files of certificate and key."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(datetime.now(UTC) - timedelta(days=1))
        .not_valid_after(datetime.now(UTC) + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    files = folder / f"{name}.crt", folder / f"{name}.key"
    pem = serialization.Encoding.PEM
    files[0].write_bytes(made.public_bytes(pem))
    files[1].write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
    files[1].chmod(0o600)
    owner = folder.stat()
    if os.geteuid() == 0:
        for file in files:
            os.chown(file, owner.st_uid, owner.st_gid)
    return files


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresCluster]:
    with running_cluster(installed_postgres(), listen_addresses=ADDRESS) as cluster:
        yield cluster


def use(server: PostgresCluster, files: tuple[Path, Path]) -> None:
    """Let the server show a certificate, take TLS only and ask for a password."""
    access = "local all all trust\nhostssl all all 127.0.0.0/8 scram-sha-256\n"
    (server.folder / "data" / "pg_hba.conf").write_text(access, encoding="utf-8")
    with server.connect("postgres") as connection:
        connection.execute("ALTER ROLE gonio PASSWORD 's3cret'")
        connection.execute(f"ALTER SYSTEM SET ssl_cert_file = '{files[0]}'".encode())
        connection.execute(f"ALTER SYSTEM SET ssl_key_file = '{files[1]}'".encode())
        connection.execute("ALTER SYSTEM SET ssl = on")
    server.stop()
    server.start()


def test_certificate_address_and_password_are_checked(
    server: PostgresCluster, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    right, other = certificate(server.folder, "right", ADDRESS), certificate(tmp_path, "other", ADDRESS)
    elsewhere = certificate(server.folder, "elsewhere", "127.0.0.78")
    database = server.create().partition("@/")[2].partition("?")[0]

    def url(authority: Path, password: str) -> str:
        return f"postgresql://gonio:{password}@{ADDRESS}/{database}?sslmode=verify-full&sslrootcert={authority}"

    use(server, right)
    with open_store(url(right[0], "s3cret")) as store, store._reader.connect() as connection:
        assert connection.exec_driver_sql("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()").scalar() is True
    refusals = {
        "certificate verify failed": url(other[0], "s3cret"),
        "password authentication failed": url(right[0], "wr0ng"),
    }
    for said, address in refusals.items():
        with pytest.raises(UsageError, match=said) as caught:
            open_store(address)
        assert "s3cret" not in str(caught.value)
        assert "wr0ng" not in str(caught.value)
    use(server, elsewhere)
    with pytest.raises(UsageError, match="does not match host name"):
        open_store(url(elsewhere[0], "s3cret"))
    assert "s3cret" not in caplog.text
