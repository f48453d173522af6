"""What is done to a fleet, its workers, its broker and its database, and when: pure, drawn from a seed.

Each kind of fault comes so often as its period says, at random moments, on random victims, and at least once in a run
that is longer than BEGIN_S.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

BEGIN_S: Final = 1.0  # before the first fault


class Kind(StrEnum):
    """What is done."""

    KILL_KITS = "kill -9 of kits"
    KILL_WORKER = "kill -9 of a worker"
    KILL_BROKER = "kill -9 of the broker, its state lost"
    KILL_DATABASE = "kill of the PostgreSQL server"
    CUT = "link cut"
    STALL = "link stalled"
    DELAY = "link slowed"
    HALF_CLOSE = "link closed on one side"
    DROP = "link that swallows one direction"
    FULL_KITS = "full disk of kits"
    FULL_BOOK = "full disk of the book"
    JUMP_KITS = "clock jump of kits"
    JUMP_WORKER = "clock jump of a worker"


#: Mean time between two faults of a kind, s.
PERIODS_S: Final = {
    Kind.KILL_KITS: 5.0,
    Kind.KILL_WORKER: 5.0,
    Kind.KILL_BROKER: 15.0,
    Kind.KILL_DATABASE: 20.0,
    Kind.CUT: 5.0,
    Kind.STALL: 10.0,
    Kind.DELAY: 15.0,
    Kind.HALF_CLOSE: 15.0,
    Kind.DROP: 10.0,
    Kind.FULL_KITS: 15.0,
    Kind.FULL_BOOK: 25.0,
    Kind.JUMP_KITS: 10.0,
    Kind.JUMP_WORKER: 15.0,
}

#: How long it lasts, s: a killed process is down, a link stays away, a disk stays full; of a jump it says nothing.
_LASTS_S: Final = {
    Kind.KILL_KITS: (0.0, 2.0),
    Kind.KILL_WORKER: (0.0, 4.0),
    Kind.KILL_BROKER: (0.0, 3.0),
    Kind.KILL_DATABASE: (0.0, 4.0),
    Kind.CUT: (0.0, 3.0),
    Kind.STALL: (0.5, 12.0),
    Kind.DELAY: (1.0, 8.0),
    Kind.HALF_CLOSE: (0.5, 3.0),
    Kind.DROP: (0.5, 8.0),
    Kind.FULL_KITS: (1.0, 8.0),
    Kind.FULL_BOOK: (1.0, 8.0),
    Kind.JUMP_KITS: (0.0, 0.0),
    Kind.JUMP_WORKER: (0.0, 0.0),
}

_DAY_S: Final = 86_400
#: Where a jump ends, as seconds beside the true time: now and then it comes back to the truth.
_JUMPS_S: Final = {
    Kind.JUMP_KITS: (0, -60, 3600, -5 * _DAY_S, 400 * _DAY_S, -3650 * _DAY_S, 7300 * _DAY_S),
    Kind.JUMP_WORKER: (0, -60, 3600, -_DAY_S, 400 * _DAY_S, -400 * _DAY_S, -3650 * _DAY_S),
}


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is done.

    Attributes:
        at_s: after the beginning, s.
        kind: what.
        victim: to which of its sort; any whole number, taken modulo how many there are.
        lasts_s: how long.
        amount: seconds beside the true time of a jump, s; bytes that a full disk leaves free; 0 or 1 for a direction.
    """

    at_s: float
    kind: Kind
    victim: int
    lasts_s: float
    amount: int


def schedule(seed: int, seconds: float, kinds: frozenset[Kind]) -> list[Fault]:
    """Draw the faults of a run, in order; the faults of one kind do not depend on which others there are."""
    faults = [fault for kind in sorted(kinds) for fault in _of_kind(seed, seconds, kind)]
    return sorted(faults, key=lambda fault: (fault.at_s, fault.kind))


def _of_kind(seed: int, seconds: float, kind: Kind) -> Iterator[Fault]:
    rng = random.Random(f"{seed}/{kind}")  # noqa: S311 - a schedule, no secret
    least, most = _LASTS_S[kind]
    for _ in range(max(1, round(seconds / PERIODS_S[kind]))):
        at_s = rng.uniform(BEGIN_S, max(BEGIN_S, seconds - 1.0))
        lasts_s = min(rng.uniform(least, most), max(0.0, seconds - at_s))
        yield Fault(at_s, kind, rng.randrange(1_000), lasts_s, _amount(rng, kind))


def _amount(rng: random.Random, kind: Kind) -> int:
    if kind in _JUMPS_S:
        return rng.choice(_JUMPS_S[kind])
    if kind in {Kind.FULL_KITS, Kind.FULL_BOOK}:
        return rng.choice((0, 4096, 40_960))
    return rng.randrange(2)
