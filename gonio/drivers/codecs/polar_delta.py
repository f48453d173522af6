"""Polar's delta compression: a reference sample, then blocks of differences, each block as wide as it needs.

A block is one byte with the width w of a difference in bits, one with the number n of samples, and n times one
difference for each channel, two's complement, the least significant bit first, filled up to a whole byte. Every
sample is the one before it plus its differences, over the ends of blocks too.

Source: Polar's ``online_measurement.pdf`` (August 2024).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

from gonio.drivers.errors import CodecError

Whole: TypeAlias = npt.NDArray[np.int64]

_BLOCK_HEAD: Final = 2
_BLOCK_SAMPLES: Final = 255
_MAX_BITS: Final = 32

#: A notification has at most 512 bytes, which hold 1350 samples of three differences of one bit. More can only come
#: out of blocks with differences of no bits, 255 samples for two bytes, which no sensor needs and anybody could send.
MAX_SAMPLES: Final = 2048


@dataclass(frozen=True, slots=True, eq=False)
class Unpacked:
    """What compressed bytes hold.

    Attributes:
        samples: (n, channels) numbers, the reference first.
        blocks: width in bits and number of samples of each block, as announced.
        truncated: the bytes end inside the reference or inside a block; the samples are those that are whole.
    """

    samples: Whole
    blocks: tuple[tuple[int, int], ...]
    truncated: bool


def unpack(data: bytes, channels: int, sample_bytes: int) -> Unpacked:
    """Undo the compression.

    Args:
        data: from the reference sample to the end of the frame.
        channels: numbers in a sample.
        sample_bytes: bytes of each number of the reference.

    Raises:
        CodecError: a width above 32 bits, or more than ``MAX_SAMPLES`` samples.
    """
    at = channels * sample_bytes
    if len(data) < at:
        return Unpacked(np.empty((0, channels), np.int64), (), truncated=True)
    reference = [int.from_bytes(data[i : i + sample_bytes], "little", signed=True) for i in range(0, at, sample_bytes)]
    parts: list[Whole] = [np.array([reference], np.int64)]
    blocks: list[tuple[int, int]] = []
    total = 1
    truncated = False
    while at < len(data) and not truncated:
        if len(data) - at < _BLOCK_HEAD:
            truncated = True
            break
        bits, count = data[at], data[at + 1]
        total += count
        if bits > _MAX_BITS or total > MAX_SAMPLES:
            raise CodecError(f"a block of {count} samples with {bits} bits each is none that the sensor sends")
        blocks.append((bits, count))
        begin = at + _BLOCK_HEAD
        at = begin + (count * channels * bits + 7) // 8
        if at > len(data):
            truncated = True
            count = (len(data) - begin) * 8 // (channels * bits)
        parts.append(_differences(data, begin, count * channels, bits).reshape(count, channels))
    return Unpacked(np.cumsum(np.concatenate(parts), axis=0), tuple(blocks), truncated)


def _differences(data: bytes, begin: int, count: int, bits: int) -> Whole:
    """Read ``count`` signed numbers of ``bits`` bits each."""
    if bits == 0:
        return np.zeros(count, np.int64)
    octets = np.frombuffer(data, np.uint8, (count * bits + 7) // 8, begin)
    single = np.unpackbits(octets, count=count * bits, bitorder="little").reshape(count, bits)
    weights = np.left_shift(1, np.arange(bits, dtype=np.int64))
    weights[-1] = -weights[-1]
    read: Whole = single.astype(np.int64) @ weights
    return read


def bits_for(differences: Sequence[int]) -> int:
    """Give the bits that hold every one of these as two's complement (at least 1)."""
    return max(value.bit_length() if value >= 0 else (~value).bit_length() for value in differences) + 1


#: Width in bits, and the differences of each sample.
_Block: TypeAlias = tuple[int, list[tuple[int, ...]]]


class Packer:
    """Compresses sample by sample, and knows at any moment how many bytes that takes.

    Neighbouring blocks are made one where that takes no more bytes than two: the widths stay as small as they can
    without paying for them in heads.

    Attributes:
        samples: number of samples so far.
    """

    def __init__(self, channels: int, sample_bytes: int) -> None:
        self.samples = 0
        self._channels = channels
        self._sample_bytes = sample_bytes
        self._head = channels * sample_bytes
        self._reference: tuple[int, ...] = ()
        self._last: tuple[int, ...] = ()
        self._blocks: list[_Block] = []

    def size_with(self, sample: Sequence[int]) -> int:
        """Bytes that it would take with one sample more."""
        return self._head + _size(self._blocks_with(sample), self._channels)

    def add(self, sample: Sequence[int]) -> None:
        """Take a sample in: one number for each channel, of 32 bits at most."""
        if self.samples:
            self._blocks = self._blocks_with(sample)
        else:
            self._reference = tuple(sample)
        self._last = tuple(sample)
        self.samples += 1

    def _blocks_with(self, sample: Sequence[int]) -> list[_Block]:
        if not self.samples:
            return []
        difference = tuple(_wrapped(a - b) for a, b in zip(sample, self._last, strict=True))
        return _merged([*self._blocks, (bits_for(difference), [difference])], self._channels)

    def bytes(self) -> bytes:
        """Give the compressed bytes.

        Raises:
            OverflowError: the first sample does not fit into ``sample_bytes``.
        """
        reference = b"".join(value.to_bytes(self._sample_bytes, "little", signed=True) for value in self._reference)
        return reference + b"".join(_block(bits, items, self._channels) for bits, items in self._blocks)


def _wrapped(difference: int) -> int:
    """Give a difference of two numbers of 32 bits as one of 32 bits."""
    half = 1 << (_MAX_BITS - 1)
    return (difference + half) % (2 * half) - half


def _size(blocks: list[_Block], channels: int) -> int:
    return sum(_block_size(bits, len(items), channels) for bits, items in blocks)


def _block_size(bits: int, count: int, channels: int) -> int:
    return _BLOCK_HEAD + (bits * count * channels + 7) // 8


def _merged(blocks: list[_Block], channels: int) -> list[_Block]:
    """Join the last blocks as long as one takes no more bytes than two; the blocks given stay as they are."""
    while len(blocks) > 1:
        (bits, items), (more_bits, more) = blocks[-2:]
        joined, count = max(bits, more_bits), len(items) + len(more)
        apart = _block_size(bits, len(items), channels) + _block_size(more_bits, len(more), channels)
        if count > _BLOCK_SAMPLES or _block_size(joined, count, channels) > apart:
            break
        blocks[-2:] = [(joined, items + more)]
    return blocks


def _block(bits: int, items: list[tuple[int, ...]], channels: int) -> bytes:
    """Write a block."""
    number = 0
    for place, value in enumerate(value for item in items for value in item):
        number |= (value & ((1 << bits) - 1)) << (place * bits)
    return bytes((bits, len(items))) + number.to_bytes((bits * len(items) * channels + 7) // 8, "little")
