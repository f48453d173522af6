"""A broker that lies: refuses, talks nonsense, sends what nobody asked for; the sink goes on and stores the good."""

import asyncio
import contextlib
import logging
from collections.abc import Callable
from pathlib import Path

import pytest
from aiomqtt import Message

from gonio.cloud_sink import inbox as inbox_module
from gonio.cloud_sink import ingest, worker
from gonio.cloud_sink.inbox import Inbox
from gonio.cloud_sink.ingest import run_sink
from gonio.cloud_sink.store import Store
from gonio.errors import UsageError
from gonio.identity.broker import BrokerAddress
from gonio.messages import Envelope, Kind, pack, up_topic

CONNECTED = b"\x20\x02\x00\x00"
NOT_AUTHORISED = b"\x20\x02\x00\x05"
SUBSCRIBED = b"\x90\x03\x00\x01\x01"
REFUSED = b"\x90\x03\x00\x01\x80"


def publish(topic: bytes, data: bytes) -> bytes:
    """Write a QoS 0 PUBLISH packet of MQTT 3.1.1."""
    body = len(topic).to_bytes(2, "big") + topic + data
    length, rest = b"", len(body)
    while True:
        rest, low = divmod(rest, 128)
        length += bytes([low | (0x80 if rest else 0)])
        if not rest:
            return b"\x30" + length + body


async def test_a_broker_that_lies(
    store: Store,
    envelope: Callable[..., Envelope],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(worker, "FIRST_PAUSE_S", 0.01)
    monkeypatch.setattr(ingest, "ANSWER_TIMEOUT_S", 0.5)
    caplog.set_level(logging.INFO)
    good = envelope(1)
    stored = asyncio.Event()
    deceits = [
        [b"HTTP/1.1 400 Bad Request\r\n\r\n"],
        [NOT_AUTHORISED],
        [CONNECTED, REFUSED],
        [CONNECTED, SUBSCRIBED, b"\xf0\xff\xff\xff\xff\xff\xff"],
        [CONNECTED, SUBSCRIBED, publish(b"\xff\xfe/up", b"x")],
    ]
    honest = [
        CONNECTED,
        SUBSCRIBED,
        publish(b"someone/else", b"unasked"),
        publish(up_topic("kit-001", Kind.SESSION).encode(), pack([good])),
    ]

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        to_connect, *more = deceits.pop(0) if deceits else honest
        with contextlib.suppress(ConnectionError):
            await reader.read(4096)
            writer.write(to_connect)
            if more:
                await reader.read(4096)
                writer.write(b"".join(more))
            if not deceits:
                await stored.wait()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        address = BrokerAddress.parse(f"mqtt://127.0.0.1:{server.sockets[0].getsockname()[1]}")
        task = asyncio.create_task(
            run_sink(store, address, on_batch=lambda report: stored.set() if report.stored else None)
        )
        await asyncio.wait_for(stored.wait(), 20)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
    assert deceits == []
    assert (store.audit().records, store.audit().quarantined) == (1, 1)
    assert "not authorised" in caplog.text
    assert "access list" in caplog.text


async def test_an_inbox_is_bounded_in_bytes_and_in_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inbox_module, "MAX_WAITING_BYTES", 100)
    monkeypatch.setattr(inbox_module, "OVERHEAD_BYTES", 0)

    def message(size: int) -> Message:
        return Message("t", b"x" * (size - 1), 1, False, 1, None)

    inbox = Inbox(3)
    inbox.put_nowait(message(90))
    with pytest.raises(asyncio.QueueFull):
        inbox.put_nowait(message(11))
    inbox.get_nowait()
    for _ in range(3):
        inbox.put_nowait(message(11))
    with pytest.raises(asyncio.QueueFull):
        inbox.put_nowait(message(1))
    assert inbox.dropped == 2


@pytest.mark.parametrize("share", ["", "a/b", "a+", "#", "a b"])
async def test_a_share_that_is_no_name(store: Store, share: str) -> None:
    with pytest.raises(UsageError, match="one word"):
        await run_sink(store, BrokerAddress.parse("mqtt://127.0.0.1:1"), share=share)


async def test_an_authority_that_cannot_be_read(store: Store, tmp_path: Path) -> None:
    address = BrokerAddress.parse("mqtts://localhost:1", ca_file=tmp_path / "none.pem")
    with pytest.raises(UsageError, match="CA file"):
        await run_sink(store, address)
