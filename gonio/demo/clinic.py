"""The clinic of a demo: its authority, its book, broker, sink, enrolment service and pages, as a clinic runs them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from gonio.cloud_sink.broker_warden import SINK_NAME
from gonio.cloud_sink.clinic_folder import ClinicFolder
from gonio.cloud_sink.enrolment.serve import enrolment_server
from gonio.cloud_sink.ingest import run_sink
from gonio.cloud_sink.store import Store, open_store
from gonio.demo.broker import embedded_broker, free_port
from gonio.gateway.enrolment import enrol
from gonio.gateway.identity_folder import IdentityFolder
from gonio.gateway.settings import KitSettings
from gonio.identity.authority import Authority
from gonio.identity.broker import BrokerAddress, OwnCertificate
from gonio.identity.claim import ClaimTicket

KIT_FOLDER = "kit"


@dataclass(frozen=True, slots=True)
class DemoClinic:
    """A clinic that runs.

    Attributes:
        book: its book.
        folder: its keys.
        broker: where kits send.
        enrolment: where kits are claimed.
    """

    book: Store
    folder: ClinicFolder
    broker: str
    enrolment: str

    def claim(self, settings: KitSettings) -> str:
        """Let the kit of these settings be this clinic's, as any kit with a claim code; gives its id.

        A kit that is enrolled stays so, also with a clinic that has moved to other ports.

        Raises:
            GonioError: it cannot be; the text says why.
        """
        enrolment = IdentityFolder(settings.data_dir).enrolment()
        if enrolment is None:
            box = self.book.enrolment.add_box("the demo's kit (simulated)")
            ticket = ClaimTicket(box.code, self.enrolment, self.folder.authority().fingerprint)
            enrolment = enrol(settings.data_dir, settings.keys(), ticket, say=lambda _line: None)
        return enrolment.kit_id


@asynccontextmanager
async def running_clinic(data_dir: Path) -> AsyncIterator[DemoClinic]:
    """Run a clinic in this process; it listens when this is entered.

    Args:
        data_dir: where its book (``clinic.sqlite``) and its keys (``clinic``) are kept.
    """
    folder = ClinicFolder(data_dir / "clinic")
    with suppress(FileExistsError):
        await asyncio.to_thread(Authority.make, folder.authority_folder, "authority of the demo's clinic (simulated)")
    before = IdentityFolder(data_dir / KIT_FOLDER).enrolment()
    broker_port = _port(before.broker) if before else 0
    enrolment_port = _port(before.server) if before else 0
    async with AsyncExitStack() as stack:
        broker = await stack.enter_async_context(embedded_broker(folder, port=broker_port))
        book = stack.enter_context(open_store(f"sqlite:///{data_dir / 'clinic.sqlite'}"))
        await stack.enter_async_context(_sink(book, folder, broker))
        service = enrolment_server(
            book, folder, broker, host="127.0.0.1", port=free_port(enrolment_port), names=["localhost"]
        )
        enrolment = await stack.enter_async_context(service)
        yield DemoClinic(book, folder, broker, enrolment)


@asynccontextmanager
async def _sink(book: Store, folder: ClinicFolder, broker: str) -> AsyncIterator[None]:
    """Run the clinic's ingest beside us; it listens when this is entered."""
    files = folder.program("sink")
    folder.authority().issue_program(SINK_NAME, "client", (files.certificate, files.key))
    own = OwnCertificate(files.certificate, files.key)
    listening = asyncio.Event()
    address = BrokerAddress.parse(broker, ca_file=folder.authority_file, own=own)
    sink = run_sink(book, address, records_key=folder.records_key(make=True), on_listening=listening.set)
    task = asyncio.create_task(sink, name="clinic ingest")
    waiting = asyncio.create_task(listening.wait(), name="clinic ingest listens")
    try:
        await asyncio.wait({task, waiting}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            await task  # raises what ended it
        yield
    finally:
        for one in (task, waiting):
            one.cancel()
            with suppress(asyncio.CancelledError):
                await one


def _port(address: str) -> int:
    return urlsplit(address).port or 0
