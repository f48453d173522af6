"""What a person sees who gives the command something it cannot use."""

import sys

import pytest

from gonio.cli.main import main


@pytest.mark.parametrize("name", ["[/x]", "[bold]x"])
def test_an_error_shows_brackets_as_they_stand(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A path or a cell in brackets is neither a traceback nor swallowed."""
    monkeypatch.setattr(sys, "argv", ["gonio", "analyze", f"/no-such-folder/{name}"])
    with pytest.raises(SystemExit) as left:
        main()
    assert left.value.code == 1
    assert f"gonio: /no-such-folder/{name}: no such folder" in capsys.readouterr().err
