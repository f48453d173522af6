"""What the security pages say is tested is there to be tested."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NAMES = {
    name for file in (ROOT / "tests").rglob("test_*.py") for name in re.findall(r"def (test_\w+)", file.read_text())
}


@pytest.mark.parametrize("page", ["SECURITY.md", "docs/hipaa.md", "docs/delivery.md"])
def test_each_test_that_is_named_exists(page: str) -> None:
    text = (ROOT / page).read_text()
    paths = re.findall(r"`(tests/[\w./*]+)`", text)
    assert paths
    for path in paths:
        assert list(ROOT.glob(path)), path
    for name in re.findall(r"`(test_\w+)`", text):
        assert name in NAMES, name
