"""A proxy that reads MQTT packet by packet, counts the bytes, and may lie in both directions."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress

PUBLISH, PUBACK = 3, 4


def kind_of(packet: bytes) -> int:
    """Give a control packet's type (MQTT 3.1.1 section 2.2.1)."""
    return packet[0] >> 4


def _body(packet: bytes) -> bytes:
    start = 1
    while packet[start] & 0x80:
        start += 1
    return packet[start + 1 :]


def topic_of(packet: bytes) -> str:
    """Give the topic of a PUBLISH."""
    body = _body(packet)
    return body[2 : 2 + int.from_bytes(body[:2])].decode()


def payload_of(packet: bytes) -> bytes:
    """Give the payload of a PUBLISH of MQTT 3.1.1."""
    body = _body(packet)
    start = 2 + int.from_bytes(body[:2])
    return body[start + (2 if packet[0] & 0x06 else 0) :]


def puback(packet: bytes) -> bytes:
    """Answer a PUBLISH at QoS 1 as a broker does that took it."""
    body = _body(packet)
    start = 2 + int.from_bytes(body[:2])
    return bytes([PUBACK << 4, 2]) + body[start : start + 2]


def publish(topic: str, payload: bytes) -> bytes:
    """Write a PUBLISH at QoS 0."""
    name = topic.encode()
    body = len(name).to_bytes(2) + name + payload
    length, rest = b"", len(body)
    while True:
        rest, digit = divmod(rest, 128)
        length += bytes([digit | (0x80 if rest else 0)])
        if not rest:
            return bytes([PUBLISH << 4]) + length + body


class Honest:
    """Passes everything on; a liar overrides one of these."""

    def up(self, packet: bytes) -> tuple[Iterable[bytes], Iterable[bytes]]:
        """Give what goes to the broker and what goes back to the kit, for a packet of the kit's."""
        return [packet], []

    def down(self, packet: bytes) -> Iterable[bytes]:
        """Give what goes to the kit for a packet of the broker's."""
        return [packet]


class Proxy:
    """One proxy on a loopback port of its own; ``up_bytes`` and ``down_bytes`` is what the kit sent and got."""

    def __init__(self, broker_port: int) -> None:
        self.manner = Honest()
        self.up_bytes = 0
        self.down_bytes = 0
        self.port = 0
        self._broker_port = broker_port

    async def _serve(self, kit_in: asyncio.StreamReader, kit_out: asyncio.StreamWriter) -> None:
        try:
            broker_in, broker_out = await asyncio.open_connection("127.0.0.1", self._broker_port)
        except OSError:
            kit_out.close()
            return
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._up(kit_in, broker_out, kit_out))
                tasks.create_task(self._down(broker_in, kit_out))
        except* (OSError, EOFError):
            pass
        finally:
            broker_out.close()
            kit_out.close()

    async def _up(self, kit: asyncio.StreamReader, broker: asyncio.StreamWriter, back: asyncio.StreamWriter) -> None:
        while True:
            packet = await _read(kit)
            self.up_bytes += len(packet)
            on, answers = self.manner.up(packet)
            for one in on:
                broker.write(one)
            for one in answers:
                back.write(one)

    async def _down(self, broker: asyncio.StreamReader, kit: asyncio.StreamWriter) -> None:
        while True:
            packet = await _read(broker)
            for one in self.manner.down(packet):
                self.down_bytes += len(one)
                kit.write(one)


async def _read(stream: asyncio.StreamReader) -> bytes:
    packet = await stream.readexactly(2)
    while packet[-1] & 0x80:
        packet += await stream.readexactly(1)
    length = sum((digit & 0x7F) << 7 * place for place, digit in enumerate(packet[1:]))
    return packet + await stream.readexactly(length)


@asynccontextmanager
async def running_proxy(broker_port: int) -> AsyncIterator[Proxy]:
    """Run a proxy in front of a broker as long as the context lasts."""
    proxy = Proxy(broker_port)
    connections: set[asyncio.Task[None]] = set()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.add(asyncio.ensure_future(proxy._serve(reader, writer)))

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    proxy.port = server.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        server.close()
        for task in connections:
            task.cancel()
        with suppress(asyncio.CancelledError):
            await asyncio.gather(*connections, return_exceptions=True)
