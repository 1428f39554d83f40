"""Who sent a request: what is checked before anybody is asked, who is asked, and how often."""

from __future__ import annotations

import base64
import hashlib
import json
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import msgspec
import pytest
import trio
from trio.testing import MockClock

from postbox.errors import Full
from postbox.hosts.keys import keys as keys_module
from postbox.hosts.keys.fetch_gate import SOURCE_PER_MINUTE, STRANGERS_PER_MINUTE
from postbox.hosts.keys.fetching import FETCHERS, MAX_QUEUE, KeyUnavailable
from postbox.hosts.keys.key_list import make_reply
from postbox.hosts.keys.keys import (
    REFRESH_EVERY_S,
    Busy,
    Caller,
    HostSettings,
    KeyCache,
    Refused,
    Unauthenticated,
)
from postbox.hosts.keys.rules import KIND_PEER_KEY, STREAM, LearnKeys, PeerKeys
from postbox.log.committed import Committed
from postbox.net.addresses import Reach
from postbox.store.contract import Entry, Lane
from postbox.trust.host_keys import FIRST, KEEP_MS, HostKey, Rotation, host_key, rotated
from postbox.trust.tokens import Rpc, sign_plain, sign_strict
from postbox.world import Clock, World
from support.memory_net import MemoryNet
from support.simulate import InlineThreads, Life, MemoryDisk, SeededRandom, VirtualClock

A, B, C = "a.example:2289", "b.example:2289", "c.example:2289"
BH = hashlib.sha256(b"the event").digest()
REACH = Reach((), loopback=False)


@dataclass
class Host:
    """Another host, as far as its keys go: it signs, and answers to GetKey."""

    name: str
    is_plain: bool = False
    rotation: Rotation = FIRST
    is_down: bool = False
    delay_s: float = 0.0
    asked: int = 0

    @property
    def seed(self) -> bytes:
        return hashlib.sha256(self.name.encode()).digest()

    def key(self, number: int = 0) -> HostKey:
        return host_key(self.seed, number)

    async def answer(self) -> bytes:
        self.asked += 1
        await trio.sleep(self.delay_s)
        if self.is_down:
            raise OSError("10.1.2.3 port 2289: connection refused")
        if self.is_plain:
            now_ms = VirtualClock().now_ns() // 10**6
            return b"\x0a\x20" + self.key(self.rotation.number_at(now_ms)).public_key
        return make_reply(self.name, self.seed, self.rotation, VirtualClock().now_ns() // 10**6)

    def rotate(self, *, is_at_once: bool = True) -> None:
        now_ms = VirtualClock().now_ns() // 10**6
        changed = rotated(self.rotation, now_ms, is_at_once=is_at_once)
        assert isinstance(changed, Rotation)
        self.rotation = changed


@dataclass
class Town:
    """Host B, which is asked, and the others."""

    hosts: dict[str, Host]
    settings: dict[str, HostSettings] = field(default_factory=dict)
    saved: list[PeerKeys] = field(default_factory=list)
    is_full: bool = False
    asked: list[str] = field(default_factory=list)
    counted: Counter[str] = field(default_factory=Counter)
    random: SeededRandom = field(default_factory=lambda: SeededRandom(1))

    def settings_of(self, host: str) -> HostSettings:
        return self.settings.get(host, HostSettings(None, False, False))

    async def fetch(self, host: str) -> bytes:
        self.asked.append(host)
        if host not in self.hosts:
            await trio.sleep(0.1)
            raise OSError(f"{host} has no address")
        return await self.hosts[host].answer()

    async def save(self, peer: PeerKeys) -> None:
        await trio.lowlevel.checkpoint()
        if self.is_full:
            raise Full("no room on the disk")
        self.saved.append(peer)

    def token(self, host: str = A, number: int = 0, **changed: Any) -> str:
        said: dict[str, Any] = {"iss": host, "aud": B, "rpc": "PostEvent", "bh": BH}
        now_s = VirtualClock().now_ns() / 1e9
        said |= {"now_s": now_s, "jti": self.random.bytes(16)}
        return sign_strict(self.hosts[host].key(number), **(said | changed))

    def plain(self, host: str = A, number: int = 0) -> str:
        return sign_plain(self.hosts[host].key(number), self.random.bytes(16))


@asynccontextmanager
async def open_cache(town: Town, clock: Clock | None = None) -> AsyncIterator[KeyCache]:
    world = World(
        clock or VirtualClock(),
        SeededRandom(2),
        MemoryNet(),
        InlineThreads(SeededRandom(3), Life()),
        MemoryDisk(),
    )
    cache = KeyCache(
        world,
        B,
        is_local=False,
        settings=town.settings_of,
        fetch=town.fetch,
        save=town.save,
        counts_as=REACH.counts_as,
        count=lambda outcome: town.counted.update([outcome]),
    )
    with trio.fail_after(50 * 86_400):
        async with trio.open_nursery() as nursery:
            for _, loop in cache.loops():
                nursery.start_soon(loop)
            yield cache
            nursery.cancel_scope.cancel()


def town_of(*names: str, **settings: Any) -> Town:
    return Town({name: Host(name, **settings) for name in names})


async def ask(
    cache: KeyCache,
    token: str,
    host: str = A,
    rpc: Rpc = "PostEvent",
    bh: bytes = BH,
    source: str = "192.0.2.1",
) -> Caller:
    return await cache.authenticate(host, token, rpc, bh, source)


def forged(town: Town, host: str = A, **changed: Any) -> str:
    """With the kid of the host's own key, and another's signature."""
    good, other = town.token(host, **changed), town.token(host, number=9, **changed)
    return good.rpartition(".")[0] + "." + other.rpartition(".")[2]


# -- good ones -----------------------------------------------------------------------------------


async def test_a_host_is_asked_for_its_key_once_and_then_known(autojump_clock: MockClock) -> None:
    town = town_of(A)
    async with open_cache(town) as cache:
        for _ in range(5):
            caller = await ask(cache, town.token())
            assert (caller.host, caller.is_plain) == (A, False)
        assert town.asked == [A]
        assert [peer.host for peer in town.saved] == [A]
        assert cache.known(A) == town.saved[0]
        assert (await cache.keys_of(A)).capabilities == ("strict", "PostEvents", "Ack", "follow")
        assert town.asked == [A]


async def test_a_host_may_spell_its_name_as_it_likes_but_in_its_token(
    autojump_clock: MockClock,
) -> None:
    town = town_of(A)
    async with open_cache(town) as cache:
        for spelling in ("A.Example", "a.example.", "a.example:02289"):
            assert (await ask(cache, town.token(), host=spelling)).host == A
            with pytest.raises(Unauthenticated, match="its iss is"):
                await ask(cache, town.token(iss=spelling), host=spelling)


async def test_what_was_stored_is_known_after_a_start_and_in_every_process(
    autojump_clock: MockClock,
) -> None:
    town = town_of(A)
    async with open_cache(town) as cache:
        await ask(cache, town.token())
    body = msgspec.json.encode(town.saved[0])
    draft_id = LearnKeys(town.saved[0]).id
    entry = Entry(1, Lane.HOSTS, STREAM, None, draft_id, KIND_PEER_KEY, 0, b"", 0, body)
    async with open_cache(town) as cache:
        cache.applied(Committed(1, [entry], (), (), {}, {(Lane.HOSTS, STREAM): [entry]}))
        await ask(cache, town.token())
    assert town.asked == [A]


async def test_a_thousand_first_requests_at_once_ask_once(autojump_clock: MockClock) -> None:
    town = town_of(A, delay_s=3.0)
    async with open_cache(town) as cache, trio.open_nursery() as nursery:
        for at in range(1000):
            nursery.start_soon(ask, cache, town.token(), A, "PostEvent", BH, f"198.51.{at % 250}.1")
    assert town.asked == [A]
    assert len(town.saved) == 1


async def test_a_caller_that_hangs_up_stops_nobody_elses_fetch(autojump_clock: MockClock) -> None:
    town = town_of(A, delay_s=3.0)
    async with open_cache(town) as cache, trio.open_nursery() as nursery:
        with trio.move_on_after(1):
            await ask(cache, town.token())
        nursery.start_soon(ask, cache, town.token())
        await trio.sleep(10)
    assert town.asked == [A]


async def test_who_waits_for_a_fetch_that_is_given_up_is_told_so(
    autojump_clock: MockClock,
) -> None:
    town = town_of(A, delay_s=3.0)
    async with open_cache(town) as cache, trio.open_nursery() as nursery:

        async def give_up() -> None:
            with trio.move_on_after(1):
                await cache.ask(A)

        nursery.start_soon(give_up)
        await trio.testing.wait_all_tasks_blocked()
        with pytest.raises(Busy) as busy:
            await ask(cache, town.token())
        assert busy.value.retry_s == 1
        assert "could not be fetched: whoever asked gave up" in str(busy.value.__cause__)
        assert (await ask(cache, town.token())).host == A


async def test_an_error_without_words_is_told_by_its_kind(autojump_clock: MockClock) -> None:
    town = town_of(A)
    async with open_cache(town) as cache:

        async def answer() -> bytes:
            raise ConnectionResetError

        town.hosts[A].answer = answer  # type: ignore[method-assign]
        with pytest.raises(KeyUnavailable, match="could not be fetched: ConnectionResetError"):
            await cache.keys_of(A)


# -- refused before anybody is asked -------------------------------------------------------------

MADE_FOR_ANOTHER: dict[str, dict[str, Any]] = {
    "another host": {"aud": C},
    "another call": {"rpc": "Sync"},
    "another event": {"bh": bytes(32)},
    "another time": {"now_s": 1_795_219_200 - 200},
    "a time to come": {"now_s": 1_795_219_200 + 60},
    "before the start": {"now_s": 1_795_219_200 - 1},
    "from another": {"iss": C},
}


@pytest.mark.parametrize("what", MADE_FOR_ANOTHER)
@pytest.mark.parametrize("is_known", [False, True])
async def test_a_token_that_was_made_for_something_else_is_refused_and_nobody_asked(
    what: str, is_known: bool, autojump_clock: MockClock
) -> None:
    town = town_of(A)
    async with open_cache(town) as cache:
        if is_known:
            await ask(cache, town.token())
        with pytest.raises(Unauthenticated, match="the token was not accepted: "):
            await ask(cache, town.token(**MADE_FOR_ANOTHER[what]))
    assert town.asked == [A] * is_known


async def test_a_third_host_cannot_use_a_token_that_it_was_given(autojump_clock: MockClock) -> None:
    """A posts to C, and C tries to be A at B: as A, or as itself."""
    town = town_of(A, C)
    async with open_cache(town) as cache:
        await ask(cache, town.token())
        given_to_c = town.token(aud=C)
        for name in (A, C):
            with pytest.raises(Unauthenticated):
                await ask(cache, given_to_c, host=name)
        passed_on = town.token()
        with pytest.raises(Unauthenticated, match=r"its iss is 'a\.example:2289', and the req"):
            await ask(cache, passed_on, host=C)
        signed_by_c = sign_strict(
            town.hosts[C].key(), iss=A, aud=B, rpc="PostEvent", bh=BH,
            now_s=VirtualClock().now_ns() / 1e9, jti=bytes(16),
        )  # fmt: skip
        with pytest.raises(Unauthenticated, match=r"not by any key that a\.example:2289 pub"):
            await ask(cache, signed_by_c)


@pytest.mark.parametrize("used_for", ["Sync", "PostEvent", "PostEvents", "Ack"])
async def test_a_token_is_for_one_call(used_for: Rpc, autojump_clock: MockClock) -> None:
    town = town_of(A)
    async with open_cache(town) as cache:
        made_for: Rpc
        for made_for in ("Sync", "PostEvent", "PostEvents", "Ack"):
            if made_for == used_for:
                await ask(cache, town.token(rpc=made_for), rpc=used_for)
            else:
                with pytest.raises(Unauthenticated, match=f"made for {made_for}, not for"):
                    await ask(cache, town.token(rpc=made_for), rpc=used_for)


async def test_a_token_is_used_once_also_by_two_at_once_and_expires(
    autojump_clock: MockClock,
) -> None:
    town = town_of(A, delay_s=1.0)
    async with open_cache(town) as cache:
        stolen = town.token()
        ends: list[str] = []

        async def use() -> None:
            try:
                await ask(cache, stolen)
                ends.append("taken")
            except Unauthenticated as error:
                ends.append(str(error))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(use)
            nursery.start_soon(use)
        assert ends.count("taken") == 1
        assert sum("it was used before" in end for end in ends) == 1
        await trio.sleep(80)
        with pytest.raises(Unauthenticated, match="used before"):
            await ask(cache, stolen)
        await trio.sleep(20)
        with pytest.raises(Unauthenticated, match="it expired"):
            await ask(cache, stolen)
    async with open_cache(town) as cache:  # it has forgotten what it saw
        with pytest.raises(Unauthenticated, match="expired"):
            await ask(cache, stolen)


async def test_a_token_that_was_used_is_refused_after_a_start_too(
    autojump_clock: MockClock,
) -> None:
    town = town_of(A)
    async with open_cache(town) as cache:
        stolen = town.token()
        await ask(cache, stolen)
    await trio.sleep(0.001)
    async with open_cache(town) as cache:
        with pytest.raises(Unauthenticated, match="before this host started: sign a new one"):
            await ask(cache, stolen)


@pytest.mark.parametrize(
    "name",
    ["", "a", "https://a.example", "127.0.0.1", "169.254.169.254", "[::1]", "a.example@c.example",
     "localhost", "a.example:22", "\ud800", "a" * 10**6],
)  # fmt: skip
async def test_what_is_no_hosts_name_is_refused_and_nobody_asked(
    name: str, autojump_clock: MockClock
) -> None:
    town = town_of(A)
    async with open_cache(town) as cache:
        with pytest.raises(Unauthenticated, match="names no host: "):
            await ask(cache, town.token(), host=name)
    assert town.asked == []


async def test_nobody_is_this_host_itself(autojump_clock: MockClock) -> None:
    town = town_of(A, B)
    async with open_cache(town) as cache:
        with pytest.raises(Unauthenticated, match="which is this host itself"):
            await ask(cache, town.token(B), host="B.example")
    assert town.asked == []


async def test_a_host_that_is_blocked_or_not_allowed_is_refused_and_not_asked(
    autojump_clock: MockClock,
) -> None:
    town = town_of(A)
    town.settings[A] = HostSettings("a.example is blocked here", False, True)
    async with open_cache(town) as cache:
        with pytest.raises(Refused, match=r"a\.example is blocked here"):
            await ask(cache, town.token())
    assert town.asked == []


async def test_a_known_key_that_refutes_a_signature_is_believed(autojump_clock: MockClock) -> None:
    town = town_of(A)
    async with open_cache(town) as cache:
        await ask(cache, town.token())
        for _ in range(100):
            await trio.sleep(100)
            with pytest.raises(Unauthenticated, match="its signature is not by the key"):
                await ask(cache, forged(town))
    assert town.asked == [A]


# -- how much a stranger can cause ---------------------------------------------------------------


AT_ONCE = 50


async def flood(cache: KeyCache, requests: list[tuple[str, str, str]]) -> dict[str, int]:
    """How many of them were refused in which way; each is host, token, address."""
    ends: dict[str, int] = {}

    async def send(host: str, token: str, source: str) -> None:
        try:
            await ask(cache, token, host, source=source)
            end = "taken"
        except (Unauthenticated, Refused, Busy) as error:
            end = type(error).__name__
        ends[end] = ends.get(end, 0) + 1

    async def work(part: list[tuple[str, str, str]]) -> None:
        for host, token, source in part:
            await send(host, token, source)

    async with trio.open_nursery() as nursery:
        for at in range(AT_ONCE):
            nursery.start_soon(work, requests[at::AT_ONCE])
    return ends


async def test_ten_thousand_bad_tokens_for_one_known_host_cause_one_fetch(
    autojump_clock: MockClock,
) -> None:
    town = town_of(A, C)
    async with open_cache(town) as cache:
        await ask(cache, town.token())
        # four keys that are not A's, signed by them; and tokens that a signature was swapped in
        tokens = [town.token(number=2 + at % 4) for at in range(78)]
        tokens += [forged(town) for _ in range(2)]
        ends = await flood(
            cache, [(A, tokens[at % 80], f"198.51.{at % 256}.{at // 256}") for at in range(10_000)]
        )
        assert "taken" not in ends
        assert town.asked == [A, A]
        assert (await ask(cache, town.token())).host == A  # whose own are as good as ever
    assert town.asked == [A, A]


async def test_ten_thousand_forged_requests_cause_no_more_fetches_than_the_budget(
    autojump_clock: MockClock,
) -> None:
    names = [f"{at}.victim.example:2289" for at in range(10_000)]
    town = town_of(A)
    async with open_cache(town) as cache:
        await ask(cache, town.token())
        token = town.token()

        def made_for(host: str) -> str:
            header, _, signature = token.split(".")
            claims = json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))
            raw = json.dumps(claims | {"iss": host}).encode()
            return f"{header}.{base64.urlsafe_b64encode(raw).decode().rstrip('=')}.{signature}"

        started_s = trio.current_time()
        ends = await flood(
            cache,
            [(host, made_for(host), f"198.51.{at % 256}.{at // 256}")
             for at, host in enumerate(names)],
        )  # fmt: skip
        minutes = (trio.current_time() - started_s) / 60
        assert ends == {"Busy": 10_000}
        assert len(town.asked) - 1 <= STRANGERS_PER_MINUTE * (1 + minutes)
        assert len(town.asked) >= STRANGERS_PER_MINUTE
        assert town.counted["strangers"] > 9_000
        assert (await ask(cache, town.token())).host == A
    assert len(town.saved) == 1


async def test_one_address_makes_us_ask_few_hosts_and_the_others_are_answered(
    autojump_clock: MockClock,
) -> None:
    town = town_of(*(f"{at}.example:2289" for at in range(200)))
    async with open_cache(town) as cache:
        hosts = list(town.hosts)
        await flood(cache, [(host, town.token(host), "198.51.100.7") for host in hosts[:100]])
        assert len(town.asked) == SOURCE_PER_MINUTE
        ends = await flood(cache, [(hosts[150], town.token(hosts[150]), "198.51.100.8")])
        assert ends == {"taken": 1}


async def test_hosts_that_never_answer_do_not_keep_known_ones_waiting(
    autojump_clock: MockClock,
) -> None:
    town = town_of(A, *(f"{at}.example:2289" for at in range(50)))
    for name, host in town.hosts.items():
        host.delay_s = 0.0 if name == A else 10_000
    async with open_cache(town) as cache, trio.open_nursery() as nursery:
        await ask(cache, town.token())
        for at, name in enumerate(name for name in town.hosts if name != A):
            nursery.start_soon(flood, cache, [(name, town.token(name), f"198.51.100.{at}")])
        await trio.sleep(1)
        assert len(town.asked) == 1 + FETCHERS
        town.hosts[A].rotate()
        started_s = trio.current_time()
        await ask(cache, town.token(number=1))
        assert trio.current_time() - started_s < 1
        nursery.cancel_scope.cancel()


async def test_a_fetch_that_does_not_end_is_waited_for_and_not_for_ever(
    autojump_clock: MockClock,
) -> None:
    town = town_of(A, delay_s=10_000)
    async with open_cache(town) as cache:
        with pytest.raises(Busy, match=r"the key of a\.example:2289 could not be fetched$"):
            await ask(cache, town.token())
        with pytest.raises(KeyUnavailable, match="no answer within 15 s"):
            await cache.keys_of(A)


async def test_a_stranger_is_not_told_what_is_where_in_our_network(
    autojump_clock: MockClock,
) -> None:
    town = town_of(A, is_down=True)
    async with open_cache(town) as cache:
        with pytest.raises(Busy) as refused:
            await ask(cache, town.token())
        assert str(refused.value) == "the key of a.example:2289 could not be fetched"
        assert refused.value.retry_s == pytest.approx(60)
        with pytest.raises(
            KeyUnavailable, match=r"10\.1\.2\.3 port 2289: connection refused"
        ) as ours:
            await cache.keys_of(A)
        assert str(ours.value.__cause__) in str(ours.value)


async def test_no_more_hosts_are_kept_than_may_be(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    monkeypatch.setattr(keys_module, "MAX_PEERS", 3)
    monkeypatch.setattr(keys_module, "MAX_UNPROVED", 3)
    hosts = [f"{at}.example:2289" for at in range(10)]
    town = town_of(*hosts)
    async with open_cache(town) as cache:
        for host in hosts:  # the host is real, and the token another's
            with pytest.raises(Unauthenticated):
                await ask(cache, town.token(host, number=5), host)
        assert town.saved == []
        assert [host for host in hosts if cache.known(host)] == hosts[-3:]
        for host in hosts[-3:]:
            await ask(cache, town.token(host), host)
        with pytest.raises(Busy, match="knows 3 others already"):
            await ask(cache, town.token(hosts[0]), hosts[0])
        town.settings[hosts[0]] = HostSettings(None, False, is_known=True)
        await trio.sleep(60)
        await ask(cache, town.token(hosts[0]), hosts[0])
    assert len(town.saved) == 4


# -- keys that change ----------------------------------------------------------------------------


async def test_a_forged_first_request_does_not_keep_the_host_itself_waiting(
    autojump_clock: MockClock,
) -> None:
    town = town_of(A)
    async with open_cache(town) as cache:
        with pytest.raises(Unauthenticated, match="not by any key that"):
            await ask(cache, town.token(number=7))
        assert town.saved == []
        assert (await ask(cache, town.token())).host == A
    assert town.asked == [A]
    assert len(town.saved) == 1


async def test_a_key_that_was_published_before_is_used_without_asking_again(
    autojump_clock: MockClock,
) -> None:
    town = town_of(A)
    async with open_cache(town) as cache:
        town.hosts[A].rotate(is_at_once=False)
        await ask(cache, town.token())
        await trio.sleep((town.hosts[A].rotation.from_ms - VirtualClock().now_ns() // 10**6) / 1e3)
        asked = len(town.asked)  # the refresh has, meanwhile
        await ask(cache, town.token(number=1))
        await ask(cache, town.token(number=0))  # what was on its way
        assert len(town.asked) == asked
        with pytest.raises(Unauthenticated):
            await ask(cache, town.token(number=2))


async def test_a_key_that_changes_at_once_is_fetched_and_the_stolen_one_is_out(
    autojump_clock: MockClock,
) -> None:
    town = town_of(A)
    async with open_cache(town) as cache:
        await ask(cache, town.token())
        town.hosts[A].rotate()
        await ask(cache, town.token(number=1))
        await ask(cache, town.token(number=0))  # on its way when the key changed
        assert town.asked == [A, A]
        await trio.sleep(200)
        with pytest.raises((Unauthenticated, Busy)):
            await ask(cache, town.token(number=0))
        await ask(cache, town.token(number=1))
        assert [len(peer.keys) for peer in town.saved] == [1, 2, 1]


async def test_a_good_key_is_not_lost_to_a_forgers_request_while_the_host_is_down(
    autojump_clock: MockClock,
) -> None:
    town = town_of(A)
    async with open_cache(town) as cache:
        await ask(cache, town.token())
        town.hosts[A].is_down = True
        for _ in range(3):
            await trio.sleep(600)
            with pytest.raises(Busy, match="could not be fetched"):
                await ask(cache, town.token(number=5))
            await ask(cache, town.token())


async def test_keys_are_asked_for_again_at_half_of_their_time_and_end_with_it(
    autojump_clock: MockClock,
) -> None:
    town = town_of(A)
    week_s = KEEP_MS / 1000
    async with open_cache(town) as cache:
        await ask(cache, town.token())
        await trio.sleep(week_s / 2 + REFRESH_EVERY_S)
        assert (len(town.asked), len(town.saved)) == (2, 2)
        town.hosts[A].is_down = True
        await trio.sleep(week_s - 2 * REFRESH_EVERY_S)
        await ask(cache, town.token())
        assert len(town.asked) < 2 + week_s / 2 / REFRESH_EVERY_S + 1
        await trio.sleep(2 * REFRESH_EVERY_S)
        with pytest.raises(Busy, match="could not be fetched"):
            await ask(cache, town.token())
        asked = len(town.asked)
        await trio.sleep(week_s)
        assert len(town.asked) == asked  # a host that is gone is left alone
        town.hosts[A].is_down = False
        await ask(cache, town.token())


async def test_what_we_want_ourselves_is_not_held_back_by_what_strangers_cause(
    autojump_clock: MockClock,
) -> None:
    town = town_of(A, is_down=True)
    async with open_cache(town) as cache:
        for _ in range(3):
            with pytest.raises(KeyUnavailable):
                await cache.keys_of(A)
        with pytest.raises(Busy):
            await ask(cache, town.token())
        assert len(town.asked) == 4  # nor does our own trying count against the host
        town.hosts[A].is_down = False
        assert (await cache.keys_of(A)).host == A
        assert (await ask(cache, town.token())).host == A
    assert len(town.saved) == 1


async def test_what_cannot_be_stored_is_an_error_of_ours_and_known_all_the_same(
    autojump_clock: MockClock,
) -> None:
    town = town_of(A)
    town.is_full = True
    async with open_cache(town) as cache:
        with pytest.raises(Full):
            await ask(cache, town.token())
        await ask(cache, town.token())
        await trio.sleep(KEEP_MS / 1000 / 2 + 2 * REFRESH_EVERY_S)
        await ask(cache, town.token())
        town.is_full = False
        await trio.sleep(KEEP_MS / 1000)
        assert town.saved


async def test_what_this_node_wants_to_know_waits_for_no_other_host(
    autojump_clock: MockClock,
) -> None:
    hosts = [f"{at}.example:2289" for at in range(MAX_QUEUE + FETCHERS + 5)]
    town = town_of(*hosts, delay_s=5.0)
    begun_s = trio.current_time()
    async with open_cache(town) as cache:
        async with trio.open_nursery() as nursery:
            for host in hosts:
                nursery.start_soon(cache.keys_of, host)
        assert trio.current_time() - begun_s == pytest.approx(5)
    assert sorted(town.asked) == sorted(hosts)


async def test_more_requests_than_can_be_looked_into_are_told_to_come_again(
    autojump_clock: MockClock,
) -> None:
    hosts = [f"{at}.example:2289" for at in range(MAX_QUEUE + FETCHERS + 5)]
    town = town_of(*hosts, delay_s=5.0)
    town.settings = {host: HostSettings(None, False, is_known=True) for host in hosts}
    tokens, busy = {host: town.token(host) for host in hosts}, list[str]()

    async def send(host: str, source: str) -> None:
        try:
            await ask(cache, tokens[host], host, source=source)
        except Busy as error:
            busy.append(str(error))

    async with open_cache(town) as cache, trio.open_nursery() as nursery:
        for at, host in enumerate(hosts):
            nursery.start_soon(send, host, f"192.0.2.{at}")
    assert len(busy) >= 5
    assert len(town.asked) <= MAX_QUEUE + FETCHERS


async def test_a_clock_that_was_wrong_and_is_set_right_leaves_nothing_behind(
    autojump_clock: MockClock,
) -> None:
    """A machine that starts with a clock a day ahead, which is then set."""
    town = town_of(A)
    clock = WrongClock(86_400)
    async with open_cache(town, clock) as cache:
        await ask(cache, town.token(now_s=clock.now_ns() / 1e9))
        clock.ahead_s = 0
        await ask(cache, town.token())
        town.hosts[A].rotate()
        await trio.sleep(60)
        await ask(cache, town.token(number=1))
        await ask(cache, town.token(number=1))
    assert [len(peer.keys) for peer in town.saved] == [1, 1, 2]


class WrongClock:
    def __init__(self, ahead_s: float) -> None:
        self.ahead_s = ahead_s

    def now_ns(self) -> int:
        return VirtualClock().now_ns() + int(self.ahead_s * 1e9)

    def elapsed_s(self) -> float:
        return VirtualClock().elapsed_s()


# -- plain peers ---------------------------------------------------------------------------------

PLAIN = HostSettings(None, is_plain=True, is_known=False)


async def test_a_plain_token_is_taken_from_a_host_that_is_marked(autojump_clock: MockClock) -> None:
    town = town_of(A, is_plain=True)
    town.settings[A] = PLAIN
    async with open_cache(town) as cache:
        token = town.plain()
        caller = await ask(cache, token)
        assert caller.is_plain
        assert caller == await ask(cache, token, rpc="Sync")  # as often as one likes, for anything
        assert (await cache.keys_of(A)).capabilities == ()
    assert town.asked == [A]


async def test_a_plain_token_from_another_is_told_why_and_what_to_do(
    autojump_clock: MockClock,
) -> None:
    town = town_of(A, is_plain=True)
    async with open_cache(town) as cache:
        with pytest.raises(
            Unauthenticated, match=r"postbox hosts set a\.example:2289 --tokens plain"
        ):
            await ask(cache, town.plain())
    assert town.asked == []


async def test_when_a_plain_peers_key_changes_the_next_request_causes_one_fetch_and_is_taken(
    autojump_clock: MockClock,
) -> None:
    town = town_of(A, is_plain=True)
    town.settings[A] = PLAIN
    async with open_cache(town) as cache:
        for number in range(4):
            await ask(cache, town.plain(number=number))
            assert len(town.asked) == len(town.saved) == number + 1
            town.hosts[A].rotate()


async def test_forged_plain_tokens_cause_one_fetch_a_minute_and_the_true_ones_are_taken(
    autojump_clock: MockClock,
) -> None:
    town = town_of(A, is_plain=True)
    town.settings[A] = PLAIN
    async with open_cache(town) as cache:
        await ask(cache, town.plain())
        bad = [town.plain(number=3 + at % 3) for at in range(10)]
        ends = await flood(
            cache, [(A, bad[at % 10], f"198.51.{at % 256}.{at // 256}") for at in range(500)]
        )
        assert "taken" not in ends
        assert town.asked == [A, A]
        await ask(cache, town.plain())
        town.hosts[A].rotate()
        with pytest.raises(Busy, match="a moment ago") as held:
            await ask(cache, town.plain(number=1))
        await trio.sleep(held.value.retry_s)
        await ask(cache, town.plain(number=1))
    assert town.asked == [A, A, A]


async def test_a_host_that_is_marked_plain_may_send_strict_tokens(
    autojump_clock: MockClock,
) -> None:
    town = town_of(A)
    town.settings[A] = PLAIN
    async with open_cache(town) as cache:
        assert not (await ask(cache, town.token())).is_plain
        assert (await ask(cache, town.plain())).is_plain
        with pytest.raises(Unauthenticated):
            await ask(cache, town.token(rpc="Sync"))


async def test_what_must_run_once_a_node_is_told_apart_from_what_runs_in_every_process(
    autojump_clock: MockClock,
) -> None:
    async with open_cache(town_of(A)) as cache:
        leases = [lease for lease, _ in cache.loops()]
    assert leases == [None] * 2 * FETCHERS + ["hosts"]
