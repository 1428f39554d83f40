"""A node in an application's own process, as the application sees it: on a real socket and disk."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest
import trio

import postbox
from postbox.config import BadConfig
from postbox.errors import HomeInUse
from postbox.store.application import execute

SETTINGS = {"serve.listen": "127.0.0.1:0", "serve.loopback": True}
AWAY = "127.0.0.1:9"  # nobody listens there
PATIENCE_S = 60
EVENT = postbox.Event("x/shop.Order", b"1")


async def queued(host: postbox.Host) -> int:
    with closing(await host.connect()) as own:
        [(last_seq,)] = execute(own, "select last_seq from link_out where host = ?", [AWAY])
    assert isinstance(last_seq, int)
    return last_seq


async def test_what_an_application_posts_is_there_when_it_opens_the_node_again(
    tmp_path: Path,
) -> None:
    with trio.fail_after(PATIENCE_S):
        async with postbox.open_host(tmp_path / "home", settings=SETTINGS) as host:
            assert await host.post(AWAY, EVENT) == 1
        async with postbox.open_host(str(tmp_path / "home"), settings=SETTINGS) as host:
            assert await queued(host) == 1
            assert await host.post(AWAY, EVENT) == 2


async def test_what_keeps_a_node_from_opening_is_told_and_what_the_application_raises_comes_out(
    tmp_path: Path,
) -> None:
    with trio.fail_after(PATIENCE_S):
        with pytest.raises(BadConfig, match="--listen"):
            async with postbox.open_host(tmp_path, settings={"serve.listen": "nowhere"}):
                pytest.fail("it opened")
        with pytest.RaisesGroup(RuntimeError):
            async with postbox.open_host(tmp_path, settings=SETTINGS):
                with pytest.RaisesGroup(HomeInUse):
                    async with postbox.open_host(tmp_path, settings=SETTINGS):
                        pytest.fail("it opened")
                raise RuntimeError("the application's")


def test_what_an_application_imports_is_what_the_types_say() -> None:
    stub = Path(postbox.__file__ or "").with_suffix(".pyi").read_text(encoding="utf-8")
    names = [line.split()[-1] for line in stub.splitlines()]
    assert len(names) > 8, "the test has lost its way"
    assert [name for name in names if getattr(postbox, name).__name__ != name] == []
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        postbox.nothing  # type: ignore[attr-defined]  # noqa: B018
