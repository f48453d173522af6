"""How far a fleet is: the state of each outbox when it was last looked at, and what this run added."""

import time
from dataclasses import dataclass, field
from typing import Self

from gonio.gateway.records import OutboxCounts


@dataclass(frozen=True, slots=True)
class Totals:
    """Records of several kits.

    Attributes:
        made: that their outboxes hold.
        acknowledged: of these, how many the clinic has.
        rejected: of these, how many it refused.
    """

    made: int = 0
    acknowledged: int = 0
    rejected: int = 0

    def __add__(self, other: Self) -> "Totals":
        return Totals(self.made + other.made, self.acknowledged + other.acknowledged, self.rejected + other.rejected)

    def __sub__(self, other: Self) -> "Totals":
        return Totals(self.made - other.made, self.acknowledged - other.acknowledged, self.rejected - other.rejected)

    @classmethod
    def of(cls, counts: OutboxCounts) -> Self:
        """Count one outbox."""
        made = counts.pending + counts.acknowledged + counts.rejected
        return cls(made, counts.acknowledged, counts.rejected)


@dataclass(slots=True)
class Tally:
    """What was seen of each kit, by number; sums are kept, not made anew for thousands of kits.

    Attributes:
        now: of all kits, as last seen.
        found: of all kits, as first seen.
        last_made_s: when a record was last made, on the monotonic clock, s.
    """

    now: Totals = Totals()
    found: Totals = Totals()
    last_made_s: float = field(default_factory=time.monotonic)
    _by_kit: dict[int, Totals] = field(default_factory=dict)

    def look(self, number: int, counts: OutboxCounts) -> None:
        """Take in how an outbox stands."""
        seen = Totals.of(counts)
        before = self._by_kit.get(number)
        if before is None:
            self.found += seen
            before = Totals()
        self.now += seen - before
        self._by_kit[number] = seen

    @property
    def this_run(self) -> Totals:
        """What came since each outbox was first looked at."""
        return self.now - self.found
