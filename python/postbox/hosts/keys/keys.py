"""Who sent this request: the keys of other hosts, and the tokens that are checked with them.

What costs nothing comes first: the host's name, the token's form, its claims, the operator's lists,
whether it was used before. Then the signature, with the keys that are known. Only if those cannot
tell (a key with that name is not known; or a plain token, which names none, fits no key) is the
host asked for its keys, within the bounds of `fetch_gate`. What comes back replaces what was known
once it is checked, and not before, so nobody loses a good key to a forger's request.

Promises: a signature that a known key refutes is refused without asking anyone. A host's keys are
fetched once at a time, in a task of their own: a caller that hangs up stops nothing. What is stored
is only what a good token or an own wish came with: no stranger can fill the tables. Keys that are
used are asked for again at half of their time, and count no more after it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from typing import NamedTuple, TypeAlias, assert_never

import msgspec
import trio

from postbox.errors import Fault, WireError
from postbox.hosts.keys.fetch_gate import FetchGate
from postbox.hosts.keys.fetching import Fetch, KeyFetching, KeyUnavailable
from postbox.hosts.keys.rules import (
    ALL_PEER_KEYS,
    KIND_PEER_KEY,
    STREAM,
    PeerKeys,
    peer_keys,
)
from postbox.hosts.tables import HOSTS_STREAM, KIND_FORGOTTEN
from postbox.log.committed import Committed
from postbox.logs import get
from postbox.metrics import KeyFetch
from postbox.store.contract import Lane, Reader
from postbox.trust.host_names import BadHostName, canonical_host
from postbox.trust.jwt import BadToken
from postbox.trust.replays import Replays
from postbox.trust.tokens import (
    LEEWAY_S,
    PlainToken,
    Rpc,
    StrictToken,
    Token,
    check_strict,
    read_token,
    verify,
)
from postbox.world import World

MAX_PEERS = 10_000
"""Hosts whose keys are kept, if strangers bring them. `strangers` makes room for new ones; where
all have posted something, the operator allows a new one."""

MAX_UNPROVED = 1_000
"""Fetched keys of hosts of which no good token was seen yet. In memory only."""

PLAIN_RPCS: tuple[Rpc, ...] = ("PostEvent", "Sync")
"""All that the specification has. What is ours beyond it would only help who saw such a token."""

REFRESH_EVERY_S = 3600.0
"""How often it is looked which keys are at half of their time, which is 3.5 days; so the longest
pause between two questions to a host that does not answer, too."""

_log = get("postbox.hosts.keys")


class Unauthenticated(WireError):
    """It is not shown who asks (401); the text says why, and what to do."""


class Refused(WireError):
    """Known or not, this host is not let in (403)."""


class Busy(WireError):
    """Not now (429)."""

    def __init__(self, text: str, retry_s: float) -> None:
        super().__init__(text)
        self.retry_s = retry_s


class HostSettings(NamedTuple):
    """What this node's operator, and its own history, say about a host."""

    refusal: str | None  # why it is not let in; None: it is
    is_plain: bool  # it may use plain tokens
    is_known: bool  # it was in contact before, something was posted to it, or the operator named it


class Caller(NamedTuple):
    host: str  # canonical
    is_plain: bool  # by a plain token
    jti: bytes  # 16


Save: TypeAlias = Callable[[PeerKeys], Awaitable[object]]
Loop: TypeAlias = tuple[str | None, Callable[[], Awaitable[None]]]
"""The lease under which it runs (None: in every process), and what runs."""


class KeyCache:
    def __init__(
        self,
        world: World,
        own: str,
        *,
        is_local: bool,
        settings: Callable[[str], HostSettings],
        fetch: Fetch,
        save: Save,
        counts_as: Callable[[str | None], str],
        count: Callable[[KeyFetch], None],
    ) -> None:
        """`own`: this host's canonical name. `is_local`: as in `canonical_host`. `counts_as`: what
        an address is where something is limited by address. `count`: is told of fetches that
        requests want."""
        self._clock = world.clock
        self._own = own
        self._is_local = is_local
        self._settings = settings
        self._save = save
        self._counts_as = counts_as
        self._started_s = self._clock.elapsed_s()
        self._peers: dict[str, PeerKeys] = {}
        self._unproved: dict[str, PeerKeys] = {}  # oldest first
        self._replays = Replays()
        self.gate = FetchGate(count)
        self._fetching = KeyFetching(world.clock, fetch, self.gate, self._replace)

    def load(self, reader: Reader) -> None:
        """Start from the rows: before the first commit is applied, and after a gap in them."""
        self._peers = {peer.host: peer for peer in map(peer_keys, reader.query(ALL_PEER_KEYS))}

    def applied(self, committed: Committed) -> None:
        """The follower's call, in position order."""
        for entry in committed.streams.get((Lane.HOSTS, STREAM), ()):
            if entry.kind == KIND_PEER_KEY:
                assert entry.body is not None
                peer = msgspec.json.decode(entry.body, type=PeerKeys)
                self._peers[peer.host] = peer
        for entry in committed.streams.get((Lane.HOSTS, HOSTS_STREAM), ()):
            if entry.kind == KIND_FORGOTTEN and entry.body is not None:
                for host in msgspec.json.decode(entry.body, type=list[str]):
                    self._peers.pop(host, None)

    @property
    def count(self) -> int:
        """Of the hosts whose keys are kept."""
        return len(self._peers)

    def known(self, host: str) -> PeerKeys | None:
        """What is known of a host's keys, nobody being asked."""
        return self._peers.get(host) or self._unproved.get(host)

    def loops(self) -> Iterator[Loop]:
        """What must run for this to work."""
        yield from ((None, loop) for loop in self._fetching.loops())
        yield "hosts", self._run_refresh

    # -- who asks us ----------------------------------------------------------------------------

    async def authenticate(
        self, host_text: str, token_text: str, rpc: Rpc, bh: bytes, source: str | None
    ) -> Caller:
        """Who sent a request that says it is from `host_text`. `bh`: the SHA-256 of what it
        carries; `source`: the address that it came from. Raises Unauthenticated, Refused, Busy."""
        try:
            host = self._named(host_text)
            token = read_token(token_text)
            settings = self._settings(host)
            if settings.refusal is not None:
                raise Refused(settings.refusal)
            self._check(host, token, rpc, bh, settings)
            if not self._is_signed(host, token):
                await self._fetch_for(host, token, source, settings)
            self._use(host, token)
        except (BadHostName, BadToken) as error:
            raise Unauthenticated(f"the token was not accepted: {error}") from error
        await self._prove(host)
        return Caller(host, isinstance(token, PlainToken), token.jti)

    def _named(self, text: str) -> str:
        host = canonical_host(text, is_local=self._is_local)
        if host == self._own:
            raise BadToken(f"the request says it is from {host}, which is this host itself")
        return host

    def _check(self, host: str, token: Token, rpc: Rpc, bh: bytes, settings: HostSettings) -> None:
        """All that costs nothing."""
        match token:
            case StrictToken():
                check_strict(
                    token,
                    host=host,
                    own=self._own,
                    rpc=rpc,
                    bh=bh,
                    now_s=self._now_s(),
                    issued_after_s=self._issued_after_s(),
                )
                self._check_unused(host, token)
            case PlainToken() if not settings.is_plain:
                raise BadToken(
                    "it is a plain one, which says neither for whom nor for what it was made, so"
                    " that whoever sees it can use it again. Send a token with typ postbox+jwt; or"
                    f" the operator here allows it: postbox hosts set {host} --tokens plain"
                )
            case PlainToken() if rpc not in PLAIN_RPCS:
                raise BadToken(
                    f"it is a plain one, which is for {' and '.join(PLAIN_RPCS)} alone: sign one"
                    f" for {rpc}"
                )
            case PlainToken():
                pass
            case _ as never:
                assert_never(never)

    def _check_unused(self, host: str, token: StrictToken) -> None:
        if self._replays.is_used(host, token.jti):
            raise BadToken("it was used before: sign a new one for every request")
        if not self._replays.has_room(host, self._now_s()):
            raise Busy(f"{host} has sent too many requests within a minute", 10.0)

    def _use(self, host: str, token: Token) -> None:
        """Now that its signature is good. While that was looked into it may have come again."""
        if isinstance(token, StrictToken):
            self._check_unused(host, token)
            self._replays.use(host, token.jti, token.exp_s + LEEWAY_S)

    def _is_signed(self, host: str, token: Token) -> bool:
        """By a key that is known? False: the keys that are known cannot tell. Raises BadToken."""
        peer = self.known(host)
        usable = [] if peer is None else peer.usable(self._now_ms())
        match token:
            case StrictToken():
                key = next((each.key for each in usable if each.kid == token.kid), None)
                if key is not None and not verify(token, key):
                    raise BadToken(f"its signature is not by the key {token.kid} of {host}")
                return key is not None
            case PlainToken():
                return any(verify(token, each.key) for each in usable)
            case _ as never:
                assert_never(never)

    async def _fetch_for(
        self, host: str, token: Token, source: str | None, settings: HostSettings
    ) -> None:
        is_stranger = host not in self._peers and not settings.is_known
        if is_stranger and len(self._peers) >= MAX_PEERS:
            raise Busy(
                f"this host knows {MAX_PEERS} others already: its operator lets {host} in by"
                f" posting to it, or by postbox hosts allow {host}",
                3600.0,
            )
        if not self._fetching.is_under_way(host):
            now_s = self._clock.elapsed_s()
            held = self.gate.ask(host, self._counts_as(source), now_s, is_stranger=is_stranger)
            if held is not None:
                raise Busy(_HELD[held.why].format(host=host), held.retry_s)
        try:
            await self._fetching.keys_of(host, is_ours=False, is_stranger=is_stranger)
        except KeyUnavailable as error:
            wait_s = self.gate.wait_s(host, self._clock.elapsed_s())
            raise Busy(f"the key of {host} could not be fetched", max(1.0, wait_s)) from error
        if not self._is_signed(host, token):
            raise BadToken(f"its signature is not by any key that {host} publishes now")
        self.gate.useful(host)

    async def _prove(self, host: str) -> None:
        """A good token of this host was seen: its keys are worth keeping."""
        peer = self._unproved.pop(host, None)
        if peer is not None:
            self._peers[host] = peer
            await self._save(peer)

    # -- whom we ask ----------------------------------------------------------------------------

    async def keys_of(self, host: str) -> PeerKeys:
        """For this node's own purposes: what is known and still counts, else what the host answers
        now. `host`: canonical. Raises KeyUnavailable."""
        peer = self.known(host)
        if peer is None or not peer.usable(self._now_ms()):
            return await self.ask(host)
        await self._prove(host)
        return peer

    async def ask(self, host: str) -> PeerKeys:
        """What the host answers now, whatever is known of it. Raises KeyUnavailable."""
        peer = await self._fetching.keys_of(host, is_ours=True, is_stranger=False)
        await self._prove(host)
        return peer

    async def _replace(self, peer: PeerKeys) -> None:
        known = self._peers.get(peer.host)
        if known is None:
            self._unproved.pop(peer.host, None)
            self._unproved[peer.host] = peer
            if len(self._unproved) > MAX_UNPROVED:
                del self._unproved[next(iter(self._unproved))]
        elif not (peer.says_the_same(known) and known.is_fresh(self._now_ms())):
            self._peers[peer.host] = peer
            await self._save(peer)

    async def _run_refresh(self) -> None:
        while True:
            for host in [host for host in self._peers if self._is_due(host)]:
                try:
                    await self.ask(host)
                except Fault as error:
                    _log.info("a host's keys were not refreshed", host=host, error=str(error))
            await trio.sleep(REFRESH_EVERY_S)

    def _is_due(self, host: str) -> bool:
        """What nobody has answered for all of its time is asked for no more, until it is needed."""
        peer = self._peers[host]
        return (
            not peer.is_fresh(self._now_ms())
            and bool(peer.usable(self._now_ms()))
            and self._settings(host).refusal is None
        )

    def _issued_after_s(self) -> float:
        """When this process started, by the clock as it goes now: one that was wrong then, and was
        set right, must not make all tokens look too old. As exact as a token's `iat`."""
        up_s = self._clock.elapsed_s() - self._started_s
        return int((self._now_s() - up_s) * 1000) / 1000

    def _now_s(self) -> float:
        return self._clock.now_ns() / 1e9

    def _now_ms(self) -> int:
        return self._clock.now_ns() // 1_000_000


_HELD = {
    "host": "{host} was asked for its key a moment ago, and this token does not fit it",
    "source": "requests from this address have made this host fetch too many keys",
    "strangers": "too many hosts that were never in contact are asking: the key of {host} has to"
    " wait",
    "all": "too many keys are being fetched: that of {host} has to wait",
}
