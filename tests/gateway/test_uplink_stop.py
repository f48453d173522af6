"""An uplink that is told to stop stops, also where the library under it drops the cancellation."""

import asyncio
import uuid
from pathlib import Path
from typing import Any, Self

import aiomqtt
import pytest

from gonio.gateway.records import Capture, Draft
from gonio.gateway.store import KitStore
from gonio.gateway.uplink import Uplink
from gonio.identity.broker import BrokerAddress
from gonio.messages import Kind, new_record_id
from gonio.tasks import obey_cancellation


class Swallowing:
    """A client of which one wait ends as ``asyncio.wait_for`` of Python 3.11 can: with its answer, cancelled or not."""

    where = ""
    reached: asyncio.Event

    def __init__(self, **_arguments: object) -> None:
        self.messages = self

    async def _wait(self, where: str) -> None:
        if where == Swallowing.where:
            Swallowing.reached.set()
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                return

    async def __aenter__(self) -> Self:
        await self._wait("connect")
        return self

    async def __aexit__(self, *_error: object) -> None:
        pass

    async def subscribe(self, *_arguments: object, **_options: object) -> list[int]:
        await self._wait("subscribe")
        return [1]

    async def publish(self, *_arguments: object, **_options: object) -> None:
        await self._wait("publish")

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Any:  # noqa: ANN401 - it never gives one
        await asyncio.sleep(60)


@pytest.mark.parametrize("where", ["connect", "subscribe", "publish"])
async def test_a_dropped_cancellation_is_obeyed_at_the_next_step(
    where: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(aiomqtt, "Client", Swallowing)
    Swallowing.where, Swallowing.reached = where, asyncio.Event()
    with KitStore.open(tmp_path) as store:
        capture = Capture(uuid.uuid4(), 5, "2026-03-01T10:00:00.000+01:00", "synchronised")
        store.commit(Draft(new_record_id(), Kind.CHECK_IN, capture, 1, '{"pain":3}'))
        uplink = asyncio.create_task(Uplink(store, BrokerAddress.parse("mqtt://127.0.0.1:1"), store.kit_id).run())
        async with asyncio.timeout(20):
            await Swallowing.reached.wait()
            uplink.cancel()
            with pytest.raises(asyncio.CancelledError):
                await uplink


async def test_a_task_that_nobody_stopped_goes_on() -> None:
    obey_cancellation()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0):
            await asyncio.sleep(1)
    obey_cancellation()  # a time-out of its own is no cancellation
