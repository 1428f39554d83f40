"""`make pictures`: those of the README, of a real demo, its nodes, a real browser and a real chat.

What is seen in them is what `postbox demo --keep` leaves serving, and one conversation more, which
is told here.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import trio
from playwright.sync_api import Browser, ViewportSize

from pictures.drawing import draw_lines, in_svg
from postbox.chat.app import Chat
from postbox.chat.tokens import OneToken
from postbox.client import Client, open_client
from support.chat_screen import Seat
from support.chromium import PATIENCE_MS, chromium
from support.command import POSTBOX, environment, told

FOLDER = Path(__file__).parents[2] / "docs" / "pictures"
MOST_BYTES = 150_000
"""Of a picture: the README is read on telephones, too."""
BEGINS, ENDS = "What was proved", "They serve until you press Ctrl-C"
SIZE: ViewportSize = {"width": 1280, "height": 800}
GRAPH_MS = 20_000
"""Until the graph of the page, which begins when somebody looks, is more than a few points."""
TALK = (
    ("bob", "The boat is back in the water."),
    ("ann", "Did you find the leak?"),
    ("bob", "Two of them. Both are closed now, and I learned some new words."),
    ("ann", "Then Sunday at nine. I bring the bread, who has the coffee?"),
    ("cat", "I do. There is no signal at the pier, so read this when you are home."),
    ("bob", "Nine is early."),
    ("ann", "Nine is when the tide is."),
)


@dataclass(frozen=True)
class Demo:
    """`closing`: its last lines, as a terminal shows them."""

    homes: Path
    closing: list[str]

    @property
    def north(self) -> Path:
        return self.homes / "north"


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as temporary:
        with demonstrated(Path(temporary)) as demo:
            draw_lines(["$ postbox demo", "...", "", *demo.closing], FOLDER / "demo.svg")
            trio.run(talk, demo)
            asyncio.run(draw_terminal_chat(demo))
            with chromium() as browser:
                draw_page(demo, browser)
                draw_chat(demo, browser)
    for picture in sorted(FOLDER.iterdir()):
        size = picture.stat().st_size
        print(f"{picture.name}: {size:,} bytes")
        assert size <= MOST_BYTES, f"{picture.name} is too large for a README"


@contextmanager
def demonstrated(folder: Path) -> Iterator[Demo]:
    """The demo, shown, with its nodes still serving; homes in this folder."""
    with subprocess.Popen(
        [POSTBOX, "demo", "--keep"],
        stdout=subprocess.PIPE,
        text=True,
        env=environment(TMPDIR=str(folder), FORCE_COLOR="1"),
    ) as process:
        assert process.stdout is not None
        said: list[str] = []
        for line in process.stdout:
            print(line, end="", flush=True)
            said.append(line.rstrip("\n"))
            if ENDS in line:
                break
        else:
            raise SystemExit("the demo ended before there was anything to look at")
        [begin] = [at for at, line in enumerate(said) if line.startswith(BEGINS)]
        try:
            yield Demo(next(folder.glob("postbox-demo-*")), said[begin : said.index("", begin)])
        finally:
            process.send_signal(signal.SIGINT)
            process.stdout.read()


def url_of(demo: Demo) -> str:
    return str(told("status", "--home", demo.north)["url"])


def token_of(demo: Demo, user: str, device: str) -> str:
    minted = told("token", "mint", "--user", user, "--device", device, "--home", demo.north)
    return str(minted["token"])


async def talk(demo: Demo) -> None:
    """Three people, a conversation, and the last word read by everybody."""
    names = sorted({author for author, _ in TALK})
    async with trio.open_nursery() as nursery:
        clients: dict[str, Client] = {}
        done = trio.Event()

        async def be(name: str, *, task_status: trio.TaskStatus[None]) -> None:
            path = demo.homes / f"{name}-tablet.db"
            token = token_of(demo, name, "tablet")
            async with open_client(url_of(demo), token, path) as client:
                clients[name] = client
                await client.caught_up()
                await client.set_name(name.capitalize())
                await client.drained()
                task_status.started()
                await done.wait()

        for name in names:
            await nursery.start(be, name)
        await say_all(clients)
        done.set()


async def say_all(clients: dict[str, Client]) -> None:
    made = await clients["ann"].create("Sunday", [name for name in clients if name != "ann"])
    await clients["ann"].drained()
    sunday = await clients["ann"].conversation(made)
    assert sunday is not None
    for author, text in TALK:
        client = clients[author]
        changes = client.changes()
        while await client.conversation(sunday.uuid) is None:
            await anext(changes)
        await client.send(sunday.uuid, text)
        await client.drained()
    for client in clients.values():
        changes = client.changes()
        while len(messages := await client.messages(sunday.uuid)) < len(TALK):
            await anext(changes)
        await client.read(messages[-1])
        await client.drained()


async def draw_terminal_chat(demo: Demo) -> None:
    url, path = url_of(demo), demo.homes / "ann-chat.db"
    tokens = OneToken(token_of(demo, "ann", "chat"), "the picture")
    async with open_client(url, tokens.fresh, path) as client:
        await client.caught_up()
        app = Chat(client, f"ann · {url.partition('://')[2]}", tokens.again)
        async with app.run_test(size=(96, 22)) as pilot:
            seat = Seat(app, pilot, client)
            await seat.sees("Sunday")
            await pilot.press("enter")
            await seat.sees(TALK[-1][1])
            (FOLDER / "terminal.svg").write_text(in_svg(app), encoding="utf-8")


def draw_page(demo: Demo, browser: Browser) -> None:
    link = told("open", "--home", demo.north)["url"]
    page = browser.new_page(viewport=SIZE, color_scheme="light", reduced_motion="reduce")
    page.set_default_timeout(PATIENCE_MS)
    page.goto(link)
    page.get_by_role("heading", name="Events a second").wait_for()
    page.wait_for_timeout(GRAPH_MS)
    page.screenshot(path=FOLDER / "page.png", animations="disabled")
    page.close()


def draw_chat(demo: Demo, browser: Browser) -> None:
    mint = ("token", "mint", "--user", "ann", "--device", "browser", "--link")
    link = told(*mint, "--home", demo.north)["link"]
    page = browser.new_page(viewport=SIZE, color_scheme="light", reduced_motion="reduce")
    page.set_default_timeout(PATIENCE_MS)
    page.goto(link)
    page.get_by_role("button", name="Sign in").click()
    page.get_by_text("Sunday").first.click()
    page.get_by_text(TALK[-1][1]).last.wait_for()
    page.screenshot(path=FOLDER / "chat.png", animations="disabled")
    page.close()


if __name__ == "__main__":
    os.umask(0o022)
    main()
