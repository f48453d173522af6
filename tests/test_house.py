"""The house stands as the README says."""

import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_no_root_entry_bears_a_standard_library_name() -> None:
    names = {entry.stem for entry in ROOT.iterdir()}
    assert not names & sys.stdlib_module_names


def test_no_runnable_file_directly_in_the_package_but_main() -> None:
    for file in (ROOT / "gonio").glob("*.py"):
        text = file.read_text()
        assert file.name == "__main__.py" or "__name__ ==" not in text, file


def test_every_ruff_ignore_has_a_reason() -> None:
    lines = (ROOT / "pyproject.toml").read_text().splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("[tool.ruff.lint]"))
    ignored = [line for line in lines[start:] if line.startswith('  "') and line.rstrip()[-1:] != "["]
    rules = [line for line in ignored if line.strip().startswith('"') and "=" not in line and "gonio." not in line]
    for line in rules[: rules.index(next(r for r in rules if "D103" in r)) + 1]:
        assert "#" in line, line


def test_every_dependency_of_the_locks_is_pinned_and_has_its_hashes() -> None:
    for lock in ("run", "dev", "bench"):
        lines = (ROOT / f"requirements/{lock}.txt").read_text().splitlines()
        assert sum("==" in line for line in lines) > 50
        for line, following in zip(lines, [*lines[1:], ""], strict=True):
            assert line.startswith("    --hash=sha256:") or ("==" in line and "--hash=sha256:" in following), line


def test_python_range_is_the_one_that_has_wheels() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["requires-python"] == ">=3.11,<3.14"
