"""The worker's connection to the broker: many publishes with one read.

paho asks the socket for a packet in pieces (its first byte, each byte of its length, its body) and goes back to the
event loop after each packet: four system calls and a turn of the loop for a record. Beside a thread that stores, each
of those calls also gives Python's lock away. Here one call reads what is there, up to READ_BYTES, and the pieces are
cut from that. paho and aiomqtt need not know: they already deal with sockets that hold bytes which the operating
system has handed out, since TLS does so, and ask such a socket with ``pending()``.
"""

import ssl
from typing import TYPE_CHECKING, Any, Final

import paho.mqtt.client as paho

from gonio.identity.mqtt import MqttClient

if TYPE_CHECKING:
    import socket

#: What one read takes at most: some 80 records, a few milliseconds of the event loop.
READ_BYTES: Final = 65_536


class ReadAhead:
    """A connected, non-blocking socket that reads ahead; whatever else is asked of it, the socket itself answers."""

    def __init__(self, sock: "socket.socket | ssl.SSLSocket") -> None:
        """Wrap a socket that nobody has read from."""
        self._sock = sock
        self._ahead = memoryview(b"")
        self._has_read = False  # since ``pending`` last said that nothing is left

    def recv(self, size: int) -> bytes:
        """Give up to ``size`` bytes, b"" where the peer has closed.

        Between two answers of ``pending`` that nothing is left, the socket is read once: a peer that sends without
        end gets no more than its turn.

        Raises:
            OSError: as of the socket; BlockingIOError where nothing is there, or this turn's reading is used up.
        """
        if not self._ahead:
            if self._has_read:
                self._has_read = False
                raise BlockingIOError
            self._ahead = memoryview(self._sock.recv(READ_BYTES))
            self._has_read = True
        given = self._ahead[:size]
        self._ahead = self._ahead[size:]
        return bytes(given)

    def pending(self) -> int:
        """Tell how many bytes can be had although the operating system has none."""
        waiting = len(self._ahead)
        if not waiting:
            self._has_read = False
        return waiting + (self._sock.pending() if isinstance(self._sock, ssl.SSLSocket) else 0)

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the socket has
        """Give what the socket has."""
        return getattr(self._sock, name)


class SinkClient(MqttClient):
    """The MQTT client of a worker: it reads ahead."""

    def _on_socket_open(self, client: paho.Client, userdata: Any, sock: Any) -> None:  # noqa: ANN401 - aiomqtt's
        ahead = ReadAhead(sock)
        client._sock = ahead  # noqa: SLF001 - paho offers no way to hand it a socket
        super()._on_socket_open(client, userdata, ahead)
