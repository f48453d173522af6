"""The MQTT client of kit and clinic."""

import asyncio
from collections.abc import Awaitable
from typing import Self, TypeVar

import aiomqtt

_T = TypeVar("_T")


class MqttClient(aiomqtt.Client):
    """aiomqtt's client, whose waits for the broker lose no cancellation.

    It waits with ``asyncio.wait_for``, which before Python 3.12 drops a cancellation that comes together with the
    answer: a task that was told to stop then went on for ever. That can go when Python 3.11 does.
    """

    async def __aenter__(self) -> Self:
        """Connect; cancelled meanwhile, it leaves no connection behind, as aiomqtt's own would.

        Raises:
            aiomqtt.MqttError: the broker cannot be reached, refuses, or does not answer in time.
        """
        try:
            return await super().__aenter__()
        except asyncio.CancelledError:
            self._connected = asyncio.Future()  # nobody waits for it any more
            self._client.disconnect()
            raise

    async def _wait_for(self, fut: Awaitable[_T], timeout: float | None) -> _T:  # noqa: ASYNC109 - aiomqtt's
        """Wait for an answer.

        Raises:
            aiomqtt.MqttError: it did not come in time; None is the client's own.
        """
        answer = asyncio.ensure_future(fut)
        try:
            await asyncio.wait([answer], timeout=self.timeout if timeout is None else timeout)
            if not answer.done():
                raise aiomqtt.MqttError("Operation timed out")
            return answer.result()
        finally:
            answer.cancel()
