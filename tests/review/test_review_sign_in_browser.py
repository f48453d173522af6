"""Coming in with a real browser: invitation, second factor, recovery codes, the role's own pages, signing out."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pyotp
import pytest
from playwright.async_api import Browser, BrowserContext, Page

from gonio.cloud_sink.accounts import Administration, Lifetimes, Passwords, Role
from gonio.cloud_sink.review.gate import House
from gonio.cloud_sink.review.serve import review_server
from gonio.cloud_sink.schema import HOME_CLINIC
from gonio.cloud_sink.store import open_store

pytestmark = [pytest.mark.peer("chromium"), pytest.mark.asyncio(loop_scope="module")]

PASSWORD = "nine violet otters hum"  # noqa: S105 - of a test
ANSWER = """answer => {
  const form = document.querySelector("form[data-passkey]");
  form.elements.credential.value = answer;
  form.submit();
}"""
WIDTHS = (360, 768, 1440)


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[tuple[House, Administration]]:
    with open_store(f"sqlite:///{tmp_path}/book.sqlite") as store:
        accounts = store.accounts(bytes(32), passwords=Passwords(time_cost=1, memory_kib=64, parallelism=1))
        store.add_patient("Alex Example", "America/New_York")
        yield House(accounts, store.of_clinic, store.stock), accounts.administration_of(HOME_CLINIC, "operator:test")


async def fits(page: Page) -> None:
    """Look at a page in every width: nothing sticks out, every field has a label."""
    for width in WIDTHS:
        await page.set_viewport_size({"width": width, "height": 800})
        assert await page.evaluate("document.documentElement.scrollWidth") <= width, (page.url, width)
    fields = await page.query_selector_all("input:not([type=hidden]), select, textarea")
    for one in fields:
        named = await one.evaluate("e => e.labels.length > 0 || !!e.ariaLabel")
        assert named, page.url


async def join(context: BrowserContext, address: str, token: str) -> tuple[Page, str]:
    """Accept an invitation; gives the page of recovery codes and the secret of the app."""
    page = await context.new_page()
    await page.goto(f"{address}join/{token}")
    await fits(page)
    await page.fill("#password", PASSWORD)
    await page.fill("#again", PASSWORD)
    await page.click("main button[type=submit]")
    await page.wait_for_url("**/sign-in/set-up*")
    await fits(page)
    assert await page.locator(".qr svg").bounding_box() is not None
    secret = await page.get_attribute("input[name=secret]", "value")
    assert secret is not None
    await page.fill("#code", "000000")
    await page.click("main button[type=submit]")
    assert "not the app's code" in await page.inner_text("[role=alert]")
    await page.fill("#code", pyotp.TOTP(secret).now())
    await page.click("main button[type=submit]")
    return page, secret


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_an_administrator_comes_in_invites_and_goes(
    browser: Browser, house: tuple[House, Administration], scheme: str
) -> None:
    built, admin = house
    token = admin.invite("ann@clinic.example", "Ann Miller", Role.ADMIN).token
    async with review_server(built, port=0) as address:
        context = await browser.new_context(color_scheme=scheme)  # type: ignore[arg-type]
        page, _ = await join(context, address, token)
        codes = await page.locator(".codes code").all_inner_texts()
        assert len(codes) == 10
        await page.click("a.button")
        await page.wait_for_url("**/users")
        await page.fill("#login", "nora@clinic.example")
        await page.fill("#name", "Nora New")
        await page.click("button:text-is('Invite')")
        link = await page.inner_text("code.wrap")
        assert link.startswith(f"{address}join/")
        await fits(page)
        for path in ("log", "account", "completeness", "users"):
            await page.goto(address + path)
            assert "not done" not in await page.title()
            await fits(page)
        await page.click("button:text-is('Sign out')")
        await page.wait_for_url("**/sign-in")
        await fits(page)
        await page.goto(f"{address}users")
        assert page.url.endswith("/sign-in?next=/users")
        await page.fill("#login", "ann@clinic.example")
        await page.fill("#password", PASSWORD)
        await page.click("main button[type=submit]")
        await page.wait_for_url("**/sign-in/factor?next=/users")
        await fits(page)
        await page.fill("#code", codes[0])
        await page.click("main button[type=submit]")
        await page.wait_for_url("**/users")
        await context.close()


async def test_a_biller_sees_days_and_nothing_clinical(browser: Browser, house: tuple[House, Administration]) -> None:
    built, admin = house
    token = admin.invite("bill@clinic.example", "Bill Biller", Role.BILLER).token
    async with review_server(built, port=0) as address:
        context = await browser.new_context()
        page, _ = await join(context, address, token)
        await page.click("a.button")
        await page.wait_for_url("**/patients")
        text = await page.inner_text("main")
        assert "Alex Example" in text
        assert "Data days" in text
        assert await page.locator("main a[href^='/patients/']").count() == 0
        await fits(page)
        await context.close()


async def authenticator(page: Page) -> None:
    """Give the browser a device that keeps passkeys and always finds its owner's finger."""
    cdp = await page.context.new_cdp_session(page)
    await cdp.send("WebAuthn.enable")
    options = {"protocol": "ctap2", "transport": "internal", "hasResidentKey": True, "hasUserVerification": True}
    more = {"isUserVerified": True, "automaticPresenceSimulation": True}
    await cdp.send("WebAuthn.addVirtualAuthenticator", {"options": options | more})


async def test_a_passkey_alone_lets_somebody_in(browser: Browser, house: tuple[House, Administration]) -> None:
    """Made at set-up in place of an app; used, never made twice on a device, never removed where it is the last."""
    built, admin = house
    token = admin.invite("ann@clinic.example", "Ann Miller", Role.THERAPIST).token
    async with review_server(built, port=0) as bound:
        address = bound.replace("127.0.0.1", "localhost")  # a passkey is of a name
        context = await browser.new_context()
        page = await context.new_page()
        await authenticator(page)
        await page.goto(f"{address}join/{token}")
        await page.fill("#password", PASSWORD)
        await page.fill("#again", PASSWORD)
        await page.click("main button[type=submit]")
        await page.wait_for_url("**/sign-in/set-up*")
        await page.click("button:text-is('Use a passkey instead')")
        await fits(page)
        await page.fill("#name", "Ann's <b>laptop</b>")
        await page.click("button:text-is('Make a passkey')")
        await page.wait_for_selector(".codes code")
        assert len(await page.locator(".codes code").all_inner_texts()) == 10
        await page.goto(f"{address}account")
        await fits(page)
        assert "Ann's <b>laptop</b>" in await page.inner_text("main")
        await page.click("button:text-is('Remove')")
        assert "last second factor" in await page.inner_text(".error[role=alert]")
        await page.click("button:text-is('Sign out')")
        await page.goto(f"{address}patients")
        await page.fill("#login", "ann@clinic.example")
        await page.fill("#password", PASSWORD)
        await page.click("main button[type=submit]")
        await page.wait_for_url("**/sign-in/factor?next=/patients")
        await fits(page)
        await page.click("button:text-is('Use a passkey')")
        await fits(page)
        await page.click("button:text-is('Go on')")
        await page.wait_for_url("**/patients")
        await page.goto(f"{address}account")
        assert "last used" in await page.inner_text("main")
        await page.click("button:text-is('Add a passkey')")
        await page.click("button:text-is('Make a passkey')")
        await page.wait_for_selector("#passkey-said:visible")
        assert "has a passkey for your account already" in await page.inner_text("#passkey-said")
        await context.close()


async def test_another_devices_passkey_does_not_let_somebody_in(
    browser: Browser, house: tuple[House, Administration]
) -> None:
    built, admin = house
    async with review_server(built, port=0) as bound:
        address = bound.replace("127.0.0.1", "localhost")
        context = await browser.new_context()
        page, _ = await join(context, address, admin.invite("b@clinic.example", "B", Role.THERAPIST).token)
        await authenticator(page)
        await page.goto(f"{address}account")
        await page.click("button:text-is('Add a passkey')")
        await page.click("button:text-is('Make a passkey')")
        await page.wait_for_url("**/account")
        await context.close()
        stranger = await browser.new_context()
        page = await stranger.new_page()
        await authenticator(page)
        await page.goto(f"{address}sign-in")
        await page.fill("#login", "b@clinic.example")
        await page.fill("#password", PASSWORD)
        await page.click("main button[type=submit]")
        await page.wait_for_url("**/sign-in/factor*")
        await page.click("button:text-is('Use a passkey')")
        for forged in ("{}", "x", '{"id":"AAAA","rawId":"AAAA","type":"public-key","response":{}}'):
            async with page.expect_navigation():
                await page.evaluate(ANSWER, forged)
            assert "not taken" in await page.inner_text(".error[role=alert]:visible")
        await page.goto(f"{address}patients")
        assert "/sign-in" in page.url
        await stranger.close()


async def test_an_idle_page_says_so_before_it_ends(browser: Browser, tmp_path: Path) -> None:
    with open_store(f"sqlite:///{tmp_path}/idle.sqlite") as store:
        cheap = Passwords(time_cost=1, memory_kib=64, parallelism=1)
        accounts = store.accounts(bytes(32), passwords=cheap, lifetimes=Lifetimes(idle=timedelta(seconds=62)))
        built = House(accounts, store.of_clinic, store.stock, ticket="sample")
        async with review_server(built, port=0) as address:
            context = await browser.new_context()
            page = await context.new_page()
            await page.goto(f"{address}patients?ticket=sample")
            assert await page.locator("#idle").is_hidden()
            await page.wait_for_selector("#idle:visible")
            assert "signed out in a minute" in await page.inner_text("#idle")
            await page.click("#idle a")
            await page.wait_for_url("**/patients")
            await context.close()
