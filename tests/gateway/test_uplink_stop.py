"""An uplink ends when it is told to, whatever happens at that very moment."""

import asyncio
from pathlib import Path
from typing import Any, NoReturn

import aiomqtt
import pytest

from gonio.gateway.store import KitStore
from tests.gateway.test_kit_uplink import LIMIT_S, commit, mosquitto, until, uplink_to


async def stopped(running: asyncio.Task[NoReturn]) -> None:
    """Stop an uplink by one word; nothing of it is left, nor of its connection."""
    running.cancel()
    await asyncio.wait([running], timeout=LIMIT_S)
    assert running.cancelled()
    await until(lambda: asyncio.all_tasks() == {asyncio.current_task()})


@pytest.mark.peer("mosquitto")
@pytest.mark.parametrize("turns", range(4))
@pytest.mark.parametrize("answer", ["_on_connect", "_on_subscribe", "_on_publish"])
async def test_it_stops_when_told_to_as_the_broker_answers(
    answer: str, turns: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some turns of the loop after the answer came: there ``asyncio.wait_for`` of Python 3.11 loses a cancellation."""
    answered = asyncio.Event()
    real = getattr(aiomqtt.Client, answer)

    def take(*arguments: Any, **options: Any) -> None:  # noqa: ANN401 - paho's
        real(*arguments, **options)
        answered.set()

    monkeypatch.setattr(aiomqtt.Client, answer, take)
    with KitStore.open(tmp_path) as store, mosquitto(tmp_path) as broker:
        commit(store, 1)
        running = asyncio.create_task(uplink_to(store, broker.port).run())
        async with asyncio.timeout(LIMIT_S):
            await answered.wait()
        for _ in range(turns):
            await asyncio.sleep(0)
        await stopped(running)


@pytest.mark.peer("mosquitto")
async def test_it_stops_also_when_its_connection_cannot_be_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = aiomqtt.Client.__aexit__

    async def fail(client: aiomqtt.Client, *error: Any) -> None:  # noqa: ANN401 - aiomqtt's
        await real(client, *error)
        raise aiomqtt.MqttError("the broker went away")

    monkeypatch.setattr(aiomqtt.Client, "__aexit__", fail)
    with KitStore.open(tmp_path) as store, mosquitto(tmp_path) as broker:
        uplink = uplink_to(store, broker.port)
        running = asyncio.create_task(uplink.run())
        await until(lambda: uplink.status.state == "connected")
        await stopped(running)


async def test_stopped_while_it_connects_it_leaves_no_connection_behind(tmp_path: Path) -> None:
    came, gone = asyncio.Event(), asyncio.Event()

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(1)
        came.set()
        await reader.read()
        gone.set()
        writer.close()
        await writer.wait_closed()

    with KitStore.open(tmp_path) as store:
        async with await asyncio.start_server(silent, "127.0.0.1", 0) as server:
            running = asyncio.create_task(uplink_to(store, server.sockets[0].getsockname()[1]).run())
            async with asyncio.timeout(LIMIT_S):
                await came.wait()
                running.cancel()
                await gone.wait()
                await asyncio.wait([running])
        assert running.cancelled()


@pytest.mark.peer("mosquitto")
async def test_it_goes_on_when_a_socket_is_closed_as_it_connects(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A link that breaks between paho's two threads: once its socket is gone, once it is closed, then all is well."""
    real = aiomqtt.Client._client_connect
    tries = 0

    def connect(client: aiomqtt.Client) -> None:
        nonlocal tries
        tries += 1
        if tries == 1:
            raise AttributeError("'NoneType' object has no attribute 'fileno'")
        real(client)
        sock = client._client.socket()
        if tries == 2 and sock is not None:
            client._on_socket_register_write(client._client, None, sock)
            sock.close()

    monkeypatch.setattr(aiomqtt.Client, "_client_connect", connect)
    with KitStore.open(tmp_path) as store, mosquitto(tmp_path) as broker:
        uplink = uplink_to(store, broker.port)
        running = asyncio.create_task(uplink.run())
        await until(lambda: uplink.status.connections == 1)
        assert tries == 3
        await stopped(running)
    assert "Exception in callback" not in caplog.text
