"""Data days: dates on which a device session or a therapeutic report was captured, and that may be counted."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from zoneinfo import ZoneInfo

from gonio.cloud_sink.billing.case import Case, Record

_KINDS = frozenset({"session", "check-in"})


@dataclass(frozen=True, slots=True)
class DataDay:
    """A date with records that count: the earliest date of arrival (the patient's), and whether a sensor saw it."""

    arrived: date
    by_sensor: bool


class Cover:
    """On which dates consent, plan and episode hold."""

    def __init__(self, case: Case) -> None:
        self._case = case
        self._plans = [plan for plan in case.plans if plan.names_rtm]

    def consent(self, day: date) -> bool:
        """Tell whether a consent is in force."""
        return any(one.given <= day and (one.withdrawn is None or day < one.withdrawn) for one in self._case.consents)

    def plan(self, day: date) -> bool:
        """Tell whether a plan of care that names remote monitoring covers a day."""
        return any(plan.covers(day) for plan in self._plans)

    def episode(self, day: date) -> bool:
        """Tell whether the episode is open."""
        episode = self._case.episode
        return episode.activation <= day and (episode.closed is None or day <= episode.closed)

    def whole(self, day: date) -> bool:
        """Tell whether all three hold."""
        return self.episode(day) and self.consent(day) and self.plan(day)

    def discipline(self, day: date) -> str:
        """Give the discipline of the first plan that covers a day; "" where none does."""
        return next((plan.discipline for plan in self._plans if plan.covers(day)), "")


def data_days(case: Case, cover: Cover) -> Mapping[date, DataDay]:
    """Give the dates with records that count while the episode is open, whatever consent and plan say, in order."""
    zone = ZoneInfo(case.patient.time_zone)
    found: dict[date, DataDay] = {}
    for record in case.records:
        arrived = record.received_at.astimezone(zone).date()
        if not _counts(case, record) or arrived > case.as_of:
            continue
        day = record.captured_at.astimezone(zone).date()
        if not cover.episode(day):
            continue
        known = found.get(day)
        by_sensor = record.source == "sensor"
        if known is not None:
            arrived, by_sensor = min(arrived, known.arrived), by_sensor or known.by_sensor
        found[day] = DataDay(arrived, by_sensor)
    return dict(sorted(found.items()))


def _counts(case: Case, record: Record) -> bool:
    return (
        record.kind in _KINDS
        and not record.test
        and not record.voided
        and record.entered_by != "staff"
        and record.clock == "synchronised"
        and (record.source == "sensor" or case.settings.self_report_counts)
    )
