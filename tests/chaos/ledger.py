"""What the clinic's ledgers must say, worked out from a fleet's truth files alone.

Sessions of a simulated patient are never data days, whatever happens. So what is compared is what data days are made
of: for each session and check-in that nobody has struck out, the day on which it counts in the patient's time zone,
what it is, and how far its clock can be trusted. Nothing of this is shared with what it judges.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, TypeAlias
from zoneinfo import ZoneInfo

Line: TypeAlias = dict[str, Any]

_SAID = frozenset({"session", "check-in"})


@dataclass(frozen=True, slots=True, order=True)
class Entry:
    """That a record counts on a day."""

    record_id: str
    kit: str
    day: date
    kind: str
    source: str
    clock: str


@dataclass(frozen=True, slots=True)
class Ledger:
    """What a book must hold beside the records.

    Attributes:
        days: the entries of the days' ledger.
        voids: which record strikes out which.
        check_ins: the check-ins, with whether each is struck out.
    """

    days: frozenset[Entry]
    voids: frozenset[tuple[str, str]]
    check_ins: frozenset[tuple[str, bool]]

    def __len__(self) -> int:
        return len(self.days) + len(self.voids) + len(self.check_ins)

    def differences(self, other: "Ledger") -> int:
        """Count what only one of two ledgers holds."""
        return len(self.days ^ other.days) + len(self.voids ^ other.voids) + len(self.check_ins ^ other.check_ins)


def expected_ledger(truth: Sequence[Line]) -> Ledger:
    """Work out what the lines of truth ask for."""
    voids = frozenset((line["record_id"], line["voids"]) for line in truth if line["kind"] == "void")
    struck = {target for _, target in voids}
    proven = {line["boot_id"] for line in truth if line["clock"] == "synchronised"}
    return Ledger(
        frozenset(_entries((line for line in truth if line["record_id"] not in struck), proven)),
        voids,
        frozenset((line["record_id"], line["record_id"] in struck) for line in truth if line["kind"] == "check-in"),
    )


def _entries(truth: Iterable[Line], proven: set[str]) -> Iterable[Entry]:
    for line in truth:
        if line["kind"] not in _SAID:
            continue
        clock, moment = line["clock"], datetime.fromisoformat(line["captured_at"])
        if clock == "unsynchronised" and line["boot_id"] in proven:
            clock, moment = "repaired", datetime.fromisoformat(line["true_at"])
        day = moment.astimezone(ZoneInfo(line["time_zone"])).date()
        yield Entry(line["record_id"], line["kit"], day, line["kind"], "simulated", clock)
