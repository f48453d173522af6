"""The worker's socket: whatever the pieces in which bytes come and are asked for, they are the same bytes."""

from collections.abc import Sequence
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gonio.cloud_sink.link import ReadAhead


class Pieces:
    """A socket whose peer has sent these pieces, one to be had at a time, and has then closed."""

    def __init__(self, pieces: Sequence[bytes]) -> None:
        self._pieces = list(pieces)

    def recv(self, size: int) -> bytes:
        piece = self._pieces.pop(0) if self._pieces else b""
        if len(piece) > size:
            self._pieces.insert(0, piece[size:])
        return piece[:size]

    def fileno(self) -> int:
        return 77


def ahead(pieces: Sequence[bytes]) -> ReadAhead:
    return ReadAhead(cast("Any", Pieces(pieces)))


@given(
    pieces=st.lists(st.binary(min_size=1, max_size=20), max_size=20),
    sizes=st.lists(st.integers(1, 9), min_size=1, max_size=9),
)
def test_any_pieces_give_the_same_bytes_and_a_reader_gets_its_turns(pieces: list[bytes], sizes: list[int]) -> None:
    sock = ahead(pieces)
    got = b""
    turns = 0
    ended = False
    while not ended:
        turns += 1
        left = True
        while left:
            try:
                got += (piece := sock.recv(sizes[len(got) % len(sizes)]))
            except BlockingIOError:
                assert sock.pending() == 0
                break
            ended = piece == b""
            left = sock.pending() > 0
    assert got == b"".join(pieces)
    assert turns >= len(pieces)  # one read of the socket a turn, however much the peer sends


def test_after_the_turn_that_ended_within_a_packet_the_next_goes_on() -> None:
    sock = ahead([b"abc", b"def"])
    assert sock.recv(4) == b"abc"
    with pytest.raises(BlockingIOError):
        sock.recv(1)
    assert sock.pending() == 0
    assert sock.recv(1) == b"d"
    assert sock.pending() == 2


def test_whatever_else_is_asked_the_socket_answers() -> None:
    assert ahead([]).fileno() == 77
