"""The shipped configuration of the broker, with the real program and certificates of a clinic's own authority."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from gonio.cloud_sink.broker_warden import Warden
from gonio.cloud_sink.clinic_folder import ClinicFolder
from gonio.cloud_sink.enrolment.desk import Standing
from gonio.identity.authority import Authority, Revoked
from gonio.identity.broker import BrokerAddress, OwnCertificate
from gonio.identity.certificates import Certificate, make_request
from gonio.identity.keys import KeyPemFile
from tests.broker import find_mosquitto, free_port

DEPLOY = Path(__file__).parents[2] / "deploy"


class ShippedBroker:
    """mosquitto with the shipped configuration: only paths, port and address are this test's."""

    def __init__(self, folder: Path) -> None:
        """Make the authority and the broker's and the workers' certificates; nothing runs yet."""
        self.folder, self.port = folder, free_port()
        folder.chmod(0o755)  # the broker gives up root
        self.clinic = ClinicFolder(folder / "clinic")
        self.authority = Authority.make(self.clinic.authority_folder)
        for name, purpose in (("broker", "server"), ("gonio-sink", "client")):
            pair = (folder / f"{name}.crt", folder / f"{name}.key")
            names = ["localhost", "127.0.0.1"] if purpose == "server" else []
            self.authority.issue_program(name, purpose, pair, names=names)  # type: ignore[arg-type]
        self.ca_file = folder / "authority.crt"
        self.ca_file.write_bytes(self.clinic.authority_file.read_bytes())
        for file in folder.iterdir():
            if file.is_file():
                file.chmod(0o644)
        self.access = folder / "access"
        self.access.mkdir()
        self.access.chmod(0o777)
        self.warden = Warden(self.access, self.authority, self.access / "mosquitto.pid")
        text = (DEPLOY / "mosquitto" / "mosquitto.conf").read_text(encoding="utf-8")
        for shipped, here in (
            ("listener 8883", f"listener {self.port} 127.0.0.1"),
            ("/mosquitto/tls", str(folder)),
            ("/mosquitto/access", str(self.access)),
        ):
            assert shipped in text
            text = text.replace(shipped, here)
        (folder / "mosquitto.conf").write_text(text, encoding="utf-8")
        self.standing(())

    def standing(self, kits: tuple[str, ...], revoked: tuple[Revoked, ...] = ()) -> None:
        """Let the warden see to it that these may connect, and those certificates no longer count."""
        self.warden.keep(Standing(kits, revoked))

    def certificate(
        self, name: str, *, authority: Authority | None = None, now: datetime | None = None, file: str | None = None
    ) -> Certificate:
        """Make a kit's key and certificate."""
        key_file = self.folder / f"{file or name}.key"
        key = KeyPemFile(key_file) if key_file.exists() else KeyPemFile.make(key_file)
        certificate = (authority or self.authority).issue_kit(make_request(key, name), name, now=now)
        (self.folder / f"{file or name}.crt").write_text(certificate.pem)
        return certificate

    def address_as(self, name: str | None) -> BrokerAddress:
        """Where it is, for whoever has the certificate of this file name; None has none."""
        own = None if name is None else OwnCertificate(self.folder / f"{name}.crt", self.folder / f"{name}.key")
        return BrokerAddress.parse(f"mqtts://localhost:{self.port}", ca_file=self.ca_file, own=own)

    @property
    def address(self) -> BrokerAddress:
        """As the workers come to it."""
        return self.address_as("gonio-sink")

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Run it."""
        server = await asyncio.create_subprocess_exec(
            find_mosquitto() or "mosquitto",
            "-c",
            str(self.folder / "mosquitto.conf"),
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )
        try:
            while True:
                assert server.returncode is None, "mosquitto does not take its shipped configuration"
                try:
                    _, writer = await asyncio.open_connection("127.0.0.1", self.port)
                except OSError:
                    await asyncio.sleep(0.05)
                    continue
                writer.close()
                break
            yield
        finally:
            server.kill()
            await server.wait()


def long_ago(days: int) -> datetime:
    """Give a moment in the past."""
    return datetime.now(UTC) - timedelta(days=days)
