"""The stock room by its commands: what a person who packs boxes sees."""

import subprocess
import sys
from pathlib import Path


def gonio(*words: str) -> tuple[int, str, str]:
    done = subprocess.run(
        [sys.executable, "-m", "gonio", *words], capture_output=True, text=True, timeout=60, check=False
    )
    return done.returncode, done.stdout, done.stderr


def test_boxes_from_a_table_to_a_lost_parcel(tmp_path: Path) -> None:
    store = ("--store", f"sqlite:///{tmp_path}/clinic.sqlite")
    code, _, error = gonio("clinic", "stock", "list", *store)
    assert code != 0
    assert "there is no store" in error
    table = tmp_path / "boxes.csv"
    table.write_text("Label,Serial,Thigh sensor,Shank sensor\nbox 1,S1,c0:ff:ee:00:00:01,C0:FF:EE:00:00:02\n=1+1,,,\n")
    code, said, error = gonio("clinic", "stock", "import", str(table), *store)
    assert (code, error) == (0, "")
    box = said.split()[0]
    assert gonio("clinic", "stock", "move", box, "shipped", "--reason", "to Dayton", *store)[0] == 0
    code, _, error = gonio("clinic", "stock", "move", box, "active", *store)
    assert code != 0
    assert "gonio clinic kit bind" in error
    code, said, _ = gonio("clinic", "stock", "move", box, "lost", "--reason", "the parcel never came", *store)
    assert (code, said) == (0, "box 1 is lost\n")
    code, said, _ = gonio("clinic", "stock", "history", box, *store)
    assert [line.split()[3] for line in said.splitlines()] == ["entered", "shipped", "lost"]
    assert said.splitlines()[-1].endswith("the parcel never came")
    out = tmp_path / "out.csv"
    assert gonio("clinic", "stock", "csv", "--to", str(out), *store)[0] == 0
    text = out.read_text()
    assert ",'=1+1,," in text
    assert "C0:FF:EE:00:00:01,C0:FF:EE:00:00:02" in text
    code, _, error = gonio("clinic", "stock", "import", str(out), *store)
    assert code != 0
    assert "is in another box" in error
    code, said, _ = gonio("clinic", "stock", "list", "--state", "returned", *store)
    assert (code, said) == (0, "no such boxes\n")
