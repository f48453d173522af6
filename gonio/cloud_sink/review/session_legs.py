"""Both legs of one sitting side by side."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from statistics import fmean
from typing import Final, TypeAlias

from gonio.cloud_sink.model import SessionRow
from gonio.cloud_sink.review.book import Book
from gonio.cloud_sink.review.measures import raises, tilt_name
from gonio.cloud_sink.review.quality import judge
from gonio.cloud_sink.review.rows import session_address
from gonio.cloud_sink.review.session_figures import mean
from gonio.cloud_sink.review.session_reps import speed
from gonio.cloud_sink.review.table import Column, Table, texts
from gonio.cloud_sink.review.words import has_absolute_angle
from gonio.cloud_sink.review.zone import PatientZone
from gonio.messages import SessionSummary
from gonio.signal.reps.sets import symmetry
from gonio.web.words import UNKNOWN, Level, clock, degrees, percent, seconds

#: Sessions looked through for the other leg's, and how long after this one it may have begun.
LOOK_ROUND: Final = 100
SITTING: Final = timedelta(hours=6)

_Pair: TypeAlias = tuple[float | None, float | None]
_Line: TypeAlias = tuple[str, str, str, str]  # what, here, there, and how they compare


@dataclass(frozen=True, slots=True)
class BothLegs:
    """The comparison: a finding in words, the figures, and the other leg's session."""

    finding: str
    table: Table
    address: str
    when: str
    trust: Level
    trust_word: str


def both_legs(book: Book, row: SessionRow, zone: PatientZone) -> BothLegs | None:
    """Compare with the other leg's session of the same exercise and sitting that lies next in time; None without."""
    other = _other(book, row)
    if other is None:
        return None
    here, there = row.summary, other.summary
    verdict = judge(there, clock=other.clock)
    return BothLegs(
        finding=_finding(here, there),
        table=_table(here, there),
        address=session_address(other),
        when=clock(zone.local(other.captured)),
        trust=verdict.level,
        trust_word=verdict.word,
    )


def _other(book: Book, row: SessionRow) -> SessionRow | None:
    if row.patient_id is None:
        return None
    own = row.summary
    around = book.sessions(row.patient_id, limit=LOOK_ROUND, before=row.captured + SITTING)
    others = [
        one
        for one in around
        if one.summary.sitting_id == own.sitting_id
        and (one.summary.exercise, one.summary.source) == (own.exercise, own.source)
        and one.summary.side != own.side
        and abs(one.captured - row.captured) <= SITTING
    ]
    return min(others, key=lambda one: abs(one.captured - row.captured), default=None)


def _rom(summary: SessionSummary) -> float | None:
    ranges = [rep.rom_deg for rep in summary.reps if rep.measured and rep.complete]
    return fmean(ranges) if ranges else None


def _finding(here: SessionSummary, there: SessionSummary) -> str:
    share = _against((_rom(here), _rom(there)))
    if share == UNKNOWN:
        return f"The {there.side} leg did the same exercise in this sitting"
    what = tilt_name(here).lower() if raises(here) else "range"
    return f"The {here.side} leg reaches {share} of the {there.side} one's {what}"


def _table(here: SessionSummary, there: SessionSummary) -> Table:
    def means(name: str) -> tuple[float | None, float | None]:
        one, two = (mean(getattr(rep, name) for rep in leg.reps if rep.measured) for leg in (here, there))
        return one, two

    rows = [_share(f"{tilt_name(here)}, mean" if raises(here) else "Range, mean", (_rom(here), _rom(there)), degrees)]
    if raises(here):
        rows.append(_difference("Extensor lag, mean", means("extensor_lag_deg")))
    else:
        rows.append(_difference("Largest flexion", (here.max_flexion_deg, there.max_flexion_deg)))
        if has_absolute_angle(here) and has_absolute_angle(there):
            rows.append(_difference("Smallest flexion", (here.min_flexion_deg, there.min_flexion_deg)))
    rows.append(_share("Peak velocity, mean", means("peak_velocity_dps"), speed))
    rows.append(_share("Hold, mean", means("hold_s"), seconds))
    names, own, others, words = zip(*(row for row in rows if row is not None), strict=True) if any(rows) else [()] * 4
    return Table.of(
        [
            Column("What", texts(names), css="c-words", hidden=True),
            Column(f"{here.side.capitalize()} against {there.side}", texts(words)),
            Column(f"{here.side.capitalize()}, this session", texts(own)),
            Column(there.side.capitalize(), texts(others)),
        ]
    )


def _share(name: str, values: _Pair, write: Callable[[float | None], str]) -> _Line | None:
    one, two = values
    if one is None or two is None:
        return None
    return name, write(one), write(two), _against(values)


def _against(values: _Pair) -> str:
    one, two = values
    share = math.nan if one is None or two is None else symmetry(one, two)
    return UNKNOWN if math.isnan(share) else percent(share / 100.0)


def _difference(name: str, values: _Pair) -> _Line | None:
    one, two = values
    if one is None or two is None:
        return None
    whole = round(one) - round(two)
    words = "the same" if whole == 0 else f"{abs(whole)}° {'more' if whole > 0 else 'less'}"
    return name, degrees(one), degrees(two), words
