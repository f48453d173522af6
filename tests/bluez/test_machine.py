"""Real bluetoothd and kernel in an emulated computer: whatever happens to Bluetooth, the streams come back."""

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.bluez.machine import MachineError, prepare, run
from tests.bluez.scenario import FAMILIES, ROUNDS

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def summary(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    try:
        prepare()
    except MachineError as error:
        if os.environ.get("GONIO_REQUIRE_PEERS") == "1":
            raise
        pytest.skip(str(error))
    out = tmp_path_factory.mktemp("machine")
    code = run([sys.executable, "-m", "tests.bluez.scenario"], ROOT, out, timeout_s=900)
    told = "\n".join((out / name).read_text() for name in ("stdout.log", "stderr.log", "bluetoothd.log"))
    assert code == 0, told
    whole: dict[str, Any] = json.loads((out / "summary.json").read_text())
    return whole


@pytest.mark.timeout(1000)
def test_all_streams_come_back_by_themselves(summary: dict[str, Any]) -> None:
    faults = [recovery["fault"] for recovery in summary["recoveries"]]
    assert faults == ["nothing yet", *["all links lost"] * ROUNDS, "bluetoothd killed", "adapter off and on"]
    assert all(recovery["back"] for recovery in summary["recoveries"]), summary
    assert [sensor["family"] for sensor in summary["sensors"].values()] == list(FAMILIES)
    for sensor in summary["sensors"].values():
        assert sensor["links"] >= len(faults)


@pytest.mark.timeout(1000)
def test_nothing_is_doubled_and_what_is_lost_is_counted(summary: dict[str, Any]) -> None:
    for sensor in summary["sensors"].values():
        assert sensor["doubled"] == 0
        assert sensor["in_order"]
        timestamps = sensor["family"] == "movella_dot"
        assert sensor["report"]["lost"] == (sensor["missing"] if timestamps else None)
        assert sensor["report"]["received"] == sensor["received"]
        assert sensor["missing_at_the_end"] == 0
        assert sensor["received"] <= sensor["sent"]
