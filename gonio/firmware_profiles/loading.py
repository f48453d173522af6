"""Profiles from YAML files: the ones that come with gonio, and any other."""

from functools import cache
from pathlib import Path
from typing import Any, Final

import yaml
from pydantic import ValidationError

from gonio.errors import UsageError
from gonio.firmware_profiles.checks import problems
from gonio.firmware_profiles.schema import Profile, ProfileError

#: The safe loader in C where PyYAML was built with it: ten times as fast.
_LOADER: Final[type[Any]] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def load_profile(path: Path) -> Profile:
    """Read and check a profile.

    Raises:
        ProfileError: it cannot be read or used; the text names the file and each place that is wrong.
    """
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), Loader=_LOADER)  # noqa: S506 - both are safe loaders
    except OSError as error:
        raise ProfileError(f"{path}: cannot be read ({error.strerror})") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ProfileError(f"{path}: is not YAML: {error}") from error
    if not isinstance(content, dict):
        raise ProfileError(f"{path}: a profile is a mapping that begins with 'schema: 1'")
    return read_profile(content, str(path))


def read_profile(content: dict[str, Any], name: str) -> Profile:
    """Check what a profile's file says.

    Args:
        content: the parsed YAML.
        name: what to call the file in errors.

    Raises:
        ProfileError: see ``load_profile``.
    """
    try:
        profile = Profile.model_validate(content)
    except ValidationError as error:
        raise ProfileError(
            "\n".join(f"{name}: {_place(content, e['loc'])}: {e['msg']}" for e in error.errors())
        ) from None
    found = list(problems(profile))
    if found:
        raise ProfileError("\n".join(f"{name}: {problem}" for problem in found))
    return profile


def _place(content: Any, location: tuple[int | str, ...]) -> str:  # noqa: ANN401 - whatever the YAML holds
    """Name a place for people: the fields of a packet by their name in place of their number."""
    words: list[str] = []
    for key in location:
        try:
            content = content[key]
        except (KeyError, IndexError, TypeError):
            content = None
        name = content.get("name") if isinstance(key, int) and isinstance(content, dict) else None
        words.append(str(name or key))
    return " > ".join(words) or "profile"


@cache
def _builtin() -> tuple[Profile, ...]:
    return tuple(load_profile(path) for path in sorted(Path(__file__).parent.glob("*.yaml")))


def builtin_profiles() -> tuple[Profile, ...]:
    """Give the profiles that come with gonio, by family."""
    return _builtin()


def get_profile(family: str) -> Profile:
    """Give the profile of a family; hyphens may stand for underscores.

    Raises:
        UsageError: there is none; the text lists the known ones.
    """
    wanted = family.strip().lower().replace("-", "_")
    for profile in builtin_profiles():
        if profile.family == wanted:
            return profile
    known = ", ".join(profile.family for profile in builtin_profiles())
    raise UsageError(f"no sensor family is called {family!r}; these are: {known}")
