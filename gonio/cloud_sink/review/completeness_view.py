"""Whether every record is here: all kits in a list, those that need somebody first."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from markupsafe import Markup

from gonio.cloud_sink.lacking import Standing
from gonio.cloud_sink.overview import ALARMING, KitState
from gonio.cloud_sink.review.book import ProofBook
from gonio.cloud_sink.review.table import Cell, Column, Table, texts
from gonio.cloud_sink.review.words import SOURCE_TAGS
from gonio.web.words import UNKNOWN, Level, age, brief_day, clock, number

#: Kits on one page: for them alone late records and sources are looked up.
KITS_A_PAGE: Final = 50
#: More records than may ever be missing or waiting at once: a number above it is a kit's fault.
ABSURD: Final = 10_000_000


@dataclass(frozen=True, slots=True)
class Fact:
    """A figure with its name, and what it means where that is not plain."""

    name: str
    value: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class CompletenessView:
    """The list of kits: what is said of all of them, one page of them, and the pages before and after."""

    level: Level
    finding: str
    figures: tuple[Fact, ...]
    kits: Table
    sources: frozenset[str]
    newer: str
    older: str


def view_completeness(proof: ProofBook, now: datetime, page: int) -> CompletenessView:
    """Read the list of kits; ``page`` counts from 1."""
    states = sorted(proof.states(), key=_order)
    shown = states[(page - 1) * KITS_A_PAGE : page * KITS_A_PAGE]
    names = [state.kit_id for state in shown]
    late, found = proof.late(names), proof.sources(names)
    sources = {state.kit_id: sources_of(state, found[state.kit_id]) for state in shown}
    level, finding = _finding(states)
    return CompletenessView(
        level=level,
        finding=finding,
        figures=_figures(states),
        kits=_table(shown, late, sources, now),
        sources=frozenset[str]().union(*sources.values()),
        newer=f"/completeness?page={page - 1}" if page > 1 else "",
        older=f"/completeness?page={page + 1}" if page * KITS_A_PAGE < len(states) else "",
    )


def kit_address(kit_id: str) -> str:
    """Give the address of a kit's page: its id has small letters, digits and dashes only."""
    return f"/completeness/kits/{kit_id}"


def judge_kit(state: KitState) -> tuple[Level | None, str]:
    """Say in a word how a kit's records stand, and how good that is: None where there are none yet."""
    if state.count(*ALARMING) or state.unexplained:
        return Level.ACT, "Lost records"
    if state.count(Standing.UNKNOWN):
        return Level.WATCH, "Gaps"
    if state.quarantined:
        return Level.WATCH, "Refused"
    if state.count(Standing.WAITING):
        return Level.GOOD, "On their way"
    return (Level.GOOD, "Complete") if state.here else (None, "Nothing yet")


def sources_of(state: KitState, of_sessions: frozenset[str]) -> frozenset[str]:
    """Give the sources that are no real sensors: those of its sessions, and what the kit says of itself."""
    return of_sessions | {"simulated"} if state.report and state.report.simulated else of_sessions


def missing(state: KitState) -> int:
    """Count what is not here of a kit and does not wait on it."""
    return state.count() - state.count(Standing.WAITING)


def heard(at: datetime | None, now: datetime) -> Markup:
    """Say when a kit was heard last, in UTC: a kit's page is not a patient's."""
    if at is None:
        return Markup("never")
    return Markup('{} <span class="quiet">{}, {} UTC</span>').format(age(at, now), brief_day(at), clock(at))


def bounded(value: int) -> str:
    """Write a count; one that only a kit at fault can tell is cut to what can be read."""
    return number(value) if value < ABSURD else f"over {ABSURD // 10**6} million"


def _order(state: KitState) -> tuple[int, int, str]:
    level, _ = judge_kit(state)
    return -[None, Level.GOOD, Level.WATCH, Level.ACT].index(level), -missing(state), state.kit_id


def _finding(states: Sequence[KitState]) -> tuple[Level, str]:
    lost = sum(state.count(*ALARMING) + state.unexplained for state in states)
    gaps = sum(state.count(Standing.UNKNOWN) for state in states)
    refused = sum(state.quarantined for state in states)
    waiting = sum(state.count(Standing.WAITING) for state in states)
    if lost:
        return Level.ACT, f"{_records(lost)} lost: open the kits marked so."
    if gaps:
        return Level.WATCH, f"{_records(gaps)} not here, and the kits have not said yet whether they hold them."
    if refused:
        return Level.WATCH, f"Nothing is missing. {_records(refused)} refused."
    if waiting:
        return Level.GOOD, f"Nothing is missing. {_records(waiting)} still on the way from kits."
    return Level.GOOD, "Every record that a kit told of is here."


def _records(value: int) -> str:
    return "1 record is" if value == 1 else f"{bounded(value).capitalize()} records are"


def _figures(states: Sequence[KitState]) -> tuple[Fact, ...]:
    return (
        Fact("Kits", number(len(states))),
        Fact("Records here", number(sum(state.here for state in states))),
        Fact("Missing", bounded(sum(missing(state) for state in states)), "by the gapless numbers of each kit"),
        Fact(
            "Waiting on kits", bounded(sum(state.count(Standing.WAITING) for state in states)), "by their last report"
        ),
        Fact("In quarantine", number(sum(state.quarantined for state in states)), "refused, kept with the reason"),
    )


def _table(
    states: Sequence[KitState],
    late: Mapping[str, int],
    sources: Mapping[str, frozenset[str]],
    now: datetime,
) -> Table:
    return Table.of(
        (
            Column("Kit", tuple(Cell(_name(s, sources[s.kit_id])) for s in states), css="c-kit"),
            Column("State", tuple(Cell(word, level) for level, word in map(judge_kit, states)), css=""),
            Column("Last heard", tuple(Cell(heard(s.heard_at, now)) for s in states), css="c-heard"),
            Column("Records here", texts([number(s.here) for s in states])),
            Column("Missing", texts([_some(missing(s)) for s in states])),
            Column("Waiting on the kit", texts([_some(s.count(Standing.WAITING)) for s in states])),
            Column("In quarantine", texts([_some(s.quarantined) for s in states])),
            Column("Late", texts([_some(late[s.kit_id]) for s in states]), meaning="Over 24 hours after capture"),
        )
    )


def _some(value: int) -> str:
    return bounded(value) if value else UNKNOWN


def _name(state: KitState, sources: frozenset[str]) -> Markup:
    tags = Markup("").join(Markup(' <span class="tag">{}</span>').format(SOURCE_TAGS[s]) for s in sorted(sources))
    label = Markup(' <span class="quiet">{}</span>').format(state.label) if state.label else Markup("")
    return Markup('<a href="{}">{}</a>').format(kit_address(state.kit_id), state.kit_id) + label + tags
