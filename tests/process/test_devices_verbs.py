"""`postbox token` and `postbox devices`: users' devices are let in and shut out by the operator."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import trio

from postbox.clients.identity.callers import Caller, Callers, NotKnown
from postbox.clients.identity.devices import Devices
from postbox.clients.identity.tokens import token_key
from postbox.config import load
from postbox.node import open_node
from postbox.trust.keys import SEED_BYTES
from postbox.world import SystemClock, system_world
from support.command import TIMEOUT_S, Call, served


def devices(call: Call, home: Path, *words: str, code: int = 0) -> list[dict[str, Any]]:
    done = call("devices", *words, "--home", home, "--json")
    assert done.code == code, done
    return list(done.json["devices"])


def minted(call: Call, home: Path, device: str = "phone", *words: str) -> str:
    done = call("token", "mint", "--user", "ann", "--device", device, *words, "--home", home)
    assert done.code == 0, done
    assert f"for ann's {device}, until 2" in done.err
    return done.out.strip()


def signed_in(home: Path, token: str) -> Caller:
    """With the node in this process. Raises NotKnown."""

    async def sign_in() -> Caller | NotKnown:
        world = system_world()
        async with open_node(world, home, load(home)) as node:
            devices = Devices(world, node.store, node.admission, max_devices=3)
            node.tail.follow(devices)
            key = token_key(node.identity.soul[:SEED_BYTES])
            callers = Callers(world, key, None, devices, str, events_per_second=1, burst=1)
            try:
                return await callers.known(f"Bearer {token}", None)
            except NotKnown as error:  # alone, and not in a group
                return error

    caller = trio.run(sign_in)
    if isinstance(caller, NotKnown):
        raise caller
    return caller


def test_a_minted_token_lets_its_device_in_until_it_is_revoked(tmp_path: Path, call: Call) -> None:
    assert devices(call, tmp_path) == []
    token = minted(call, tmp_path)
    assert devices(call, tmp_path) == [], "it is registered when it signs in"
    caller = signed_in(tmp_path, token)
    assert (caller.user, caller.device) == ("ann", "phone")
    [device] = devices(call, tmp_path)
    assert (device["user"], device["device"], device["is_let_in"]) == ("ann", "phone", True)
    [revoked] = devices(call, tmp_path, "revoke", "ann", "phone")
    assert revoked["is_let_in"] is False
    with pytest.raises(NotKnown) as refused:
        signed_in(tmp_path, token)
    assert refused.value.code == "DEVICE_REVOKED"
    assert signed_in(tmp_path, minted(call, tmp_path)).device_id == caller.device_id
    [again] = devices(call, tmp_path)
    assert again["is_let_in"] is True
    assert again["revoked"] == revoked["revoked"]
    shown = call("devices", "--home", tmp_path).out
    assert shown.splitlines()[1].endswith(", in again")


def test_a_serving_node_mints_what_it_takes_when_it_is_stopped(tmp_path: Path, call: Call) -> None:
    with served(tmp_path):
        token = minted(call, tmp_path)
        [never] = devices(call, tmp_path, "revoke", "ann", "lost", code=1)
        assert (never["user"], never["registered"], never["is_let_in"]) == (None, None, False)
    assert signed_in(tmp_path, token).user == "ann"
    both = devices(call, tmp_path, "--user", "ann")
    assert [(one["device"], one["is_let_in"]) for one in both] == [("lost", False), ("phone", True)]
    assert devices(call, tmp_path, "list", "--user", "bob") == []


def test_a_device_calls_a_serving_node_until_it_is_shut_out_there(
    tmp_path: Path, call: Call
) -> None:
    with served(tmp_path) as url:
        token = minted(call, tmp_path)
        assert asked(url, token) == (200, "")
        assert asked(url, None) == (401, "NO_SESSION")
        assert [one["device"] for one in devices(call, tmp_path)] == ["phone"]
        devices(call, tmp_path, "revoke", "ann")
        assert asked(url, token) == (401, "DEVICE_REVOKED")
        assert asked(url, minted(call, tmp_path)) == (200, "")


def asked(url: str, token: str | None) -> tuple[int, str]:
    """Status and code of an empty batch, as a page in a browser sends it."""
    headers = {"content-type": "application/json"}
    if token is not None:
        headers["authorization"] = f"Bearer {token}"
    sync = f"{url}/postbox.v1.EventService/Sync"
    request = urllib.request.Request(sync, b"{}", headers)
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:
            return answer.status, ""
    except urllib.error.HTTPError as error:
        with error:
            return error.code, str(json.loads(error.read())["message"]).partition(":")[0]


def test_all_devices_of_a_user_are_revoked_at_once(tmp_path: Path, call: Call) -> None:
    for name in ("phone", "tablet"):
        signed_in(tmp_path, minted(call, tmp_path, name))
    done = call("devices", "revoke", "ann", "--home", tmp_path)
    assert done.out.splitlines() == [
        "every device of ann is shut out until it has a new token.",
        "ann's phone is shut out until it has a new token.",
        "ann's tablet is shut out until it has a new token.",
    ]
    assert not any(one["is_let_in"] for one in devices(call, tmp_path))
    for token in (minted(call, tmp_path, "watch"), minted(call, tmp_path)):
        assert signed_in(tmp_path, token).user == "ann"


def test_what_was_minted_for_a_user_that_never_signed_in_can_be_made_useless(
    tmp_path: Path, call: Call
) -> None:
    token = minted(call, tmp_path)
    [every] = devices(call, tmp_path, "revoke", "ann", code=1)
    assert (every["device"], every["registered"]) == ("*", None)
    with pytest.raises(NotKnown) as refused:
        signed_in(tmp_path, token)
    assert refused.value.code == "DEVICE_REVOKED"
    assert signed_in(tmp_path, minted(call, tmp_path)).user == "ann"


def test_who_mistypes_a_name_is_told_that_nobody_of_that_name_signed_in(
    tmp_path: Path, call: Call
) -> None:
    signed_in(tmp_path, minted(call, tmp_path))
    for words, stranger in (
        (("anne",), "nobody signed in here as anne"),
        (("anne", "phone"), "nobody signed in here as anne"),
        (("ann", "phnoe"), "no device phnoe of ann is known here"),
    ):
        done = call("devices", "revoke", *words, "--home", tmp_path)
        assert (done.code, done.err.startswith(f"postbox: {stranger}: ")) == (1, True), done
        assert "is shut out until" in done.out
    done = call("devices", "revoke", "ann", "--home", tmp_path)
    assert (done.code, done.err) == (0, ""), "one that was shut out before is no reason"


def test_a_link_to_the_chat_page_has_the_token_where_no_browser_sends_it(
    tmp_path: Path, call: Call
) -> None:
    mint = ("token", "mint", "--user", "ann", "--device", "web", "--home", tmp_path)
    link = call(*mint, "--link").out.strip()
    base, token = link.split("/chat/#token=")
    assert base == "http://127.0.0.1:7433"
    assert signed_in(tmp_path, token).device == "web"

    told = call(*mint, "--url", "https://chat.example.org", "--json").json
    assert told["link"] == f"https://chat.example.org/chat/#token={told['token']}"
    for wrong in ("chat.example.org", "ftp://chat.example.org", "https://chat.example.org/deep"):
        done = call(*mint, "--url", wrong)
        assert done.code == 2
        assert "--url has the form https://chat.example.org" in done.err


def test_how_long_a_token_is_good_is_said_by_the_verb_or_the_configuration(
    tmp_path: Path, call: Call
) -> None:
    (tmp_path / "config.toml").write_text("clients.token_days = 2\n")

    def days(*words: str) -> float:
        done = call("token", "mint", "--user", "ann", "--device", "phone", *words,
                    "--home", tmp_path, "--json")  # fmt: skip
        now = datetime.fromtimestamp(SystemClock().now_ns() / 1e9, UTC)
        return (datetime.fromisoformat(done.json["expires"]) - now) / timedelta(days=1)

    assert round(days()) == 2
    assert round(days("--days", "9")) == 9
    for wrong in ("0", "-1", "3651", "x"):
        done = call("token", "mint", "--user", "ann", "--device", "d", "--days", wrong,
                    "--home", tmp_path)  # fmt: skip
        assert done.code == 2, wrong


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("token", "mint", "--user", "ann@b.example", "--device", "phone"), 1),
        (("token", "mint", "--user", "ann", "--device", "my phone"), 1),
        (("token", "mint", "--user", "ann"), 2),
        (("devices", "revoke", "a:b", "phone"), 1),
        (("devices", "revoke", "ann", ""), 1),
        (("devices", "revoke", "ann", "*"), 1),
        (("devices", "revoke"), 2),
        (("devices", "--user", ""), 1),
        (("devices", "nonsense"), 2),
    ],
)
def test_what_names_no_device_is_refused_and_nothing_is_made(
    tmp_path: Path, call: Call, words: tuple[str, ...], code: int
) -> None:
    done = call(*words, "--home", tmp_path)
    assert (done.code, done.out) == (code, ""), done
    assert done.err
    assert devices(call, tmp_path) == []


def test_the_doctor_looks_at_the_issuer(tmp_path: Path, call: Call) -> None:
    def said() -> list[tuple[str, str]]:
        found = call("doctor", "--home", tmp_path, "--json").json["findings"]
        return [(one["state"], one["text"]) for one in found if one["what"] == "issuer"]

    call("keys", "show", "--home", tmp_path)
    assert said() == []
    name = "https://login.example"
    (tmp_path / "config.toml").write_text(f'[clients]\nissuer = "{name}"\njwks = "jwks.json"\n')
    [(state, text)] = said()
    assert (state, text.startswith(f"{name}: its keys cannot be had: ")) == ("wrong", True)
    (tmp_path / "jwks.json").write_text('{"keys": [{"kty": "RSA", "kid": "r"}]}')
    assert [state for state, _ in said()] == ["wrong", "warning"]
    key = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"  # RFC 8037, A.2
    (tmp_path / "jwks.json").write_text(
        f'{{"keys": [{{"kty": "OKP", "crv": "Ed25519", "kid": "k7", "x": "{key}"}}]}}'
    )
    assert said() == [("ok", f"{name}, keys: k7")]
