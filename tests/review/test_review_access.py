"""Who may open what: every route, every role, the own clinic's things and another's; and what comes from elsewhere."""

import itertools
import re
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote
from uuid import UUID, uuid4

import pyotp
import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute
from starlette.responses import Response

from examples.review_sample import make_session
from gonio.cloud_sink.accounts import Accounts, Passwords, Role
from gonio.cloud_sink.clinic_book import ClinicBook
from gonio.cloud_sink.engine import StoreUnavailableError
from gonio.cloud_sink.review.app import create_app
from gonio.cloud_sink.review.gate import House
from gonio.cloud_sink.review.rules import RULES
from gonio.cloud_sink.store import Store, open_store
from gonio.messages import Envelope, SessionSummary, new_record_id, wire_time
from gonio.web.forms import MAX_BODY, form_token

Ask = Callable[..., Awaitable[Any]]
PASSWORD = "nine violet otters hum"  # noqa: S105 - of a test
T, A, B, M, L = Role.THERAPIST, Role.ASSISTANT, Role.BILLER, Role.ADMIN, Role.AUDITOR
ALL = {T, A, B, M, L}

#: Who may, written down a second time by hand: a route that is not here, or not as here, fails.
MAY: dict[tuple[str, str], set[Role] | None] = {
    ("GET", "/"): ALL,
    ("GET", "/sign-in"): None,
    ("POST", "/sign-in"): None,
    ("GET", "/sign-in/factor"): None,
    ("POST", "/sign-in/factor"): None,
    ("GET", "/sign-in/set-up"): None,
    ("POST", "/sign-in/set-up"): None,
    ("POST", "/sign-in/set-up/passkey"): None,
    ("POST", "/sign-in/passkey"): None,
    ("POST", "/sign-out"): None,
    ("GET", "/join/{token}"): None,
    ("POST", "/join/{token}"): None,
    ("GET", "/patients"): {T, A, B},
    ("GET", "/patients/{patient_id}"): {T, A},
    ("GET", "/sessions/{record_id}"): {T, A},
    ("GET", "/break-glass/{patient_id}"): {B, M, L},
    ("POST", "/break-glass/{patient_id}"): {B, M, L},
    ("GET", "/completeness"): ALL,
    ("GET", "/completeness/kits/{kit_id}"): ALL,
    ("GET", "/completeness/quarantine"): ALL,
    ("GET", "/stock"): {T, A, M, L},
    ("GET", "/stock.csv"): {T, A, M, L},
    ("GET", "/stock/{item_id}"): {T, A, M, L},
    ("POST", "/stock/{item_id}"): {T, A, M},
    ("GET", "/log"): {M, L},
    ("GET", "/log/check"): ALL,
    ("POST", "/log/export"): {M, L},
    ("GET", "/account"): ALL,
    ("POST", "/account/password"): ALL,
    ("POST", "/account/recovery-codes"): ALL,
    ("POST", "/account/sessions/end"): ALL,
    ("POST", "/account/passkeys/remove"): ALL,
    ("GET", "/users"): {M},
    ("POST", "/users/invite"): {M},
    ("POST", "/users/{user_id}"): {M},
}


@dataclass
class Clinic:
    """A clinic with one of each, and one user of each role who is signed in."""

    clinic_id: UUID
    patient: UUID
    kit: str
    record: UUID
    box: UUID
    name: str
    cookies: dict[Role, str] = field(default_factory=dict)
    tokens: dict[Role, str] = field(default_factory=dict)
    users: dict[Role, UUID] = field(default_factory=dict)

    def path(self, path: str) -> str:
        """Put this clinic's things into a route's path."""
        values = {
            "patient_id": self.patient,
            "record_id": self.record,
            "kit_id": self.kit,
            "item_id": self.box,
            "token": "x" * 43,
            "user_id": self.users[T],
        }
        return path.format_map({name: str(value) for name, value in values.items()})


@dataclass
class World:
    """The pages over two clinics in one book."""

    app: FastAPI
    store: Store
    accounts: Accounts
    own: Clinic
    other: Clinic


def enter(accounts: Accounts, clinic: Clinic, role: Role) -> None:
    """Let somebody be invited, join, set up their second factor, and be signed in."""
    login = f"{role.value}@{clinic.name}.example"
    admin = accounts.administration_of(clinic.clinic_id, "operator:test")
    invitation = admin.invite(login, f"{role.value} of {clinic.name}", role)
    token = accounts.accept_invitation(invitation.token, PASSWORD, source="192.0.2.1").token
    assert token is not None
    secret = accounts.begin_totp(token).secret
    done = accounts.confirm_totp(token, pyotp.TOTP(secret).now())
    assert done.token is not None
    clinic.tokens[role] = done.token
    clinic.cookies[role] = f"gonio={done.token}"
    clinic.users[role] = invitation.user_id


def clinic_of(store: Store, accounts: Accounts, name: str) -> Clinic:
    now = datetime.now(UTC)
    clinic_id = accounts.add_clinic(name, "America/New_York", "operator:test")
    patient = store.add_patient(f"Patient of {name}", "America/New_York", clinic_id=clinic_id)
    kit = f"kit-{name}"
    with store._writer.begin() as connection:
        connection.exec_driver_sql(
            "INSERT INTO kits (kit_id, clinic_id, label, first_seen_at) VALUES (?, ?, '', ?)",
            (kit, clinic_id.hex, "2026-01-01 00:00:00.000000"),
        )
    store.bind_kit(kit, patient, since=now - timedelta(days=1))
    record = new_record_id()
    envelope = Envelope(
        record_id=record,
        kind="session",
        kit_id=kit,
        outbox_id=uuid4(),
        sequence=1,
        boot_id=uuid4(),
        monotonic_ns=1,
        captured_at=wire_time(now - timedelta(hours=1)),
        clock="synchronised",
        schema_version=SessionSummary.SCHEMA_VERSION,
        payload=make_session(reps=3, peak_deg=90).model_dump_json(),
    )
    store.ingest(kit, [envelope], now)
    box = store.enrolment.add_box(f"box of {name}", clinic_id=clinic_id).item_id
    clinic = Clinic(clinic_id, patient, kit, record, box, name)
    for role in Role:
        enter(accounts, clinic, role)
    return clinic


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with open_store(f"sqlite:///{tmp_path_factory.mktemp('book')}/book.sqlite") as store:
        accounts = store.accounts(bytes(32), passwords=Passwords(time_cost=1, memory_kib=64, parallelism=1))
        app = create_app(House(accounts, store.of_clinic, store.stock))
        own, other = (clinic_of(store, accounts, name) for name in ("north", "south"))
        yield World(app, store, accounts, own, other)


def routes(app: FastAPI) -> list[tuple[str, str]]:
    found = [route for route in app.routes if isinstance(route, APIRoute)]
    return [(method, route.path) for route in found for method in sorted(route.methods or ())]


def test_every_route_has_a_rule_and_is_written_down_here(world: World) -> None:
    assert set(routes(world.app)) == set(MAY) == set(RULES)
    others = [route for route in world.app.routes if not isinstance(route, APIRoute)]
    assert [getattr(route, "path", None) for route in others] == ["/static"]


def test_a_route_without_a_rule_cannot_be_made(world: World) -> None:
    app = create_app(House(world.accounts, world.store.of_clinic, world.store.stock))
    with pytest.raises(LookupError, match="has no rule"):
        app.router.add_api_route("/forgotten", lambda: None, methods=["GET"])


@pytest.mark.parametrize("role", [None, *Role])
@pytest.mark.parametrize(("method", "path"), sorted(MAY))
async def test_each_role_gets_its_pages_and_no_others(
    world: World, ask_app: Ask, method: str, path: str, role: Role | None
) -> None:
    may = MAY[(method, path)]
    if role is not None and (path, method) == ("/sign-out", "POST"):
        return  # it would end the session that the others use: it has a test of its own
    cookie = "" if role is None else world.own.cookies[role]
    token = "" if role is None else form_token(world.own.tokens[role])
    form = {"form_token": token, "reason": "", "do": "nothing"} if method == "POST" else b""
    answer = await ask_app(world.app, world.own.path(path), method=method, cookie=cookie, form=form)
    assert answer.status < 500
    if may is None:
        assert answer.status in {200, 303, 400, 403, 404, 429}
        assert "Patient of" not in answer.text
    elif role is None:
        assert answer.status == 303
        assert answer.headers["location"].startswith("/sign-in")
        assert world.own.name not in answer.text
    elif role in may:
        assert answer.status in {200, 303, 307, 400}, answer.text
        assert not answer.headers.get("location", "").startswith("/sign-in?"), answer.headers
    else:
        assert answer.status == 403
        assert "Patient of" not in answer.text


@pytest.mark.parametrize("role", list(Role))
@pytest.mark.parametrize(("method", "path"), sorted(pair for pair in MAY if "{" in pair[1] and "token" not in pair[1]))
async def test_what_is_another_clinics_is_not_there(
    world: World, ask_app: Ask, method: str, path: str, role: Role
) -> None:
    form = {"form_token": form_token(world.own.tokens[role]), "reason": "it cannot wait any longer", "do": "disable"}
    answer = await ask_app(
        world.app,
        world.other.path(path),
        method=method,
        cookie=world.own.cookies[role],
        form=form if method == "POST" else b"",
    )
    nothing = await ask_app(
        world.app,
        re.sub(r"\{kit_id\}", "kit-nowhere", re.sub(r"\{(patient|record|user|item)_id\}", str(UUID(int=9)), path)),
        method=method,
        cookie=world.own.cookies[role],
        form=form if method == "POST" else b"",
    )
    assert answer.status == nothing.status  # nobody can tell that it is somewhere else
    assert answer.status in {400, 403, 404}
    assert world.other.name not in answer.text
    users = world.accounts.administration_of(world.other.clinic_id, "operator:test").users()
    assert {user.state.value for user in users} == {"active"}


@pytest.mark.parametrize("role", list(Role))
async def test_lists_hold_the_own_clinic_only(world: World, ask_app: Ask, role: Role) -> None:
    for (method, path), may in MAY.items():
        if method == "GET" and may is not None and role in may and "{" not in path:
            text = (await ask_app(world.app, path, cookie=world.own.cookies[role])).text
            for secret in (world.other.name, world.other.kit, str(world.other.patient), str(world.other.clinic_id)):
                assert secret not in text, path


async def test_a_look_at_a_patient_is_noted_before_it_is_given(world: World, ask_app: Ask) -> None:
    book = world.store.of_clinic(world.own.clinic_id)
    before = len(book.log_rows(subject_id=str(world.own.patient), limit=None))
    for path in ("/patients/{patient_id}", "/sessions/{record_id}"):
        assert (await ask_app(world.app, world.own.path(path), cookie=world.own.cookies[T])).status == 200
    rows = book.log_rows(subject_id=str(world.own.patient), limit=None)
    assert len(rows) == before + 2
    assert [(row["actor"], row["action"], row["detail"]) for row in rows[:2]] == [
        (f"user:{world.own.users[T]}", "read", '{"page":"session"}'),
        (f"user:{world.own.users[T]}", "read", '{"page":"patient"}'),
    ]
    assert book.proof.log().intact


async def test_a_look_that_cannot_be_noted_is_not_given(
    world: World, ask_app: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise StoreUnavailableError("the disk is full")

    monkeypatch.setattr(ClinicBook, "note_read", full)
    answer = await ask_app(world.app, world.own.path("/patients/{patient_id}"), cookie=world.own.cookies[T])
    assert answer.status == 503
    assert "Patient of" not in answer.text


async def test_broken_glass_opens_one_patient_and_everybody_sees_it(world: World, ask_app: Ask) -> None:
    own, role = world.own, L
    page = own.path("/patients/{patient_id}")
    refused = await ask_app(world.app, page, cookie=own.cookies[role])
    assert refused.status == 403
    assert own.path("/break-glass/{patient_id}") in refused.text
    form = {"form_token": form_token(own.tokens[role]), "reason": "Found unconscious, which implant has this knee?"}
    opened = await ask_app(
        world.app, own.path("/break-glass/{patient_id}"), method="POST", cookie=own.cookies[role], form=form
    )
    assert (opened.status, opened.headers["location"]) == (303, page)
    shown = await ask_app(world.app, page, cookie=own.cookies[role])
    assert shown.status == 200
    assert "Patient of north" in shown.text
    rows = world.store.of_clinic(own.clinic_id).log_rows(subject_id=str(own.patient))
    assert [row["action"] for row in rows[:2]] == ["read", "break-glass"]
    assert "unconscious" in rows[0]["reason"]
    assert "Emergency access" in (await ask_app(world.app, "/users", cookie=own.cookies[M])).text
    assert "Emergency access" not in (await ask_app(world.app, "/users", cookie=world.other.cookies[M])).text


POSTS = sorted(path for method, path in MAY if method == "POST")


@pytest.mark.parametrize("path", POSTS)
@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": ""},
        {"origin": "http://127.0.0.1:8600.evil.example"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
    ],
)
async def test_nothing_is_changed_from_another_site(
    world: World, ask_app: Ask, path: str, headers: dict[str, str]
) -> None:
    form = {"form_token": form_token(world.own.tokens[M]), "do": "disable"}
    answer = await ask_app(
        world.app, world.own.path(path), method="POST", cookie=world.own.cookies[M], form=form, headers=headers
    )
    assert answer.status == 403
    assert world.accounts.session(world.own.tokens[M]) is not None


@pytest.mark.parametrize("path", [path for path in POSTS if MAY[("POST", path)] is not None])
@pytest.mark.parametrize("token", ["", "0" * 64, "another session's"])
async def test_a_form_needs_the_token_of_its_own_session(world: World, ask_app: Ask, path: str, token: str) -> None:
    given = form_token(world.own.tokens[T]) if token.startswith("another") else token
    role = next(iter(sorted(MAY[("POST", path)] or {M}, key=lambda one: one is T)))
    answer = await ask_app(
        world.app, world.own.path(path), method="POST", cookie=world.own.cookies[role], form={"form_token": given}
    )
    assert answer.status == 403


@pytest.mark.parametrize("path", POSTS)
async def test_a_body_that_is_too_large_is_refused(world: World, ask_app: Ask, path: str) -> None:
    answer = await ask_app(
        world.app, world.own.path(path), method="POST", cookie=world.own.cookies[M], form=b"x=" + b"y" * MAX_BODY
    )
    assert answer.status == 413


async def test_fields_that_no_form_has_change_nothing(world: World, ask_app: Ask) -> None:
    form = {
        "form_token": form_token(world.own.tokens[M]),
        "login": "new@north.example",
        "name": "New",
        "role": "therapist",
        "clinic_id": str(world.other.clinic_id),
        "state": "active",
        "user_id": str(world.own.users[M]),
        "password_hash": "x",
    }
    answer = await ask_app(world.app, "/users/invite", method="POST", cookie=world.own.cookies[M], form=form)
    assert answer.status == 200
    admin = world.accounts.administration_of(world.own.clinic_id, "operator:test")
    made = admin.find("new@north.example")
    assert (made.state.value, made.clinic_id) == ("invited", world.own.clinic_id)
    assert "/join/" in answer.text


@pytest.mark.parametrize(
    "target",
    [
        "//evil.example",
        "https://evil.example",
        "/\\evil.example",
        "/%0d%0aSet-Cookie: a=b",
        "javascript:alert(1)",
        "\r\nX: y",
    ],
)
async def test_nobody_is_sent_elsewhere_after_signing_in(world: World, ask_app: Ask, target: str) -> None:
    signed_in = await ask_app(world.app, f"/sign-in?next={quote(target)}", cookie=world.own.cookies[T])
    location = signed_in.headers["location"]
    assert location.startswith("/")
    assert not location.startswith(("//", "/\\"))
    assert "\r" not in location
    assert "\n" not in location
    assert "set-cookie" not in signed_in.headers


@pytest.mark.parametrize(
    "path", ["/static/../app.py", "/static/%2e%2e/security.py", "/static//etc/passwd", "/static/..%2f"]
)
async def test_no_path_leads_out_of_the_static_files(world: World, ask_app: Ask, path: str) -> None:
    assert (await ask_app(world.app, path)).status == 404


async def test_signing_in_gives_a_new_session_each_time_and_out_ends_it(world: World, ask_app: Ask) -> None:
    clinic = world.own
    admin = world.accounts.administration_of(clinic.clinic_id, "operator:test")
    invitation = admin.invite("step@north.example", "Step", T)
    token = world.accounts.accept_invitation(invitation.token, PASSWORD, source="192.0.2.1").token or ""
    secret = world.accounts.begin_totp(token).secret
    world.accounts.confirm_totp(token, pyotp.TOTP(secret).at(datetime.now(UTC) - timedelta(seconds=30)))
    planted = "gonio=" + "a" * 43  # a session that an attacker put there
    form = {"login": "step@north.example", "password": PASSWORD, "next": "/completeness"}
    first = await ask_app(world.app, "/sign-in", method="POST", cookie=planted, form=form)
    assert (first.status, first.headers["location"]) == (303, "/sign-in/factor?next=/completeness")
    half = _cookie(first)
    assert half != planted
    assert (await ask_app(world.app, "/patients", cookie=half)).status == 303
    code = {"code": pyotp.TOTP(secret).now(), "next": "/completeness"}
    second = await ask_app(world.app, "/sign-in/factor", method="POST", cookie=half, form=code)
    assert (second.status, second.headers["location"]) == (303, "/completeness")
    whole = _cookie(second)
    assert whole != half
    assert (await ask_app(world.app, "/patients", cookie=whole)).status == 200
    assert (await ask_app(world.app, "/patients", cookie=half)).status == 303
    again = await ask_app(world.app, "/sign-in/factor", method="POST", cookie=half, form=code)
    assert again.status == 200  # it begins again
    assert "Sign in" in again.text
    await ask_app(world.app, "/sign-out", method="POST", cookie=whole)
    assert (await ask_app(world.app, "/patients", cookie=whole)).status == 303


async def test_a_wrong_password_and_an_unknown_login_look_the_same(world: World, ask_app: Ask) -> None:
    answers = [
        await ask_app(world.app, "/sign-in", method="POST", cookie="", form={"login": login, "password": "wrong " * 3})
        for login in ("therapist@south.example", "nobody@south.example")
    ]
    shown = [re.sub(r'value="[^"]*@[^"]*"', "", answer.text) for answer in answers]
    assert shown[0] == shown[1]
    assert {answer.status for answer in answers} == {403}


def test_cookies_are_for_this_server_alone(world: World) -> None:
    for secure in (False, True):
        house = House(world.accounts, world.store.of_clinic, world.store.stock, secure=secure)
        given = house.keep(Response(), token="t", device="d").headers.getlist("set-cookie")  # noqa: S106
        for line in given:
            assert "HttpOnly" in line
            assert "SameSite=lax" in line
            assert "Path=/" in line
            assert ("Secure" in line) is secure
            assert line.startswith("__Host-") is secure
            assert "Domain" not in line


def _cookie(answer: Any) -> str:  # noqa: ANN401 - the fixture's
    """What the session's cookie is after an answer that sets one."""
    found = re.search(r"\bgonio=([^;]+)", answer.headers["set-cookie"])
    assert found is not None
    return f"gonio={found[1]}"


def test_every_kind_of_request_is_tried() -> None:
    """The tables above and the roles multiply; nobody took one out."""
    assert len(list(itertools.product(MAY, [None, *Role]))) >= 28 * 6
