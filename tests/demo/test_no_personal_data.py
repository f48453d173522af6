"""A whole session, and a day around it, leaves no personal value where none belongs: logs, topics, names, kit's files.

What a patient is called, says and is told, and what opens doors, is looked for, as bytes, in everything that is not the
clinic's book: there it must be (that the search can find it is shown with the book itself, and with a planted leak).
"""

import asyncio
import logging
import secrets
import subprocess
import sys
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiomqtt
import pytest

from gonio.cloud_sink.accounts import Passwords, Role
from gonio.cloud_sink.review.gate import House
from gonio.cloud_sink.review.serve import review_server
from gonio.cloud_sink.schema import HOME_CLINIC
from gonio.demo.clinic import DemoClinic, running_clinic
from gonio.demo.display import Display
from gonio.demo.run import DemoOptions, run_demo
from gonio.demo.scene import simulated_leg
from gonio.errors import GonioError
from gonio.gateway.clock import KitClock
from gonio.gateway.enrolment import enrol
from gonio.gateway.kit import Kit
from gonio.gateway.links.service import FixedBluetooth
from gonio.gateway.reports import report_draft
from gonio.gateway.settings import KitSettings
from gonio.identity.claim import ClaimTicket, grouped
from gonio.messages import CheckIn, ClinicMessage, DownKind, PatientMessage

PERSONAL = {
    "name": "Quintilla Zambrowski",
    "note": "swollen after the walk to Ullapool",
    "message": "may I fly to Reykjavik on Thursday",
    "answer": "please rest the knee, dear Quintilla",
    "login": "z.okonkwo@clinic.example",
    "user": "Zelda Okonkwo",
    "password": "seven quiet herons sing",
    "wrong password": "eleven loud herons shout",
}


def found_in(places: Mapping[str, bytes], values: Mapping[str, str]) -> list[str]:
    """Name what was found where, in any of the ways in which text is written."""
    return [
        f"{name} in {place}"
        for place, content in places.items()
        for name, value in values.items()
        if any(value.encode(coding) in content for coding in ("utf-8", "utf-16-le"))
        or urllib.parse.quote(value).encode() in content
        or urllib.parse.quote_plus(value).encode() in content
    ]


@pytest.fixture
def wire(monkeypatch: pytest.MonkeyPatch) -> dict[str, set[str]]:
    """Note the topics and the client names of all that is published in this process."""
    seen: dict[str, set[str]] = {"topics": set(), "client names": set()}
    publish, subscribe = aiomqtt.Client.publish, aiomqtt.Client.subscribe

    async def published(self: aiomqtt.Client, topic: Any, *args: Any, **more: Any) -> None:  # noqa: ANN401 - aiomqtt's
        seen["topics"].add(str(topic))
        seen["client names"].add(str(self.identifier))
        await publish(self, topic, *args, **more)

    async def subscribed(self: aiomqtt.Client, topic: Any, *args: Any, **more: Any) -> Any:  # noqa: ANN401 - aiomqtt's
        seen["topics"].add(str(topic))
        return await subscribe(self, topic, *args, **more)

    monkeypatch.setattr(aiomqtt.Client, "publish", published)
    monkeypatch.setattr(aiomqtt.Client, "subscribe", subscribed)
    return seen


async def test_a_whole_session_leaves_no_personal_value_where_none_belongs(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, wire: dict[str, set[str]], capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    options = DemoOptions(
        motion=simulated_leg("heel-slide", 24, "left", 1),
        source="simulated",
        family="movella_dot",
        exercise="heel-slide",
        data_dir=tmp_path,
        speed=4,
        seed=1,
        stay=False,
    )
    with Display(banner="SIMULATED") as display:
        result = await run_demo(options, display, asyncio.Event(), open_page=lambda _page: None)
    assert (result.records_kit, result.records_clinic) == (1, 1)
    async with running_clinic(tmp_path) as clinic:
        secret = {"claim code": "", **PERSONAL}
        secret["claim code"] = await _day(clinic, tmp_path)
        secret["claim code, grouped"] = grouped(secret["claim code"])
        told = await _pages(clinic)
    for command in (["gateway", "status"], ["gateway", "doctor", "--json"], ["sink", "audit", "--json"]):
        where = ["--store", f"sqlite:///{tmp_path}/clinic.sqlite"] if command[0] == "sink" else []
        where = where or ["--data-dir", str(tmp_path / "kit")]
        call = [sys.executable, "-m", "gonio", *command, *where]
        done = await asyncio.to_thread(subprocess.run, call, capture_output=True, timeout=60, check=False)
        told[" ".join(command)] = done.stdout + done.stderr
        assert done.stdout, done.stderr
    screen = capfd.readouterr()
    kit_files = dict(_files(tmp_path / "kit"))
    places = {
        "the log": caplog.text.encode(),
        "the screen": (screen.out + screen.err).encode(),
        **{what: "\n".join(sorted(seen)).encode() for what, seen in wire.items()},
        **kit_files,
        **dict(_files(tmp_path / "clinic")),
        **told,
    }
    assert not found_in(places, secret)
    # it was looked where something is
    kinds = {topic.rpartition("/")[2] for topic in wire["topics"]}
    assert kinds >= {"session", "check-in", "message", "receipt", "health", "ack"}
    assert len(caplog.records) > 50
    assert max(len(content) for content in kit_files.values()) > 10_000
    book = b"".join(content for _, content in _files(tmp_path, "clinic.sqlite*"))
    there = found_in({"the book": book}, secret)
    assert there == [f"{name} in the book" for name in secret if "password" not in name and "code" not in name]


def test_a_planted_leak_is_found(caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    caplog.set_level(logging.DEBUG)
    logging.getLogger("gonio.gateway.session").debug("session of %s begins", PERSONAL["name"])
    (tmp_path / "status.json").write_text(f'{{"note": "{PERSONAL["note"]}"}}')
    places = {
        "the log": caplog.text.encode(),
        "a topic": urllib.parse.quote(PERSONAL["name"]).encode(),
        **dict(_files(tmp_path)),
    }
    assert found_in(places, PERSONAL) == ["name in the log", "name in a topic", f"note in {tmp_path / 'status.json'}"]


def _files(folder: Path, pattern: str = "**/*") -> Iterator[tuple[str, bytes]]:
    for file in sorted(folder.glob(pattern)):
        if file.is_file():
            yield str(file), file.read_bytes()


async def _day(clinic: DemoClinic, tmp_path: Path) -> str:
    """Let a patient with a name have the kit, say something and be answered; gives a claim code that was refused."""
    settings = KitSettings.load(data_dir=tmp_path / "kit")
    kit_id = await asyncio.to_thread(clinic.claim, settings)
    patient = clinic.book.add_patient(PERSONAL["name"], "America/Chicago")
    clinic.book.bind_kit(kit_id, patient, since=datetime.now(UTC))
    async with Kit(settings, bluetooth=FixedBluetooth(())) as kit:
        clock = KitClock()
        said = CheckIn(author="patient", pain_after=8, note=PERSONAL["note"]), PatientMessage(text=PERSONAL["message"])
        for report in said:
            await asyncio.to_thread(kit.store.commit, report_draft(report, clock.capture()))
        answer = ClinicMessage(text=PERSONAL["answer"], sender=PERSONAL["user"])
        await asyncio.to_thread(clinic.book.down.send, kit_id, answer)
        async with asyncio.timeout(30):
            while not kit.store.clinic_records(DownKind.MESSAGE):  # noqa: ASYNC110 - its own tasks
                await asyncio.sleep(0.05)
        assert await kit.uplink.drain(30)
    box = clinic.book.enrolment.add_box("box 7")
    wrong = ClaimTicket(box.code[::-1], clinic.enrolment, clinic.folder.authority().fingerprint)
    other = KitSettings.load(data_dir=tmp_path / "kit" / "another")
    with pytest.raises(GonioError) as refused:
        await asyncio.to_thread(enrol, other.data_dir, other.keys(), wrong, say=logging.getLogger("enrol").info)
    assert box.code[::-1] not in str(refused.value)
    logging.getLogger("refused").info("%s", refused.value)
    return box.code[::-1]


async def _pages(clinic: DemoClinic) -> dict[str, bytes]:
    """Sign in wrongly, then look at pages that are not there; gives what a stranger was told."""
    cheap = Passwords(time_cost=1, memory_kib=64, parallelism=1)
    accounts = clinic.book.accounts(clinic.folder.pages_key(), passwords=cheap)
    admin = accounts.administration_of(HOME_CLINIC, "operator:test")
    invitation = admin.invite(PERSONAL["login"], PERSONAL["user"], Role.THERAPIST)
    accounts.accept_invitation(invitation.token, PERSONAL["password"], source="192.0.2.1")
    house = House(accounts, clinic.book.of_clinic, clinic.book.stock, ticket=secrets.token_urlsafe(16))
    async with review_server(house, port=0) as address:

        def ask(path: str, form: dict[str, str] | None = None) -> bytes:
            data = None if form is None else urllib.parse.urlencode(form).encode()
            request = urllib.request.Request(address.rstrip("/") + path, data, {"Origin": address.rstrip("/")})  # noqa: S310
            try:
                with urllib.request.urlopen(request, timeout=20) as answer:  # noqa: S310 - our own server
                    return str(answer.headers).encode() + bytes(answer.read())
            except urllib.error.HTTPError as error:
                with error:
                    return str(error.headers).encode() + bytes(error.read())

        wrong = {"login": "nobody@clinic.example", "password": PERSONAL["wrong password"]}
        right_name = {"password": PERSONAL["wrong password"], "login": PERSONAL["login"]}
        return {
            "a page that is not there": await asyncio.to_thread(ask, "/patients/none"),
            "the sign-in page": await asyncio.to_thread(ask, "/sign-in"),
            "a refusal": await asyncio.to_thread(ask, "/sign-in", wrong),
            "another refusal": (await asyncio.to_thread(ask, "/sign-in", right_name)).replace(
                PERSONAL["login"].encode(),
                b"",  # the form shows again what was typed into it
            ),
        }
