"""When to remind: at the times that the patient set, never in quiet hours, no more once all is done.

Who does not react is left in peace: after three reminders in a row that led to nothing at most one a day, after seven
one every third day. Opting out ends them at once (the preference record tells the clinic).
"""

from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from enum import Enum, auto
from typing import Final, Self
from zoneinfo import ZoneInfo

from gonio.gateway.patient.schedule import is_paused
from gonio.messages.patient import Preference

#: A reminder that could not be given at its time (quiet hours, the kit was off) is given so much later at most, and
#: never after midnight: nobody is woken for the exercises of the day before.
GRACE: Final = timedelta(hours=2)
MAX_A_DAY: Final = 4
FEWER_AFTER: Final = 3
RARE_AFTER: Final = 7
RARE_EVERY: Final = timedelta(days=3)
OPT_OUT: Final = "reminders"
#: More than these are never looked at.
_KEPT: Final = 64


class Why(Enum):
    """Why a reminder is due."""

    TIME = auto()
    SNOOZED = auto()


@dataclass(frozen=True, slots=True)
class Reminded:
    """What has happened, kept by the kit.

    Attributes:
        shown: moments at which a reminder was given, oldest first, aware.
        ignored: how many of the last ones in a row led to nothing.
        snoozed_until: until when the patient wants to be left, aware; None where not.
    """

    shown: tuple[datetime, ...] = ()
    ignored: int = 0
    snoozed_until: datetime | None = None

    def give(self, now: datetime) -> Self:
        """Note that one was given."""
        return replace(self, shown=(*self.shown, now)[-_KEPT:], ignored=self.ignored + 1, snoozed_until=None)

    def snooze(self, until: datetime) -> Self:
        """Note that the patient wants it later: that is an answer."""
        return replace(self, ignored=0, snoozed_until=until)

    def react(self) -> Self:
        """Note that the patient did something."""
        return replace(self, ignored=0, snoozed_until=None)


def due(preference: Preference, reminded: Reminded, now: datetime, zone: ZoneInfo, *, left: bool) -> Why | None:
    """Tell whether to remind now, and why.

    Args:
        preference: the patient's newest.
        reminded: what has happened.
        now: the moment, aware.
        zone: the patient's.
        left: whether anything of today is left to do.
    """
    if not left or not _is_welcome(preference, reminded, now, zone):
        return None
    today = now.astimezone(zone).date()
    until = reminded.snoozed_until
    if until is not None and until.astimezone(zone).date() >= today:
        return Why.SNOOZED if now >= until else None
    # a snooze of an earlier day has lapsed: quiet hours began, or the kit was off
    last = reminded.shown[-1] if reminded.shown else None
    for one in preference.reminders:
        slot = _moment(today, one.at, zone)
        if today.isoweekday() in one.weekdays and slot <= now < slot + GRACE and (last is None or last < slot):
            return Why.TIME
    return None


def _is_welcome(preference: Preference, reminded: Reminded, now: datetime, zone: ZoneInfo) -> bool:
    """Tell whether the patient may be spoken to at all now."""
    local = now.astimezone(zone)
    today = local.date()
    pauses = () if preference.pause is None else (preference.pause,)
    if OPT_OUT in preference.opt_outs or is_paused(pauses, today) or _is_quiet(preference, local.time()):
        return False
    days = [moment.astimezone(zone).date() for moment in reminded.shown]
    if days.count(today) >= _most(reminded):
        return False
    return reminded.ignored < RARE_AFTER or not days or today - days[-1] >= RARE_EVERY


def _most(reminded: Reminded) -> int:
    return 1 if reminded.ignored >= FEWER_AFTER else MAX_A_DAY


def _moment(day: date, at: time, zone: ZoneInfo) -> datetime:
    """Give a local time of a day: one that a clock change skips is as much later, one that it repeats is the first."""
    return datetime.combine(day, at.replace(tzinfo=None), tzinfo=zone).astimezone(UTC)


def _is_quiet(preference: Preference, now: time) -> bool:
    since, until = preference.quiet_from, preference.quiet_to
    if since is None or until is None or since == until:
        return False
    return since <= now < until if since < until else now >= since or now < until
