# ruff: noqa: INP001 - a script, no package
"""Serve the review pages with a made-up clinic and photograph them: ``python examples/review_screenshots.py FOLDER``.

Each page is taken at the widths of a phone, a tablet and a desk, light and dark, and as it prints. Needs Chromium and
playwright; the development set-up installs the latter.
"""

import asyncio
import sys
from pathlib import Path
from typing import Annotated, Literal

import typer
from playwright.async_api import Browser, async_playwright

sys.path.insert(0, str(Path(__file__).parents[1]))  # this folder is no package, and its helper names its own

from examples.review_house import TICKET, sample_house
from examples.review_sample import NOW, Sample, sample_clinic
from gonio.cloud_sink.review.serve import review_server

WIDTHS = (360, 768, 1440)
PAPER = 700  # px between the margins of a sheet
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
CHROMIUM_ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


async def photograph(folder: Path, sample: Sample, chromium: Path, only: str = "") -> list[Path]:
    """Take all pictures of a sample's pages.

    Args:
        folder: where the pictures go.
        sample: what is shown.
        chromium: the browser's program.
        only: the one page to take; all when empty.
    """
    taken: list[Path] = []
    house = sample_house(sample.book).house
    async with review_server(house, port=0, now=lambda: NOW) as address, async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium, args=CHROMIUM_ARGUMENTS)
        for name, path in sample.pages.items():
            if only in ("", name):
                taken += await _page(browser, address.rstrip("/") + path, folder / name)
        await browser.close()
    return taken


async def _page(browser: Browser, address: str, stem: Path) -> list[Path]:
    taken: list[Path] = []
    for scheme in SCHEMES:
        context = await browser.new_context(color_scheme=scheme)
        page = await context.new_page()
        await page.goto(f"{address}?ticket={TICKET}")
        for width in WIDTHS:
            await page.set_viewport_size({"width": width, "height": 900})
            taken.append(stem.with_name(f"{stem.name}-{width}-{scheme}.png"))
            await page.screenshot(path=taken[-1], full_page=True)
        if scheme == "light":
            await page.emulate_media(media="print")
            await page.set_viewport_size({"width": PAPER, "height": 900})
            taken.append(stem.with_name(f"{stem.name}-print.png"))
            await page.screenshot(path=taken[-1], full_page=True)
        await context.close()
    return taken


def main(
    folder: Path,
    chromium: Annotated[Path, typer.Option(help="The browser's program.")] = Path("/usr/bin/chromium"),
    only: Annotated[str, typer.Option(help="One page by its short name, e.g. session.")] = "",
) -> None:
    """Write the pictures into FOLDER."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in asyncio.run(photograph(folder, sample_clinic(), chromium, only)):
        typer.echo(path)


if __name__ == "__main__":
    typer.run(main)
