"""A real Chromium for the tests, without a window: the one that is installed, driven by playwright.
Where there is none, tests that need it are skipped (with CI=true they fail).

Playwright's own loop is asyncio's, and runs in the thread of the tests for as long as it is open;
`tests/browser` is a package whose tests wait for nothing else, and it is closed behind them.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal, get_args

import pytest
from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Page,
    expect,
    sync_playwright,
)

Size = Literal["phone", "desktop"]
Scheme = Literal["light", "dark"]
LOOKS: tuple[tuple[Size, Scheme], ...] = tuple(
    (size, scheme) for size in get_args(Size) for scheme in get_args(Scheme)
)
"""Every page is looked at in each."""
PIXELS: dict[Size, tuple[int, int]] = {"phone": (390, 844), "desktop": (1280, 800)}

PATIENCE_MS = 60_000
"""For what a page is to show, on a machine that is busy with everything else."""
LOOK_MS = 100
LOOKS_AT_BARRIERS = 3

SERIOUS = ("serious", "critical")
AXE = files("axe_playwright_python") / "axe.min.js"


def program() -> str | None:
    return shutil.which("chromium") or shutil.which("chromium-browser")


@contextmanager
def chromium() -> Iterator[Browser]:
    found = program()
    if found is None:
        pytest.skip("Chromium is not installed (Debian: apt-get install chromium)")
    expect.set_options(timeout=PATIENCE_MS)
    with sync_playwright() as playwright:
        options = ["--disable-gpu", "--disable-dev-shm-usage"]
        if os.getuid() == 0:
            options.append("--no-sandbox")  # it refuses to run as root without
        browser = playwright.chromium.launch(executable_path=found, args=options)
        try:
            yield browser
        finally:
            browser.close()


@dataclass
class Visitor:
    """Somebody at a browser, with cookies and storage of their own. `complaints`: what the browser
    found wrong with our pages, as a breach of their policy; a test ends with none but those that
    have a word of `forgiven` in them."""

    context: BrowserContext
    folder: Path
    complaints: list[str] = field(default_factory=list)
    forgiven: list[str] = field(default_factory=list)

    def open(self, url: str) -> Page:
        page = self.context.new_page()
        page.set_default_timeout(PATIENCE_MS)
        page.on("console", self._listen)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.goto(url)
        return page

    def _listen(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(f"{message.type}: {message.text}")

    def unforgiven(self) -> list[str]:
        return [each for each in self.complaints if not any(word in each for word in self.forgiven)]

    def complains_of(self, page: Page, words: str) -> None:
        """It does, once, as the test wants it: that is forgotten."""
        for _ in range(PATIENCE_MS // LOOK_MS):
            found = [each for each in self.complaints if words in each]
            if found:
                self.complaints.remove(found[0])
                return
            page.wait_for_timeout(LOOK_MS)
        raise AssertionError(f"nobody complains of {words}: {self.complaints}")

    def picture(self, page: Page, name: str) -> Path:
        """What it looks like, from top to bottom."""
        path = self.folder / f"{name}.png"
        page.evaluate("document.activeElement.blur(), scrollTo(0, 0)")
        page.screenshot(path=path, full_page=True, animations="disabled")
        return path


def comes_true(page: Page, question: str, about: Any = None) -> Any:
    """Playwright's own wait evaluates texts, which the policy of our pages forbids."""
    for _ in range(PATIENCE_MS // LOOK_MS):
        if found := page.evaluate(question, about):
            return found
        page.wait_for_timeout(LOOK_MS)
    raise AssertionError(f"it never becomes true: {question}")


def stop_the_clock(page: Page) -> None:
    """No timer of the page runs out by itself, however long something takes; those that it has had
    before this was first asked for do. `page.clock` moves it on."""
    page.clock.install()
    page.clock.pause_at(page.evaluate("Date.now()") / 1000 + 1)


def look(page: Page, size: Size, scheme: Scheme) -> None:
    """From now on at this size and in these colours."""
    width, height = PIXELS[size]
    page.set_viewport_size({"width": width, "height": height})
    page.emulate_media(color_scheme=scheme, reduced_motion="reduce")


def barriers(page: Page) -> list[str]:
    """What keeps people from using the page, by axe-core: its serious findings, and where. What is
    seen once only was a page that had just changed."""
    page.evaluate(AXE.read_text(encoding="utf-8"))
    for _ in range(LOOKS_AT_BARRIERS):
        found = _found(page)
        if not found:
            break
        page.wait_for_timeout(LOOK_MS)
    return found


def _found(page: Page) -> list[str]:
    found = page.evaluate("axe.run({resultTypes: ['violations']})")
    return [
        f"{one['id']}: {node['failureSummary']}: {node['html']}"
        for one in found["violations"]
        if one["impact"] in SERIOUS
        for node in one["nodes"]
    ]


def overflows(page: Page) -> bool:
    """Is the page wider than its window?"""
    wide: bool = page.evaluate(
        "document.documentElement.scrollWidth > document.documentElement.clientWidth"
    )
    return wide


if __name__ == "__main__":  # for `make chromium`: whether it is there
    raise SystemExit(0 if program() else "Chromium is not installed")
