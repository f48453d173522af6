"""WitMotion's byte stream: frames of 20 bytes that begin with 55 61 (motion) or 55 71 (registers), without checksum.

Notifications are cuts of a stream: they hold several frames, or a part of one. The two bytes of a header can also
occur inside a frame, so a frame is believed only when the next header follows it. Any cut of the same bytes gives the
same frames; the last frame before a silence is given by ``finish``. Where a value inside the frames happens to read
like a header and stays constant, a stream joined in mid-frame could lock onto it; the bytes between are then wrong
until the value changes. Sensors start a notification with a frame, so this needs a loss inside of one.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np

from gonio.drivers.codecs.clock import IntArray

FRAME_BYTES: Final = 20
MOTION: Final = b"\x55\x61"
REGISTERS: Final = b"\x55\x71"
HEADERS: Final = (MOTION, REGISTERS)
_CONFIRMED: Final = FRAME_BYTES + 2
_MOTION_WORD, _REGISTERS_WORD = (int.from_bytes(header, "little") for header in HEADERS)
_WORTH_ARRAYS: Final = 4  # frames; fewer are faster found one by one


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

    def feed_all(self, values: Sequence[bytes], arrivals_ns: Sequence[int]) -> tuple[bytes, IntArray]:
        """Take several notifications; the same as ``feed`` one by one, and quick where nothing foreign is in them.

        Args:
            values: the next bytes of the stream.
            arrivals_ns: when each came, ns.

        Returns:
            The confirmed frames, joined, and the arrival of each (n,), ns.
        """
        joined = b"".join((self._held, *values))
        frames = (len(joined) - 2) // FRAME_BYTES
        if frames < _WORTH_ARRAYS or not self._begins_frames(joined):
            found = [frame for both in zip(values, arrivals_ns, strict=True) for frame in self.feed(*both)]
            arrivals = np.array([frame.arrival_ns for frame in found], np.int64)
            return b"".join([frame.data for frame in found]), arrivals
        ends = np.cumsum([len(self._held), *map(len, values)])
        # a frame came with the notification that holds its last byte
        last_bytes = np.arange(1, frames + 2) * FRAME_BYTES
        came = np.array([self._whole_ns, *arrivals_ns, 0], np.int64)[np.searchsorted(ends, last_bytes)]
        self._held = joined[frames * FRAME_BYTES :]
        self._whole_ns = int(came[-1]) if len(self._held) >= FRAME_BYTES else int(arrivals_ns[-1])
        self._in_foreign = False
        return joined[: frames * FRAME_BYTES], came[:-1]

    def _begins_frames(self, data: bytes) -> bool:
        """Whether a header stands wherever one must, if nothing is foreign."""
        words = np.frombuffer(data, "<u2", len(data) // 2)[:: FRAME_BYTES // 2]
        return bool(((words == _MOTION_WORD) | (words == _REGISTERS_WORD)).all())

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
