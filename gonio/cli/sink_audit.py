"""``gonio sink audit``: what is here, what is missing and what is known of it; is the audit log unchanged."""

import json
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final
from uuid import UUID

import typer

from gonio.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gonio.cloud_sink.audit import Audit, Gap
    from gonio.cloud_sink.audit_log import Head, LogCheck
    from gonio.cloud_sink.kit_days import DatedLack, KitDay, KitDays
    from gonio.cloud_sink.lacking import Lack
    from gonio.cloud_sink.outboxes import Outbox
    from gonio.cloud_sink.proof import Proof

StoreUrl = Annotated[
    str,
    typer.Option(
        "--store", metavar="URL", help="The clinic's book: sqlite:///path/to/file or postgresql://user@host/database."
    ),
]

#: Missing sequences named one by one for an outbox; a forged sequence could otherwise ask for a list of 2^53.
MAX_LISTED: Final = 10_000

#: What is known of what is not here, as the command says it.
MEANING: Final = {
    "waiting": "the kit holds it and will send it",
    "lost": "the kit was told that it is stored, and it is not here: LOST BY THE CLINIC; workers ask the kit for it",
    "refused": "refused: see the quarantine",
    "lost-on-kit": "lost on the kit, whose database was damaged",
    "unknown": "the kit has not said whether it holds it",
}


def audit(
    store: StoreUrl,
    as_json: Annotated[bool, typer.Option("--json", help="End with one JSON object.")] = False,
    kit: Annotated[str | None, typer.Option(metavar="ID", help="Of this kit only.")] = None,
    days: Annotated[bool, typer.Option("--days", help="Kit by kit and day by day.")] = False,
    since: Annotated[str | None, typer.Option(metavar="DATE", help="With --days: from this day on.")] = None,
    late_hours: Annotated[
        int, typer.Option(min=1, help="With --days: a record is late that came over so many hours after its capture.")
    ] = 24,
    log_head: Annotated[
        list[str] | None,
        typer.Option(metavar="HEAD", help="An earlier head of the audit log, as this command printed it then."),
    ] = None,
    export_log: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the audit log there as lines of JSON.")
    ] = None,
) -> None:
    """Say whether every record is there once, and name what is missing; verify the audit log."""
    from gonio.cloud_sink.store import open_store

    first_day = _day(since)
    anchors = [_head(text) for text in log_head or ()]
    with open_store(store, create=False) as book:
        proof = book.proof
        found = proof.audit(kit)
        check = proof.log(anchors)
        if export_log is not None:
            _export(proof, export_log)
        if as_json:
            parts = _days_json(proof, kit, first_day, late_hours) if days else {}
            typer.echo(json.dumps(as_object(found) | {"audit_log": log_object(check)} | parts))
            return
        tell(found)
        if days:
            for one in _days(proof, kit, first_day, late_hours):
                _tell_days(one, late_hours)
        tell_log(check)


def as_object(found: "Audit") -> dict[str, Any]:
    """Write an audit as JSON's values."""
    by_outbox: dict[tuple[str, str], list[Gap]] = {}
    for gap in found.gaps:
        by_outbox.setdefault((gap.kit_id, str(gap.outbox_id)), []).append(gap)
    known = {(box.kit_id, str(box.outbox_id)): box for box in found.lacking}
    return {
        "records": found.records,
        "doubled": found.doubled,
        "missing": [
            {
                "kit": kit,
                "outbox": outbox,
                "count": sum(gap.last - gap.first + 1 for gap in gaps),
                "sequences": _listed(gaps),
                "known": _standings(known[kit, outbox]),
            }
            for (kit, outbox), gaps in by_outbox.items()
        ],
        "waiting": [
            {"kit": box.kit_id, "outbox": str(box.outbox_id), "first": lack.first, "last": lack.last}
            for box in found.lacking
            for lack in box.lacks
            if lack.standing == "waiting"
        ],
        "lost": sum(lack.count for box in found.lacking for lack in box.lacks if lack.standing == "lost"),
        "quarantined": found.quarantined,
        "data_days": found.data_days,
        "unassigned": found.unassigned,
        "unsynchronised": found.unsynchronised,
        "repaired": found.repaired,
        "voided": found.voided,
        "removed": found.removed,
    }


def tell(found: "Audit") -> None:
    """Write an audit for people."""
    typer.echo(f"{found.records} records, {found.doubled} doubled, {found.quarantined} in quarantine")
    if found.removed:
        typer.echo(f"{found.removed} more were here and were removed by retention")
    typer.echo(f"{found.data_days} data days (sessions measured by real sensors, on the patients' calendars)")
    typer.echo(
        f"of the sessions {found.voided} are struck out, {found.repaired} have a repaired clock, "
        f"{found.unsynchronised} one that tells no time"
    )
    if found.unassigned:
        typer.echo(f"{found.unassigned} sessions belong to no patient: bind their kits (gonio clinic kit bind)")
    for box in found.lacking:
        for lack in box.lacks[:MAX_LISTED]:
            typer.echo(f"not here from kit {box.kit_id}, outbox {box.outbox_id}: {_span(lack)}: {_meaning(lack)}")
    if not found.gaps:
        typer.echo("nothing is missing below the last sequence of each kit")


def _span(lack: "Lack") -> str:
    return f"sequence {lack.first}" if lack.first == lack.last else f"sequences {lack.first} to {lack.last}"


def _meaning(lack: "Lack") -> str:
    return MEANING[lack.standing.value]


def _listed(gaps: "list[Gap]") -> list[int]:
    listed: list[int] = []
    for gap in gaps:
        room = MAX_LISTED - len(listed)
        listed.extend(range(gap.first, min(gap.last + 1, gap.first + room)))
    return listed


def _standings(box: "Outbox") -> dict[str, int]:
    counts: dict[str, int] = {}
    for lack in box.lacks:
        counts[lack.standing.value] = counts.get(lack.standing.value, 0) + lack.count
    return counts


# --- day by day ---


def _days(proof: "Proof", kit: str | None, since: date | None, late_hours: int) -> "Iterable[KitDays]":
    kits = [state.kit_id for state in proof.states()] if kit is None else [kit]
    for one in kits:
        yield proof.days(one, since=since, late=timedelta(hours=late_hours))


def _days_json(proof: "Proof", kit: str | None, since: date | None, late_hours: int) -> dict[str, Any]:
    days: list[dict[str, Any]] = []
    lacks: list[dict[str, Any]] = []
    for one in _days(proof, kit, since, late_hours):
        days += [_day_json(one.kit_id, day) for day in one.days]
        lacks += [_lack_json(one.kit_id, lack) for lack in one.lacks]
    return {"days": days, "not_here": lacks}


def _day_json(kit: str, day: "KitDay") -> dict[str, Any]:
    return {
        "kit": kit,
        "date": day.day.isoformat() if day.day else None,
        "records": day.records,
        "here": [{"outbox": str(r.outbox_id), "first": r.first, "last": r.last} for r in day.here],
        "late": day.late,
        "unsynchronised": day.unsynchronised,
        "repaired": day.repaired,
        "voided": day.voided,
        "quarantined": day.quarantined,
        "simulated": day.simulated,
    }


def _lack_json(kit: str, dated: "DatedLack") -> dict[str, Any]:
    return {
        "kit": kit,
        "outbox": str(dated.outbox_id),
        "first": dated.lack.first,
        "last": dated.lack.last,
        "standing": dated.lack.standing.value,
        "after": dated.after.isoformat() if dated.after else None,
        "before": dated.before.isoformat() if dated.before else None,
    }


def _tell_days(one: "KitDays", late_hours: int) -> None:
    typer.echo(f"kit {one.kit_id}")
    for day in one.days:
        here = ", ".join(f"{r.first}-{r.last}" if r.first < r.last else str(r.first) for r in day.here)
        counts = {
            "simulated": day.simulated,
            f"later than {late_hours} h": day.late,
            "clock repaired": day.repaired,
            "clock tells no day": day.unsynchronised,
            "struck out": day.voided,
            "quarantined": day.quarantined,
        }
        said = "".join(f"; {count} {what}" for what, count in counts.items() if count)
        typer.echo(f"  {day.day or 'no date   '}  {day.records} records ({here or 'none'}){said}")
    for dated in one.lacks:
        between = f"written after {dated.after or 'the start'} and before {dated.before or 'now'}"
        typer.echo(f"  not here: {_span(dated.lack)}, {between}: {_meaning(dated.lack)}")


# --- the audit log ---


def log_object(check: "LogCheck") -> dict[str, Any]:
    """Write what is known of the audit log as JSON's values."""
    return {
        "rows": check.rows,
        "intact": check.intact,
        "heads": [_written(head) for head in check.heads],
        "faults": [{"clinic": str(f.clinic_id), "row": f.number, "what": f.what} for f in check.faults],
        "fault_count": check.fault_count,
    }


def tell_log(check: "LogCheck") -> None:
    """Write what is known of the audit log for people."""
    typer.echo(f"audit log: {check.rows} rows, {'unchanged' if check.intact else 'CHANGED'}")
    for fault in check.faults:
        typer.echo(f"  clinic {fault.clinic_id}, row {fault.number}: {fault.what}")
    if check.fault_count > len(check.faults):
        typer.echo(f"  and {check.fault_count - len(check.faults)} more faults")
    for head in check.heads:
        typer.echo(f"  head to keep elsewhere and give back with --log-head: {_written(head)}")


def _written(head: "Head") -> str:
    return f"{head.clinic_id}:{head.number}:{head.row_hash.hex()}"


def _head(text: str) -> "Head":
    from gonio.cloud_sink.audit_log import Head

    try:
        clinic, number, row_hash = text.split(":")
        return Head(UUID(clinic), int(number), bytes.fromhex(row_hash))
    except ValueError as error:
        raise UsageError(f"{text!r} is no head of an audit log: give it as `gonio sink audit` printed it") from error


def _export(proof: "Proof", path: Path) -> None:
    try:
        with path.open("x", encoding="utf-8") as file:
            file.writelines(f"{line}\n" for line in proof.export_log())
    except OSError as error:
        raise UsageError(f"{path} cannot be written ({error.strerror}): name a new file") from error


def _day(text: str | None) -> date | None:
    if text is None:
        return None
    try:
        return datetime.strptime(text, "%Y-%m-%d").date()  # noqa: DTZ007 - a date has no zone
    except ValueError as error:
        raise UsageError(f"{text!r} is no date: write 2026-03-02") from error
