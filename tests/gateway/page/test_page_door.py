"""Only paired phones get in, under the kit's own names, with forms of the kit's own pages."""

from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from fastapi.routing import APIRoute

from gonio.gateway.page.app import create_page
from gonio.gateway.page.door import COOKIE, PUBLIC
from gonio.gateway.page.home import Home
from gonio.gateway.page.phones import FREE_TRIES, INVITED_S, MOST, PairingError, Phones
from tests.gateway.page.conftest import Visitor


def stranger(visitor: Visitor, **headers: str) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        transport=httpx.ASGITransport(visitor.app), base_url="http://localhost:8700", headers=headers
    )


async def test_no_page_opens_to_a_phone_that_is_not_paired(visitor: Visitor) -> None:
    routes = [route for route in visitor.app.routes if isinstance(route, APIRoute)]
    assert len(routes) > 30
    async with stranger(visitor) as client:
        for route in routes:
            path = route.path.format(exercise="heel-slide", side="right", record_id="x")
            for method in route.methods or ():
                if path in PUBLIC:
                    continue
                answer = await client.request(method, path)
                assert (answer.status_code, answer.headers.get("location")) == (
                    (303, "/pair") if method == "GET" else (403, None)
                ), f"{method} {path}"


async def test_the_code_on_the_card_pairs_a_phone(visitor: Visitor) -> None:
    code = visitor.home.phones.code
    async with stranger(visitor) as client:
        assert (await client.post("/pair", data={"code": "00000000" if code != "00000000" else "1"})).status_code == 403
        spaced = f"{code[:4]} {code[4:]}"
        answer = await client.post("/pair", data={"code": spaced, "name": "Ann's phone", "author": "caregiver"})
        assert answer.status_code == 303
        cookie = answer.headers["set-cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=lax" in cookie
    phone = visitor.home.phones.all()[-1]
    assert (phone.name, phone.author) == ("Ann's phone", "caregiver")
    assert phone.token_hash not in cookie


async def test_a_form_of_another_site_or_page_changes_nothing(visitor: Visitor) -> None:
    for changes, headers in (
        ({"form_token": "stolen"}, {}),
        ({}, {"origin": "http://evil.example"}),
        ({}, {"origin": "null"}),
    ):
        answer = await visitor.post("/log", {"pain_after": "1", **changes}, **headers)
        assert answer.status_code == 403
    assert (await visitor.post("/log", {"pain_after": "1"}, origin="http://localhost:8700")).status_code == 303


@pytest.mark.parametrize(("host", "status"), [("localhost:8700", 200), ("evil.example", 400), ("", 400)])
async def test_it_answers_to_its_own_names_only(visitor: Visitor, host: str, status: int) -> None:
    answer = await visitor.client.get("/more", headers={"host": host, "cookie": f"{COOKIE}={visitor.token}"})
    assert answer.status_code == status


async def test_an_answer_says_where_it_may_be_used(visitor: Visitor) -> None:
    headers = (await visitor.get("/")).headers
    assert headers["cache-control"] == "no-store"
    assert headers["referrer-policy"] == "same-origin"
    assert "default-src 'none'" in headers["content-security-policy"]


async def test_a_removed_phone_is_let_in_no_more(visitor: Visitor) -> None:
    (phone,) = visitor.home.phones.all()
    await visitor.post("/phones", {"remove": phone.token_hash})
    assert (await visitor.get("/")).headers["location"] == "/pair"


async def test_the_demos_ticket_lets_in_once_it_is_right(home: Home) -> None:
    app = create_page(home, ticket="right")
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost:8700") as client:
        assert (await client.get("/?ticket=wrong")).headers["location"] == "/pair"
        answer = await client.get("/?ticket=right")
        assert answer.headers["location"] == "/"
        assert (await client.get("/")).status_code == 200 or COOKIE in answer.headers["set-cookie"]


async def test_wrong_codes_cost_time_and_no_phone_is_let_in_meanwhile(home: Home) -> None:
    now_s = 0.0
    phones = Phones(lambda: home.kit.store, monotonic_s=lambda: now_s)
    wrong = f"{(int(phones.code) + 1) % 10**8:08}"
    waits = []
    for _ in range(FREE_TRIES + 8):
        with pytest.raises(PairingError) as caught:
            phones.pair(wrong, "x", "patient", home.kit.now())
        waits.append(caught.value.wait_s)
        if caught.value.wait_s:
            with pytest.raises(PairingError):
                phones.pair(phones.code, "x", "patient", home.kit.now())  # also the right one
        now_s += caught.value.wait_s
    assert waits[: FREE_TRIES - 1] == [0.0] * (FREE_TRIES - 1)
    assert waits[FREE_TRIES - 1 : FREE_TRIES + 2] == [60.0, 120.0, 240.0]
    assert max(waits) == 3600.0
    assert phones.pair(phones.code, "x", "patient", home.kit.now())


async def test_an_invitation_counts_once_and_not_for_ever(home: Home) -> None:
    now_s = 0.0
    phones = Phones(lambda: home.kit.store, monotonic_s=lambda: now_s)
    code, late = phones.invite(), phones.invite()
    token = phones.pair(code, "", "patient", home.kit.now())
    assert phones.find(token) is not None
    assert phones.find(token + "x") is None
    with pytest.raises(PairingError):
        phones.pair(code, "", "patient", home.kit.now())
    now_s = INVITED_S + 1
    with pytest.raises(PairingError):
        phones.pair(late, "", "patient", home.kit.now())


async def test_the_oldest_phone_goes_when_there_are_too_many(home: Home) -> None:
    tokens = [home.phones.admit(f"phone {n}", "patient", home.kit.now()) for n in range(MOST + 1)]
    assert home.phones.find(tokens[0]) is None
    assert len(home.phones.all()) == MOST


async def test_phones_that_are_paired_at_once_are_all_let_in(home: Home) -> None:
    names = [f"phone {n}" for n in range(8)]
    with ThreadPoolExecutor(8) as pool:
        tokens = list(pool.map(lambda name: home.phones.admit(name, "patient", home.kit.now()), names))
    assert sorted(one.name for one in home.phones.all()) == names
    assert all(home.phones.find(token) for token in tokens)
