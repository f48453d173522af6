# ruff: noqa: ANN401 - fields of models, by their names
"""A few words that make a billing case: days, minutes, calls, and what differs from an episode in order."""

from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from gonio.cloud_sink.billing.case import Case
from gonio.cloud_sink.billing.engine import Evaluation, evaluate

ZONE = "America/Chicago"
START = date(2026, 3, 2)


def at(day: date, clock: time = time(18), zone: str = ZONE) -> datetime:
    """Give a local moment."""
    return datetime.combine(day, clock, tzinfo=ZoneInfo(zone))


def record(day: date, **changes: Any) -> dict[str, Any]:
    """Make a session of a day, received a minute later."""
    moment = at(day)
    values = {
        "kind": "session",
        "captured_at": moment,
        "received_at": moment + timedelta(minutes=1),
        "source": "sensor",
    }
    return values | changes


def days(*numbers: int, start: date = START, **changes: Any) -> list[dict[str, Any]]:
    """Make a session on each of some days; 1 is the first of the episode."""
    return [record(start + timedelta(days=number - 1), **changes) for number in numbers]


def work(
    minutes: float, *, day: date = date(2026, 3, 10), hour: float = 9, who: str = "PT", **more: Any
) -> dict[str, Any]:
    """Make an interval of work, or with ``kind`` another."""
    begin = at(day, time()) + timedelta(hours=hour)
    values = {"clinician": f"one {who}", "credential": who, "kind": "work"}
    return values | {"start": begin, "end": begin + timedelta(minutes=minutes)} | more


def call(minutes: float = 5, *, hour: float = 15, **more: Any) -> dict[str, Any]:
    """Make an answered telephone call with the patient."""
    values: dict[str, Any] = {"kind": "call", "mode": "phone", "with": "patient", "answered": True}
    return work(minutes, hour=hour, **(values | more))


def case(records: Iterable[dict[str, Any]] = (), intervals: Iterable[dict[str, Any]] = (), **changes: Any) -> Case:
    """Make a case in which consent, plan, set-up and device are in order."""
    values: dict[str, Any] = {
        "as_of": date(2026, 6, 15),
        "payer": "medicare-b",
        "clinic_time_zone": ZONE,
        "patient": {"time_zone": ZONE},
        "episode": episode(),
        "consents": [{"given": date(2026, 3, 1)}],
        "plans": [plan()],
        "device": {"attested": True},
        "records": list(records),
        "intervals": list(intervals),
    }
    return Case.model_validate(values | changes)


def episode(**changes: Any) -> dict[str, Any]:
    """Make an episode, set up on its first day."""
    set_up = {"date": changes.get("activation", START), "education_documented": True, "by": "PT"}
    return {"id": "E1", "activation": START, "setup": set_up} | changes


def plan(**changes: Any) -> dict[str, Any]:
    """Make a plan of care that covers the year."""
    return {"from": date(2026, 1, 1), "to": date(2026, 12, 31), "names_rtm": True, "discipline": "PT"} | changes


def lines(found: Evaluation) -> list[str]:
    """Write charges as short lines: code, units, modifiers, marks."""
    return [
        " ".join(
            [charge.code + (f"x{charge.units}" if charge.units > 1 else ""), *charge.modifiers]
            + [mark for mark, so in (("hold", charge.hold), ("late", charge.late)) if so]
            + (["self-report"] if charge.needs_self_report else [])
        )
        for charge in found.charges
    ]


def refusals(found: Evaluation, *, all_of: bool = False) -> list[str]:
    """Write refusals as short lines; empty windows only where ``all_of`` is asked for."""
    return [f"{one.code} {one.reason}" for one in found.refused if all_of or one.reason != "below threshold"]


def utc(moment: datetime) -> datetime:
    """Give a moment in UTC."""
    return moment.astimezone(UTC)


def decide(
    records: Sequence[dict[str, Any]] = (), intervals: Sequence[dict[str, Any]] = (), **changes: Any
) -> Evaluation:
    """Make a case and decide it."""
    return evaluate(case(records, intervals, **changes))
