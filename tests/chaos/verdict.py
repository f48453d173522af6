"""Whether the clinic's book is what the fleet's kits committed: the truth files against the tables, line by line.

Nothing here is shared with what it judges: which day a record counts on is worked out from the truth file's own words.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, TypeAlias
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy import select, text

from gonio.cloud_sink.schema import DAY_ENTRIES, RECORDS
from gonio.cloud_sink.store import Store
from gonio.gateway.store import KitStore

Line: TypeAlias = dict[str, Any]
Entry: TypeAlias = tuple[UUID, str, date, str, str]  # record, kit, date, kind, source


@dataclass(frozen=True, slots=True)
class Verdict:
    """How the book compares with the truth.

    Attributes:
        records: lines of truth.
        lost: of these, how many are not in the book.
        doubled: records in the book beyond the first of one id, one place, or one content.
        strange: records in the book that no kit committed.
        altered: records whose content in the book is not what the kit committed.
        unanswered: records that kits still wait for or that were refused.
        day_entries: entries of the days' ledger that the truth asks for.
        ledger: entries missing, wrong or too many.
        audit: what the book's own audit finds wrong, in words; empty when it is clean.
    """

    records: int
    lost: int
    doubled: int
    strange: int
    altered: int
    unanswered: int
    day_entries: int
    ledger: int
    audit: tuple[str, ...]

    @property
    def clean(self) -> bool:
        """Whether nothing is wrong."""
        faults = (self.lost, self.doubled, self.strange, self.altered, self.unanswered, self.ledger)
        return self.records > 0 and not any(faults) and not self.audit


def read_truth(files: Iterable[Path]) -> list[Line]:
    """Read the lines of truth files."""
    return [json.loads(line) for file in files for line in file.read_text(encoding="utf-8").splitlines()]


def judge_book(store: Store, truth: Sequence[Line], kits: Iterable[Path]) -> Verdict:
    """Compare.

    Args:
        store: the book.
        truth: the lines of truth.
        kits: the kits' data directories.
    """
    with store._engine.connect() as connection:
        rows = connection.execute(
            select(
                RECORDS.c.record_id, RECORDS.c.kit_id, RECORDS.c.outbox_id, RECORDS.c.sequence, RECORDS.c.content_hash
            )
        ).all()
        days = connection.execute(
            select(
                DAY_ENTRIES.c.record_id,
                DAY_ENTRIES.c.kit_id,
                DAY_ENTRIES.c.local_date,
                DAY_ENTRIES.c.kind,
                DAY_ENTRIES.c.source,
            )
        ).all()
        sound = _sound(store, connection)
    there = {(kit, sequence, str(record_id)): bytes(content) for record_id, kit, _, sequence, content in rows}
    asked = {(line["kit"], line["sequence"], line["record_id"]): bytes.fromhex(line["sha256"]) for line in truth}
    expected = Counter(day_entries(truth))
    found: Counter[Entry] = Counter((row[0], row[1], row[2], row[3], row[4]) for row in days)
    return Verdict(
        records=len(asked),
        lost=len(asked.keys() - there.keys()),
        doubled=sum(
            len(rows) - len(set(column))
            for column in (
                [row[0] for row in rows],
                [(row[2], row[3]) for row in rows],
                [bytes(row[4]) for row in rows],
            )
        ),
        strange=len(there.keys() - asked.keys()),
        altered=sum(there[key] != asked[key] for key in asked.keys() & there.keys()),
        unanswered=sum(_unanswered(folder) for folder in kits),
        day_entries=expected.total(),
        ledger=(expected - found).total() + (found - expected).total(),
        audit=sound + _audit(store),
    )


def day_entries(truth: Iterable[Line]) -> list[Entry]:
    """Work out which day each session counts on: in the patient's time zone, by the time that the kit showed."""
    entries: list[Entry] = []
    for line in truth:
        moment = datetime.fromisoformat(line["captured_at"]).astimezone(UTC)
        day = moment.astimezone(ZoneInfo(line["time_zone"])).date()
        entries.append((UUID(line["record_id"]), line["kit"], day, line["kind"], "simulated"))
    return entries


def _unanswered(folder: Path) -> int:
    with KitStore.peek(folder) as kit:
        counts = kit.counts()
    return counts.pending + counts.rejected


def _audit(store: Store) -> tuple[str, ...]:
    found = store.audit()
    faults = {"doubled": found.doubled, "missing": len(found.gaps), "quarantined": found.quarantined}
    by_kit: defaultdict[str, int] = defaultdict(int)
    for gap in found.gaps:
        by_kit[gap.kit_id] += 1
    return tuple(f"the audit finds {many} {what}" for what, many in faults.items() if many) + tuple(
        f"kit {kit}: {many} gaps" for kit, many in by_kit.items()
    )


def _sound(store: Store, connection: Any) -> tuple[str, ...]:  # noqa: ANN401 - SQLAlchemy's connection
    if store._engine.dialect.name != "sqlite":
        return ()
    verdict = connection.execute(text("PRAGMA integrity_check")).scalar_one()
    return () if verdict == "ok" else (f"the book's file is damaged: {verdict}",)
