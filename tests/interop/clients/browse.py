"""A browser opens pages and says what it found. Runs where playwright is installed; the browser is the machine's own."""

# mypy: ignore-errors
# pyright: basic, reportMissingImports=false
# Both for the same reason: playwright is not installed where the types are checked.

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

from asked import answer
from playwright.async_api import ConsoleMessage, Page, Request, Response, async_playwright

NARROW = {"width": 390, "height": 844}
WIDE = {"width": 1280, "height": 900}
# The links of a page, what can be linked to on it, and what is wider than the screen without scrolling by itself.
LOOK = """() => {
  const width = document.documentElement.clientWidth
  const scrolls = element => {
    for (let up = element.parentElement; up && up !== document.body; up = up.parentElement)
      if (getComputedStyle(up).overflowX !== "visible") return true
    return false
  }
  const all = [...document.querySelectorAll("article *")]
  return {
    links: [...document.querySelectorAll("a[href]")].map(each => each.href),
    anchors: [...document.querySelectorAll("[id]")].map(each => each.id),
    pictures: [...document.images].map(each => [each.src, each.complete && each.naturalWidth > 0]),
    wide: all
      .filter(each => each.getBoundingClientRect().right > width + 1 && !scrolls(each))
      .map(each => each.outerHTML.slice(0, 200)),
    overflow: document.documentElement.scrollWidth - width,
  }
}"""


async def visit(page: Page, url: str) -> None:
    """Opens a page and waits until it is whole and its scripts ask for nothing more."""
    await page.goto(url, wait_until="load")
    await page.wait_for_load_state("networkidle")


@asynccontextmanager
async def page_of(browser: str, size: dict[str, int], scheme: str = "light") -> AsyncGenerator[Page]:
    """An empty page of a browser that stores nothing."""
    async with async_playwright() as tools:
        program = await tools.chromium.launch(executable_path=browser, args=["--no-sandbox"])
        context = await program.new_context(viewport=size, color_scheme=scheme)
        yield await context.new_page()
        await program.close()


async def opened(browser: str, origin: str, paths: list[str]) -> dict[str, Any]:
    """What is found on each page on a narrow screen, and what the browser complained about and asked for meanwhile."""
    found: dict[str, Any] = {}
    complaints: list[str] = []
    elsewhere: list[str] = []

    def heard(message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            complaints.append(f"{message.type}: {message.text}")

    def failed(request: Request) -> None:
        if request.failure != "net::ERR_ABORTED":  # the search of the page before, which is loaded when nothing else is to do
            complaints.append(f"{request.failure}: {request.url}")

    def asked(request: Request) -> None:
        if not request.url.startswith((origin, "data:", "blob:")):
            elsewhere.append(request.url)

    def answered(response: Response) -> None:
        if response.status >= 400:
            complaints.append(f"{response.status}: {response.url}")

    async with page_of(browser, NARROW) as page:
        page.on("console", heard)
        page.on("pageerror", lambda error: complaints.append(f"exception: {error}"))
        page.on("request", asked)
        page.on("requestfailed", failed)
        page.on("response", answered)
        for path in paths:
            complaints.clear()
            elsewhere.clear()
            await visit(page, origin + path)
            found[path] = {**await page.evaluate(LOOK), "complaints": list(complaints), "elsewhere": list(elsewhere)}
    return found


async def searched(browser: str, origin: str, words: list[str]) -> dict[str, list[str]]:
    """The pages that the search finds for each word, the best first."""
    found: dict[str, list[str]] = {}
    async with page_of(browser, WIDE) as page:
        for word in words:
            await visit(page, origin)
            await page.click(".md-search__input")
            await page.fill(".md-search__input", word)  # at once: each letter would find something of its own
            await page.keyboard.press("End")  # the search looks when a key is let go
            first = page.locator(".md-search-result__item > a")
            await first.first.wait_for(state="attached")
            found[word] = await first.evaluate_all("all => all.map(each => each.getAttribute('href'))")
    return found


async def themed(browser: str, origin: str, system: str) -> list[str]:
    """The schemes that a page has at first, and after each of three presses of the switch; after the second, also reloaded."""
    schemes: list[str] = []

    async with page_of(browser, WIDE, system) as page:

        async def note() -> None:
            schemes.append(await page.evaluate("document.body.dataset.mdColorScheme"))

        await visit(page, origin)
        await note()
        for press in range(3):
            await page.locator("label[for^=__palette]:visible").click()
            await note()
            if press == 1:
                await page.reload(wait_until="networkidle")
                await note()
    return schemes


async def pictured(browser: str, url: str, file: str, scheme: str, width: int) -> None:
    """A picture of a page, for people."""
    async with page_of(browser, {"width": width, "height": 900}, scheme) as page:
        await visit(page, url)
        await page.screenshot(path=file, full_page=True)


answer(opened, searched, themed, pictured)
