"""People at the chat page of a real node, which can be killed and come back at the same place."""

from __future__ import annotations

import json
import signal
import subprocess
import urllib.request
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from playwright.sync_api import Locator, Page, expect

from support.chromium import PATIENCE_MS, Visitor, comes_true
from support.command import TIMEOUT_S, postbox, ready_url, running
from support.ports import free_port

PATIENCE_AFTER_OUTAGE_MS = 2 * PATIENCE_MS
"""A device that was cut off for long tries again within a minute."""

NO_NETWORK = ("net::ERR_", "Failed to load resource", "FetchEvent")
"""What a browser itself says of requests that did not arrive, or that a host refused."""


class Host:
    def __init__(self, home: Path) -> None:
        self.home = home
        self.url = ""
        self._listen = f"127.0.0.1:{free_port()}"
        self._nodes = ExitStack()
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        words = ("serve", "--home", self.home, "--listen", self._listen, "--loopback")
        self._process = self._nodes.enter_context(running(*words, log=subprocess.DEVNULL))
        self.url = ready_url(self._process)

    def kill(self) -> None:
        """As a power cut does."""
        assert self._process is not None
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()

    def stop(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        self._process.wait()

    def close(self) -> None:
        self._nodes.close()

    def submit(self, user: str, events: list[dict[str, Any]]) -> None:
        """As another device of that user does, all at once."""
        token = self.link(user, "seed").partition("#token=")[2]
        headers = {"content-type": "application/json", "authorization": f"Bearer {token}"}
        url, body = f"{self.url}/postbox.v1.EventService/Sync", json.dumps({"events": events})
        request = urllib.request.Request(url, body.encode(), headers)
        with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:
            assert "eventRefused" not in answer.read().decode()

    def link(self, user: str, device: str = "web", *, days: int = 30) -> str:
        words = ("token", "mint", "--user", user, "--device", device, "--link", "--url", self.url)
        done = postbox(*words, "--days", str(days), "--home", self.home)
        assert done.code == 0, done
        return done.out.strip()


@dataclass
class Person:
    """Somebody at a page, by what is on the screen."""

    visitor: Visitor
    page: Page

    @classmethod
    def by_link(cls, visitor: Visitor, link: str) -> Person:
        """Who opens the operator's link in a browser where nobody is signed in, and means it."""
        person = cls(visitor, visitor.open(link))
        person.page.get_by_role("button", name="Sign in").click()
        return person

    @property
    def live(self) -> Locator:
        return self.page.locator("[data-connection=live]")

    def wait_live(self) -> None:
        expect(self.live).to_be_visible(timeout=PATIENCE_AFTER_OUTAGE_MS)

    def wait_kept(self) -> None:
        """The browser has a copy of the page, and opens it without a network."""
        comes_true(self.page, "() => Boolean(navigator.serviceWorker.controller)")
        comes_true(self.page, "async () => Boolean(await caches.match('/chat/whole'))")

    def begin(self, name: str, *others: str) -> None:
        self.page.get_by_role("button", name="New conversation").click()
        self.page.get_by_label("Name", exact=True).fill(name)
        self.page.get_by_label("With").fill(" ".join(others))
        self.page.get_by_role("button", name="Begin", exact=True).click()
        expect(self.page.get_by_role("heading", name=name)).to_be_visible()

    def choose(self, name: str) -> None:
        self.page.locator(".item", has_text=name).click()
        expect(self.page.get_by_role("heading", name=name)).to_be_visible()

    def write(self, text: str) -> None:
        field = self.page.get_by_label("Write a message")
        field.fill(text)
        field.press("Enter")
        expect(self.said(text)).to_be_visible()

    def said(self, text: str) -> Locator:
        return self.page.locator(".message", has=self.page.get_by_text(text, exact=True))

    def texts(self) -> list[str]:
        return self.page.locator(".message .text").all_inner_texts()

    def shows(self, *texts: str) -> None:
        """These and no others, in this order."""
        expect(self.page.locator(".message .text")).to_have_text(
            list(texts), timeout=PATIENCE_AFTER_OUTAGE_MS
        )

    def menu(self, text: str) -> Locator:
        """Of what can be done with that message, opened by its keys."""
        self.said(text).focus()
        self.said(text).press("Enter")
        return self.page.locator(".menu")

    def forgive_the_network(self) -> None:
        """A request that does not arrive is no complaint, until the test ends."""
        self.visitor.forgiven.extend(NO_NETWORK)


ROBS = """(name) => new Promise((resolve) => {
  const stays = () => new Promise(() => resolve())
  navigator.locks.request(name, { steal: true }, stays).catch(() => {})
})"""
STAND_IN_LINE = """async ([name, count]) => {
  const { pending } = await navigator.locks.query()
  return pending.filter((each) => each.name === name).length === count
}"""


def freeze_the_leader(page: Page, database: str, url: str) -> None:
    """As a browser freezes a tab of this device that talks to the host. Of such a one its lock is
    all that others see: here somebody has it who does nothing. The page, the only one so far, has
    noticed when this returns."""
    frozen, lock = page.context.new_page(), f"postbox {database}"
    frozen.goto(url)
    frozen.evaluate(ROBS, lock)
    comes_true(page, STAND_IN_LINE, [lock, 1])
