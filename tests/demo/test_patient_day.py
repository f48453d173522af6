"""A patient's whole day in a real browser of a phone's size: the kit, its sensors, the broker and the clinic are real.

Only the leg is made up, and the pages say so. With GONIO_PICTURES=FOLDER the screenshots are kept there.
"""

import asyncio
import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Page, async_playwright, expect

from gonio.cloud_sink.store import open_store
from gonio.demo.clinic import KIT_FOLDER
from gonio.demo.display import Display
from gonio.demo.run import DemoOptions, run_demo
from gonio.demo.scene import simulated_leg
from gonio.gateway.identity_folder import IdentityFolder
from gonio.messages.down import ClinicMessage

pytestmark = pytest.mark.peer("chromium")

PHONE = {"width": 390, "height": 844}
SPEED = 3.0
#: The pictures that the docs keep.
SHOWN = {"today", "exercise-seated", "live", "check-in", "done", "progress", "messages", "reminders", "help"}


@dataclass
class Told(Display):
    """A display that remembers the pages."""

    pages: dict[str, str] = field(default_factory=dict)
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        super().__init__(banner="simulated")

    def page(self, name: str, address: str) -> None:
        self.pages[name] = address

    def step(self, text: str) -> None:
        if "stay up" in text:
            self.ended.set()


@asynccontextmanager
async def demo(folder: Path) -> AsyncIterator[Told]:
    display, stop = Told(), asyncio.Event()
    motion = simulated_leg("heel-slide", 24.0, "right", 1)
    options = DemoOptions(motion, "simulated", "movella_dot", "heel-slide", folder, SPEED, 1, stay=True)
    task = asyncio.create_task(run_demo(options, display, stop, open_page=lambda _: None))
    try:
        waiting = asyncio.create_task(display.ended.wait())
        await asyncio.wait({task, waiting}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            await task
        yield display
    finally:
        stop.set()
        await task


@asynccontextmanager
async def phone() -> AsyncIterator[Page]:
    async with async_playwright() as playwright:
        program = shutil.which("chromium") or "/usr/bin/chromium"
        browser = await playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        context = await browser.new_context(viewport=PHONE, locale="en-US")  # type: ignore[arg-type]
        context.set_default_timeout(20_000)
        yield await context.new_page()
        await browser.close()


async def seen(page: Page, name: str) -> None:
    """Look at a page: nothing of it sticks out, nothing of it is inaccessible; keep its picture where wanted."""
    await page.wait_for_load_state("load")
    width = await page.evaluate("document.documentElement.scrollWidth")
    assert width <= PHONE["width"], f"{name} is {width} px wide"
    found = await Axe().run(page)
    serious = [one for one in found.response["violations"] if one["impact"] in {"serious", "critical"}]
    assert not serious, [(one["id"], [node["html"] for node in one["nodes"]][:3]) for one in serious]
    folder = os.environ.get("GONIO_PICTURES")
    if folder and name in SHOWN:
        await page.screenshot(path=Path(folder) / f"{name}.png", full_page=name != "live")


async def exercise(page: Page, name: str, reps: int) -> list[float]:
    """Do an exercise with sensors until so many repetitions are counted; gives how late the gauge was, ms."""
    await page.get_by_role("link", name=name).click()
    await seen(page, f"exercise-{name.partition(' ')[0].lower()}")
    await page.get_by_role("button", name="Yes, on my right leg").click()
    await page.wait_for_url("**/live")
    await expect(page.locator("#angle")).to_contain_text("°", timeout=60_000)
    late: list[float] = []
    async with asyncio.timeout(90):
        while int(await page.locator("#reps").inner_text()) < reps:
            late.append(float(await page.locator("#live").get_attribute("data-late-ms") or "nan"))
            await asyncio.sleep(0.05)
    await seen(page, "live")
    await page.get_by_role("button", name="I am done").click()
    await page.wait_for_url("**/after/*")
    return late


@pytest.mark.timeout(300)
async def test_a_whole_day(tmp_path: Path) -> None:
    async with demo(tmp_path) as display, phone() as page:
        await page.goto(display.pages["patient's page"])
        assert "Simulated." in await page.locator(".band").inner_text()
        await seen(page, "today")
        await exercise(page, "Seated knee stretch", 2)
        await seen(page, "check-in")
        await page.locator("label", has=page.locator("input[name=pain_after][value='2']")).click()
        await page.locator("label", has=page.locator("input[name=effort][value='4']")).click()
        await page.get_by_label("A note to your therapist").fill("Felt easier than yesterday <b>really</b> 🙂")
        await page.get_by_role("button", name="Save").click()
        await page.wait_for_url("**/done/*")
        assert "You can go on" in await page.inner_text("main")
        assert "repetition" in await page.inner_text("main")
        await seen(page, "done")
        await page.get_by_role("link", name="Next").click()
        late = await exercise(page, "Sit to stand", 2)
        await page.get_by_role("button", name="Skip").click()
        await page.wait_for_url("**/done/*")
        await page.goto(page.url)  # the clinic's word may come a moment after the page
        assert "Your clinic has it." in await page.inner_text("main")
        await page.get_by_role("link", name="See my progress").click()
        assert "exercise day in a row" in await page.inner_text("main")
        await seen(page, "progress")
        kit = IdentityFolder(tmp_path / KIT_FOLDER).enrolment()
        assert kit is not None
        with open_store(f"sqlite:///{tmp_path / 'clinic.sqlite'}", create=False) as book:
            book.down.send(kit.kit_id, ClinicMessage(text="Lovely work today.", sender="Dr. Lane", simulated=True))
        await page.goto(page.url.replace("/progress", "/"))
        for _ in range(100):
            if await page.evaluate("fetch('/state').then(a => a.json()).then(s => s.unread)"):
                break
            await asyncio.sleep(0.2)
        await page.reload()
        await page.get_by_role("link", name="Messages").click()
        assert "Lovely work today." in await page.inner_text("main")
        await seen(page, "messages")
        await page.goto(page.url.replace("/messages", "/reminders"))
        await page.locator("input[name=at_0]").fill("09:30")
        await page.get_by_role("button", name="Save").click()
        assert "Saved." in await page.inner_text("main")
        await seen(page, "reminders")
        for name in ("pause", "help", "data", "phones", "more", "log"):
            await page.goto(f"{page.url.rsplit('/', 1)[0]}/{name}")
            await seen(page, name)
        late.sort()
        assert late
        print(f"gauge late, ms: median {late[len(late) // 2]:.0f}, 95 % {late[int(0.95 * len(late))]:.0f}")  # noqa: T201 - a figure
