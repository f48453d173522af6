"""What the tests of the review pages share: a plain ASGI client, and a real browser before a real server."""

import asyncio
import shutil
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import pytest_asyncio
from fastapi import FastAPI
from playwright.async_api import Browser, async_playwright
from starlette.types import Message

sys.path.insert(0, str(Path(__file__).parents[2]))  # the sample clinic stands in examples/

from examples.review_sample import NOW, SampleBook
from gonio.cloud_sink.review.app import create_app


@dataclass(frozen=True, slots=True)
class Answer:
    """What the application answered."""

    status: int
    headers: dict[str, str]
    text: str


Get = Callable[..., Awaitable[Answer]]


async def ask(app: FastAPI, path: str, *, host: str = "127.0.0.1:8600", method: str = "GET") -> Answer:
    """Send one request through the whole application, middleware included."""
    parts = urlsplit(path)
    messages: list[Message] = []

    waiting = [{"type": "http.request", "body": b"", "more_body": False}]

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
        "headers": [(b"host", host.encode())],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 8600),
    }
    await app(scope, receive, send)
    start = next(m for m in messages if m["type"] == "http.response.start")
    body = b"".join(m.get("body", b"") for m in messages if m["type"] == "http.response.body")
    headers = {name.decode().lower(): value.decode() for name, value in start["headers"]}
    return Answer(start["status"], headers, body.decode())


@pytest.fixture
def book() -> SampleBook:
    return SampleBook()


@pytest.fixture
def ask_app() -> Get:
    return ask


@pytest.fixture
def get(book: SampleBook) -> Get:
    app = create_app(book, now=lambda: NOW)

    async def fetch(path: str, **options: str) -> Answer:
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
