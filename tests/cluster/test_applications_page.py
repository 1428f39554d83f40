"""docs/applications.md says what works: its examples are run."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import apsw
import pytest
import trio

import postbox
from postbox import library
from postbox.store.application import execute
from structure.tree import ROOT
from support.town import Town, in_town

PAGE = (ROOT / "docs" / "applications.md").read_text(encoding="utf-8")
SOON_S = 30.0
CONFIG = '[serve]\nlisten = "10.0.0.1:2289"\nloopback = true\n'
B = {"serve.listen": "10.0.0.2:2289", "serve.loopback": True, "hosts.name": "b.example"}


def examples(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, flags=re.DOTALL)


@pytest.fixture
def at_a(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[Town], None]:
    """What the examples say of their surroundings: a folder, and an address behind their name."""

    def place(town: Town) -> None:
        town.simulation.net.names.update({"a.example": ["10.0.0.1"], "b.example": ["10.0.0.2"]})
        home = tmp_path / "home"
        home.mkdir()
        (home / "config.toml").write_text(CONFIG, encoding="utf-8")
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(library, "system_world", lambda: town.world("10.0.0.1"))

    return place


@in_town
async def test_the_examples_do_what_the_page_says(
    town: Town, at_a: Callable[[Town], None], capsys: pytest.CaptureFixture[str]
) -> None:
    at_a(town)
    app: dict[str, Any] = {"apsw": apsw, "__name__": "example"}
    for example in examples("python"):
        exec(example, app)
    a, thanks = app["host"], list[bytes]()

    async def thanked(delivery: postbox.Delivery[bytes]) -> None:
        thanks.append(delivery.message)

    a.on("shop.Thanks", thanked)
    b = postbox.Host()
    b_world = town.world("10.0.0.2")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(app["main"])
        async with postbox.open_host(town.homes / "b", b, B, world=b_world):
            await b.deal("bob@b.example", "a.example")
            own = await a.connect()
            with closing(own):
                own.execute("create table sold (number integer)")
                own.execute("create table bought (host text, message blob)")
                app["sell"](own, 7)
                await b.post("a.example", postbox.Event("x/shop.Order", b"9"))
                await a.deal("ann@a.example", "b.example")
                await b.guild_joined("ann@a.example", "h", "House")
                await trio.sleep(SOON_S)
                assert execute(own, "select * from bought") == [("b.example:2289", b"9")]
            with closing(await b.connect()) as other:
                rows = execute(
                    other, "select count(*) from entry where stream = ?", [b"in/a.example:2289"]
                )
            assert [guild.name for guild in await b.guilds_of("bob@b.example")] == ["Garden"]
            assert rows == [(3,)], "the guild, the order and the thanks"
        nursery.cancel_scope.cancel()
    assert capsys.readouterr().out == "ann@a.example:2289 is now in House of b.example:2289\n"


def test_the_row_that_other_languages_write_has_the_columns_that_there_are() -> None:
    [statement] = examples("sql")
    assert "insert into draft (id, host, type_url, value)" in statement
