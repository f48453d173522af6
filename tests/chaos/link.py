"""A TCP link that can be cut, stalled, slowed, closed on one side, or made to swallow one direction.

TCP never loses bytes within a connection that lives on: where the link swallows some, it cuts the connection when the
fault ends, as a network does that forgets who was connected.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Final, Literal, Self, TypeAlias

Direction: TypeAlias = Literal["up", "down"]  # up: from who connects to whom it connects to

_READ: Final = 65_536
_GONE: Final = (ConnectionError, OSError)


class _Connection:
    def __init__(self, client: asyncio.StreamWriter, server: asyncio.StreamWriter) -> None:
        self.writers: dict[Direction, asyncio.StreamWriter] = {"up": server, "down": client}
        self.swallowed = False
        self.closed: set[Direction] = set()

    def abort(self) -> None:
        for writer in self.writers.values():
            writer.transport.abort()


class Link:
    """One link to a server on this machine, with a port of its own; use as an async context manager."""

    def __init__(self, target: int, tap: Callable[[], Callable[[bytes], None]] | None = None) -> None:
        """Prepare.

        Args:
            target: the server's port.
            tap: makes, for each connection, what is shown the bytes that go up.
        """
        self._target = target
        self._tap = tap
        self._server: asyncio.Server | None = None
        self._connections: set[_Connection] = set()
        self._carrying: set[asyncio.Task[None]] = set()
        self._open: dict[Direction, asyncio.Event] = {"up": asyncio.Event(), "down": asyncio.Event()}
        self._swallows: set[Direction] = set()
        self._delay_s = 0.0
        self._away = asyncio.Event()
        self.calm()

    @property
    def port(self) -> int:
        """Where to connect."""
        assert self._server is not None, "the link is not open"
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._carry, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        self.go_away()
        for gate in self._open.values():
            gate.set()
        await asyncio.gather(*self._carrying)

    # --- faults ---

    def cut(self) -> int:
        """Cut all connections at once, with a reset; gives how many."""
        many = len(self._connections)
        for connection in tuple(self._connections):
            connection.abort()
        return many

    def go_away(self) -> None:
        """Cut, and take no new connection."""
        self._away.set()
        self.cut()

    def stall(self, direction: Direction) -> None:
        """Let nothing more through in one direction; it waits."""
        self._open[direction].clear()

    def slow(self, delay_s: float) -> None:
        """Hold back whatever comes by so much."""
        self._delay_s = delay_s

    def swallow(self, direction: Direction) -> None:
        """Take what comes in one direction and pass nothing on."""
        self._swallows.add(direction)

    def half_close(self, direction: Direction) -> None:
        """End one direction of all connections; the other goes on."""
        for connection in tuple(self._connections):
            connection.closed.add(direction)
            with suppress(*_GONE, RuntimeError):
                connection.writers[direction].write_eof()

    def calm(self) -> None:
        """End all faults; connections that lost bytes by one are cut."""
        self._away.clear()
        self._delay_s = 0.0
        self._swallows.clear()
        for gate in self._open.values():
            gate.set()
        for connection in tuple(self._connections):
            if connection.swallowed or connection.closed:
                connection.abort()

    # --- carrying ---

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._carrying.add(task)
        try:
            await self._between(reader, writer)
        finally:
            self._carrying.discard(task)
            await _closed(writer)

    async def _between(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._away.is_set():
            return
        try:
            there, server = await asyncio.open_connection("127.0.0.1", self._target)
        except OSError:
            return
        if self._away.is_set():  # meanwhile
            await _closed(server)
            return
        connection = _Connection(writer, server)
        self._connections.add(connection)
        tap = self._tap() if self._tap is not None else None
        try:
            await asyncio.gather(self._pump(connection, reader, "up", tap), self._pump(connection, there, "down", None))
        finally:
            self._connections.discard(connection)
            await _closed(server)

    async def _pump(
        self,
        connection: _Connection,
        reader: asyncio.StreamReader,
        direction: Direction,
        tap: Callable[[bytes], None] | None,
    ) -> None:
        writer = connection.writers[direction]
        with suppress(*_GONE):
            while data := await reader.read(_READ):
                if tap is not None:
                    tap(data)
                await self._open[direction].wait()
                if self._delay_s:
                    await asyncio.sleep(self._delay_s)
                if direction in self._swallows or direction in connection.closed:
                    connection.swallowed = True
                    continue
                writer.write(data)
                await writer.drain()
        with suppress(*_GONE, RuntimeError):
            writer.write_eof()
        if connection.writers["up"].transport.is_closing() or connection.writers["down"].transport.is_closing():
            connection.abort()


async def _closed(writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()
    with suppress(*_GONE):
        await writer.wait_closed()
