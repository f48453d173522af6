"""A kit with its page: the page's application asked in process, and a simulated leg before a real browser."""

import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import httpx
import pytest_asyncio
from fastapi import FastAPI

from gonio.gateway.kit import Kit
from gonio.gateway.page.app import create_page
from gonio.gateway.page.door import COOKIE
from gonio.gateway.page.home import Home
from gonio.gateway.settings import KitSettings
from gonio.messages import DownEnvelope, DownKind, payload_text, wire_time
from gonio.messages.down import ClinicMessage, DownPayload, Prescribed, Program
from gonio.messages.session import GoalReport
from gonio.web.forms import form_token

ZONE = ZoneInfo("America/Chicago")
CLINIC = uuid.UUID(int=7)
HEEL_SLIDE = Prescribed(exercise="heel-slide", side="right", sets=2, reps=5, goal=GoalReport(flexion_deg=90))


def down(kit: Kit, payload: DownPayload, sequence: int) -> None:
    """Let the clinic send something."""
    kinds = {Program: DownKind.PROGRAM, ClinicMessage: DownKind.MESSAGE}
    kind = kinds.get(type(payload), DownKind.COMMAND)
    envelope = DownEnvelope(
        record_id=uuid.uuid4(),
        kind=kind,
        kit_id=kit.kit_id,
        outbox_id=CLINIC,
        sequence=sequence,
        created_at=wire_time(kit.now()),
        schema_version=1,
        payload=payload_text(payload),
    )
    kit.store.receive([envelope], kit._clock.capture())


def program(*exercises: Prescribed, since: date | None = None, **changes: object) -> Program:
    """Make a program of the knee clinic."""
    values = {
        "program_id": CLINIC,
        "version": 1,
        "valid_from": since or date.today() - timedelta(days=2),  # noqa: DTZ011 - any day around now
        "exercises": exercises or (HEEL_SLIDE,),
        "clinic": "Lakeside Knee Clinic",
        "telephone": "555-0100",
    }
    return Program(**(values | changes))


MESSAGE = ClinicMessage(text="Well done this week.\nKeep going!", sender="Dr. Lane")


@dataclass
class Visitor:
    """A paired phone's browser without script."""

    home: Home
    app: FastAPI
    client: httpx.AsyncClient
    token: str

    async def get(self, path: str) -> httpx.Response:
        return await self.client.get(path)

    async def post(self, path: str, form: Mapping[str, object] | None = None, **headers: str) -> httpx.Response:
        sent = {"form_token": form_token(self.token), "record_id": str(uuid.uuid4()), **(form or {})}
        return await self.client.post(path, data=sent, headers=headers)


@asynccontextmanager
async def visitor_of(home: Home, **options: object) -> AsyncIterator[Visitor]:
    """Let a phone in."""
    app = create_page(home, **options)  # type: ignore[arg-type]
    token = home.phones.admit("my phone", "patient", home.kit.now())
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost:8700") as client:
        client.cookies.set(COOKIE, token, domain="localhost.local")
        yield Visitor(home, app, client, token)


@asynccontextmanager
async def running_home(data_dir: Path, **options: object) -> AsyncIterator[Home]:
    """Run a kit that nobody answers, with its page's side."""
    settings = KitSettings(data_dir=data_dir, broker="mqtt://127.0.0.1:1")
    async with Kit(settings, **options) as kit, Home(kit, zone=ZONE) as home:  # type: ignore[arg-type]
        yield home


@pytest_asyncio.fixture
async def home(tmp_path: Path) -> AsyncIterator[Home]:
    async with running_home(tmp_path / "kit") as one:
        yield one


@pytest_asyncio.fixture
async def visitor(home: Home) -> AsyncIterator[Visitor]:
    async with visitor_of(home) as one:
        yield one
