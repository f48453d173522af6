"""Profiles from YAML files."""

import difflib
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, Final

import yaml
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from gonio.firmware_profiles.checks import evidence_problems, problems
from gonio.firmware_profiles.schema import Profile, ProfileError

#: How a value of a template begins that somebody has to fill in.
FILL_IN: Final = "FILL IN"

#: The safe loader in C where PyYAML was built with it: ten times as fast.
_LOADER: Final[type[Any]] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def load_profile(path: Path) -> Profile:
    """Read and check a profile.

    Raises:
        ProfileError: it cannot be read or used; the text names the file and each place that is wrong.
    """
    return read_profile(read_yaml(path), str(path))


def read_yaml(path: Path) -> dict[str, Any]:
    """Read a file as YAML; errors as ``load_profile``."""
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), Loader=_LOADER)  # noqa: S506 - both are safe loaders
    except OSError as error:
        raise ProfileError(f"{path}: cannot be read ({error.strerror})") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ProfileError(f"{path}: is not YAML: {error}") from error
    if not isinstance(content, dict):
        raise ProfileError(f"{path}: a profile is a mapping that begins with 'schema: 1'")
    return content


def read_profile(content: dict[str, Any], name: str) -> Profile:
    """Check what a profile's file says.

    Args:
        content: the parsed YAML.
        name: what to call the file in errors.

    Raises:
        ProfileError: see ``load_profile``.
    """
    profile, found = examine(content)
    if profile is None or found:
        raise ProfileError("\n".join(f"{name}: {problem}" for problem in found))
    return profile


def examine(content: dict[str, Any]) -> tuple[Profile | None, list[str]]:
    """Look for everything that is wrong with what a profile's file says.

    Returns:
        The profile, None where its parts have not the right form, and each problem, beginning with its place.
    """
    open_places = list(_to_fill_in(content, ()))
    if open_places:
        return None, open_places
    try:
        profile = Profile.model_validate(content)
    except ValidationError as error:
        return None, [f"{_place(content, e['loc'])}: {_said(e)}" for e in error.errors()]
    return profile, list(problems(profile))


def _to_fill_in(part: object, location: tuple[int | str, ...]) -> Iterator[str]:
    """Tell which places of a template are still to be filled in, and with what."""
    inner = part.items() if isinstance(part, dict) else enumerate(part) if isinstance(part, list) else ()
    for key, value in inner:
        yield from _to_fill_in(value, (*location, key))
    if isinstance(part, str) and part.startswith(FILL_IN):
        yield f"{' > '.join(map(str, location))}: fill in {part.removeprefix(FILL_IN).strip()}"


def _said(error: ErrorDetails) -> str:
    """Say what pydantic found, and which known word was meant where one is near."""
    if error["type"] == "extra_forbidden":
        return f"{error['msg']}: the key is not known here"
    known = re.findall(r"'([^']+)'", str(error.get("ctx", {}).get("expected", "")))
    near = difflib.get_close_matches(str(error["input"]), known, 1, 0.5) if known else []
    return f"{error['msg']} (is {near[0]!r} meant?)" if near else error["msg"]


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
def builtin_profiles() -> tuple[Profile, ...]:
    """Give the profiles that come with gonio, by family.

    Raises:
        ProfileError: one of them is wrong, or a packet of it has no vector.
    """
    profiles = tuple(load_profile(path) for path in sorted(Path(__file__).parent.glob("*.yaml")))
    bare = [f"{profile.family}: {problem}" for profile in profiles for problem in evidence_problems(profile)]
    if bare:
        raise ProfileError("\n".join(bare))
    return profiles


def template(family: str) -> str:
    """Give the text of a profile to begin with."""
    path = Path(__file__).with_name("template.txt")
    return path.read_text(encoding="utf-8").replace("@FAMILY@", family)
