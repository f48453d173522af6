"""One kit: what is here day by day, what is not and what is known of it, what was refused."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Final

from markupsafe import Markup

from gonio.cloud_sink.kit_days import DatedLack, KitDay
from gonio.cloud_sink.lacking import Standing
from gonio.cloud_sink.overview import KitState
from gonio.cloud_sink.proof import Refusal
from gonio.cloud_sink.review.book import ProofBook
from gonio.cloud_sink.review.completeness_view import Fact, bounded, heard, judge_kit, kit_address, missing, sources_of
from gonio.cloud_sink.review.table import Cell, Column, Table, texts
from gonio.web.words import UNKNOWN, Level, brief_day, clock, count, number

#: Days on one page, and stretches of missing records; the command line lists all.
DAYS_A_PAGE: Final = 30
LACKS_SHOWN: Final = 200
REFUSALS_SHOWN: Final = 100

#: What is known of what is not here: level, word, and what it means.
STANDINGS: Final = {
    Standing.WAITING: (Level.GOOD, "On its way", "The kit holds it and sends it when it has a connection."),
    Standing.UNKNOWN: (Level.WATCH, "Not known", "The kit has not said since whether it holds it."),
    Standing.REFUSED: (Level.WATCH, "Refused", "It came and could not be accepted: see the quarantine below."),
    Standing.LOST: (
        Level.ACT,
        "Lost here",
        (
            "The kit was told that it is stored, and it is not here, as after a restore from an older backup. It is "
            "asked for again; kits keep what they sent."
        ),
    ),
    Standing.LOST_ON_KIT: (
        Level.ACT,
        "Lost on the kit",
        "The kit's database was damaged and it could not be read. It will not come: ask the patient.",
    ),
}


@dataclass(frozen=True, slots=True)
class KitView:
    """The page of a kit."""

    kit_id: str
    label: str
    heard: Markup
    level: Level | None
    word: str
    figures: tuple[Fact, ...]
    lacks: Table
    more_lacks: str
    days: Table
    older: str
    newest: str
    refusals: Table
    more_refusals: str
    sources: frozenset[str]


def view_kit(proof: ProofBook, state: KitState, now: datetime, before: date | None) -> KitView:
    """Read a kit's page; ``before`` leaves out the days from that one on."""
    found = proof.days(state.kit_id)
    refusals = proof.refusals(state.kit_id, limit=REFUSALS_SHOWN)
    days = [day for day in found.days if before is None or day.day is None or day.day < before]
    shown = days[:DAYS_A_PAGE]
    last = shown[-1].day if shown else None
    level, word = judge_kit(state)
    return KitView(
        kit_id=state.kit_id,
        label=state.label,
        heard=heard(state.heard_at, now),
        level=level,
        word=word,
        figures=_figures(state, sum(day.late for day in found.days)),
        lacks=_lack_table(found.lacks[:LACKS_SHOWN]),
        more_lacks=_more(len(found.lacks) - LACKS_SHOWN, "stretch", "stretches"),
        days=_day_table(shown),
        older=f"{kit_address(state.kit_id)}?before={last}" if last and len(days) > len(shown) else "",
        newest=kit_address(state.kit_id) if before else "",
        refusals=refusal_table(refusals, with_kit=False),
        more_refusals=_more(state.quarantined - len(refusals), "refusal", "refusals"),
        sources=sources_of(state, proof.sources([state.kit_id])[state.kit_id]),
    )


def refusal_table(refusals: Sequence[Refusal], *, with_kit: bool) -> Table:
    """List refusals, the latest first; times in UTC."""
    columns = [
        Column("Last came", texts([_moment(one.last_received_at) for one in refusals]), css="c-heard"),
        Column("Kit", texts([one.topic_kit or "no kit" for one in refusals]), css="c-kit"),
        Column("Reason", texts([one.reason for one in refusals]), css="c-reason"),
        Column("Sequence", texts([UNKNOWN if one.sequence is None else number(one.sequence) for one in refusals])),
        Column("Times", texts([number(one.times) for one in refusals])),
        Column("Bytes", texts([number(one.content_bytes) for one in refusals])),
    ]
    return Table.of(columns if with_kit else [column for column in columns if column.head != "Kit"])


def _figures(state: KitState, late: int) -> tuple[Fact, ...]:
    report = state.report
    figures = [
        Fact("Records here", number(state.here)),
        Fact("Missing", bounded(missing(state)), "by the gapless numbers of its outbox"),
        Fact("Waiting on the kit", bounded(state.count(Standing.WAITING)), "by its last report"),
        Fact("In quarantine", number(state.quarantined), "refused, kept with the reason"),
        Fact("Late", number(late), "came over 24 hours after capture"),
    ]
    if state.unexplained:
        note = "more are not here than the kit says it holds"
        figures.append(Fact("Of the waiting, lost", f"at least {bounded(state.unexplained)}", note))
    if report and report.days_left is not None:
        figures.append(Fact("Room on the kit", count(report.days_left, "day"), "of records"))
    return tuple(figures)


def _lack_table(lacks: Sequence[DatedLack]) -> Table:
    several = len({dated.outbox_id for dated in lacks}) > 1
    words = [STANDINGS[dated.lack.standing] for dated in lacks]
    columns = [
        Column("Sequences", texts([_span(dated.lack.first, dated.lack.last) for dated in lacks]), css="c-kit"),
        Column("How many", texts([bounded(dated.lack.count) for dated in lacks])),
        Column("State", tuple(Cell(word, level) for level, word, _ in words), css=""),
        Column("Written", texts([_between(dated) for dated in lacks]), css="c-heard"),
        Column("What that means", texts([meaning for *_, meaning in words]), css="c-reason"),
    ]
    if several:
        columns.append(Column("Outbox", texts([str(dated.outbox_id) for dated in lacks]), css="c-outbox"))
    return Table.of(columns)


def _day_table(days: Sequence[KitDay]) -> Table:
    return Table.of(
        (
            Column("Day", texts([_day(day.day) for day in days]), css="c-heard"),
            Column("Records", texts([number(day.records) for day in days])),
            Column("Sequences", texts([_here(day) for day in days]), css="c-ranges"),
            Column("Simulated", texts([_some(day.simulated) for day in days])),
            Column("Late", texts([_some(day.late) for day in days]), meaning="Over 24 hours after capture"),
            Column("Clock repaired", texts([_some(day.repaired) for day in days])),
            Column("Clock tells no day", texts([_some(day.unsynchronised) for day in days])),
            Column("Struck out", texts([_some(day.voided) for day in days])),
            Column("In quarantine", texts([_some(day.quarantined) for day in days]), meaning="That came on this day"),
        )
    )


def _here(day: KitDay) -> str:
    return ", ".join(_span(r.first, r.last) for r in day.here) or UNKNOWN


def _span(first: int, last: int) -> str:
    return str(first) if first == last else f"{first}\N{EN DASH}{last}"


def _between(dated: DatedLack) -> str:
    if dated.after and dated.after == dated.before:
        return f"on {brief_day(_noon(dated.after))}, by its neighbours"
    if dated.after and dated.before:
        return f"{brief_day(_noon(dated.after))} to {brief_day(_noon(dated.before))}, by its neighbours"
    if dated.after:
        return f"on or after {brief_day(_noon(dated.after))}"
    return f"on or before {brief_day(_noon(dated.before))}" if dated.before else "not known"


def _day(day: date | None) -> str:
    return brief_day(_noon(day)) if day else "Not known"


def _noon(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, 12)  # noqa: DTZ001 - only to be written as a date


def _moment(moment: datetime) -> str:
    return f"{brief_day(moment)}, {clock(moment)} UTC"


def _some(value: int) -> str:
    return number(value) if value else UNKNOWN


def _more(left: int, one: str, many: str) -> str:
    return f"And {count(left, one, many)} more: `gonio sink audit --days` lists all." if left > 0 else ""
