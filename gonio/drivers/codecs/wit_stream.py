"""WitMotion's byte stream: frames of 20 bytes that begin with 55 61 (motion) or 55 71 (registers), without checksum.

Notifications are cuts of a stream: they hold several frames, or a part of one. The two bytes of a header can also
occur inside a frame, so a frame is believed only when the next header follows it. Any cut of the same bytes gives the
same frames; the last frame before a silence is given by ``finish``. Where a value inside the frames happens to read
like a header and stays constant, a stream joined in mid-frame could lock onto it; the bytes between are then wrong
until the value changes. Sensors start a notification with a frame, so this needs a loss inside of one.
"""

from typing import Final, NamedTuple

FRAME_BYTES: Final = 20
MOTION: Final = b"\x55\x61"
REGISTERS: Final = b"\x55\x71"
HEADERS: Final = (MOTION, REGISTERS)
_CONFIRMED: Final = FRAME_BYTES + 2


class Frame(NamedTuple):
    """A believed frame: its 20 bytes, and when the last of them arrived (ns, the host's clock)."""

    data: bytes
    arrival_ns: int


class FrameStream:
    """Finds the frames in a stream of bytes.

    It never holds more than the 21 bytes of a frame that is not yet confirmed.

    Attributes:
        foreign_bytes: bytes so far that belong to no frame.
        foreign_runs: unbroken runs of them.
    """

    def __init__(self) -> None:
        self.foreign_bytes = 0
        self.foreign_runs = 0
        self._held = b""
        self._in_foreign = False
        self._whole_ns = 0

    @property
    def held_bytes(self) -> int:
        """Bytes that wait for what follows."""
        return len(self._held)

    def feed(self, data: bytes, arrival_ns: int = 0) -> list[Frame]:
        """Take the next bytes of the stream and give the frames that they confirm."""
        was_whole = len(self._held) >= FRAME_BYTES
        buffer = self._held + data
        end = len(buffer)
        frames: list[Frame] = []
        at = 0
        while at + 1 < end:
            if buffer[at : at + 2] in HEADERS:
                if end - at < _CONFIRMED:
                    break
                if buffer[at + FRAME_BYTES : at + _CONFIRMED] in HEADERS:
                    whole_ns = self._whole_ns if was_whole and at == 0 else arrival_ns
                    frames.append(Frame(buffer[at : at + FRAME_BYTES], whole_ns))
                    self._in_foreign = False
                    at += FRAME_BYTES
                    continue
            at = self._skip(buffer, at)
        if at + 1 == end and buffer[at] != MOTION[0]:
            at = self._skip(buffer, at)
        self._held = buffer[at:]
        if at > 0 or not was_whole:
            self._whole_ns = arrival_ns
        return frames

    def _skip(self, buffer: bytes, at: int) -> int:
        """Count the bytes up to the next possible header as foreign and give its place."""
        found = buffer.find(MOTION[:1], at + 1)
        found = len(buffer) if found < 0 else found
        self.foreign_bytes += found - at
        self.foreign_runs += not self._in_foreign
        self._in_foreign = True
        return found

    def finish(self) -> list[Frame]:
        """End the stream: give the last frame if it is whole and nothing speaks against it."""
        held, self._held = self._held, b""
        whole = len(held) >= FRAME_BYTES and held[FRAME_BYTES:] in (b"", MOTION[:1])
        return [Frame(held[:FRAME_BYTES], self._whole_ns)] if whole else []
