"""Passkeys, made and proven by an authenticator in software."""

import json

import pytest

from gonio.cloud_sink.accounts import (
    Accounts,
    FactorRefusedError,
    LastFactorError,
    NoSuchError,
    Outcome,
    Role,
    Site,
)
from gonio.cloud_sink.schema import HOME_CLINIC
from tests.cloud_sink.accounts.authenticator import PRESENT, Authenticator
from tests.cloud_sink.accounts.conftest import PASSWORD, Clock, People, Person

SITE = Site("review.clinic.example", "https://review.clinic.example:8600")


def with_passkey(people: People) -> tuple[Person, Authenticator]:
    """Enter somebody with an app and a passkey."""
    ann, key = people.add(), Authenticator(SITE.origin)
    options = people.accounts.begin_passkey_registration(ann.token, SITE)
    done = people.accounts.finish_passkey_registration(ann.token, key.make(options), SITE, "blue key")
    assert done.outcome is Outcome.DONE
    ann.token = done.token or ""
    return ann, key


def prove(accounts: Accounts, token: str, key: Authenticator) -> Outcome:
    answer = key.prove(accounts.begin_passkey(token, SITE))
    return accounts.finish_passkey(token, answer, SITE, source="").outcome


def test_signing_in_with_a_passkey(accounts: Accounts, people: People) -> None:
    ann, key = with_passkey(people)
    assert [passkey.name for passkey in accounts.passkeys(ann.identity)] == ["blue key"]
    for _ in range(2):
        assert prove(accounts, ann.try_password().token or "", key) is Outcome.DONE
    factors = [json.loads(note.detail).get("factor") for note in people.notes("signed-in")]
    assert factors == ["totp", "passkey", "passkey"]


def test_a_passkey_may_be_the_first_factor(accounts: Accounts) -> None:
    office = accounts.administration_of(HOME_CLINIC, "operator:test")
    invitation = office.invite("ann@c.example", "Ann", Role.THERAPIST)
    token = accounts.accept_invitation(invitation.token, PASSWORD, source="").token or ""
    key = Authenticator(SITE.origin)
    options = accounts.begin_passkey_registration(token, SITE)
    assert json.loads(options)["authenticatorSelection"]["userVerification"] == "required"
    done = accounts.finish_passkey_registration(token, key.make(options), SITE, "")
    assert (done.outcome, len(done.recovery_codes)) == (Outcome.DONE, 10)
    identity = accounts.session(done.token or "")
    assert identity is not None
    (passkey,) = accounts.passkeys(identity)
    with pytest.raises(LastFactorError):
        accounts.remove_passkey(done.token or "", passkey.passkey_id)
    assert accounts.passkeys(identity) == [passkey]


def test_what_is_no_proof(accounts: Accounts, people: People, clock: Clock) -> None:
    ann, key = with_passkey(people)
    token = ann.try_password().token or ""

    def tried(answer: str) -> Outcome:
        clock.move(seconds=20)
        return accounts.finish_passkey(token, answer, SITE, source="").outcome

    def asked() -> str:
        return accounts.begin_passkey(token, SITE)

    spare = key.prove(asked())
    assert tried(key.prove(asked())) is Outcome.DONE
    token = ann.try_password().token or ""
    assert tried(spare) is Outcome.REFUSED, "an answer to an earlier question"
    other = Authenticator(SITE.origin)
    assert tried(other.prove(asked())) is Outcome.REFUSED, "a passkey of nobody's"
    other.credential_id = key.credential_id
    assert tried(other.prove(asked())) is Outcome.REFUSED, "another key under this name"
    key.origin = "https://phishing.example"
    assert tried(key.prove(asked())) is Outcome.REFUSED, "made for another site"
    key.origin = SITE.origin
    key.flags = PRESENT
    assert tried(key.prove(asked())) is Outcome.REFUSED, "without PIN, finger or face"


def test_a_copied_passkey_is_refused(accounts: Accounts, people: People, clock: Clock) -> None:
    ann, key = with_passkey(people)
    key.count = 41
    assert prove(accounts, ann.try_password().token or "", key) is Outcome.DONE
    key.count = 40
    assert prove(accounts, ann.try_password().token or "", key) is Outcome.REFUSED


def test_a_question_is_good_once_for_five_minutes(accounts: Accounts, people: People, clock: Clock) -> None:
    ann, key = with_passkey(people)
    token = ann.try_password().token or ""
    answer = key.prove(accounts.begin_passkey(token, SITE))
    clock.move(minutes=5, seconds=1)
    assert accounts.finish_passkey(token, answer, SITE, source="").outcome is Outcome.REFUSED
    answer = key.prove(accounts.begin_passkey(token, SITE))
    assert accounts.finish_passkey(token, "{}", SITE, source="").outcome is Outcome.REFUSED
    assert accounts.finish_passkey(token, answer, SITE, source="").outcome is Outcome.REFUSED


def test_anothers_passkey_opens_nothing(accounts: Accounts, people: People) -> None:
    _, key = with_passkey(people)
    bob = people.add("bob@clinic.example")
    assert prove(accounts, bob.try_password().token or "", key) is Outcome.REFUSED


@pytest.mark.parametrize(
    "answer",
    ["", "null", "[]", "{}", "[" * 16_000, "x" * 20_000, '{"id":"a","rawId":"a","type":"public-key","response":{}}'],
    ids=["nothing", "null", "list", "empty", "deep", "long", "hollow"],
)
def test_an_answer_that_is_none(accounts: Accounts, people: People, answer: str) -> None:
    ann, _ = with_passkey(people)
    accounts.begin_passkey_registration(ann.token, SITE)
    with pytest.raises(FactorRefusedError):
        accounts.finish_passkey_registration(ann.token, answer, SITE, "x")
    accounts.begin_passkey(ann.token, SITE)
    assert accounts.finish_passkey(ann.token, answer, SITE, source="").outcome is Outcome.REFUSED


def test_a_passkey_is_registered_once_and_removed_by_its_owner(accounts: Accounts, people: People) -> None:
    ann, key = with_passkey(people)
    bob = people.add("bob@clinic.example")
    options = accounts.begin_passkey_registration(bob.token, SITE)
    with pytest.raises(FactorRefusedError, match="known already"):
        accounts.finish_passkey_registration(bob.token, key.make(options), SITE, "stolen")
    (passkey,) = accounts.passkeys(ann.identity)
    with pytest.raises(NoSuchError):
        accounts.remove_passkey(bob.token, passkey.passkey_id)
    accounts.remove_passkey(ann.token, passkey.passkey_id)
    assert accounts.passkeys(ann.identity) == []
    with pytest.raises(LastFactorError):
        accounts.remove_totp(ann.token)
