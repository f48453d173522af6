"""The MQTT client of kit and clinic."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Self, TypeVar

import aiomqtt
import paho.mqtt.client as paho
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

_T = TypeVar("_T")


class MqttClient(aiomqtt.Client):
    """aiomqtt's client, whose waits for the broker lose no cancellation, and which tells of refused publishes.

    It waits with ``asyncio.wait_for``, which before Python 3.12 drops a cancellation that comes together with the
    answer: a task that was told to stop then went on for ever. That can go when Python 3.11 does.

    Its ``publish()`` returns as if all were well where the broker's answer is a refusal (MQTT 5 only; MQTT 3.1.1 has
    no word for it): the codes are those that paho gives to ``on_publish``.
    """

    def __init__(
        self,
        hostname: str,
        port: int = 1883,
        *,
        on_answer: Callable[[ReasonCode], None] | None = None,
        **options: Any,  # noqa: ANN401 - aiomqtt's
    ) -> None:
        """Prepare; nothing is connected yet.

        Args:
            hostname: of the broker.
            port: of the broker.
            on_answer: told of the broker's answer to each publish (QoS 1), refused or not.
            options: aiomqtt's.
        """
        super().__init__(hostname, port, **options)
        self._on_answer = on_answer

    def _on_publish(
        self,
        client: paho.Client,
        userdata: Any,  # noqa: ANN401 - paho's
        mid: int,
        reason_code: ReasonCode,
        properties: Properties,
    ) -> None:
        super()._on_publish(client, userdata, mid, reason_code, properties)
        if self._on_answer is not None:
            self._on_answer(reason_code)

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
