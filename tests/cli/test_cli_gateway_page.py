"""``gonio gateway serve`` and ``phones``, as a kit's service and the clinic's desk run them."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

GONIO = [sys.executable, "-m", "gonio", "gateway"]
NOBODY = "mqtt://127.0.0.1:1"


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], str, str]]:
    """Run a kit with its page; gives the process, the page's address and the code."""
    signs = tmp_path / "signs"
    signs.write_text(f'#!/bin/sh\necho "$1 $2" >> {tmp_path}/heard\n')
    signs.chmod(0o700)
    command = [*GONIO, "serve", "--data-dir", str(tmp_path / "kit"), "--broker", NOBODY, "--port", "0"]
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "GONIO_KIT_SIGNS": str(signs), "GONIO_KIT_EMERGENCY": "112"},
    )
    assert process.stdout is not None
    try:
        address = re.fullmatch(r"patient's page: (http://127\.0\.0\.1:\d+/)\n", process.stdout.readline())
        code = re.fullmatch(r"code for a new phone: (\d{4} \d{4})\n", process.stdout.readline())
        assert address
        assert code
        yield process, address[1], code[1]
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def test_a_kit_serves_its_page_listens_to_its_button_and_leaves_when_told(
    served: tuple[subprocess.Popen[str], str, str], tmp_path: Path
) -> None:
    process, address, code = served
    browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
    assert "112" in browser.open(address).read().decode()
    form = urllib.parse.urlencode({"code": code, "name": "Ann"}).encode()
    assert "Welcome" in browser.open(f"{address}pair", form).read().decode()
    process.send_signal(signal.SIGUSR1)
    heard = tmp_path / "heard"
    until_s = time.monotonic() + 30
    while not (heard.exists() and "sound failed" in heard.read_text()):  # no sensors belong to this kit yet
        assert time.monotonic() < until_s
        time.sleep(0.05)
    assert "No sensors are set up on this kit" in browser.open(f"{address}live").read().decode()
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 0
    phones = [*GONIO, "phones", "--data-dir", str(tmp_path / "kit"), "--address", "http://gonio.local:8700"]
    said = subprocess.run(phones, check=True, capture_output=True, text=True).stdout
    assert "Ann  patient" in said
    assert said.endswith(f"code for a new phone: {code}\n")
    renewed = subprocess.run([*phones, "--new-code"], check=True, capture_output=True, text=True).stdout
    assert "Ann  patient" in renewed
    assert not renewed.endswith(f"{code}\n")


def test_a_certificate_without_its_key_is_told(tmp_path: Path) -> None:
    command = [*GONIO, "serve", "--data-dir", str(tmp_path), "--tls-cert", "x.pem"]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode != 0
    assert "belong together" in done.stderr


def test_a_port_that_is_taken_is_told_in_words(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        command = [*GONIO, "serve", "--data-dir", str(tmp_path / "kit"), "--broker", NOBODY, "--port", port]
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    assert done.returncode != 0
    assert "is taken by another program" in done.stderr
    assert "Traceback" not in done.stderr
