"""``gonio simulate sensor``."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from gonio.cli.simulate import app
from gonio.errors import UsageError


def test_the_self_check_counts_what_was_sent_and_what_arrived() -> None:
    arguments = ["sensor", "--device", "witmotion_ble5", "--seconds", "20", "--speed", "20", "--json"]
    result = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert result.exit_code == 0
    told = json.loads(result.stdout.splitlines()[-1])
    assert (told["device"], told["source"]) == ("witmotion_ble5", "simulated")
    assert [one["segment"] for one in told["sensors"]] == ["thigh", "shank"]
    for one in told["sensors"]:
        assert "SIM" in one["name"]
        assert one["samples_sent"] == one["samples_received"] == 20 * 100 + 1
        assert one["samples_lost"] == one["malformed"] == one["dropped"] == 0


def test_losses_asked_for_are_counted() -> None:
    arguments = ["sensor", "--seconds", "20", "--speed", "20", "--loss", "0.1", "--json"]
    result = CliRunner().invoke(app, arguments, catch_exceptions=False)
    for one in json.loads(result.stdout.splitlines()[-1])["sensors"]:
        assert one["samples_lost"] > 50
        assert one["samples_sent"] == one["samples_received"] == 1201 - one["samples_lost"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--device", "abacus"], "no sensor family is called"),
        (["--exercise", "juggling"], "juggling"),
        (["--rate", "61"], "rate_hz 61"),
        (["--transport", "no-such-thing"], "cannot open the Bluetooth transport"),
    ],
)
def test_what_cannot_be_done_is_said(arguments: list[str], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        CliRunner().invoke(app, ["sensor", *arguments], catch_exceptions=False)


def test_a_folder_that_is_no_recording_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=tmp_path.name):
        CliRunner().invoke(app, ["sensor", "--recording", str(tmp_path)], catch_exceptions=False)
