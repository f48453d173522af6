"""The kit's signing key: made once, whole or not at all, and never written over."""

import multiprocessing
import os
import random
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from gonio.gateway.kit_key import CLINIC_KEY_NAME, FOLDER_NAME, KEY_NAME, open_key, read_clinic_key
from gonio.gateway.store import KitStore
from gonio.identity.keys import KeyFaultError, KeyPemFile, PublicKey

OPENS = """
import sys
from pathlib import Path
from gonio.gateway.kit_key import open_key

print("ready", flush=True)
sys.stdin.readline()
print(open_key(Path(sys.argv[1])).key_id, flush=True)
"""


def opened(directory: Path) -> str:
    return open_key(directory).key_id


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_the_first_boot_makes_a_key_and_every_other_finds_it(tmp_path: Path) -> None:
    key = open_key(tmp_path / "kit")
    path = tmp_path / "kit" / FOLDER_NAME / KEY_NAME
    assert key.pem_file == path
    assert (mode(path), mode(path.parent)) == (0o600, 0o700)
    assert open_key(tmp_path / "kit").key_id == key.key_id
    assert open_key(tmp_path / "other").key_id != key.key_id
    assert PublicKey(key.public).verifies(key.sign(b"a"), b"a")


def test_others_lose_what_they_could_read(tmp_path: Path) -> None:
    key = open_key(tmp_path)
    key.pem_file.chmod(0o644)
    key.pem_file.parent.chmod(0o755)
    assert opened(tmp_path) == key.key_id
    assert (mode(key.pem_file), mode(key.pem_file.parent)) == (0o600, 0o700)


@pytest.mark.parametrize("cut", ["empty", "half", "noise", "clinic"])
def test_a_damaged_key_is_told_and_left_alone(tmp_path: Path, cut: str) -> None:
    path = open_key(tmp_path).pem_file
    whole = path.read_bytes()
    damaged = {
        "empty": b"",
        "half": whole[: len(whole) // 2],
        "noise": bytes(200),
        "clinic": whole.replace(b"PRIVATE", b"PUBLIC"),
    }[cut]
    path.write_bytes(damaged)
    with pytest.raises(KeyFaultError, match="put back a copy of the kit's key"):
        open_key(tmp_path)
    with pytest.raises(KeyFaultError, match="put back a copy of the kit's key"):
        KitStore.open(tmp_path)
    assert path.read_bytes() == damaged
    assert list(path.parent.iterdir()) == [path]
    path.write_bytes(whole)
    KitStore.open(tmp_path).close()


def test_a_key_in_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / FOLDER_NAME).write_text("a file")
    with pytest.raises(Exception, match="make its folder writable"):
        open_key(tmp_path)


def test_processes_that_open_a_new_directory_at_once_end_with_one_key(tmp_path: Path) -> None:
    for turn in range(5):
        directory = tmp_path / str(turn)
        several = [
            subprocess.Popen(
                [sys.executable, "-c", OPENS, str(directory)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )
            for _ in range(3)
        ]
        for one in several:
            assert one.stdout is not None
            assert one.stdout.readline() == "ready\n"
        for one in several:
            assert one.stdin is not None
            one.stdin.write("go\n")
            one.stdin.flush()
        names = {one.communicate(timeout=60)[0].strip() for one in several}
        assert names == {opened(directory)}
        assert [file.name for file in (directory / FOLDER_NAME).iterdir()] == [KEY_NAME]


def _make_many(directory: Path) -> None:
    number = 0
    while True:
        number += 1
        KitStore.open(directory / f"{number:05}").close()


def test_a_kill_during_the_first_boot_leaves_no_key_or_a_whole_one(tmp_path: Path) -> None:
    """Whole kits are made one after another, and the maker is killed at random moments."""
    drawn = random.Random(3)  # noqa: S311 - test data
    making = multiprocessing.get_context("spawn")
    for life in range(12):
        directory = tmp_path / f"life-{life}"
        process = making.Process(target=_make_many, args=(directory,))
        process.start()
        while not (directory / "00001").exists():
            time.sleep(0.002)
        time.sleep(drawn.uniform(0, 0.06))
        assert process.pid is not None
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        last = max(directory.iterdir())
        path = last / FOLDER_NAME / KEY_NAME
        made = KeyPemFile(path).key_id if path.exists() else None
        with KitStore.open(last) as store:
            assert made in {None, store.signing_key.key_id}
        assert [file.name for file in path.parent.iterdir()] == [KEY_NAME]


def test_the_clinics_key_is_none_or_whole(tmp_path: Path) -> None:
    assert read_clinic_key(tmp_path) is None
    clinic = KeyPemFile.make(tmp_path / "clinic.pem")
    open_key(tmp_path)
    path = tmp_path / FOLDER_NAME / CLINIC_KEY_NAME
    path.write_bytes(clinic.public)
    found = read_clinic_key(tmp_path)
    assert found is not None
    assert found.key_id == clinic.key_id
    path.write_bytes(clinic.public[:-1])
    with pytest.raises(KeyFaultError, match="let the clinic claim this kit again"):
        read_clinic_key(tmp_path)
    with pytest.raises(KeyFaultError, match="let the clinic claim this kit again"):
        KitStore.open(tmp_path)
