"""Two processes at once: of what is good once, exactly one gets it."""

import subprocess
import sys
from collections.abc import Callable

import pytest
from sqlalchemy import select

from gonio.cloud_sink.accounts import Accounts, Role, UserState
from gonio.cloud_sink.audit_log import verify
from gonio.cloud_sink.schema import HOME_CLINIC
from gonio.cloud_sink.schema_accounts import USERS
from tests.cloud_sink.accounts.conftest import PASSWORD, Clock, People

WORKER = """
import sys
from datetime import datetime
from uuid import UUID
from gonio.cloud_sink.accounts import AccountError, Accounts, Passwords, Role
from gonio.cloud_sink.engine import open_engine
from gonio.cloud_sink.schema import HOME_CLINIC
url, now, what, *rest = sys.argv[1:]
cheap = Passwords(time_cost=1, memory_kib=8, parallelism=1)
engine = open_engine(url, create=False)
accounts = Accounts(engine, bytes(range(32)), passwords=cheap, clock=lambda: datetime.fromisoformat(now))
office = accounts.administration_of(HOME_CLINIC, "operator:race")
print("ready", flush=True)
sys.stdin.readline()
try:
    if what == "factor":
        print(accounts.second_factor(*rest, source="").outcome)
    elif what == "invitation":
        print(accounts.accept_invitation(*rest, source="").outcome)
    elif what == "demote":
        office.set_role(UUID(rest[0]), Role.BILLER)
        print("done")
    elif what == "guess":
        print(*[accounts.sign_in(rest[0], "wrong", source="").outcome for _ in range(6)])
except AccountError as error:
    print(type(error).__name__)
"""


@pytest.fixture
def race(store_url: str, clock: Clock) -> Callable[..., list[str]]:
    """Run workers that start at the same moment, and give what each said, sorted."""

    def run(*jobs: tuple[str, ...]) -> list[str]:
        workers = [
            subprocess.Popen(
                [sys.executable, "-c", WORKER, store_url, clock.now.isoformat(), *job],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            for job in jobs
        ]
        for worker in workers:
            assert worker.stdout is not None
            assert worker.stdout.readline() == "ready\n"
        for worker in workers:
            assert worker.stdin is not None
            worker.stdin.write("go\n")
            worker.stdin.flush()
        return sorted(worker.communicate(timeout=60)[0].strip() for worker in workers)

    return run


@pytest.mark.parametrize("kind", ["totp", "recovery-code"])
def test_one_of_several_gets_in_with_one_code(people: People, race: Callable[..., list[str]], kind: str) -> None:
    ann = people.add()
    code = ann.code() if kind == "totp" else ann.codes[0]
    tokens = [ann.try_password().token or "" for _ in range(3)]
    assert race(*(("factor", token, code) for token in tokens)) == ["done", "refused", "refused"]


def test_one_of_several_gets_on_with_one_session(people: People, race: Callable[..., list[str]]) -> None:
    ann = people.add()
    token = ann.try_password().token or ""
    jobs = [("factor", token, code) for code in ann.codes[:3]]
    assert race(*jobs) == ["SignedOutError", "SignedOutError", "done"]


def test_one_of_several_takes_an_invitation(accounts: Accounts, race: Callable[..., list[str]]) -> None:
    office = accounts.administration_of(HOME_CLINIC, "operator:test")
    token = office.invite("ann@c.example", "Ann", Role.BILLER).token
    assert race(*[("invitation", token, PASSWORD)] * 3) == ["InvitationError", "InvitationError", "enrol"]


def test_of_two_administrators_demoted_at_once_one_stays(
    accounts: Accounts, people: People, race: Callable[..., list[str]]
) -> None:
    both = [people.add(f"{n}@c.example", Role.ADMIN).identity.user_id for n in range(2)]
    assert race(*(("demote", str(user_id)) for user_id in both)) == ["LastAdminError", "done"]
    with accounts._reader.connect() as connection:
        roles = list(connection.execute(select(USERS.c.role).where(USERS.c.state == UserState.ACTIVE)).scalars())
    assert sorted(roles) == ["admin", "biller"]


def test_guesses_at_once_are_all_counted(people: People, race: Callable[..., list[str]]) -> None:
    ann = people.add()
    said = " ".join(race(*[("guess", ann.login)] * 3)).split()
    assert (said.count("refused"), said.count("wait")) == (5, 13)
    with people.accounts._reader.connect() as connection:
        assert verify(connection).intact
