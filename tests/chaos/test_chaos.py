"""A short run under fire with real peers on each store."""

import subprocess
import sys

import pytest

from tests.chaos import __main__ as command
from tests.conftest import REQUIRED

SECONDS = 12.0
LIMIT_S = 270.0


@pytest.mark.peer("mosquitto")
@pytest.mark.peer("postgres")
@pytest.mark.peer("faketime")
@pytest.mark.parametrize("store", ["sqlite", "postgresql"])
def test_nothing_is_lost_or_counted_twice_under_fire(store: str) -> None:
    """The command itself, as people run it, shorter."""
    arguments = ["--seconds", str(SECONDS), "--store", store, "--kits", "8", "--processes", "2", "--rate", "25"]
    if not REQUIRED:
        arguments.append("--without-missing")  # without root no disk can be filled; CI's is
    ran = subprocess.run(
        [sys.executable, "-m", "tests.chaos", *arguments], capture_output=True, text=True, check=False, timeout=LIMIT_S
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "nothing lost, nothing counted twice" in ran.stdout
    assert not (REQUIRED and "left out" in ran.stdout)


def test_the_command_names_what_is_missing(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(command, "find_faketime", lambda: None)
    monkeypatch.setattr(command, "find_mosquitto", lambda: None)
    assert command.main(["--store", "sqlite"]) == 2
    said = capsys.readouterr().out
    assert "apt-get install mosquitto" in said
    assert "apt-get install faketime" in said


@pytest.mark.peer("mosquitto")
def test_the_schedule_can_be_shown(capsys: pytest.CaptureFixture[str]) -> None:
    shown = []
    for seed in ("5", "5", "6"):
        assert command.main(["--schedule", "--seed", seed, "--without-missing"]) == 0
        shown.append(capsys.readouterr().out)
    assert shown[0] == shown[1] != shown[2]
    assert "kill -9 of the broker" in shown[0]
