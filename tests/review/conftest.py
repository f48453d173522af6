"""What the tests of the review pages share: a plain ASGI client, and a real browser before a real server."""

import asyncio
import shutil
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import pytest
import pytest_asyncio
from fastapi import FastAPI
from playwright.async_api import Browser, async_playwright
from starlette.types import Message

sys.path.insert(0, str(Path(__file__).parents[2]))  # the sample clinic stands in examples/

from examples.review_house import sample_house
from examples.review_sample import NOW, SampleBook
from gonio.cloud_sink.review.app import create_app
from gonio.cloud_sink.review.book import ClinicBook


@dataclass(frozen=True, slots=True)
class Answer:
    """What the application answered."""

    status: int
    headers: dict[str, str]
    text: str


Get = Callable[..., Awaitable[Answer]]


async def ask(
    app: FastAPI,
    path: str,
    *,
    host: str = "127.0.0.1:8600",
    method: str = "GET",
    cookie: str | None = None,
    form: Mapping[str, str] | bytes = b"",
    headers: Mapping[str, str] | None = None,
) -> Answer:
    """Send one request through the whole application, middleware included.

    A form comes from a page of the very server unless ``headers`` say otherwise.
    """
    parts = urlsplit(path)
    messages: list[Message] = []

    body = form if isinstance(form, bytes) else urlencode(form).encode()
    sent = {"host": host, "cookie": getattr(app.state, "cookie", "") if cookie is None else cookie}
    if method != "GET":
        sent |= {"origin": f"http://{host}", "content-type": "application/x-www-form-urlencoded"}
    sent |= headers or {}
    waiting = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> Message:
        if waiting:
            return waiting.pop()
        return await asyncio.Future()  # the client stays, and says no more

    async def send(message: Message) -> None:
        messages.append(message)

    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": parts.path,
        "raw_path": parts.path.encode(),
        "root_path": "",
        "query_string": parts.query.encode(),
        "headers": [(name.encode(), value.encode()) for name, value in sent.items() if value],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 8600),
    }
    await app(scope, receive, send)
    start = next(m for m in messages if m["type"] == "http.response.start")
    said = b"".join(m.get("body", b"") for m in messages if m["type"] == "http.response.body")
    got: dict[str, str] = {}
    for name, value in ((name.decode().lower(), value.decode()) for name, value in start["headers"]):
        got[name] = f"{got[name]}, {value}" if name in got else value
    return Answer(start["status"], got, said.decode())


def signed_in(book: ClinicBook, now: Callable[[], datetime]) -> FastAPI:
    """Make the pages of a book, at which a therapist is signed in."""
    sample = sample_house(book)
    app = create_app(sample.house, now=now)
    app.state.cookie = sample.cookie
    return app


@pytest.fixture
def make_app() -> Callable[[ClinicBook, Callable[[], datetime]], FastAPI]:
    return signed_in


@pytest.fixture
def book() -> SampleBook:
    return SampleBook()


@pytest.fixture
def ask_app() -> Get:
    return ask


@pytest.fixture
def get(book: SampleBook) -> Get:
    app = signed_in(book, lambda: NOW)

    async def fetch(path: str, **options: Any) -> Answer:  # noqa: ANN401 - those of ask
        return await ask(app, path, **options)

    return fetch


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    arguments = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"]
    arguments += ["--disable-background-networking", "--disable-component-update"]
    async with async_playwright() as playwright:
        program = shutil.which("chromium") or "/usr/bin/chromium"
        browser = await playwright.chromium.launch(executable_path=program, args=arguments)
        yield browser
        await browser.close()
