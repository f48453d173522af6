"""Known vulnerabilities of what is locked, looked up without a network.

``advisories.json`` holds, of the PyPA advisory database (https://github.com/pypa/advisory-database, CC-BY-4.0), a
selection that concerns packages of our locks: an id, and the releases from (inclusive) to (exclusive) that are
affected. ``as_of`` is the date of its newest entry: what became known later is not in it. From a newer copy of that
database, or of any folder of OSV files (https://ossf.github.io/osv-schema/):

    make advisories FROM=path/to/advisory-database
"""

import json
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import yaml
from packaging.version import InvalidVersion, Version

ROOT: Final = Path(__file__).parents[2]
DATA: Final = Path(__file__).with_name("advisories.json")
_LOCKED: Final = re.compile(r"^([A-Za-z0-9._-]+)==([^ ;\\]+)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Advisory:
    """One package's part of an advisory; ``ranges`` holds pairs of releases, the second None where nothing is mended.

    ``releases`` are affected ones that are named one by one.
    """

    id: str
    package: str
    ranges: tuple[tuple[str, str | None], ...] = ()
    releases: tuple[str, ...] = ()

    def concerns(self, release: str) -> bool:
        """Tell whether a release is affected."""
        if release in self.releases:
            return True
        version = Version(release)
        return any(
            Version(first) <= version and (mended is None or version < Version(mended)) for first, mended in self.ranges
        )


def normal(name: str) -> str:
    """Write a package's name as indexes compare it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def locked(lock: str) -> dict[str, str]:
    """Give the packages of a lock with their releases."""
    found = _LOCKED.findall((ROOT / f"requirements/{lock}.txt").read_text())
    return {normal(name): release for name, release in found}


def kept() -> tuple[datetime, list[Advisory]]:
    """Read ``advisories.json``: as of when it is, and what it holds."""
    read = json.loads(DATA.read_text())
    entries = [
        Advisory(one["id"], one["package"], tuple((a, b) for a, b in one["ranges"]), tuple(one.get("releases", ())))
        for one in read["advisories"]
    ]
    return datetime.fromisoformat(read["as_of"]).replace(tzinfo=UTC), entries


def affected(releases: Mapping[str, str], advisories: Iterable[Advisory]) -> list[tuple[Advisory, str]]:
    """Give each advisory that concerns a release in use, with that release."""
    return [
        (one, releases[one.package])
        for one in advisories
        if one.package in releases and one.concerns(releases[one.package])
    ]


def read_osv(entry: Mapping[str, Any]) -> Iterator[Advisory]:
    """Read one OSV entry: a value for each of its PyPI packages; a withdrawn one has none."""
    if entry.get("withdrawn"):
        return
    for part in entry.get("affected", ()):
        package = part.get("package", {})
        if package.get("ecosystem") != "PyPI":
            continue
        ranges = [pair for span in part.get("ranges", ()) if span.get("type") != "GIT" for pair in _pairs(span)]
        yield Advisory(entry["id"], normal(package["name"]), tuple(ranges), () if ranges else _releases(part))


def _pairs(span: Mapping[str, Any]) -> Iterator[tuple[str, str | None]]:
    first: str | None = None
    for event in span.get("events", ()):
        if "introduced" in event:
            first = str(event["introduced"])
        elif "fixed" in event and first is not None:
            yield first, str(event["fixed"])
            first = None
    if first is not None:
        yield first, None


def _releases(part: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(str(release) for release in part.get("versions", ()))


def gather(folder: Path) -> list[tuple[Advisory, str]]:
    """Read all OSV files (YAML and JSON) under a folder that concern packages of our locks, each with its date."""
    names = locked("dev").keys() | locked("bench").keys()
    found = []
    for file in sorted(folder.rglob("*")):
        if file.suffix not in {".yaml", ".yml", ".json"}:
            continue
        try:
            entry = yaml.safe_load(file.read_text())
        except yaml.YAMLError:
            sys.exit(f"{file} is no YAML or JSON")
        if isinstance(entry, dict) and "affected" in entry:
            changed = str(entry.get("modified", ""))
            found += [(one, changed) for one in read_osv(entry) if one.package in names and _readable(one)]
    return found


def _readable(one: Advisory) -> bool:
    try:
        one.concerns("1")
    except InvalidVersion as error:
        print(f"{one.id} is left out: {error}", file=sys.stderr)  # noqa: T201 - a command's output
        return False
    return True


def main(folder: str) -> None:
    """Write ``advisories.json`` anew."""
    found = gather(Path(folder))
    if not found:
        sys.exit(f"{folder} holds no advisory of a package in use: is it a copy of the advisory database?")
    entries = [
        {"id": one.id, "package": one.package, "ranges": one.ranges}
        | ({"releases": one.releases} if one.releases else {})
        for one in sorted((one for one, _ in found), key=lambda one: (one.package, one.id))
    ]
    lines = ",\n  ".join(json.dumps(entry) for entry in entries)
    newest = max(modified for _, modified in found)
    head = f'"source": "https://github.com/pypa/advisory-database", "as_of": "{newest[:10]}"'
    DATA.write_text(f'{{{head}, "advisories": [\n  {lines}\n]}}\n')
    print(f"{len(entries)} advisories of packages in use")  # noqa: T201 - as above


if __name__ == "__main__":
    main(sys.argv[1])
