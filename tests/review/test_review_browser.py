import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from playwright.async_api import Browser, Page, expect

from examples.review_house import TICKET, sample_house
from examples.review_sample import NOW, Sample, sample_clinic
from gonio.cloud_sink.review.serve import review_server

pytestmark = [pytest.mark.peer("chromium"), pytest.mark.asyncio(loop_scope="module")]

# WCAG 2.2 contrast of the text of every visible element against the nearest background that is not transparent
CONTRAST = """() => {
  const parse = (colour) => (colour.match(/[\\d.]+/g) || []).map(Number);
  const light = ([r, g, b]) => {
    const part = (v) => { v /= 255; return v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; };
    return 0.2126 * part(r) + 0.7152 * part(g) + 0.0722 * part(b);
  };
  const ratio = (one, two) => {
    const [a, b] = [light(one), light(two)].sort((x, y) => y - x);
    return (a + 0.05) / (b + 0.05);
  };
  const ground = (element) => {
    for (let e = element; e; e = e.parentElement) {
      const colour = parse(getComputedStyle(e).backgroundColor);
      if (colour.length === 3 || colour[3] > 0.99) return colour;
    }
    return [255, 255, 255];
  };
  const poor = [];
  let checked = 0;
  for (const element of document.querySelectorAll("body *")) {
    const own = [...element.childNodes].some((n) => n.nodeType === Node.TEXT_NODE && n.textContent.trim());
    if (!own || !element.checkVisibility({ visibilityProperty: true })) continue;
    const style = getComputedStyle(element);
    const svg = element instanceof SVGElement;
    if (svg && element.tagName !== "text") continue;
    const large = parseFloat(style.fontSize) >= 24 || (parseFloat(style.fontSize) >= 18.7 && style.fontWeight >= 600);
    const value = ratio(parse(svg ? style.fill : style.color), ground(element));
    checked += 1;
    if (value < (large ? 3 : 4.5)) poor.push([value.toFixed(2), element.tagName, element.textContent.slice(0, 40)]);
  }
  return { checked, poor };
}"""

CARDS_END = "Math.max(0, ...[...document.querySelectorAll('.card')].map(c => c.getBoundingClientRect().right))"


@pytest.fixture(scope="module")
def sample() -> Sample:
    return sample_clinic()


@asynccontextmanager
async def _open(
    browser: Browser,
    sample: Sample,
    **options: Any,  # noqa: ANN401 - the browser's own
) -> AsyncIterator[tuple[Page, str, list[str]]]:
    """Serve the sample and open a page that notes each error, each violation of the policy, each foreign request."""
    async with review_server(sample_house(sample.book).house, port=0, now=lambda: NOW) as address:
        context = await browser.new_context(**options)
        page = await context.new_page()
        await page.goto(f"{address}completeness?ticket={TICKET}")
        trouble: list[str] = []
        page.on("pageerror", lambda error: trouble.append(str(error)))
        page.on("console", lambda line: trouble.append(line.text) if line.type in ("error", "warning") else None)
        page.on("request", lambda r: None if r.url.startswith(address) else trouble.append(r.url))
        yield page, address.rstrip("/"), trouble
        await context.close()


async def test_no_page_violates_the_policy_overflows_or_lacks_contrast(browser: Browser, sample: Sample) -> None:
    for scheme in ("light", "dark"):
        async with _open(browser, sample, color_scheme=scheme) as (page, address, trouble):
            for name, path in sample.pages.items():
                await page.goto(address + path)
                if name == "missing":
                    trouble.clear()  # the browser itself complains of the 404
                for width in (360, 768, 1440):
                    await page.set_viewport_size({"width": width, "height": 900})
                    wide = await page.evaluate("document.documentElement.scrollWidth")
                    assert wide <= width, f"{name} is {wide} px wide at {width}"
                    right = await page.evaluate(CARDS_END)
                    assert right <= width - 15, f"{name}: a card leaves its column at {width}"
                result = await page.evaluate(CONTRAST)
                assert result["checked"] > 5, name
                assert result["poor"] == [], f"{name}, {scheme}"
            assert trouble == []


async def test_the_readout_follows_the_pointer_and_the_keys(browser: Browser, sample: Sample) -> None:
    async with _open(browser, sample, viewport={"width": 1440, "height": 1000}) as (page, address, trouble):
        await page.goto(address + sample.pages["session"])
        plot = page.locator("#curve svg.plot-l")
        box = await plot.bounding_box()
        assert box is not None
        readout = page.locator("#curve .readout")
        assert "Point at the curve" in await readout.inner_text()
        # the peak of the first repetition stands at 8 s of 59
        scale = box["width"] / 1104
        x = box["x"] + (60 + 8 / 59 * (1104 - 60 - 14)) * scale
        await page.mouse.move(x, box["y"] + box["height"] / 2)
        assert await readout.inner_text() == "8.0 s: 100°, repetition 1"
        assert await plot.locator("g:has(> .crosshair)").get_attribute("visibility") == "visible"
        await page.mouse.move(1, 1)
        assert "Point at the curve" in await readout.inner_text()
        await plot.focus()
        await page.keyboard.press("End")
        assert (await readout.inner_text()).startswith("59.0 s")
        await page.keyboard.press("ArrowLeft")
        assert (await readout.inner_text()).startswith("58.8 s")
        assert trouble == []


async def test_dragging_enlarges_and_the_button_shows_all_again(browser: Browser, sample: Sample) -> None:
    async with _open(browser, sample, viewport={"width": 1440, "height": 1000}) as (page, address, trouble):
        await page.goto(address + sample.pages["session"])
        plot = page.locator("#curve svg.plot-l")
        await plot.scroll_into_view_if_needed()
        before = await plot.inner_html()
        box = await plot.bounding_box()
        assert box is not None
        middle = box["y"] + box["height"] / 2
        await page.mouse.move(box["x"] + box["width"] * 0.3, middle)
        await page.mouse.down()
        await page.mouse.move(box["x"] + box["width"] * 0.5, middle)
        await page.mouse.up()
        ticks = await plot.locator(".time-ticks text").all_text_contents()
        assert ticks[0] != "0"
        assert float(ticks[-1]) - float(ticks[0]) < 15
        whole = page.get_by_role("button", name="Show the whole session")
        await whole.click()
        assert await whole.is_disabled()
        assert (await plot.locator(".time-ticks text").all_text_contents())[0] == "0"
        # nothing moved for good: the curve is drawn again as the server drew it, to a tenth of a px
        numbers = [re.findall(r'<path[^>]* d="([^"]*)"', html)[0] for html in (before, await plot.inner_html())]
        first, second = ([float(n) for n in re.findall(r"[\d.]+", d)] for d in numbers)
        assert first == pytest.approx(second, abs=0.11)
        assert trouble == []


async def test_a_trend_tells_its_sessions(browser: Browser, sample: Sample) -> None:
    async with _open(browser, sample, viewport={"width": 1440, "height": 1000}) as (page, address, trouble):
        await page.goto(address + sample.pages["patient"])
        plot = page.locator("#trend-0 svg.plot-l")
        await plot.focus()
        await page.keyboard.press("End")
        assert await page.locator("#trend-0 .readout").inner_text() == "23 Nov, 9:40: 100°"
        assert trouble == []


async def test_without_script_the_pages_say_the_same(browser: Browser, sample: Sample) -> None:
    async with _open(browser, sample, java_script_enabled=False) as (page, address, trouble):
        await page.goto(address + "/patients")
        await page.get_by_role("link", name="Alex Example").click()
        await page.get_by_role("link", name="Heel slide, left knee").first.click()
        picture = page.get_by_role("img", name="10 repetitions, largest flexion 100°")
        await expect(picture).to_have_count(1)  # of three sizes one is shown, once the stylesheet is there
        await expect(picture).to_be_visible()
        await page.get_by_text("Table of these values").click()
        assert await page.get_by_role("cell", name="100°").first.is_visible()
        assert trouble == []


async def test_a_row_is_one_large_target(browser: Browser, sample: Sample) -> None:
    async with _open(browser, sample, viewport={"width": 360, "height": 800}) as (page, address, _):
        await page.goto(address + sample.pages["patient"])
        row = page.locator(".sessions tbody tr:not(.day)").first
        await row.scroll_into_view_if_needed()
        box = await row.bounding_box()
        assert box is not None
        assert box["height"] >= 32
        await page.mouse.click(box["x"] + box["width"] - 10, box["y"] + box["height"] - 8)
        await page.wait_for_url("**/sessions/*")
