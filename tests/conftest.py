"""What every test shares: real peers that a bare machine may lack, and the recordings that live outside."""

import os
import shutil
from pathlib import Path

import pytest
from hypothesis import find, settings
from hypothesis import strategies as st

REQUIRED = os.environ.get("GONIO_REQUIRE_PEERS") == "1"

# CI judges a change and not the luck of the draw; people's runs draw anew each time.
settings.register_profile("ci", derandomize=True)
if REQUIRED:
    settings.load_profile("ci")


@pytest.fixture(scope="session", autouse=True)
def _unicode() -> None:
    """Draw a text: on a fresh clone the first one takes seconds (a table of all of Unicode), which are of no test."""
    find(st.text(), lambda _text: True)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip a test by name where its peer is not installed; where peers are required (CI) it runs and fails."""
    for item in items:
        for mark in item.iter_markers("peer"):
            name = mark.args[0]
            if not (REQUIRED or _find(name)):
                item.add_marker(pytest.mark.skip(reason=f"{name} is not installed (apt-get install {name})"))


def _find(name: str) -> str | None:
    debians = ":".join(str(folder) for folder in Path("/usr/lib/postgresql").glob("*/bin"))
    return shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin:{debians}")


def pytest_report_header() -> str:
    """Say at the top which peers this run has."""
    peers = ("mosquitto", "chromium", "dbus-daemon", "postgres", "victoria-metrics", "faketime", "qemu-system-x86_64")
    return "real peers: " + ", ".join(f"{p} {'found' if _find(p) else 'MISSING'}" for p in peers)


@pytest.fixture(scope="session")
def recordings() -> Path:
    """Give the folder of recordings, or skip with the reason: they are evaluation material outside the repository."""
    folder = Path(os.environ.get("GONIO_DATA") or Path(__file__).parents[1].parent / "shared" / "data")
    if not folder.is_dir():
        pytest.skip(f"no recordings at {folder}: set GONIO_DATA to a folder of them")
    return folder
