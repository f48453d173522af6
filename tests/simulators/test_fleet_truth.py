"""The truth file: whole lines, once each, on the disk before the next record, whatever was killed or full."""

import asyncio
import errno
import json
import os
import uuid
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gonio.errors import UsageError
from gonio.simulators.fleet_truth import Truth, TruthLine


def lines(kit: str, *sequences: int) -> list[TruthLine]:
    return [TruthLine(kit, n, uuid.uuid5(uuid.NAMESPACE_DNS, f"{kit} {n}")) for n in sequences]


def never(text: str) -> None:
    raise AssertionError(text)


def write(path: Path, *added: TruthLine) -> None:
    with closing(Truth(path, never)) as truth:
        asyncio.run(truth.add(added))


def test_a_line_is_an_object_with_three_keys(tmp_path: Path) -> None:
    (line,) = lines("kit-a", 1)
    write(tmp_path / "truth", line)
    (text,) = (tmp_path / "truth").read_text().splitlines()
    assert json.loads(text) == {"kit": "kit-a", "sequence": 1, "record_id": str(line.record_id)}


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_a_file_cut_anywhere_goes_on_after_its_last_whole_line(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    path = tmp_path_factory.mktemp("truth") / "truth"
    all_lines = lines("kit-a", 1, 2, 3) + lines("kit-b", 1, 2)
    write(path, *all_lines)
    whole = path.read_bytes()
    path.write_bytes(whole[: data.draw(st.integers(0, len(whole)))])
    with closing(Truth(path, never)) as truth:
        missing = [line for line in all_lines if line.sequence >= truth.missing_from(line.kit_id)]
        asyncio.run(truth.add(missing))
    assert sorted(path.read_bytes().splitlines()) == sorted(whole.splitlines())


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("nonsense\n", "line 1"),
        ('{"kit": "kit-a", "sequence": 1}\n', "line 1"),
        ("[]\n", "line 1"),
        (lines("kit-a", 2)[0].as_text(), "out of sequence"),
        (lines("kit-a", 1)[0].as_text() * 2, "line 2"),
        ("\x00\xff\n", "line 1"),
    ],
)
def test_what_is_no_truth_file_is_refused_and_left_as_it_is(tmp_path: Path, text: str, told: str) -> None:
    path = tmp_path / "truth"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(UsageError, match=told):
        Truth(path, never)
    assert path.read_bytes() == text.encode("latin-1")


def test_two_fleets_cannot_write_one_file(tmp_path: Path) -> None:
    with closing(Truth(tmp_path / "truth", never)), pytest.raises(UsageError, match="another fleet"):
        Truth(tmp_path / "truth", never)


def test_a_folder_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="none/truth"):
        Truth(tmp_path / "none" / "truth", never)


def test_a_full_disk_costs_only_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A write that stops in the middle of a line leaves nothing of it; the lines are there when there is room."""
    path = tmp_path / "truth"
    write(path, *lines("kit-a", 1))
    told: list[str] = []
    faults = iter([True, True])
    real_write = os.write

    def write_some(file: int, data: bytes) -> int:
        if next(faults, False):
            real_write(file, data[: len(data) // 3])
            raise OSError(errno.ENOSPC, "No space left on device")
        return real_write(file, data)

    monkeypatch.setattr("gonio.simulators.fleet_truth.os.write", write_some)

    async def add() -> None:
        with closing(Truth(path, told.append, retry_s=0.0)) as truth:
            await asyncio.gather(truth.add(lines("kit-a", 2, 3)), truth.add(lines("kit-b", 1)))

    asyncio.run(add())
    assert len(told) == 2
    assert "No space left" in told[0]
    found = [TruthLine.parse(text) for text in path.read_text().splitlines()]
    assert sorted(found, key=str) == sorted(lines("kit-a", 1, 2, 3) + lines("kit-b", 1), key=str)
