"""Administering a clinic's users: what each change ends, who may, and that one clinic does not see another's."""

import uuid
from pathlib import Path

import pytest
from typer.testing import CliRunner

from gonio.cli import clinic as clinic_command
from gonio.cloud_sink.accounts import (
    Accounts,
    Identity,
    LastAdminError,
    NoSuchError,
    NotAllowedError,
    Outcome,
    Role,
    StepUpNeededError,
    UserState,
)
from gonio.cloud_sink.schema import HOME_CLINIC
from gonio.cloud_sink.store import open_store
from gonio.errors import UsageError
from tests.cloud_sink.accounts.conftest import Clock, People, Person


def test_another_clinics_user_is_not_there(accounts: Accounts, people: People) -> None:
    other = accounts.add_clinic("Other Clinic", "Europe/Berlin", "operator:test")
    chief = people.add("chief@home.example", Role.ADMIN)
    stranger = people.add("ann@other.example", Role.ADMIN, other)
    mine = accounts.administration(chief.identity)
    assert [user.login for user in mine.users()] == ["chief@home.example"]
    theirs = stranger.identity.user_id
    for change in (mine.user, mine.disable, mine.enable, mine.reset, mine.unlock, mine.invite_again):
        with pytest.raises(NoSuchError):
            change(theirs)
    with pytest.raises(NoSuchError):
        mine.set_role(theirs, Role.BILLER)
    with pytest.raises(NoSuchError):
        mine.find("ann@other.example")
    with pytest.raises(NoSuchError):
        accounts.administration_of(uuid.UUID(int=9), "operator:test")
    with pytest.raises(UsageError, match="cannot be used"):
        mine.invite("ANN@other.example", "Ann", Role.BILLER)
    assert stranger.identity.role is Role.ADMIN


@pytest.mark.parametrize("role", [role for role in Role if role is not Role.ADMIN])
def test_only_an_administrator_administers(accounts: Accounts, people: People, role: Role) -> None:
    person = people.add(role=role)
    with pytest.raises(NotAllowedError):
        accounts.administration(person.identity)


def test_an_administrator_steps_up_first_and_must_still_be_one(
    accounts: Accounts, people: People, clock: Clock
) -> None:
    chief, second = people.add("chief@c.example", Role.ADMIN), people.add("second@c.example", Role.ADMIN)
    office = accounts.administration(second.identity)
    accounts.administration(chief.identity).set_role(second.identity.user_id, Role.BILLER)
    with pytest.raises(NotAllowedError):
        office.invite("x@c.example", "X", Role.BILLER)
    clock.move(minutes=11)
    with pytest.raises(StepUpNeededError):
        accounts.administration(chief.identity).invite("x@c.example", "X", Role.BILLER)
    assert len(accounts.administration(chief.identity).users()) == 2


def test_the_last_administrator_stays(accounts: Accounts, people: People) -> None:
    chief = people.add("chief@c.example", Role.ADMIN)
    mine = accounts.administration(chief.identity)
    me = chief.identity.user_id
    mine.invite("not-here-yet@c.example", "Not here yet", Role.ADMIN)
    for change in (mine.disable, mine.reset, lambda user: mine.set_role(user, Role.BILLER)):
        with pytest.raises(LastAdminError):
            change(me)
    operator = accounts.administration_of(HOME_CLINIC, "operator:test")
    for refused in (operator.disable, lambda user: operator.set_role(user, Role.BILLER)):
        with pytest.raises(LastAdminError):
            refused(me)
    people.add("second@c.example", Role.ADMIN)
    mine.disable(me)
    assert accounts.session(chief.token) is None


def test_what_each_change_ends(accounts: Accounts, people: People) -> None:
    office = accounts.administration_of(HOME_CLINIC, "operator:test")
    ann = people.add()
    user_id = ann.identity.user_id
    office.set_role(user_id, Role.BILLER)
    assert accounts.session(ann.token) is None
    assert ann.sign_in().role is Role.BILLER
    office.disable(user_id)
    assert accounts.session(ann.token) is None
    assert ann.try_password(device=ann.device).outcome is Outcome.REFUSED
    office.enable(user_id)
    ann.sign_in()
    invitation = office.reset(user_id)
    assert accounts.session(ann.token) is None
    assert ann.try_password().outcome is Outcome.REFUSED
    user = office.user(user_id)
    assert (user.state, user.totp) == (UserState.INVITED, False)
    old = ann.codes[0]
    ann.password = "four kites above the harbour"  # noqa: S105 - of a test
    ann.accept(invitation)
    token = ann.try_password().token or ""
    assert accounts.second_factor(token, old, source="").outcome is Outcome.REFUSED
    office.disable(user_id)
    office.disable(user_id)
    assert [(note.actor, note.action, note.subject_id) for note in people.notes() if note.actor == "operator:test"] == [
        ("operator:test", action, str(user_id))
        for action in ("user-invited", "role-changed", "user-disabled", "user-enabled", "user-reset", "user-disabled")
    ]


def test_disabled_before_coming_is_invited_after(accounts: Accounts, people: People) -> None:
    office = accounts.administration_of(HOME_CLINIC, "operator:test")
    invitation = office.invite("ann@c.example", "Ann", Role.THERAPIST)
    office.disable(invitation.user_id)
    assert accounts.invitation(invitation.token) is None
    with pytest.raises(UsageError, match="disabled"):
        office.invite_again(invitation.user_id)
    office.enable(invitation.user_id)
    assert office.user(invitation.user_id).state is UserState.INVITED
    assert accounts.invitation(office.invite_again(invitation.user_id).token) is not None


@pytest.mark.parametrize(
    "login", ["", "ann", "ann@", "@c.example", "a b@c.example", "ann@c\n.example", f"{'a' * 250}@c.example"]
)
def test_what_is_no_address(accounts: Accounts, login: str) -> None:
    with pytest.raises(UsageError, match="e-mail address"):
        accounts.administration_of(HOME_CLINIC, "operator:test").invite(login, "Ann", Role.BILLER)


def test_breaking_the_glass(accounts: Accounts, people: People, clock: Clock, store_url: str) -> None:
    with open_store(store_url) as store:
        patient = store.add_patient("Some Patient", "UTC")
        another = store.add_patient("Another Patient", "UTC")
    chief = people.add("chief@c.example", Role.ADMIN)
    stranger = people.add("x@other.example", Role.ADMIN, accounts.add_clinic("Other", "UTC", "operator:test"))
    why = "the therapist is ill and the patient reports severe pain"
    with pytest.raises(NoSuchError):
        accounts.break_glass(stranger.identity, patient, why)
    for bad in ("", "short", "x" * 501, "with a line\nbreak in it"):
        with pytest.raises(UsageError, match="say why"):
            accounts.break_glass(chief.identity, patient, bad)
    for role in (Role.THERAPIST, Role.ASSISTANT):
        treating = people.add(f"{role}@c.example", role)
        with pytest.raises(UsageError, match="whoever treats"):
            accounts.break_glass(treating.identity, patient, why)
    grant = accounts.break_glass(chief.identity, patient, why)
    assert accounts.opened(chief.identity, patient) == grant
    assert accounts.opened(chief.identity, another) is None
    assert accounts.opened(stranger.identity, patient) is None
    (note,) = people.notes("break-glass")
    assert (note.actor, note.subject_kind, note.subject_id, note.reason) == (
        chief.identity.actor,
        "patient",
        str(patient),
        why,
    )
    identity = chief.identity
    clock.move(minutes=60)
    assert accounts.opened(identity, patient) is None
    with pytest.raises(StepUpNeededError):
        accounts.break_glass(chief_now(chief, clock), patient, why)
    assert accounts.recent_break_glass(HOME_CLINIC) == [grant]
    assert accounts.recent_break_glass(stranger_clinic(people)) == []
    clock.move(days=7)
    assert accounts.recent_break_glass(HOME_CLINIC) == []


def chief_now(chief: Person, clock: Clock) -> Identity:
    """Give who is signed in eleven minutes after the second factor."""
    chief.sign_in()
    clock.move(minutes=11)
    return chief.identity


def stranger_clinic(people: People) -> uuid.UUID:
    return next(clinic.clinic_id for clinic in people.accounts.clinics() if clinic.name == "Other")


# --- what operators type ---


def run(*arguments: str) -> str:
    result = CliRunner().invoke(clinic_command.app, arguments)
    if result.exception is not None:
        raise result.exception
    return result.stdout


@pytest.fixture
def at(tmp_path: Path) -> tuple[str, ...]:
    return ("--store", f"sqlite:///{tmp_path}/book.db", "--clinic-dir", str(tmp_path / "clinic"))


def test_users_on_the_command_line(at: tuple[str, ...]) -> None:
    other = run("add", "Second Clinic", "--time-zone", "Europe/Berlin", *at).strip()
    assert "Second Clinic" in run("list", *at)
    assert "no users yet" in run("user", "list", *at)
    url = ("--url", "https://review.clinic.example:8600/")
    said = run("user", "invite", "Ann@C.example", "--name", "Ann", "--role", "admin", *url, *at)
    link = said.splitlines()[-1]
    assert link.startswith("https://review.clinic.example:8600/join/")
    again = run("user", "invite", "ann@c.example", "--name", "Ann", "--role", "admin", *url, *at).splitlines()[-1]
    assert again != link
    listed = run("user", "list", *at)
    assert "admin      invited   none                   ann@c.example" in listed
    assert link.rpartition("/")[2] not in listed
    run("user", "role", "ann@c.example", "biller", *at)
    run("user", "disable", "ann@c.example", *at)
    assert "disabled" in run("user", "list", *at)
    assert "invited" in run("user", "enable", "ann@c.example", *at)
    run("user", "unlock", "ann@c.example", *at)
    assert "/join/" in run("user", "reset", "ann@c.example", *url, *at)
    with pytest.raises(UsageError, match="no user"):
        run("user", "disable", "ann@c.example", "--clinic", other, *at)


@pytest.mark.parametrize(
    "url", ["http://review.clinic.example", "ftp://localhost", "localhost", "https://", "https://a/?b=c", "https://[/"]
)
def test_an_invitation_is_not_sent_over_an_open_network(at: tuple[str, ...], url: str) -> None:
    run("add", "Clinic", "--time-zone", "UTC", *at)
    with pytest.raises(UsageError, match="no address of the pages"):
        run("user", "invite", "ann@c.example", "--name", "Ann", "--role", "admin", "--url", url, *at)
    assert "no users yet" in run("user", "list", *at)


def test_a_role_that_there_is_not(at: tuple[str, ...]) -> None:
    run("add", "Clinic", "--time-zone", "UTC", *at)
    with pytest.raises(UsageError, match="is no role: one of therapist"):
        run("user", "invite", "a@c.example", "--name", "A", "--role", "owner", "--url", "https://a.example", *at)
