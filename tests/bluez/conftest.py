"""A D-Bus of our own for every test, which bleak and the kit take for the system's."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

_CONFIGURATION = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <listen>unix:path={socket}</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow send_destination="*" eavesdrop="true"/>
    <allow eavesdrop="true"/>
    <allow own="*"/>
  </policy>
</busconfig>
"""


@pytest.fixture
def bus_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Start a D-Bus; give its address."""
    (tmp_path / "bus.conf").write_text(_CONFIGURATION.format(socket=tmp_path / "bus"))
    ready, told = os.pipe()
    command = ["dbus-daemon", f"--config-file={tmp_path / 'bus.conf'}", "--nofork", f"--print-address={told}"]
    with subprocess.Popen(command, pass_fds=[told]) as daemon:
        os.close(told)
        with os.fdopen(ready) as lines:
            address = lines.readline().strip()
        try:
            assert address, "no D-Bus came up"
            monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", address)
            yield address
        finally:
            daemon.terminate()
