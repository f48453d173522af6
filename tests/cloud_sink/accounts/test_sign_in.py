"""Signing in: each step, what it opens, and what is refused."""

import json
from datetime import timedelta

import pyotp
import pytest
from argon2 import PasswordHasher
from sqlalchemy import select

from gonio.cloud_sink.accounts import (
    Accounts,
    FactorRefusedError,
    InvitationError,
    LastFactorError,
    Lifetimes,
    NoSuchError,
    Outcome,
    PasswordRefusedError,
    Role,
    SignedOutError,
    Stage,
    StepUpNeededError,
)
from gonio.cloud_sink.accounts.passwords import Passwords
from gonio.cloud_sink.audit_log import verify
from gonio.cloud_sink.schema import HOME_CLINIC
from gonio.cloud_sink.schema_all import METADATA
from tests.cloud_sink.accounts.conftest import PASSWORD, Clock, People


def test_from_the_invitation_to_the_session(accounts: Accounts, people: People) -> None:
    ann = people.add("Ann@Clinic.Example")
    assert (ann.identity.login, ann.identity.clinic_id, ann.identity.stepped_up) == (
        "ann@clinic.example",
        HOME_CLINIC,
        True,
    )
    assert len(set(ann.codes)) == 10
    accounts.sign_out(ann.token)
    assert accounts.session(ann.token) is None
    accounts.sign_out(ann.token)
    identity = ann.sign_in()
    assert [session.session_id for session in accounts.sessions(identity)] == [identity.session_id]
    assert [note.action for note in people.notes()] == [
        "user-invited",
        "invitation-taken",
        "second-factor-added",
        "recovery-codes-made",
        "signed-in",
        "signed-out",
        "password-accepted",
        "signed-in",
    ]
    with accounts._reader.connect() as connection:
        assert verify(connection).intact


def test_a_login_is_one_whatever_its_case_and_composition(people: People) -> None:
    ann = people.add("ann@clinic.example")
    ann.login = "  \uff21NN@CLINIC.example "
    ann.sign_in()


def test_each_step_gives_a_new_token_and_ends_the_one_before(accounts: Accounts, people: People) -> None:
    ann = people.add()
    first = ann.try_password()
    assert first.token is not None
    assert accounts.session(first.token) is None, "a password alone opens nothing"
    pending = accounts.pending(first.token)
    assert pending is not None
    assert (pending.stage, pending.totp, pending.recovery_codes) == (Stage.FACTOR, True, 10)
    done = accounts.second_factor(first.token, ann.code(), source="192.0.2.7")
    assert done.token not in {None, first.token}
    assert accounts.pending(first.token) is None
    again = accounts.second_factor(done.token or "", ann.code(), source="192.0.2.7")
    assert again.outcome is Outcome.DONE
    assert again.token != done.token
    assert accounts.session(done.token or "") is None


def test_what_the_book_keeps_opens_nothing(accounts: Accounts, people: People) -> None:
    ann = people.add()
    with accounts._reader.connect() as connection:
        rows = [str(row) for table in METADATA.tables.values() for row in connection.execute(select(table))]
        raw = [
            value
            for table in METADATA.tables.values()
            for row in connection.execute(select(table))
            for value in row
            if isinstance(value, bytes)
        ]
    for secret in (
        ann.password,
        ann.secret,
        ann.token,
        ann.device or "",
        *ann.codes,
        *(c.replace("-", "") for c in ann.codes),
    ):
        assert secret
        assert not any(secret in row for row in rows)
        assert not any(secret.encode() in value for value in raw)


def test_the_audit_log_has_ids_alone(people: People) -> None:
    ann = people.add()
    for _ in range(6):
        ann.try_password("wrong")
    ann.try_password("wrong", device=ann.device)
    text = json.dumps([list(map(str, note)) for note in people.notes()])
    assert "ann" not in text.lower().replace("channel", "")
    assert "sign-in-failed" in text


@pytest.mark.parametrize(
    "login",
    ["nobody@clinic.example", "", "a" * 10_000, "\ud800@x", "ann@clinic.example\0"],
    ids=["nobody", "empty", "long", "surrogate", "nul"],
)
def test_nobody_and_a_wrong_password_are_answered_alike(people: People, login: str) -> None:
    ann = people.add()
    wrong = ann.try_password("wrong")
    ann.login = login
    assert ann.try_password("wrong") == wrong
    assert wrong.outcome is Outcome.REFUSED
    assert wrong.token is None


def test_nobody_costs_as_much_as_a_wrong_password(
    accounts: Accounts, people: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    ann = people.add()
    checked: list[tuple[int, int]] = []
    real = PasswordHasher.verify

    def verify(hasher: PasswordHasher, kept: str, password: str) -> bool:
        checked.append((len(kept), len(password)))
        return real(hasher, kept, password)

    monkeypatch.setattr(PasswordHasher, "verify", verify)
    ann.try_password("wrong")
    ann.login = "nobody@clinic.example"
    ann.try_password("wrong")
    assert len(checked) == 2
    assert checked[0] == checked[1]


def test_a_session_ends_when_nobody_is_there_and_at_its_age(accounts: Accounts, people: People, clock: Clock) -> None:
    ann = people.add()
    clock.move(minutes=14)
    assert accounts.session(ann.token, active=False) is not None
    clock.move(minutes=1)
    assert accounts.session(ann.token) is None, "what a page asks by itself is no activity"
    ann.sign_in()
    for _ in range(12 * 6 - 1):
        clock.move(minutes=10)
        assert accounts.session(ann.token) is not None
    clock.move(minutes=10)
    assert accounts.session(ann.token) is None


def test_a_step_that_takes_too_long_starts_anew(accounts: Accounts, people: People, clock: Clock) -> None:
    ann = people.add()
    step = ann.try_password()
    clock.move(minutes=10)
    with pytest.raises(SignedOutError):
        accounts.second_factor(step.token or "", ann.code(), source="192.0.2.7")


def test_a_code_is_good_once_within_a_step_of_now(accounts: Accounts, people: People, clock: Clock) -> None:
    ann = people.add()
    token = ann.try_password().token or ""
    clock.move(seconds=90)
    late = ann.code()
    clock.move(seconds=60)
    assert accounts.second_factor(token, late, source="").outcome is Outcome.REFUSED
    code = ann.code()
    clock.move(seconds=30)
    done = accounts.second_factor(token, code, source="")
    assert done.outcome is Outcome.DONE
    assert accounts.second_factor(done.token or "", code, source="").outcome is Outcome.REFUSED
    assert accounts.second_factor(done.token or "", "", source="").outcome is Outcome.REFUSED
    assert accounts.second_factor(done.token or "", "१२३४५६", source="").outcome is Outcome.REFUSED


def test_a_recovery_code_is_good_once(accounts: Accounts, people: People) -> None:
    ann, bob = people.add(), people.add("bob@clinic.example")
    token = ann.try_password().token or ""
    assert accounts.second_factor(token, bob.codes[0], source="").outcome is Outcome.REFUSED
    done = accounts.second_factor(token, ann.codes[3].lower().replace("-", " "), source="")
    assert done.outcome is Outcome.DONE
    pending = accounts.pending(done.token or "")
    assert pending is not None
    assert pending.recovery_codes == 9
    again = ann.try_password().token or ""
    assert accounts.second_factor(again, ann.codes[3], source="").outcome is Outcome.REFUSED
    assert [json.loads(note.detail) for note in people.notes("recovery-code-used")] == [{"left": 9}]
    fresh = accounts.new_recovery_codes(done.token or "")
    assert accounts.second_factor(again, ann.codes[4], source="").outcome is Outcome.REFUSED
    assert accounts.second_factor(again, fresh[0], source="").outcome is Outcome.DONE


def test_an_invitation_is_good_once_for_seven_days(accounts: Accounts, people: People, clock: Clock) -> None:
    admin = accounts.administration_of(HOME_CLINIC, "operator:test")
    invitation = admin.invite("ann@clinic.example", "Ann Example", Role.THERAPIST)
    shown = accounts.invitation(invitation.token)
    assert shown is not None
    assert (shown.login, shown.name) == ("ann@clinic.example", "Ann Example")
    with pytest.raises(PasswordRefusedError):
        accounts.accept_invitation(invitation.token, "ann@clinic.example", source="")
    accounts.accept_invitation(invitation.token, PASSWORD, source="")
    with pytest.raises(InvitationError):
        accounts.accept_invitation(invitation.token, PASSWORD, source="")
    late = admin.invite("late@clinic.example", "Late", Role.BILLER)
    newer = admin.invite_again(late.user_id)
    assert accounts.invitation(late.token) is None
    clock.move(days=7)
    assert accounts.invitation(newer.token) is None
    with pytest.raises(InvitationError):
        accounts.accept_invitation(newer.token, PASSWORD, source="")


def test_who_stops_before_the_second_factor_goes_on_there(accounts: Accounts, people: People) -> None:
    invitation = accounts.administration_of(HOME_CLINIC, "operator:test").invite(
        "ann@clinic.example", "Ann", Role.ASSISTANT
    )
    accounts.accept_invitation(invitation.token, PASSWORD, source="")
    first, second = (accounts.sign_in("ann@clinic.example", PASSWORD, source="") for _ in range(2))
    assert first.outcome is Outcome.ENROL
    assert first.token
    assert second.token
    assert accounts.session(first.token) is None
    assert accounts.second_factor(first.token, "123456", source="").outcome is Outcome.ENROL
    with pytest.raises(FactorRefusedError):
        accounts.confirm_totp(first.token, "123456")
    with pytest.raises(SignedOutError):
        accounts.new_recovery_codes(first.token)
    secret = accounts.begin_totp(first.token).secret
    with pytest.raises(FactorRefusedError):
        accounts.confirm_totp(first.token, "12345")
    code = pyotp.TOTP(secret).at(accounts._clock())
    assert accounts.confirm_totp(first.token, code).outcome is Outcome.DONE
    assert accounts.pending(second.token) is None, "the other browser cannot set up a second one"


def test_a_new_password_ends_all_other_sessions(accounts: Accounts, people: People) -> None:
    ann = people.add()
    other = ann.token
    ann.sign_in()
    assert (
        accounts.change_password(ann.token, "wrong", "three lamps on a red roof", source="").outcome is Outcome.REFUSED
    )
    with pytest.raises(PasswordRefusedError, match="at least 12"):
        accounts.change_password(ann.token, PASSWORD, "short", source="")
    done = accounts.change_password(ann.token, PASSWORD, "three lamps on a red roof", source="")
    assert done.outcome is Outcome.DONE
    assert accounts.session(other) is None
    assert accounts.session(ann.token) is None
    assert accounts.session(done.token or "") is not None
    assert ann.try_password().outcome is Outcome.REFUSED
    ann.password = "three lamps on a red roof"  # noqa: S105 - of a test
    ann.sign_in()


def test_what_needs_the_second_factor_anew(accounts: Accounts, people: People, clock: Clock) -> None:
    ann = people.add()
    clock.move(minutes=10)
    for change in (accounts.begin_totp, accounts.new_recovery_codes, accounts.remove_totp):
        with pytest.raises(StepUpNeededError):
            change(ann.token)
    done = accounts.second_factor(ann.token, ann.code(), source="", device=ann.device)
    ann.token = done.token or ""
    assert len(accounts.new_recovery_codes(ann.token)) == 10
    with pytest.raises(LastFactorError):
        accounts.remove_totp(ann.token)
    assert [json.loads(note.detail)["browser"] for note in people.notes("stepped-up")] == ["known"]


def test_ending_own_sessions_and_no_others(accounts: Accounts, people: People) -> None:
    ann, bob = people.add(), people.add("bob@clinic.example")
    first = ann.identity
    second = ann.sign_in()
    with pytest.raises(NoSuchError):
        accounts.end_session(bob.identity, first.session_id)
    accounts.end_session(second, first.session_id)
    ann.sign_in()
    assert accounts.end_other_sessions(ann.identity) == 1
    assert [s.session_id for s in accounts.sessions(ann.identity)] == [ann.identity.session_id]
    assert len(accounts.sessions(bob.identity)) == 1


def test_sessions_and_browsers_of_one_user_are_bounded(accounts: Accounts, people: People, clock: Clock) -> None:
    ann = people.add()
    own = ann.device
    for _ in range(25):
        ann.device = None
        ann.sign_in()
        clock.move(seconds=1)
    with accounts._reader.connect() as connection:
        counts = [
            len(connection.execute(select(METADATA.tables[name])).all()) for name in ("web_sessions", "known_devices")
        ]
    assert counts == [20, 10]
    assert own is not None


def test_a_browser_token_that_is_not_ours_is_never_taken(accounts: Accounts, people: People) -> None:
    ann, bob = people.add(), people.add("bob@clinic.example")
    ann.device = "chosen-by-somebody-else"
    ann.sign_in()
    assert ann.device != "chosen-by-somebody-else"
    bob.device = ann.device
    bob.sign_in()
    assert bob.device == ann.device, "two who share a browser share its token"


def test_a_password_is_hashed_anew_when_the_cost_changes(accounts: Accounts, people: People) -> None:
    ann = people.add()
    accounts._passwords = Passwords(time_cost=2, memory_kib=8, parallelism=1)
    ann.sign_in()
    with accounts._reader.connect() as connection:
        (kept,) = connection.execute(select(METADATA.tables["users"].c.password_hash)).scalars()
    assert "$argon2id$" in kept
    assert "t=2" in kept
    ann.sign_in()


def test_the_demos_therapist_has_a_session_and_no_way_in(accounts: Accounts, people: People) -> None:
    tokens = [accounts.admit_demo().token or "" for _ in range(2)]
    first, second = (accounts.session(token) for token in tokens)
    assert first is not None
    assert second is not None
    assert first.user_id == second.user_id
    assert (first.role, first.stepped_up) == ("therapist", False)
    assert accounts.sign_in(first.login, "", source="").outcome is Outcome.REFUSED
    with pytest.raises(StepUpNeededError):
        accounts.begin_totp(tokens[0])


def test_the_life_of_a_session_can_be_set(accounts: Accounts, people: People, clock: Clock) -> None:
    accounts._lifetimes = Lifetimes(idle=timedelta(minutes=2))
    ann = people.add()
    clock.move(minutes=2)
    assert accounts.session(ann.token) is None
