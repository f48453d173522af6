"""Which records to send when: a bounded window of unanswered ones, each sent again after a growing, random wait.

No clock of its own: every call is given the moment. Random waits ("full jitter", added to the time that an answer may
take) keep a thousand kits that lost the same broker from coming back in step.
"""

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

#: Urgent records that may wait for an answer beside the window.
URGENT_ROOM: Final = 20


@dataclass(slots=True)
class _Sending:
    times: int
    due_s: float


class SendWindow:
    """The records that were sent and not yet answered.

    Bound: at most ``size`` records, and URGENT_ROOM urgent ones, wait for an answer at once. A record whose wait is
    over leaves the window and may be sent again, after those that were never sent: one that is never answered cannot
    hold up the others.
    """

    def __init__(self, *, size: int, answer_s: float, longest_s: float, rng: random.Random) -> None:
        """Begin with nothing sent.

        Args:
            size: records that may wait for an answer at once.
            answer_s: how long an answer may take before a record is sent again, s.
            longest_s: bound of the random wait that is added to it and doubles with each sending, s.
            rng: where the randomness comes from.
        """
        self._size = size
        self._answer_s = answer_s
        self._longest_s = longest_s
        self._rng = rng
        self._sendings: dict[int, _Sending] = {}

    @property
    def reach(self) -> int:
        """How many pending records ``choose`` must be shown so that it can fill the window."""
        return self._size + len(self._sendings)

    def choose(self, pending: Sequence[int], now_s: float, urgent: Sequence[int] = ()) -> list[int]:
        """Choose what to send now: the urgent ones, then the least often sent, each in the order given.

        Urgent records have a small room of their own beside the window: neither a full one nor what was never sent
        holds them up, and one that is never answered holds up no others.

        Args:
            pending: numbers of the first ``reach`` records that wait for the clinic's word, by priority.
            now_s: the moment, s.
            urgent: of those the urgent ones, the first ``URGENT_ROOM`` are looked at.
        """
        ahead = urgent[:URGENT_ROOM]
        chosen = [number for number in ahead if not self._waits(number, now_s)]
        others = set(ahead)
        waiting = sum(sending.due_s > now_s and n not in others for n, sending in self._sendings.items())
        ready = [n for n in pending if n not in others and not self._waits(n, now_s)]
        ready.sort(key=self.times_sent)
        return chosen + ready[: max(0, self._size - waiting)]

    def _waits(self, number: int, now_s: float) -> bool:
        sending = self._sendings.get(number)
        return sending is not None and sending.due_s > now_s

    @property
    def numbers(self) -> frozenset[int]:
        """Which records were sent and not answered."""
        return frozenset(self._sendings)

    @property
    def waiting(self) -> int:
        """How many records were sent and not answered."""
        return len(self._sendings)

    def times_sent(self, number: int) -> int:
        """Tell how often a record was sent since this process began."""
        sending = self._sendings.get(number)
        return sending.times if sending else 0

    def sent(self, numbers: Iterable[int], now_s: float) -> None:
        """Note that records were sent at a moment."""
        for number in numbers:
            times = self.times_sent(number) + 1
            bound = min(self._longest_s, self._answer_s * 2.0 ** min(times - 1, 30))
            self._sendings[number] = _Sending(times, now_s + self._answer_s + self._rng.uniform(0, bound))

    def settled(self, numbers: Iterable[int]) -> None:
        """Forget records that were answered."""
        for number in numbers:
            self._sendings.pop(number, None)

    def reconnected(self) -> None:
        """Let everything be sent again at once: what was under way when the link broke may be lost."""
        for sending in self._sendings.values():
            sending.due_s = float("-inf")

    def next_due_s(self, after_s: float) -> float | None:
        """Give the moment after ``after_s`` at which the window next changes by itself, or None when it never does."""
        return min((sending.due_s for sending in self._sendings.values() if sending.due_s > after_s), default=None)
