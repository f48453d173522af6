"""A real browser at the kit's own name, which no authority vouches for: forms work there, and without script."""

import shutil

import pytest
from playwright.async_api import async_playwright

from gonio.gateway.page.home import Home
from gonio.gateway.page.serve import page_server
from gonio.messages import Kind
from tests.gateway.page.conftest import down, program

pytestmark = pytest.mark.peer("chromium")


@pytest.mark.parametrize("script", [True, False])
async def test_a_phone_is_paired_and_tells_over_plain_http(home: Home, script: bool) -> None:  # noqa: FBT001 - a column
    down(home.kit, program(), 1)
    async with page_server(home, port=0, names=["gonio.home"]) as address, async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=shutil.which("chromium") or "/usr/bin/chromium",
            args=["--no-sandbox", "--host-resolver-rules=MAP gonio.home 127.0.0.1"],
        )
        context = await browser.new_context(
            java_script_enabled=script, viewport={"width": 360, "height": 640}, locale="en-US"
        )
        context.set_default_timeout(15_000)
        page = await context.new_page()
        assert address.startswith("http://gonio.home:")
        await page.goto(address)
        assert page.url.endswith("/pair")
        await page.get_by_label("The code on the card").fill(home.phones.code)
        await page.get_by_role("button", name="Connect").click()
        assert "1 exercise to do" in await page.inner_text("h1")
        await page.get_by_role("link", name="Log how you are").click()
        await page.get_by_label("A note to your therapist").fill("hello")
        await page.get_by_role("button", name="Save").click()
        assert "Saved" in await page.inner_text("h1")
        assert len(home.kit.store.of_kinds([Kind.CHECK_IN])) == 1
        await browser.close()
