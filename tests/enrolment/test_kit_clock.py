"""A kit whose clock is wrong reaches its clinic through a real broker over TLS, and none with an expired certificate.

The kit is a process of its own under libfaketime; broker and clinic have the true time.
"""

import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from gonio.gateway.clock import KitClock
from gonio.gateway.identity_folder import IdentityFolder
from gonio.gateway.moment import NAME, SOFTWARE_FROM, KnownMoment
from gonio.gateway.reports import report_draft
from gonio.gateway.store import KitStore
from gonio.gateway.way import Way
from gonio.identity.broker import BrokerAddress, OwnCertificate
from gonio.identity.mqtt import MqttClient
from gonio.messages import Ack, AckBatch, AckStatus, CheckIn, DownKind, Envelope, down_topic, pack_acks, unpack
from tests.broker import Mosquitto, running_mosquitto
from tests.chaos.clock import Clock, find_faketime
from tests.gateway.clinic_service import Clinic, serving
from tests.gateway.test_kit_enrolment import run as enrol_kit

EARLY = datetime(1970, 1, 1, 0, 1, tzinfo=UTC)
LATE = timedelta(days=3650)


@asynccontextmanager
async def clinic_with(folder: Path, *, broker_from: datetime | None = None) -> AsyncIterator[tuple[Path, Mosquitto]]:
    """Run a broker that asks for certificates, a clinic that answers everything, and make a kit that is enrolled.

    Args:
        folder: for all of them.
        broker_from: when the broker's certificate was made, aware; it holds for 397 days.

    Yields:
        The kit's data directory, with a record that waits; and the broker.
    """
    clinic = Clinic(folder / "clinic")
    shown, own = ((folder / f"{name}.crt", folder / f"{name}.key") for name in ("broker", "sink"))
    clinic.authority.issue_program("broker", "server", shown, names=["localhost"], now=broker_from)
    clinic.authority.issue_program("sink", "client", own)
    lines = (
        f"cafile {clinic.authority.certificate_file}",
        f"certfile {folder / 'broker.crt'}",
        f"keyfile {folder / 'broker.key'}",
        "require_certificate true",
        "use_identity_as_username true",
    )
    with running_mosquitto(folder, *lines) as broker:
        clinic.broker = f"mqtts://localhost:{broker.port}"
        with serving(clinic):
            enrol_kit(folder / "kit", clinic.ticket)
        with KitStore.open(folder / "kit") as store:
            store.commit(report_draft(CheckIn(author="patient", pain_after=2), KitClock().capture()))
        answering = asyncio.create_task(answer(folder, clinic, trusting=broker_from is not None))
        try:
            yield folder / "kit", broker
        finally:
            answering.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await answering


async def answer(folder: Path, clinic: Clinic, *, trusting: bool) -> None:
    """Acknowledge whatever comes."""
    own = OwnCertificate(folder / "sink.crt", folder / "sink.key")
    address = BrokerAddress.parse(clinic.broker, ca_file=clinic.authority.certificate_file, own=own)
    known = datetime(2020, 1, 1, tzinfo=UTC) if trusting else None  # the test's own, so that only the kit judges
    async with MqttClient(**address.client_arguments(known), identifier="sink") as client:
        await client.subscribe("gonio/v1/+/up/+", qos=1)
        async for message in client.messages:
            envelopes = [one for one in unpack(bytes(message.payload)) if isinstance(one, Envelope)]
            acks = tuple(Ack(record_id=one.record_id, status=AckStatus.STORED) for one in envelopes)
            topic = down_topic(message.topic.value.split("/")[2], DownKind.ACK)
            await client.publish(topic, pack_acks(AckBatch(acks=acks)), qos=1)


async def run_kit(data_dir: Path, beside: timedelta) -> tuple[int, str]:
    """Run the kit with its clock so far beside the true one; gives its status and what it said."""
    library = find_faketime()
    assert library is not None
    clock = Clock(library, data_dir.parent / "faketime")
    clock.jump(int(beside.total_seconds()))
    command = (sys.executable, "-m", "tests.gateway.known_clock", str(data_dir))
    process = await asyncio.create_subprocess_exec(
        *command, env={**os.environ, **clock.environment}, stdout=asyncio.subprocess.PIPE
    )
    said, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, said.decode()


def kept(data_dir: Path) -> datetime | None:
    try:
        return datetime.fromisoformat((IdentityFolder(data_dir).path / NAME).read_text())
    except FileNotFoundError:
        return None


@pytest.mark.peer("mosquitto")
@pytest.mark.peer("faketime")
async def test_a_kit_of_1970_reaches_its_clinic(tmp_path: Path) -> None:
    async with clinic_with(tmp_path) as (data_dir, _):
        status, said = await run_kit(data_dir, EARLY - datetime.now(UTC))
    assert (status, said.split()[0]) == (0, "1970")
    assert kept(data_dir) is None  # contact by a clock that is wrong tells no time


@pytest.mark.peer("mosquitto")
@pytest.mark.peer("faketime")
async def test_an_expired_broker_is_refused_also_in_1970(tmp_path: Path) -> None:
    """The kit knows from its own certificate that it is later than what the broker shows."""
    async with clinic_with(tmp_path, broker_from=datetime.now(UTC) - timedelta(days=400)) as (data_dir, _):
        status, said = await run_kit(data_dir, EARLY - datetime.now(UTC))
    assert (status, said.split()[0]) == (1, "1970")
    assert "certificate has expired" in said


@pytest.mark.peer("mosquitto")
@pytest.mark.peer("faketime")
async def test_contact_keeps_the_moment_and_a_clock_that_leaps_ahead_spoils_nothing(tmp_path: Path) -> None:
    async with clinic_with(tmp_path) as (data_dir, _):
        status, said = await run_kit(data_dir, LATE)
        assert status == 1
        assert "check this machine's clock" in said
        assert kept(data_dir) is None
        status, _ = await run_kit(data_dir, timedelta(0))
        assert status == 0
    moment = kept(data_dir)
    assert moment is not None
    assert timedelta(0) <= datetime.now(UTC) - moment < timedelta(minutes=5)


def test_the_newest_moment_is_the_latest_that_is_known(tmp_path: Path) -> None:
    one = KnownMoment(tmp_path)
    assert one.newest == SOFTWARE_FROM
    assert one.behind(EARLY) == SOFTWARE_FROM
    later = SOFTWARE_FROM + timedelta(days=100)
    one.learn(later)
    one.learn(EARLY)
    again = KnownMoment(tmp_path)
    assert again.newest == later
    assert again.behind(later + timedelta(seconds=1)) is None
    assert again.at_least(EARLY) == later
    (IdentityFolder(tmp_path).path / NAME).write_text("2020-01-01T00:00:00")  # no offset: another's
    assert KnownMoment(tmp_path).newest == SOFTWARE_FROM


@pytest.mark.parametrize(("begun", "learnt"), [(SOFTWARE_FROM + timedelta(days=9), True), (EARLY, False)])
def test_only_a_connection_whose_dates_were_checked_tells_the_time(
    tmp_path: Path, begun: datetime, *, learnt: bool
) -> None:
    now = begun
    way = Way(BrokerAddress.parse("mqtts://localhost"), KnownMoment(tmp_path), now=lambda: now)
    way.begin()
    now = SOFTWARE_FROM + LATE  # the clock leaps while the connection stands
    way.worked()
    assert KnownMoment(tmp_path).newest == (begun if learnt else SOFTWARE_FROM)


def test_a_plain_broker_on_this_machine_tells_no_time(tmp_path: Path) -> None:
    way = Way(BrokerAddress.parse("mqtt://127.0.0.1"), KnownMoment(tmp_path), now=lambda: SOFTWARE_FROM + LATE)
    way.begin()
    way.worked()
    assert KnownMoment(tmp_path).newest == SOFTWARE_FROM
