"""Versions of firmware, and ranges of them as a profile writes them: ``">=2.0,<3"``."""

import re
from typing import Annotated, Final, TypeAlias

from pydantic import AfterValidator

_CONDITION: Final = re.compile(r"\s*(?P<how>>=|<=|==|>|<)\s*(?P<version>\d+(\.\d+)*)\s*")


def parse_version(text: str) -> tuple[int, ...] | None:
    """Give the numbers of a version (``"2.1.0"`` -> (2, 1, 0)), or None where the text begins with none.

    Zeros at its end do not count: 2.0 is 2.
    """
    found = re.match(r"[^0-9]{0,8}(\d{1,9}(\.\d{1,9})*)", text)
    if found is None:
        return None
    numbers = [int(part) for part in found[1].split(".")]
    while numbers and numbers[-1] == 0:
        numbers.pop()
    return tuple(numbers)


def _conditions(text: str) -> list[tuple[str, tuple[int, ...]]]:
    conditions = []
    for part in text.split(","):
        match = _CONDITION.fullmatch(part)
        if match is None:
            raise ValueError(f"{text!r} is no range of versions: write conditions as in '>=2.0,<3'")
        conditions.append((match["how"], parse_version(match["version"]) or ()))
    return conditions


def _checked(text: str) -> str:
    _conditions(text)
    return text


#: A range of firmware versions: conditions that all hold, with commas between them.
FirmwareRange: TypeAlias = Annotated[str, AfterValidator(_checked)]


def in_range(version: str, wanted: str) -> bool:
    """Tell whether a version lies in a range; one that is no version lies in none."""
    numbers = parse_version(version)
    if numbers is None:
        return False
    for how, limit in _conditions(wanted):
        holds = {
            ">=": numbers >= limit,
            "<=": numbers <= limit,
            "==": numbers == limit,
            ">": numbers > limit,
            "<": numbers < limit,
        }[how]
        if not holds:
            return False
    return True
