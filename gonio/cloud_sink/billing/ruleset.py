"""Rules as data: by payer and date, from the files in ``rules``; a date without rules has none, never a neighbour's."""

from collections.abc import Mapping
from datetime import date
from functools import lru_cache
from importlib.resources import files
from itertools import pairwise
from types import MappingProxyType
from typing import Annotated, Any, Final, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, model_validator

SET_UP: Final = "98975"
SUPPLY_CODES: Final = frozenset({"98976", "98977", "98978", "98984", "98985", "98986"})
MANAGEMENT_CODES: Final = frozenset({"98979", "98980", "98981"})
#: Remote physiologic monitoring: never beside this in one period (2024 and 2026 fee schedules).
RPM_CODES: Final = frozenset({"99453", "99454", "99445", "99457", "99458", "99470", "99091"})

Code = Annotated[str, Field(pattern=r"^[0-9]{5}$")]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Band(_Part):
    """A supply code and the data days of a window that it is for, inclusive."""

    code: Code
    days: tuple[int, int]


class SetUpRule(_Part):
    """The set-up's code, and which data day of a window reaches it."""

    code: Code
    data_days: int = Field(ge=1)


class TimeRule(_Part):
    """A management code and the minutes from which on it is due; for an additional one, the minutes of each unit."""

    code: Code
    minutes: int = Field(ge=1)


class Ruleset(_Part):
    """The rules of one payer from one day to another, inclusive; ``management`` from the fewest minutes up."""

    first: date = Field(alias="from")
    last: date = Field(alias="to")
    supply: tuple[Band, ...]
    set_up: SetUpRule
    management: tuple[TimeRule, ...]
    additional: TimeRule
    version: str = ""

    def band(self, days: int) -> Band | None:
        """Give the supply code for so many data days, or None."""
        return next((one for one in self.supply if one.days[0] <= days <= one.days[1]), None)

    @property
    def fewest_days(self) -> int:
        """The fewest data days of a window that are worth a supply code."""
        return min(one.days[0] for one in self.supply)

    def time_rule(self, minutes: int) -> TimeRule | None:
        """Give the management code for so many minutes, or None."""
        return next((one for one in reversed(self.management) if one.minutes <= minutes), None)


class _Payer(_Part):
    payer: str
    version: date
    rulesets: tuple[Ruleset, ...]

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        for one, two in pairwise(self.rulesets):
            if two.first <= one.last:
                raise ValueError(f"two rulesets of {self.payer} hold on {two.first}")
        return self


@lru_cache(1)
def payers() -> Mapping[str, tuple[Ruleset, ...]]:
    """Read all rules, by payer."""
    found: dict[str, tuple[Ruleset, ...]] = {}
    for file in sorted((files("gonio.cloud_sink.billing") / "rules").iterdir(), key=lambda file: file.name):
        if file.name.endswith(".yaml"):
            read: Any = yaml.safe_load(file.read_text("utf-8"))
            payer = _Payer.model_validate(read)
            found[payer.payer] = tuple(
                one.model_copy(update={"version": f"{payer.payer} {payer.version}"}) for one in payer.rulesets
            )
    return MappingProxyType(found)


def ruleset(payer: str, day: date) -> Ruleset | None:
    """Give a payer's rules of a day, or None."""
    return next((one for one in payers().get(payer, ()) if one.first <= day <= one.last), None)
