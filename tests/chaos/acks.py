"""Counts what workers answered, from the bytes that they send: an account that no kill -9 can cut short."""

from collections import Counter
from typing import Final

from gonio.messages import MessageError, unpack_acks

_PUBLISH: Final = 3
_LENGTH_BYTES: Final = 4  # of the remaining length at most, MQTT 3.1.1 section 2.2.3


class AckCounter:
    """Reads one MQTT 3.1.1 connection's bytes and counts the statuses of the acknowledgements in it."""

    def __init__(self, into: Counter[str]) -> None:
        """Begin a connection; ``into`` is counted on by several."""
        self._into = into
        self._bytes = bytearray()

    def __call__(self, data: bytes) -> None:
        """Take the next bytes."""
        self._bytes += data
        while (packet := self._next()) is not None:
            first, body = packet
            if first >> 4 == _PUBLISH:
                self._count(first, body)

    def _next(self) -> tuple[int, bytes] | None:
        length = 0
        for place in range(1, min(len(self._bytes), _LENGTH_BYTES + 1)):
            digit = self._bytes[place]
            length |= (digit & 0x7F) << 7 * (place - 1)
            if not digit & 0x80:
                end = place + 1 + length
                if len(self._bytes) < end:
                    return None
                packet = self._bytes[0], bytes(self._bytes[place + 1 : end])
                del self._bytes[:end]
                return packet
        return None

    def _count(self, first: int, body: bytes) -> None:
        begin = 2 + int.from_bytes(body[:2], "big") + (2 if first & 0b110 else 0)
        try:
            batch = unpack_acks(body[begin:])
        except MessageError:
            return
        self._into.update(ack.status.value for ack in batch.acks)
