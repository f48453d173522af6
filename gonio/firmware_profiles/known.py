"""The profiles that are known: those that come with gonio, and those of third parties.

Third parties' profiles are the YAML files of a folder that the environment variable GONIO_PROFILES names (or
``gonio --profiles DIR``), and of packages that an entry point of the group ``gonio.profiles`` names::

    [project.entry-points."gonio.profiles"]
    acme = "acme_gonio_profiles"     # a package that holds YAML files; its code is not run

One that cannot be used is left out and named, and never keeps the others from being used. None takes the place of a
family that comes with gonio.
"""

import importlib.util
import logging
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path
from typing import Final

from gonio.errors import UsageError
from gonio.firmware_profiles.loading import builtin_profiles, load_profile
from gonio.firmware_profiles.schema import Profile, ProfileError

FOLDER_VARIABLE: Final = "GONIO_PROFILES"
ENTRY_POINT_GROUP: Final = "gonio.profiles"

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ThirdParty:
    """Profiles of third parties.

    Attributes:
        profiles: those that can be used.
        refused: why others cannot, each with its file.
    """

    profiles: tuple[Profile, ...]
    refused: tuple[str, ...]


def load_third_party(files: Iterable[Path], taken: Iterable[str]) -> ThirdParty:
    """Load profiles, and leave out what cannot be used.

    Args:
        files: YAML files.
        taken: names of families that they may not have.
    """
    owners = dict.fromkeys(taken, "gonio itself")
    profiles: list[Profile] = []
    refused: list[str] = []
    for path in files:
        try:
            profile = load_profile(path)
        except ProfileError as error:
            refused.append(str(error))
            continue
        if profile.family in owners:
            refused.append(f"{path}: the family {profile.family} is of {owners[profile.family]}: give another name")
            continue
        owners[profile.family] = str(path)
        profiles.append(profile)
    return ThirdParty(tuple(profiles), tuple(refused))


def third_party_profiles() -> ThirdParty:
    """Give the profiles of third parties, as the environment and the installed packages are now."""
    return _third_party(os.environ.get(FOLDER_VARIABLE, ""))


@cache
def _third_party(folder: str) -> ThirdParty:
    refused: list[str] = []
    files = [*_folder_files(folder, refused), *_entry_point_files(refused)]
    found = load_third_party(files, [profile.family for profile in builtin_profiles()])
    refused += found.refused
    for problem in refused:
        _log.warning("a profile is left out: %s", problem)
    return ThirdParty(found.profiles, tuple(refused))


def _folder_files(folder: str, refused: list[str]) -> list[Path]:
    if not folder:
        return []
    if not Path(folder).is_dir():
        refused.append(f"{folder}: is no folder ({FOLDER_VARIABLE})")
    return sorted(Path(folder).glob("*.yaml"))


def _entry_point_files(refused: list[str]) -> Iterator[Path]:
    for point in entry_points(group=ENTRY_POINT_GROUP):
        try:
            spec = importlib.util.find_spec(point.module)
        except (ImportError, ValueError) as error:
            refused.append(f"entry point {point.name}: {error}")
            continue
        if spec is None or not spec.submodule_search_locations:
            refused.append(f"entry point {point.name}: there is no package {point.module}")
            continue
        for folder in spec.submodule_search_locations:
            yield from sorted(Path(folder).glob("*.yaml"))


def known_profiles() -> tuple[Profile, ...]:
    """Give all profiles that can be used, those that come with gonio first."""
    return (*builtin_profiles(), *third_party_profiles().profiles)


def get_profile(family: str) -> Profile:
    """Give the profile of a family; hyphens may stand for underscores.

    Raises:
        UsageError: there is none; the text lists the known ones.
    """
    wanted = family.strip().lower().replace("-", "_")
    profiles = known_profiles()
    for profile in profiles:
        if profile.family == wanted:
            return profile
    known = ", ".join(profile.family for profile in profiles)
    raise UsageError(f"no sensor family is called {family!r}; these are: {known}")
