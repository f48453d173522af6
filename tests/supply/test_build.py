"""What the build makes: the same wheel from the same commit, and a bill of materials that names all of it."""

import json
import os
import re
import subprocess
import sys
import zipfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
NAME = re.compile(r"^([A-Za-z0-9._-]+)==([^ ;\\]+)", re.MULTILINE)


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def locked(lock: str) -> dict[str, str]:
    found = NAME.findall((ROOT / f"requirements/{lock}.txt").read_text())
    return {normal(name): release for name, release in found}


def build(folder: Path, *, epoch: str, umask: int) -> bytes:
    environment = os.environ | {"SOURCE_DATE_EPOCH": epoch}
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True, umask=umask)
    (wheel,) = folder.glob("*.whl")
    return wheel.read_bytes()


def test_the_same_commit_gives_the_same_wheel_to_the_byte(tmp_path: Path) -> None:
    first = build(tmp_path / "first", epoch="1764000000", umask=0o022)
    assert build(tmp_path / "second", epoch="1764000000", umask=0o077) == first
    assert build(tmp_path / "third", epoch="1764000002", umask=0o022) != first


def test_the_wheel_holds_the_package_and_nothing_else(tmp_path: Path) -> None:
    build(tmp_path, epoch="1764000000", umask=0o022)
    (wheel,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0].partition("-")[0] for name in names} == {"gonio"}
    assert not [name for name in names if name.endswith((".key", ".pem", ".crt", ".sqlite", ".env"))]


def test_what_runs_is_locked_as_what_is_tested() -> None:
    tested = locked("dev")
    for lock in ("run", "bench"):
        assert {name: tested[name] for name in locked(lock) if name in tested} == {
            name: release for name, release in locked(lock).items() if name in tested
        }
    assert locked("run").keys() < tested.keys()


@pytest.fixture(scope="module")
def bill(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The bill of materials of the environment that the tests run in, by the command that `make build` uses."""
    out = tmp_path_factory.mktemp("bill") / "gonio.cdx.json"
    options = ["--pyproject", "pyproject.toml", "--mc-type", "application", "--output-reproducible"]
    command = ["cyclonedx-py", "environment", *options, "--spec-version", "1.6", "--output-file", str(out)]
    program = Path(sys.executable).with_name(command[0])
    subprocess.run([str(program), *command[1:], sys.executable], cwd=ROOT, check=True, capture_output=True)
    read: dict[str, Any] = json.loads(out.read_text())
    return read


def test_the_bill_of_materials_names_every_package_with_its_release(bill: dict[str, Any]) -> None:
    listed = {normal(component["name"]): component["version"] for component in bill["components"]}
    assert listed.items() >= locked("run").items()
    assert bill["bomFormat"] == "CycloneDX"
    assert bill["metadata"]["component"]["version"] == version("gonio")


def test_nothing_that_runs_is_under_the_gpl(bill: dict[str, Any]) -> None:
    runs = locked("run")
    for component in bill["components"]:
        if normal(component["name"]) in runs:
            said = json.dumps(component.get("licenses", []))
            words = said.replace("LGPL", "").replace("Lesser General Public", "")
            assert "GPL" not in words and "General Public" not in words, component["name"]  # noqa: PT018 - one rule


def test_the_bill_says_nothing_of_the_machine_that_made_it(bill: dict[str, Any]) -> None:
    assert str(ROOT) not in json.dumps(bill)
    assert str(Path.home()) + "/" not in json.dumps(bill)
