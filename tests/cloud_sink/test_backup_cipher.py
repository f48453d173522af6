"""Encrypted backups: what was written opens with its passphrase, and nothing else opens at all."""

import io
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gonio.cloud_sink import backup_cipher
from gonio.cloud_sink.backup_cipher import MAGIC, decrypt, encrypt, is_encrypted, read_passphrase
from gonio.cloud_sink.backup_file import BackupDamagedError
from gonio.errors import UsageError

SECRET = b"correct horse battery"
CHUNK = 16


@pytest.fixture(autouse=True)
def small_and_quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backup_cipher, "CHUNK_BYTES", CHUNK)
    monkeypatch.setattr(backup_cipher, "_SCRYPT", {"n": 2, "r": 8, "p": 1})


def sealed(content: bytes, passphrase: bytes = SECRET) -> bytes:
    out = io.BytesIO()
    encrypt(io.BytesIO(content), out, passphrase, lambda _: None)
    return out.getvalue()


def opened(data: bytes, passphrase: bytes = SECRET) -> bytes:
    out = io.BytesIO()
    decrypt(io.BytesIO(data), out, passphrase, lambda _: None)
    return out.getvalue()


@given(st.binary(max_size=5 * CHUNK))
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_was_sealed_opens_as_it_was(content: bytes) -> None:
    assert opened(sealed(content)) == content


@given(st.binary(max_size=4 * CHUNK), st.data())
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_changed_byte_is_found(content: bytes, data: st.DataObject) -> None:
    whole = sealed(content)
    at = data.draw(st.integers(len(MAGIC), len(whole) - 1))
    changed = bytearray(whole)
    changed[at] ^= data.draw(st.integers(1, 255))
    with pytest.raises(BackupDamagedError):
        opened(bytes(changed))


@pytest.mark.parametrize("length", [0, 1, CHUNK, 2 * CHUNK, 3 * CHUNK + 5])
def test_wherever_it_is_cut_it_does_not_open(length: int) -> None:
    whole = sealed(bytes(length))
    for end in range(len(MAGIC), len(whole)):
        with pytest.raises(BackupDamagedError):
            opened(whole[:end])
    with pytest.raises(BackupDamagedError):
        opened(whole + b"x")


def test_chunks_that_changed_places_do_not_open() -> None:
    whole = sealed(bytes(4 * CHUNK))
    size = CHUNK + 16
    start = len(whole) - 4 * size
    swapped = whole[:start] + whole[start + size : start + 2 * size] + whole[start : start + size]
    with pytest.raises(BackupDamagedError, match="passphrase is another one, or the backup's beginning"):
        opened(swapped + whole[start + 2 * size :])


def test_the_place_of_the_damage_is_named() -> None:
    whole = bytearray(sealed(bytes(4 * CHUNK)))
    whole[-1 - CHUNK - 16] ^= 1
    with pytest.raises(BackupDamagedError, match="at byte 32 of its content"):
        opened(bytes(whole))


def test_another_passphrase_does_not_open() -> None:
    with pytest.raises(BackupDamagedError, match="passphrase is another one"):
        opened(sealed(b"content"), b"another passphrase")


def test_a_header_cannot_ask_for_more_work_than_we_would_do() -> None:
    whole = sealed(b"content").replace(b'"n": 2', b'"n": 9')
    with pytest.raises(BackupDamagedError, match="header"):
        opened(whole)


def test_no_two_backups_share_a_key() -> None:
    assert sealed(b"content") != sealed(b"content")


@pytest.mark.parametrize("text", [b"", b"\n", b"short\n", b"   short    \n"])
def test_a_short_passphrase_is_refused(tmp_path: Path, text: bytes) -> None:
    (tmp_path / "p").write_bytes(text)
    with pytest.raises(UsageError, match="no passphrase of at least 12"):
        read_passphrase(tmp_path / "p")


def test_a_passphrase_is_a_files_first_line(tmp_path: Path) -> None:
    (tmp_path / "p").write_bytes(SECRET + b"\r\nanything else\n")
    assert read_passphrase(tmp_path / "p") == SECRET
    with pytest.raises(UsageError, match="cannot be read"):
        read_passphrase(tmp_path / "q")


def test_an_encrypted_backup_is_known_by_its_first_bytes(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(sealed(b"content"))
    (tmp_path / "b").write_bytes(b"SQLite format 3")
    assert is_encrypted(tmp_path / "a")
    assert not is_encrypted(tmp_path / "b")
