import asyncio
import logging
import socket
from collections.abc import Awaitable, Callable, Sequence
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen
from uuid import UUID

import pytest

from examples.review_house import sample_house
from examples.review_sample import NOW, SampleBook, make_session
from gonio.cloud_sink.model import PatientRow
from gonio.cloud_sink.review.app import create_app
from gonio.cloud_sink.review.serve import review_server, serve
from gonio.errors import RetryableError, UsageError

Get = Callable[..., Awaitable[Any]]


@pytest.mark.parametrize("path", ["/", "/patients", "/nowhere", "/static/gonio.css", "/static/nowhere"])
async def test_every_answer_carries_the_security_headers(get: Get, path: str) -> None:
    headers = (await get(path)).headers
    policy = dict(part.split(" ", 1) for part in headers["content-security-policy"].split("; "))
    assert policy["default-src"] == "'none'"
    assert policy["frame-ancestors"] == "'none'"
    assert "unsafe" not in headers["content-security-policy"]
    assert policy["script-src"] == policy["style-src"] == "'self'"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"


async def test_no_cache_keeps_a_patients_page(get: Get) -> None:
    assert (await get("/patients")).headers["cache-control"] == "no-store"
    assert (await get("/static/gonio.css")).headers["cache-control"] == "no-cache"


@pytest.mark.parametrize("host", ["127.0.0.1:8600", "localhost", "LOCALHOST:1", "[::1]:8600", "[::1]"])
async def test_the_names_of_this_computer_are_served(get: Get, host: str) -> None:
    assert (await get("/patients", host=host)).status == 200


@pytest.mark.parametrize("host", ["evil.example:8600", "127.0.0.1.evil.example", "", "[::1", "192.168.1.5"])
async def test_another_host_name_is_refused(get: Get, host: str) -> None:
    answer = await get("/patients", host=host)
    assert answer.status == 400
    assert "does not answer by that name" in answer.text
    assert "content-security-policy" in answer.headers


class BrokenBook(SampleBook):
    def __init__(self, error: Exception) -> None:
        super().__init__()
        self._error = error

    def patients(self) -> Sequence[PatientRow]:
        raise self._error

    def patient(self, _patient_id: UUID, /) -> PatientRow | None:
        raise self._error


async def test_a_book_that_cannot_be_read_is_an_error_page_that_says_what_to_do(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with review_server(sample_house(BrokenBook(RetryableError("disk full"))).house, port=0) as address:
        with pytest.raises(HTTPError) as caught:
            await asyncio.to_thread(_read, address + "patients")
    with caught.value as answer:
        text = answer.read().decode()
    assert answer.code == 503
    assert "Nothing was lost" in text
    assert "disk full" not in text
    assert "disk full" in caplog.text


async def test_a_fault_of_ours_is_an_error_page_and_stands_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    async with review_server(sample_house(BrokenBook(ZeroDivisionError("of ours"))).house, port=0) as address:
        with pytest.raises(HTTPError) as caught:
            await asyncio.to_thread(_read, address + "patients")
    with caught.value as answer:
        text = answer.read().decode()
    assert answer.code == 500
    assert "Something is wrong with this page" in text
    assert "of ours" not in text
    assert "ZeroDivisionError" in caplog.text


def _read(address: str, host: str | None = None) -> str:
    headers = {"Cookie": sample_house(SampleBook()).cookie} | ({"Host": host} if host else {})
    with urlopen(Request(address, headers=headers), timeout=10) as answer:  # noqa: S310 - http
        return str(answer.read().decode())


async def test_the_server_serves_and_logs_no_address(caplog: pytest.LogCaptureFixture) -> None:
    book = SampleBook()
    patient = book.add_patient("Alex Example")
    book.add(patient, make_session(), NOW)
    with caplog.at_level(logging.INFO):
        async with review_server(sample_house(book).house, port=0) as address:
            text = await asyncio.to_thread(_read, f"{address}patients/{patient}")
    assert "Alex Example" in text
    assert str(patient) not in caplog.text
    assert "Alex" not in caplog.text


async def test_the_port_is_free_again_after_cancellation() -> None:
    addresses: list[str] = []
    for _ in range(2):
        started = asyncio.Event()

        def on_start(address: str, started: asyncio.Event = started) -> None:
            addresses.append(address)
            started.set()

        port = int(addresses[0].rstrip("/").rsplit(":", 1)[1]) if addresses else 0
        task = asyncio.create_task(serve(sample_house(SampleBook()).house, port=port, on_start=on_start))
        await started.wait()
        assert "No patient yet" in await asyncio.to_thread(_read, addresses[-1])
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert addresses[0] == addresses[1]


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.5", "::", "example.org"])  # noqa: S104 - refused
async def test_a_host_that_is_not_this_computer_is_refused(host: str) -> None:
    with pytest.raises(UsageError, match="passwords would cross the network"):
        await serve(sample_house(SampleBook()).house, host=host, port=0)


async def test_a_port_that_is_taken_is_a_clear_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(UsageError, match=rf"port {port} on 127\.0\.0\.1 is taken.*--port"):
            await serve(sample_house(SampleBook()).house, port=port)


def test_there_is_no_machine_interface() -> None:
    app = create_app(sample_house(SampleBook()).house)
    assert app.openapi_url is None
