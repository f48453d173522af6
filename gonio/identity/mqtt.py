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
        self._disconnected.add_done_callback(_seen)

    def _on_socket_unregister_write(self, client: paho.Client, userdata: Any, sock: Any) -> None:  # noqa: ANN401 - paho's
        if sock is not None and sock.fileno() >= 0:
            super()._on_socket_unregister_write(client, userdata, sock)

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
            await super().__aenter__()
        except asyncio.CancelledError:
            self._connected = asyncio.Future()  # nobody waits for it any more
            self._client.disconnect()
            raise
        except AttributeError as error:  # paho's own: the loop's thread closed the socket under the connecting one
            raise aiomqtt.MqttError("the connection broke as it was made") from error
        self._disconnected.add_done_callback(_seen)
        return self

    def _on_socket_open(self, client: paho.Client, userdata: Any, sock: Any) -> None:  # noqa: ANN401 - paho's
        """Begin to read, unless the socket is closed by then: the thread that connects is not the loop's."""
        opened = super()._on_socket_open

        def begin() -> None:
            if sock.fileno() >= 0:
                opened(client, userdata, sock)

        self._loop.call_soon_threadsafe(begin)

    def _on_socket_register_write(self, client: paho.Client, userdata: Any, sock: Any) -> None:  # noqa: ANN401, ARG002 - paho's
        """Wait for room to write, in the loop's thread and only on a socket that is still open there.

        aiomqtt asks for it from the thread that connects, by a number that may be closed, or another's, by then.
        """

        def write() -> None:
            try:
                client.loop_write()
            except Exception as error:  # noqa: BLE001 - whatever it is, the connection is over
                if not self._disconnected.done():
                    self._disconnected.set_exception(error)

        def register() -> None:
            if sock is not None and sock.fileno() >= 0:
                self._loop.add_writer(sock.fileno(), write)

        self._loop.call_soon_threadsafe(register)

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


def _seen(ended: asyncio.Future[None]) -> None:
    """Look at how a connection ended: it is told by whoever used it, and else asyncio complains that nobody looked."""
    if not ended.cancelled():
        ended.exception()
