"""`sync.js` by itself, in a page that has nothing else: what a stranger copies."""

from __future__ import annotations

from playwright.sync_api import Page

from support.chat_page import Host
from support.chromium import Visitor

OPEN = """async (its) => {
  window.sync = await import('/chat/sync.js')
  window.device = await sync.openDevice({ url: location.origin, ...its })
}"""
LIVE = "() => device.status.connection === 'live'"
TEXTS = """async (name) => {
  const found = await device.conversations()
  const its = found.find((each) => each.name === name)
  return its ? (await device.messages(its.key)).map(({ text, state }) => [text, state]) : null
}"""
NOTES = """async (text) => {
  const [its] = await device.conversations()
  const row = its ?? (await device.act({ type: 'CreateConversation', name: 'Notes' }))
  await device.act({ type: 'SendMessage', conversation: row.key ?? row.local, text })
}"""


def nowhere(visitor: Visitor, host: Host) -> Page:
    """A page of the host's origin with no script of its own."""
    return visitor.open(f"{host.url}/assets/icon.svg")


def beside(page: Page) -> Page:
    """Another tab of the same browser."""
    other = page.context.new_page()
    other.goto(page.url)
    return other


def signs_in(page: Page, host: Host, user: str = "ann") -> None:
    """A device of this user is opened there, for the first time."""
    page.evaluate(OPEN, {"token": token(host.link(user))})


def token(link: str) -> str:
    return link.partition("#token=")[2]
