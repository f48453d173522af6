"""The languages of the page: texts from gettext catalogues, days and numbers as each language writes them (Babel).

English is what the templates are written in. A catalogue is a ``.po`` file in ``locale``; ``make languages`` reads the
templates anew and compiles it.
"""

import gettext
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, time
from functools import cache
from pathlib import Path
from typing import Final

from babel import Locale
from babel.core import negotiate_locale
from babel.dates import format_date, format_skeleton, format_time
from babel.numbers import format_decimal

FOLDER: Final = Path(__file__).parent / "locale"
#: Code to the language's own name; the first is where nothing is said.
LANGUAGES: Final[Mapping[str, str]] = {"en": "English", "es": "Español", "de": "Deutsch"}
#: What dates and numbers are written by: the product's English and Spanish are those of the United States.
_LOCALES: Final = {"en": "en_US", "es": "es_US", "de": "de_DE"}

#: How a day is said; Babel's own long forms name the year, too.
_DAYS: Final = {"en": "EEEE, MMMM d", "es": "EEEE, d 'de' MMMM", "de": "EEEE, d. MMMM"}


def mark(text: str) -> str:
    """Mark a text for translation where it is not shown yet; gives it as it is."""
    return text


@dataclass(frozen=True, slots=True)
class Speech:
    """How one language says things."""

    code: str
    texts: gettext.NullTranslations
    locale: Locale

    def __call__(self, text: str, **values: object) -> str:
        """Give a text in this language, with its values written in."""
        said = self.texts.gettext(text) if text else ""
        return said % values if values else said

    def count(self, one: str, many: str, number: int, **values: object) -> str:
        """Give the form of a text that belongs to a number, which it may write as ``%(num)s``."""
        return self.texts.ngettext(one, many, number) % {"num": number, **values}

    def day(self, when: date) -> str:
        """Write a day as people say it: "Sunday, November 22", "Sonntag, 22. November"."""
        return str(format_date(when, _DAYS[self.code], locale=self.locale))

    def short_day(self, when: date) -> str:
        """Write a day briefly: "Nov 22"."""
        return str(format_skeleton("MMMd", _noon(when), locale=self.locale))

    def weekday(self, number: int) -> str:
        """Name a day of the week, 1 is Monday, briefly."""
        return str(format_date(date(2024, 1, number), "EEE", locale=self.locale))

    def clock(self, when: datetime | time) -> str:
        """Write a time of day: "9:40 AM", "9:40"."""
        return str(format_time(when, "short", locale=self.locale))

    def moment(self, when: datetime) -> str:
        """Write day and time."""
        return f"{self.day(when.date())}, {self.clock(when)}"

    def degrees(self, value: float) -> str:
        """Write an angle in whole degrees."""
        return f"{self.number(round(value))}°"

    def number(self, value: float) -> str:
        """Write a number."""
        return str(format_decimal(value, locale=self.locale))


@cache
def speech(code: str) -> Speech:
    """Give a language; English for one that is not spoken here."""
    known = code if code in LANGUAGES else next(iter(LANGUAGES))
    texts = gettext.translation("page", FOLDER, [known], fallback=True)
    return Speech(known, texts, Locale.parse(_LOCALES[known]))


def preferred(accepted: str) -> str:
    """Choose the language that a browser prefers, by its ``Accept-Language`` (RFC 9110, 12.5.4); q-values in order."""
    wanted: list[tuple[float, int, str]] = []
    for part in accepted[:500].split(","):
        name, _, quality = part.strip().partition(";q=")
        try:
            weight = float(quality) if quality else 1.0
        except ValueError:
            continue
        if name and weight > 0:
            wanted.append((-weight, len(wanted), name))
    names = [name for _, _, name in sorted(wanted)]
    return negotiate_locale(names, list(LANGUAGES), sep="-") or next(iter(LANGUAGES))


def _noon(when: date) -> datetime:
    return datetime.combine(when, time(12))
