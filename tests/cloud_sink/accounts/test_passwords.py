"""Which passwords will do, how they are kept, and what the key beside the book seals."""

import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gonio.cloud_sink.accounts import PasswordRefusedError, Passwords
from gonio.cloud_sink.accounts.passwords import check_new
from gonio.cloud_sink.accounts.vault import Vault
from gonio.errors import UsageError
from tests.cloud_sink.accounts.conftest import CHEAP, KEY

KNOWN = ["ann.miller@clinic.example", "Ann Marie Miller", "Riverside Knee Clinic"]


@pytest.mark.parametrize(
    "password",
    [
        "nine bicycles under water",
        "correct-horse-battery-lantern",
        "Zt7#kq9!Lm2v",
        "пять велосипедов",
        "x" * 11 + "y" + "q" * 40,
        "ä" * 3 + "wtr plmq 91",
    ],
)
def test_what_will_do(password: str) -> None:
    check_new(password, KNOWN)


@pytest.mark.parametrize(
    ("password", "why"),
    [
        ("short", "at least 12"),
        ("e\u0301" * 11, "at least 12"),  # 22 characters as typed, 11 composed
        ("x9 q" * 33, "at most 128"),
        ("Ann.Miller@clinic.example", "your name"),
        ("annmariemiller", "your name"),
        ("riverside knee CLINIC", "your clinic"),
        ("password1234", "try first"),
        ("P@ssw0rd!2026", "try first"),
        ("123456789012", "try first"),
        ("qwertyuiopas", "try first"),
        ("abcabcabcabc", "try first"),
        ("aaaaaaaaaaaa", "try first"),
        ("Welcome-2026!!", "try first"),
        ("physiotherapy1", "try first"),
        ("987654321098", "try first"),
    ],
)
def test_what_will_not_do(password: str, why: str) -> None:
    with pytest.raises(PasswordRefusedError, match=why) as told:
        check_new(password, KNOWN)
    assert password not in str(told.value)


@given(st.text(max_size=150))
def test_any_text_is_checked_without_an_accident(text: str) -> None:
    try:
        check_new(text, KNOWN)
    except PasswordRefusedError:
        return
    assert CHEAP.verify(CHEAP.hash(text), text)


def test_the_same_typing_is_the_same_password() -> None:
    kept = CHEAP.hash("caf\u00e9 am hafen vier")
    assert CHEAP.verify(kept, "cafe\u0301 am hafen vier")
    assert not CHEAP.verify(kept, "cafe am hafen vier")
    assert not CHEAP.verify(None, "nobody's password")
    assert not CHEAP.verify("damaged", "x")


def test_the_cost_is_above_owasps_least_and_argon2id() -> None:
    kept = Passwords().hash("nine bicycles under water")
    assert kept.startswith("$argon2id$v=19$m=65536,t=3,p=4$")
    assert Passwords().is_outdated(CHEAP.hash("x"))
    assert not Passwords().is_outdated(kept)


def test_a_sealed_secret_opens_with_its_key_for_its_user_alone() -> None:
    vault, ann = Vault(KEY), uuid.UUID(int=1)
    sealed = vault.seal(ann, b"secret")
    assert vault.unseal(ann, sealed) == b"secret"
    assert b"secret" not in sealed
    assert vault.seal(ann, b"secret") != sealed
    for other, user, data in ((Vault(bytes(32)), ann, sealed), (vault, uuid.UUID(int=2), sealed), (vault, ann, b"")):
        with pytest.raises(UsageError, match=r"pages\.key"):
            other.unseal(user, data)
    with pytest.raises(UsageError, match="32 bytes"):
        Vault(b"short")
