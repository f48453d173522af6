"""Whether the clinic's book is what the fleet's kits committed: the truth files against the tables, line by line."""

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection, select, text

from gonio.cloud_sink.schema import DAY_ENTRIES, QUARANTINE, RECORDS
from gonio.cloud_sink.schema_identity import KIT_KEYS
from gonio.cloud_sink.schema_kinds import CHECK_INS, VOIDS
from gonio.cloud_sink.store import Store
from gonio.cloud_sink.verify import Standing
from gonio.gateway.store import KitStore
from gonio.identity.keys import PublicKey
from gonio.identity.signatures import signed_by
from gonio.messages import Envelope, Kind
from tests.chaos.ledger import Entry, Ledger, Line, expected_ledger


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
        entries: what the truth asks for in the ledgers of days, voids and check-ins.
        ledger: of that, what is missing, wrong or too much.
        unproven: records in the book without a signature by a key of their kit's over their very content.
        forged: records of an attacker's that the book has.
        refused: likewise that it has in quarantine.
        audit: what the book's own audit finds wrong, in words; empty when it is clean. A forged report of a kit's
            health that was believed shows here, as records that are missing.
    """

    records: int
    lost: int
    doubled: int
    strange: int
    altered: int
    unanswered: int
    entries: int
    ledger: int
    unproven: int
    forged: int
    refused: int
    audit: tuple[str, ...]

    @property
    def clean(self) -> bool:
        """Whether nothing is wrong."""
        faults = (self.lost, self.doubled, self.strange, self.altered, self.unanswered, self.ledger)
        return self.records > 0 and not any(faults) and not self.unproven and not self.forged and not self.audit


def read_truth(files: Iterable[Path]) -> list[Line]:
    """Read the lines of truth files."""
    return [json.loads(line) for file in files for line in file.read_text(encoding="utf-8").splitlines()]


def judge_book(
    store: Store,
    truth: Sequence[Line],
    kits: Iterable[Path],
    attacks: AbstractSet[str] = frozenset(),
    altered: AbstractSet[str] = frozenset(),
) -> Verdict:
    """Compare.

    Args:
        store: the book.
        truth: the lines of truth.
        kits: the kits' data directories.
        attacks: the ids of records that an attacker sent.
        altered: the ids of genuine records of which an attacker sent other content.
    """
    columns = RECORDS.c
    with store._engine.connect() as connection:
        rows = connection.execute(
            select(columns.record_id, columns.kit_id, columns.outbox_id, columns.sequence, columns.content_hash)
        ).all()
        found = _ledger(connection)
        sound = _sound(store, connection)
        unproven = _unproven(connection)
        quarantined = [str(row[0]) for row in connection.execute(select(QUARANTINE.c.record_id))]
    wrongly = sum(record_id not in attacks | altered for record_id in quarantined)
    there = {(kit, sequence, str(record_id)): bytes(content) for record_id, kit, _, sequence, content in rows}
    asked = {(line["kit"], line["sequence"], line["record_id"]): bytes.fromhex(line["sha256"]) for line in truth}
    expected = expected_ledger(truth)
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
        entries=len(expected),
        ledger=expected.differences(found),
        unproven=unproven,
        forged=len(attacks & {record_id for _, _, record_id in there}),
        refused=len((attacks | altered) & set(quarantined)),
        audit=sound + _audit(store, wrongly),
    )


def _ledger(connection: Connection) -> Ledger:
    days = DAY_ENTRIES.c
    entries = connection.execute(
        select(days.record_id, days.kit_id, days.local_date, days.kind, days.source, days.clock)
    )
    voids = connection.execute(select(VOIDS.c.record_id, VOIDS.c.target))
    check_ins = connection.execute(select(CHECK_INS.c.record_id, CHECK_INS.c.voided))
    return Ledger(
        frozenset(Entry(str(record_id), *row) for record_id, *row in entries),
        frozenset((str(record_id), str(target)) for record_id, target in voids),
        frozenset((str(record_id), bool(voided)) for record_id, voided in check_ins),
    )


def _unanswered(folder: Path) -> int:
    with KitStore.peek(folder) as kit:
        counts = kit.counts()
    return counts.pending + counts.rejected


def _unproven(connection: Connection) -> int:
    """Count the records that are not what a key of their kit's has signed."""
    keys: dict[str, list[PublicKey]] = {}
    for kit_id, der in connection.execute(select(KIT_KEYS.c.kit_id, KIT_KEYS.c.public_key)):
        keys.setdefault(kit_id, []).append(PublicKey(der))
    header = [RECORDS.c[name] for name in Envelope.model_fields]
    count = 0
    for row in connection.execute(select(*header)):
        envelope = Envelope(**dict(row._mapping) | {"kind": Kind(row.kind)})
        count += not any(signed_by(envelope, key) for key in keys.get(envelope.kit_id, ()))
    return count


def _audit(store: Store, wrongly: int) -> tuple[str, ...]:
    found = store.audit()
    faults = {"doubled": found.doubled, "missing": len(found.gaps), "quarantined without reason": wrongly}
    by_kit: defaultdict[str, int] = defaultdict(int)
    for gap in found.gaps:
        by_kit[gap.kit_id] += 1
    found_proof = store.proof.verify()
    faults["unproven"] = found_proof.records - found_proof.counts[Standing.PROVEN]
    return tuple(f"the audit finds {many} {what}" for what, many in faults.items() if many) + tuple(
        f"kit {kit}: {many} gaps" for kit, many in by_kit.items()
    )


def _sound(store: Store, connection: Connection) -> tuple[str, ...]:
    if store._engine.dialect.name != "sqlite":
        return ()
    verdict = connection.execute(text("PRAGMA integrity_check")).scalar_one()
    return () if verdict == "ok" else (f"the book's file is damaged: {verdict}",)
