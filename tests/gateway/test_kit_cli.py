"""``gonio gateway`` as a process of its own."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

COMMAND = [sys.executable, "-c", "from gonio.cli.gateway import app; app()"]


def start(directory: Path, *arguments: str, stdin: int) -> "subprocess.Popen[str]":
    environment = {**os.environ, "GONIO_KIT_DATA_DIR": str(directory), "GONIO_KIT_BROKER": "mqtt://127.0.0.1:1"}
    return subprocess.Popen(
        [*COMMAND, *arguments],
        stdin=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )


def wait_for(process: "subprocess.Popen[str]", text: str) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        if text in line:
            return
    raise AssertionError(process.stderr.read() if process.stderr else "")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_leaves_cleanly_also_without_a_keyboard(tmp_path: Path, number: signal.Signals) -> None:
    with start(tmp_path, "run", stdin=subprocess.DEVNULL) as process:
        wait_for(process, "no keyboard")
        process.send_signal(number)
        _, errors = process.communicate(timeout=20)
    assert process.returncode == 0, errors
    assert "Traceback" not in errors


def test_a_session_without_sensors_is_refused_in_a_sentence(tmp_path: Path) -> None:
    with start(tmp_path, "run", stdin=subprocess.PIPE) as process:
        wait_for(process, "Enter begins")
        output, errors = process.communicate("\n", timeout=20)
    assert process.returncode != 0
    assert "gonio gateway pair" in output + errors


def test_the_end_of_input_leaves(tmp_path: Path) -> None:
    with start(tmp_path, "run", stdin=subprocess.PIPE) as process:
        wait_for(process, "Enter begins")
        _, errors = process.communicate("", timeout=20)
    assert process.returncode == 0, errors
