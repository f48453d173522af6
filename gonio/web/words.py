"""Numbers, times and marks as people read them."""

from datetime import datetime, timedelta
from enum import Enum
from typing import Final

#: Shown in place of a number that is not known.
UNKNOWN: Final = "—"
MINUS: Final = "\N{MINUS SIGN}"
#: Stands between groups of thousands, and between a number and its percent sign.
THIN: Final = "\N{NARROW NO-BREAK SPACE}"


class Level(Enum):
    """How far something can be trusted or needs doing; a colour never stands without its shape and a word."""

    GOOD = "good"
    WATCH = "watch"
    ACT = "act"

    @property
    def shape(self) -> str:
        """The mark that says the same without colour."""
        return {"good": "●", "watch": "▲", "act": "■"}[self.value]


def number(value: float, places: int = 0) -> str:
    """Write a number with a true minus sign and thin groups of thousands, and never as minus zero."""
    text = f"{value:,.{places}f}".replace(",", THIN)
    if text.startswith("-"):
        text = text[1:] if not text.strip("-0.") else MINUS + text[1:]
    return text


def degrees(value: float | None, places: int = 0) -> str:
    """Write an angle in degrees, whole ones where nothing is said."""
    return UNKNOWN if value is None else f"{number(value, places)}°"


def seconds(value: float | None) -> str:
    """Write a short time in seconds, to a tenth."""
    return UNKNOWN if value is None else f"{number(value, 1)} s"


def percent(share: float) -> str:
    """Write a share of 0 to 1; only the whole is written as 100 % and only nothing as 0 %."""
    value = round(100 * share)
    if value == 100 and share < 1:  # noqa: PLR2004 - percent
        return f"over 99{THIN}%"
    if value == 0 and share > 0:
        return f"under 1{THIN}%"
    return f"{value}{THIN}%"


def count(value: int, one: str, many: str | None = None) -> str:
    """Write a count with its noun: "1 session", "2 sessions"."""
    return f"{number(value)} {one if value == 1 else many or one + 's'}"


def duration(value_s: float) -> str:
    """Write a duration: "48 s", "3 min 20 s", "1 h 5 min"."""
    whole = round(value_s)
    if whole < 60:  # noqa: PLR2004 - seconds in a minute
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:  # noqa: PLR2004 - minutes in an hour
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if minutes else f"{hours} h"


def clock(moment: datetime) -> str:
    """Write a time of day as people say it: "9:40", "23:30"."""
    return f"{moment.hour}:{moment.minute:02}"


def day(moment: datetime) -> str:
    """Write a day in full: "Sunday, 22 November 2026"."""
    return f"{moment:%A}, {moment.day} {moment:%B} {moment.year}"


def brief_day(moment: datetime) -> str:
    """Write a day for a narrow column: "Sun, 22 Nov 2026"."""
    return f"{moment:%a}, {moment.day} {moment:%b} {moment.year}"


def short_day(moment: datetime) -> str:
    """Write a day briefly: "22 Nov"."""
    return f"{moment.day} {moment:%b}"


def age(then: datetime, now: datetime) -> str:
    """Say how long ago a moment was; stands only beside the moment itself."""
    passed = now - then
    if passed < -timedelta(minutes=1):
        return f"dated {_span(-passed)} ahead"
    if passed < timedelta(minutes=1):
        return "just now"
    return f"{_span(passed)} ago"


def _span(span: timedelta) -> str:
    if span < timedelta(hours=1):
        return f"{span // timedelta(minutes=1)} min"
    if span < timedelta(hours=48):
        return f"{span // timedelta(hours=1)} h"
    if span < timedelta(days=730):
        return f"{span.days} days"
    return f"{span.days // 365} years"
