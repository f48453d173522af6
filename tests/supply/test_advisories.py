"""No release that is locked has a vulnerability that the kept advisories know of."""

import json
from pathlib import Path

import pytest
from packaging.version import Version

from tests.supply import advisories
from tests.supply.advisories import Advisory, affected, gather, kept, locked


@pytest.mark.parametrize("lock", ["run", "dev", "bench"])
def test_no_locked_release_is_known_to_be_vulnerable(lock: str) -> None:
    _, known = kept()
    found = affected(locked(lock), known)
    assert not found, "; ".join(f"{release} of {one.package}: {one.id}" for one, release in found)


def test_the_kept_advisories_would_find_an_old_release() -> None:
    """Each of them finds the release before the one that mended it: the check can fail."""
    as_of, known = kept()
    assert as_of.year >= 2024
    assert {one.package for one in known} >= {"cryptography", "starlette", "urllib3", "fastapi", "pyyaml"}
    old = {one.package: "0.0.1" for one in known} | {
        "cryptography": "41.0.5",
        "urllib3": "2.0.6",
        "starlette": "0.26.1",
    }
    found = {one.id for one, _ in affected(old, known)}
    assert {"PYSEC-2023-254", "PYSEC-2023-212", "PYSEC-2023-83", "PYSEC-2024-38"} <= found
    mended = {"cryptography": "41.0.6", "urllib3": "2.0.7", "starlette": "0.27.0"}
    assert not [one for one, _ in affected(mended, known)]


def test_an_osv_file_is_read_as_it_says(tmp_path: Path) -> None:
    def write(name: str, **entry: object) -> None:
        (tmp_path / name).write_text(json.dumps({"id": name, "modified": "2025-01-02T03:04:05Z"} | entry))

    part = {"package": {"ecosystem": "PyPI", "name": "PyYAML"}, "versions": ["5.3"]}
    span = {"type": "ECOSYSTEM", "events": [{"introduced": "1.0"}, {"fixed": "2.0"}, {"introduced": "3.0"}]}
    write("ranges.json", affected=[part | {"ranges": [span, {"type": "GIT", "events": [{"introduced": "0"}]}]}])
    write("versions.json", affected=[part])
    write("withdrawn.json", affected=[part], withdrawn="2025-02-02T00:00:00Z")
    write("elsewhere.json", affected=[{"package": {"ecosystem": "npm", "name": "pyyaml"}, "versions": ["5.3"]}])
    write("not-ours.json", affected=[{"package": {"ecosystem": "PyPI", "name": "django"}, "versions": ["5.3"]}])
    found = {one.id: one for one, changed in gather(tmp_path) if changed == "2025-01-02T03:04:05Z"}
    assert found == {
        "ranges.json": Advisory("ranges.json", "pyyaml", (("1.0", "2.0"), ("3.0", None))),
        "versions.json": Advisory("versions.json", "pyyaml", (), ("5.3",)),
    }
    hits = {
        release: found["ranges.json"].concerns(release) for release in ("0.9", "1.0", "1.9.9", "2.0", "2.9", "3.0", "9")
    }
    assert hits == {"0.9": False, "1.0": True, "1.9.9": True, "2.0": False, "2.9": False, "3.0": True, "9": True}
    assert found["versions.json"].concerns("5.3")
    assert Version(locked("run")["pyyaml"]) > Version("5.3")


def test_a_folder_without_advisories_is_no_database(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="is it a copy of the advisory database"):
        advisories.main(str(tmp_path))
