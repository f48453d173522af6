"""A kit's whole way: claimed at the clinic's service, sending over mutual TLS, with a new key before the old ends."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import anyio.from_thread
import pytest

from gonio.cloud_sink.clinic_folder import ClinicFolder
from gonio.cloud_sink.enrolment.serve import enrolment_server
from gonio.cloud_sink.ingest import run_sink
from gonio.cloud_sink.store import Store, open_store
from gonio.gateway.clinic_server import ClaimRefusedError
from gonio.gateway.clock import KitClock
from gonio.gateway.enrolment import enrol
from gonio.gateway.identity_folder import IdentityFolder
from gonio.gateway.kit import Kit
from gonio.gateway.links.service import FixedBluetooth
from gonio.gateway.reports import report_draft
from gonio.gateway.settings import KitSettings
from gonio.gateway.uplink import UplinkTiming
from gonio.identity.authority import Authority
from gonio.identity.broker import BrokerAddress, OwnCertificate
from gonio.identity.claim import ClaimTicket
from gonio.messages import CheckIn, Envelope
from tests.broker import Mosquitto, running_mosquitto

pytestmark = pytest.mark.peer("mosquitto")

FAST = UplinkTiming(answer_s=1.0, longest_wait_s=1.0, reconnect_s=0.05, longest_reconnect_s=0.2, network_s=5.0)
CLOCK = KitClock()


@dataclass
class Clinic:
    """A clinic with its service, its broker and its book."""

    book: Store
    folder: ClinicFolder
    broker: Mosquitto
    url: str

    @property
    def sink(self) -> BrokerAddress:
        own = OwnCertificate(self.folder.path / "sink.crt", self.folder.path / "sink.key")
        address = f"mqtts://localhost:{self.broker.port}"
        return BrokerAddress.parse(address, ca_file=self.folder.authority_file, own=own)

    def ticket(self) -> ClaimTicket:
        return ClaimTicket(self.book.enrolment.add_box().code, self.url, self.folder.authority().fingerprint)


@pytest.fixture
def clinic(tmp_path: Path) -> Iterator[Clinic]:
    folder = ClinicFolder(tmp_path / "clinic")
    authority = Authority.make(folder.authority_folder)
    shown = (tmp_path / "broker.crt", tmp_path / "broker.key")
    authority.issue_program("broker", "server", shown, names=["localhost"])
    authority.issue_program("sink", "client", (folder.path / "sink.crt", folder.path / "sink.key"))
    lines = (
        f"cafile {folder.authority_file}",
        f"certfile {shown[0]}",
        f"keyfile {shown[1]}",
        "require_certificate true",
        "use_identity_as_username true",
    )
    with (
        open_store(f"sqlite:///{tmp_path / 'book.sqlite3'}") as book,
        running_mosquitto(tmp_path, *lines) as broker,
        _served(book, folder, broker) as url,
    ):
        yield Clinic(book, folder, broker, url)


@contextmanager
def _served(book: Store, folder: ClinicFolder, broker: Mosquitto) -> Iterator[str]:
    address = f"mqtts://localhost:{broker.port}"
    with anyio.from_thread.start_blocking_portal() as portal:
        server = enrolment_server(book, folder, address, host="127.0.0.1", port=0, names=["localhost"])
        with portal.wrap_async_context_manager(server) as url:
            yield url


@asynccontextmanager
async def sink(clinic: Clinic) -> AsyncIterator[None]:
    listening = asyncio.Event()
    task = asyncio.create_task(run_sink(clinic.book, clinic.sink, on_listening=listening.set))
    try:
        async with asyncio.timeout(30):
            await listening.wait()
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


@asynccontextmanager
async def claimed(clinic: Clinic, data_dir: Path) -> AsyncIterator[Kit]:
    settings = KitSettings(data_dir=data_dir)
    await asyncio.to_thread(enrol, data_dir, settings.keys(), clinic.ticket(), say=lambda _: None)
    async with sink(clinic), Kit(settings, uplink_timing=FAST, bluetooth=FixedBluetooth()) as kit:
        yield kit


def check_in(kit: Kit) -> Envelope:
    return kit.store.commit(report_draft(CheckIn(author="patient", pain_after=2), CLOCK.capture()))


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110 - a value to look at
            await asyncio.sleep(0.02)


async def test_a_claimed_kit_sends_and_goes_on_with_a_new_key(clinic: Clinic, tmp_path: Path) -> None:
    folder = IdentityFolder(tmp_path / "kit")
    async with claimed(clinic, tmp_path / "kit") as kit:
        first = check_in(kit)
        assert await kit.uplink.drain(30)
        assert kit.credentials is not None
        await kit.credentials.rotate()
        second = check_in(kit)
        assert await kit.uplink.drain(30)
        await until(lambda: not folder.overlaps)
        assert kit.uplink.status.connections >= 2
        assert kit.store.counts().rejected == 0
    assert first.key_id != second.key_id
    states = {key.key_id: key.state for key in clinic.book.enrolment.keys(first.kit_id)}
    assert set(states) == {first.key_id, second.key_id}
    assert states[str(second.key_id)] == "active"
    audit = clinic.book.audit()
    assert (audit.records, audit.gaps) == (2, ())


async def test_a_revoked_kit_is_told_that_it_cannot_renew(clinic: Clinic, tmp_path: Path) -> None:
    async with claimed(clinic, tmp_path / "kit") as kit:
        clinic.book.enrolment.revoke(kit.kit_id, reason="lost")
        assert kit.credentials is not None
        with pytest.raises(ClaimRefusedError, match="no key here that counts"):
            await kit.credentials.rotate()
        trouble = kit.credentials.trouble
        assert trouble is not None
        assert "the clinic did not renew this kit's certificate" in trouble
