# ruff: noqa: INP001 - a script's helper, no package
"""Made-up kits for the pages of completeness: complete, waiting, with gaps, with losses, absurd; none was measured."""

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from uuid import UUID

from gonio.cloud_sink.audit_log import Fault, Head, LogCheck
from gonio.cloud_sink.kit_days import DatedLack, KitDay, KitDays, OutboxRange
from gonio.cloud_sink.lacking import Lack, Standing
from gonio.cloud_sink.outboxes import Outbox
from gonio.cloud_sink.overview import KitState
from gonio.cloud_sink.proof import Refusal
from gonio.cloud_sink.schema import HOME_CLINIC
from gonio.messages import HealthReport

_NOW = datetime(2026, 11, 23, 15, 30, tzinfo=UTC)
_OUTBOX = UUID("01a1f3c2-0000-7000-8000-000000000001")
_ENDED = UUID("01a1f3c2-0000-7000-8000-000000000002")
_FORGED = UUID("01a1f3c2-0000-7000-8000-000000000003")

#: The kits whose pages are looked at: one with everything that can be, one of which nothing has come.
TROUBLED = "kit-troubled"
SILENT = "kit-silent"


def _state(
    kit_id: str, lacks: Sequence[Lack] = (), *, here: int = 180, label: str = "", refused: int = 0, **report: object
) -> KitState:
    told = HealthReport.model_validate({"software": "0.1.0", "pending": 0, "outbox_id": _OUTBOX, **report})
    heard = _NOW - timedelta(minutes=12)
    box = Outbox(kit_id, _OUTBOX, here, here, heard, tuple(lacks))
    return KitState(kit_id, label, heard, (box,), refused, told)


_TROUBLES = (
    Lack(12, 12, Standing.REFUSED),
    Lack(40, 44, Standing.LOST),
    Lack(60, 61, Standing.UNKNOWN),
    Lack(181, 9_007_199_254_740_991, Standing.WAITING),
)
_STATES = (
    _state("kit-blue"),
    _state("kit-green", [Lack(181, 186, Standing.WAITING)], pending=6, days_left=412),
    _state("kit-red", [Lack(7, 9, Standing.UNKNOWN)], label="Room 2"),
    _state("kit-demo", label="Reception desk", simulated=True),
    _state(TROUBLED, _TROUBLES, refused=3, pending=4, label="The one with a label as long as a label can be " * 3),
    KitState(SILENT, "", None, (), 0, None),
)


class SampleProof:
    """What the pages of completeness read, without a store."""

    def __init__(self, states: Sequence[KitState] = _STATES, *, changed: bool = False) -> None:
        self.kits = list(states)
        self.changed = changed

    def states(self, kit_id: str | None = None, /) -> list[KitState]:
        """As the store's proof."""
        return [state for state in self.kits if kit_id in (None, state.kit_id)]

    def late(self, kits: Sequence[str], /) -> Mapping[str, int]:
        """As the store's proof."""
        return {kit: 14 if kit == TROUBLED else 0 for kit in kits}

    def sources(self, kits: Sequence[str], /) -> Mapping[str, frozenset[str]]:
        """As the store's proof."""
        return {kit: frozenset({"simulated"} if kit == "kit-demo" else ()) for kit in kits}

    def days(self, kit_id: str, /) -> KitDays:
        """As the store's proof."""
        if kit_id == SILENT:
            return KitDays(kit_id, (), ())
        days = [_day(number) for number in range(90)]
        odd = KitDay(None, 2, (OutboxRange(_ENDED, 1, 2),), 0, 2, 0, 0, 0, 0)
        (state,) = self.states(kit_id)
        between = (date(2026, 10, 2), date(2026, 10, 4))
        lacks = [DatedLack(_OUTBOX, lack, *between) for lack in state.outboxes[0].lacks]
        if kit_id == TROUBLED:
            lacks.append(DatedLack(_ENDED, Lack(3, 8, Standing.LOST_ON_KIT), None, date(2026, 10, 4)))
            lacks.append(DatedLack(_ENDED, Lack(10, 10, Standing.LOST), date(2026, 10, 5), date(2026, 10, 5)))
        return KitDays(kit_id, (*days, odd), tuple(lacks))

    def refusals(self, kit_id: str | None = None, /, *, limit: int = 100) -> list[Refusal]:
        """As the store's proof."""
        if kit_id not in (None, TROUBLED) or not self.kits:
            return []
        moments = (_NOW - timedelta(days=1), _NOW - timedelta(hours=2))
        again = "this record id is already in the book with other content"
        odd = "payload.reps.11.peak_flexion_deg: Input should be a finite number; " * 6
        return [
            Refusal(TROUBLED, _FORGED, _OUTBOX, 12, again, 3120, *moments, 48),
            Refusal(TROUBLED, None, None, None, "the publish is not zlib data", 262_145, *moments, 1),
            Refusal("" if kit_id is None else TROUBLED, None, _OUTBOX, 12, odd, 2900, *moments, 1),
        ][:limit]

    def log(self) -> LogCheck:
        """As the store's proof."""
        heads = (Head(HOME_CLINIC, 211, bytes(range(32))),) if self.kits else ()
        faults = (Fault(HOME_CLINIC, 97, "its content is not what was written"),) if self.changed else ()
        return LogCheck(211 if self.kits else 0, heads, faults, len(faults))


def _day(number: int) -> KitDay:
    first = 270 - 3 * number
    day = date(2026, 11, 23) - timedelta(days=number)
    simulated, quarantined, voided, late, repaired = ((number == n) for n in range(5))
    ranges = (OutboxRange(_OUTBOX, first, first + 2),)
    return KitDay(day, 3, ranges, 3 * late, 0, int(repaired), int(voided), int(quarantined), 3 * simulated)
