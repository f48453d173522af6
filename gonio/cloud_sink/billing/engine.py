"""The engine: (case) -> charges and refusals, deterministic, each with its reasoning. It knows no clock but ``as_of``.

The reading that it implements, setting by setting, is in docs/billing.md.
"""

from calendar import monthrange
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

from gonio.cloud_sink.billing.case import ASSISTANTS, Case
from gonio.cloud_sink.billing.data_days import Cover, DataDay, data_days
from gonio.cloud_sink.billing.minutes import Month, months
from gonio.cloud_sink.billing.ruleset import MANAGEMENT_CODES, RPM_CODES, SET_UP, SUPPLY_CODES, Ruleset, ruleset

WINDOW: Final = timedelta(days=30)
_FIRST_OF_TWO_DAYS: Final = date(2026, 1, 1)
_GP: Final = {"PT": "GP", "OT": "GO", "SLP": "GN"}
_CQ: Final = {"PT": "CQ", "OT": "CO"}

NO_RULESET: Final = "no ruleset"
NO_CONSENT: Final = "no consent"
NO_PLAN: Final = "no plan of care"
NO_SET_UP: Final = "set-up not documented"
BILLED: Final = "already billed"
NOT_ATTESTED: Final = "device not attested"
OTHER: Final = "another practitioner"
RPM: Final = "rpm"
SURGEON: Final = "surgeon global"
NO_DATA: Final = "no data to act on"
BELOW: Final = "below threshold"
NO_CONTACT: Final = "no live contact"


@dataclass(frozen=True, slots=True)
class Charge:
    """One line that is proposed; what does not apply to its code is None. ``reasons`` are for people."""

    code: str
    units: int
    period_start: date
    period_end: date
    modifiers: tuple[str, ...]
    reasons: tuple[str, ...]
    data_days: int | None = None
    minutes: int | None = None
    late: bool | None = None
    needs_self_report: bool | None = None

    @property
    def hold(self) -> bool:
        """Whether its period crosses the turn of a year: payers differ on the date that decides."""
        return self.period_start.year != self.period_end.year

    def as_json(self) -> dict[str, Any]:
        """Give it as in a case file's answer."""
        told = {
            "code": self.code,
            "units": self.units,
            "period_start": self.period_start.isoformat(),
            "period_end": self.period_end.isoformat(),
            "service_date": self.period_end.isoformat(),
            "modifiers": list(self.modifiers),
            "hold": self.hold,
            "data_days": self.data_days,
            "minutes": self.minutes,
            "late": self.late,
            "needs_self_report": self.needs_self_report,
            "reasons": list(self.reasons),
        }
        return {name: value for name, value in told.items() if value is not None}


@dataclass(frozen=True, slots=True)
class Refusal:
    """A period that gave no charge, and the first gate that it failed."""

    code: str
    period_start: date
    period_end: date
    reason: str

    def as_json(self) -> dict[str, str]:
        """Give it as in a case file's answer."""
        period = {"period_start": self.period_start.isoformat(), "period_end": self.period_end.isoformat()}
        return {"code": self.code, **period, "reason": self.reason}


@dataclass(slots=True)
class Evaluation:
    """All that an episode gives on a day: charges by period and code; refusals of supply, set-up, management."""

    charges: list[Charge] = field(default_factory=list)
    refused: list[Refusal] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """Give it as in a case file's answer."""
        return {
            "charges": [charge.as_json() for charge in self.charges],
            "refused": [refusal.as_json() for refusal in self.refused],
        }


def evaluate(case: Case) -> Evaluation:
    """Decide what may be billed of an episode."""
    return _Engine(case).run()


class _Engine:
    def __init__(self, case: Case) -> None:
        self._case = case
        self._cover = Cover(case)
        self._captured: Mapping[date, DataDay] = data_days(case, self._cover)
        self._counted = {day: one for day, one in self._captured.items() if self._cover.whole(day)}
        self._anchor = self._find_anchor()
        self._out = Evaluation()

    def run(self) -> Evaluation:
        for first, last in self._windows():
            self._supply(first, last)
        self._set_up()
        self._management()
        self._out.charges.sort(key=lambda one: (one.period_start, one.code))
        return self._out

    # --- windows and supply ---

    def _find_anchor(self) -> date | None:
        episode = self._case.episode
        match self._case.settings.anchor:
            case "activation":
                return episode.activation
            case "setup":
                return None if episode.setup is None else episode.setup.date
            case _:
                return next(iter(self._counted), None)

    def _window_of(self, day: date) -> tuple[date, date] | None:
        if self._anchor is None or day < self._anchor:
            return None
        first = self._anchor + (day - self._anchor) // WINDOW * WINDOW
        return first, first + WINDOW - timedelta(days=1)

    def _windows(self) -> Iterator[tuple[date, date]]:
        """Give the windows that have ended, up to the one in which the episode closed."""
        first, closed = self._anchor, self._case.episode.closed
        while first is not None and (closed is None or first <= closed):
            last = first + WINDOW - timedelta(days=1)
            if last >= self._case.as_of:
                return
            yield first, last
            first += WINDOW

    def _supply(self, first: date, last: date) -> None:
        rules = ruleset(self._case.payer, last)
        if rules is None:
            self._refuse("98977", first, last, NO_RULESET)
            return
        captured = [day for day in self._captured if first <= day <= last]
        counted = [day for day in captured if day in self._counted]
        band = rules.band(len(counted))
        named = band or rules.band(len(captured))
        code = "98977" if named is None else named.code
        reason = self._gate_of_days(rules, captured)
        reason = reason or self._gate_of_overlap(SUPPLY_CODES, first, last, device=True)
        if reason is not None or band is None:
            self._refuse(code, first, last, reason or BELOW)
            return
        late = [day for day in counted if self._counted[day].arrived > last]
        by_sensor = rules.band(sum(self._counted[day].by_sensor for day in counted))
        reasons = [
            f"{len(counted)} data days from {first} to {last}: {band.code} is for {band.days[0]} to {band.days[1]}",
            f"counted: {', '.join(day.isoformat() for day in counted)}",
            *self._basis(rules),
        ]
        if late:
            reasons.append(f"arrived after the window's end: {', '.join(day.isoformat() for day in late)}")
        needs = by_sensor is None or by_sensor.code != band.code
        if needs:
            reasons.append("this band is reached only with self-report, which the clinic's setting lets count")
        modifiers = self._modifiers(counted[-1], assistant=False)
        self._out.charges.append(
            Charge(
                band.code,
                1,
                first,
                last,
                modifiers,
                tuple(reasons),
                data_days=len(counted),
                late=bool(late),
                needs_self_report=needs,
            )
        )

    def _gate_of_days(self, rules: Ruleset, captured: list[date]) -> str | None:
        """Give the first of threshold, consent and plan that a window's dates fail."""
        fewest = rules.fewest_days
        if len(captured) < fewest:
            return BELOW
        consented = [day for day in captured if self._cover.consent(day)]
        if len(consented) < fewest:
            return NO_CONSENT
        if sum(self._cover.plan(day) for day in consented) < fewest:
            return NO_PLAN
        return None

    # --- set-up ---

    def _set_up(self) -> None:
        set_up = self._case.episode.setup
        reached = self._reaching_day(self._case.episode.activation if set_up is None else set_up.date)
        if reached is None:
            return
        day, last_of_window = reached
        first = self._case.episode.activation if set_up is None else set_up.date
        rules = ruleset(self._case.payer, day)
        reason: str | None
        if rules is None:
            reason = NO_RULESET
        elif set_up is not None and not self._cover.consent(first):
            reason = NO_CONSENT
        elif set_up is not None and not self._cover.plan(first):
            reason = NO_PLAN
        elif set_up is None or not set_up.education_documented:
            reason = NO_SET_UP
        elif any(prior.code == SET_UP for prior in self._case.prior_charges):
            reason = BILLED
        else:
            reason = self._gate_of_overlap(frozenset(), first, last_of_window, device=True)
        if reason is not None or rules is None or set_up is None:
            self._refuse(SET_UP, first, day, reason or NO_SET_UP)
            return
        reasons = (
            f"set up on {first} by a {set_up.by}, the patient's education is documented",
            f"{day} is data day {rules.set_up.data_days} or later of its window, the first from the set-up on",
            *self._basis(rules),
        )
        modifiers = self._modifiers(first, assistant=set_up.by in ASSISTANTS)
        self._out.charges.append(Charge(rules.set_up.code, 1, first, day, modifiers, reasons))

    def _reaching_day(self, first: date) -> tuple[date, date] | None:
        """Give the day that reaches the set-up's threshold, and the last day of its window."""
        so_far: dict[date, int] = {}
        for day in self._counted:
            window = self._window_of(day)
            if window is None:
                continue
            so_far[window[0]] = so_far.get(window[0], 0) + 1
            rules = ruleset(self._case.payer, day)
            needed = rules.set_up.data_days if rules is not None else (2 if day >= _FIRST_OF_TWO_DAYS else 16)
            if day >= first and so_far[window[0]] >= needed:
                return day, window[1]
        return None

    # --- management ---

    def _management(self) -> None:
        zone = ZoneInfo(self._case.clinic_time_zone)
        for (year, number), month in sorted(months(self._case.intervals, zone, self._cover.whole).items()):
            first, last = date(year, number, 1), date(year, number, monthrange(year, number)[1])
            if last < self._case.as_of:
                self._month(first, last, month)

    def _month(self, first: date, last: date, month: Month) -> None:
        rules = ruleset(self._case.payer, last)
        if rules is None:
            self._refuse("98980", first, last, NO_RULESET)
            return
        rule = rules.time_rule(month.minutes)
        code = rules.management[0].code if rule is None else rule.code
        reason = self._gate_of_overlap(MANAGEMENT_CODES, first, last, device=False)
        if reason is None and not any(first <= day <= last for day in self._counted):
            reason = NO_DATA
        if reason is None and rule is None:
            reason = BELOW
        if reason is None and month.contacts == 0:
            reason = NO_CONTACT
        if reason is not None or rule is None:
            self._refuse(code, first, last, reason or BELOW)
            return
        modifiers = self._modifiers(month.last, assistant=month.by_assistants)
        reasons = (
            f"{month.minutes} whole minutes from {first} to {last}, visits taken off, two at once counted once",
            f"{month.contacts} live contacts",
            *self._basis(rules),
        )
        self._out.charges.append(Charge(code, 1, first, last, modifiers, reasons, minutes=month.minutes))
        if rule is rules.management[-1]:
            self._additional(first, last, month, rules, modifiers, reasons)

    def _additional(  # one line more of a month
        self,
        first: date,
        last: date,
        month: Month,
        rules: Ruleset,
        modifiers: tuple[str, ...],
        reasons: tuple[str, ...],
    ) -> None:
        units = (month.minutes - rules.management[-1].minutes) // rules.additional.minutes
        if self._case.settings.extra_contact_per_98981:
            units = min(units, month.contacts - 1)
            reasons = (*reasons, "each unit needs a live contact of its own (the clinic's setting; sources disagree)")
        if units > 0:
            self._out.charges.append(
                Charge(rules.additional.code, units, first, last, modifiers, reasons, minutes=month.minutes)
            )

    # --- what they share ---

    def _gate_of_overlap(self, group: frozenset[str], first: date, last: date, *, device: bool) -> str | None:
        case = self._case
        if any(p.code in group and p.period_start <= last and first <= p.period_end for p in case.prior_charges):
            return BILLED
        if device and not case.device.attested:
            return NOT_ATTESTED
        if any(one.overlaps(first, last) for one in case.other_practitioners):
            return OTHER
        if any(one.code in RPM_CODES and one.overlaps(first, last) for one in case.other_services):
            return RPM
        if case.surgeon_global is not None and case.surgeon_global.overlaps(first, last):
            return SURGEON
        return None

    def _modifiers(self, day: date, *, assistant: bool) -> tuple[str, ...]:
        discipline = self._cover.discipline(day)
        names = [_GP.get(discipline, "")] + ([_CQ.get(discipline, "")] if assistant else [])
        return tuple(name for name in names if name)

    def _basis(self, rules: Ruleset) -> tuple[str, ...]:
        return (f"rules: {rules.version}; windows from the {self._case.settings.anchor} date",)

    def _refuse(self, code: str, first: date, last: date, reason: str) -> None:
        self._out.refused.append(Refusal(code, first, last, reason))
