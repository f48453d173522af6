"""Help that reads well on a narrow terminal."""

from itertools import pairwise
from typing import Final

import pytest
from typer.testing import CliRunner

from gonio.cli.main import app

WIDTH: Final = 80


@pytest.mark.parametrize("command", [["demo"], ["simulate", "sensor"]])
def test_paragraphs_of_help_fill_the_width(command: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """A line ends where the next word would not fit, not where the source's line ended."""
    monkeypatch.setenv("COLUMNS", str(WIDTH))
    shown = CliRunner().invoke(app, [*command, "--help"]).output
    about = [line.strip() for line in shown.split("╭")[0].splitlines()]
    broken = [(one, two) for one, two in pairwise(about) if one and two]
    assert broken  # there is a paragraph of several lines
    for one, two in broken:
        assert len(f"{one} {two.split()[0]}") > WIDTH - 2, f"{one!r} could have gone on"
