"""How two nodes that never heard of each other come to know each other's keys.

Whoever calls asks `GET /ping` there and brings its own self-signed hey-there to `POST /api/hello`;
the answer is the other's. A nara has no such path and asks back instead: `GET /ping` at the address
that called. Whatever is learned here goes through admission like everything else, and changes a key
that is known only where the operator configured the URL and nobody had vouched for the other key.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple, TypeAlias

from postbox.errors import Fault, WireError
from postbox.log.admission import Admission
from postbox.mesh import wire
from postbox.mesh.peers.places import NARA_PORT, host_of
from postbox.mesh.serving.replies import NotAllowed
from postbox.metrics import Metrics
from postbox.net.addresses import Reach
from postbox.net.client import Client
from postbox.net.rates import AtOnce, Rate, TooMany, TooOften
from postbox.rules import Outcome, Payer, Rejected
from postbox.trust import signatures
from postbox.trust.claims import key_refusal
from postbox.trust.directory import Directory
from postbox.trust.hello import HELLO_BYTES, Introduced, make_hello, read_hello
from postbox.trust.keylist import parse_public_key
from postbox.trust.keys import Identity
from postbox.trust.rules import (
    CONFIGURED,
    KeyDraft,
    KeyRules,
    configured_draft,
    introduction_draft,
    ping_draft,
)
from postbox.trust.tables import Source, is_vouched
from postbox.trust.waiting import Waiting
from postbox.trust.waiting_rules import MAX_ADDRESS, WaitingRules, waiting_draft
from postbox.world import World

Admit: TypeAlias = Literal["auto", "open", "ask"]

HELLOS_PER_MINUTE = 6
"""An address: a node says hello once to each peer, so this is several nodes that start at once."""

ASK_BACK_PER_MINUTE = 2
"""An address. Anyone can write an unknown name into a header: it must not make us call for ever."""
ASK_BACK_AT_ONCE = 8

DEADLINE_S = 10.0
PING_BYTES = 16 * 2**10
PROOF_BYTES = 128 * 2**10
"""Of an answer with one event, of 64 KiB at most."""


class MeetingFault(Fault):
    """A peer that could not be got to know, or does not want to know us."""


class Greeted(NamedTuple):
    """Who introduced itself. `is_known`: now; else it waits for the operator."""

    name: str
    is_known: bool


class Met(NamedTuple):
    """A peer that was met: who is there, and what it can do."""

    name: str
    about: wire.About | None  # None: a nara
    rtt_ms: float
    clock_off_ms: float  # theirs less ours, by its own word and no better than the round trip

    @property
    def kind(self) -> Literal["postbox", "nara"]:
        return "nara" if self.about is None else "postbox"


class Introductions:
    def __init__(
        self,
        world: World,
        identity: Identity,
        directory: Directory,
        waiting: Waiting,
        admission: Admission,
        http: Client,
        reach: Reach,
        admit: Admit,
        metrics: Metrics,
        own_url: str = "",
    ) -> None:
        """`own_url`: where this node says that it is; "" for nowhere."""
        self._own_url = own_url
        self._world = world
        self._identity = identity
        self._directory = directory
        self._waiting = waiting
        self._admission = admission
        self._http = http
        self._reach = reach
        self._admit = admit
        self._metrics = metrics
        self._hellos = Rate(HELLOS_PER_MINUTE, HELLOS_PER_MINUTE)
        self._asked_back = Rate(ASK_BACK_PER_MINUTE, ASK_BACK_PER_MINUTE)
        self._asking_back = AtOnce(1, ASK_BACK_AT_ONCE)
        self._confirmed: set[tuple[str, str]] = set()  # URL and name

    def own_hello(self) -> bytes:
        """Our hey-there, signed now."""
        return make_hello(self._identity, self._world.clock.now_ns())

    # -- who is called --------------------------------------------------------------------------

    async def hello(
        self, body: bytes, address: str | None, require_dealings: Callable[[str], None]
    ) -> Greeted:
        """Somebody introduces itself from `address`. `require_dealings`: raises NotAllowed for a
        name that is banned. Raises BadHello, NotAllowed or TooOften."""
        try:
            greeted = await self._hello(body, address, require_dealings)
        except WireError:
            self._metrics.hello("refused")
            raise
        self._metrics.hello("known" if greeted.is_known else "waiting")
        return greeted

    async def _hello(
        self, body: bytes, address: str | None, require_dealings: Callable[[str], None]
    ) -> Greeted:
        key = self._reach.counts_as(address)
        wait_s = self._hellos.wait_s(key, self._world.clock.elapsed_s())
        if wait_s:
            raise TooOften("too many introductions from this address", wait_s)
        who = read_hello(body, self._world.clock.now_ns())
        require_dealings(who.name)
        payer = Payer("peer", address or "")
        if self._directory.key_of(who.name) is None and not self._is_open(address):
            await self._let_wait(who, payer, address)
            return Greeted(who.name, is_known=False)
        self._require_room(who.name)
        _require_taken(await self._submit(self._introduction_draft(who, payer)))
        return Greeted(who.name, is_known=True)

    async def _let_wait(self, who: Introduced, payer: Payer, address: str | None) -> None:
        if not self._waiting.has_room_for(who.name):
            raise NotAllowed("too many names wait for this node's operator: try again later")
        draft = waiting_draft(
            self._world.new_id(), who.name, who.key, who.voter_id, address or "", payer
        )
        [outcome] = await self._admission.submit(WaitingRules(), [draft])
        _require_taken(outcome)

    def _is_open(self, address: str | None) -> bool:
        match self._admit:
            case "open":
                return True
            case "ask":
                return False
            case "auto":
                return self._reach.is_home(address)

    def _require_room(self, name: str) -> None:
        is_new = self._directory.key_of(name) is None
        if is_new and not self._directory.room_for(Source.INTRODUCTION):
            raise NotAllowed(
                "this node knows as many names by introductions as it may: its operator can add"
                f" {name} by postbox trust add"
            )

    async def call_back(
        self, name: str, address: str | None, proves: Callable[[bytes], bool]
    ) -> bool:
        """A stranger called `name` asked us from `address`: is there a nara of that name? True if
        its key is known now. Done only inside the networks whose wire is secure. `proves`: whether
        a key fits what the stranger signed; one that does not is not learned."""
        if address is None or not self._reach.is_network(address):
            return False
        is_open = self._is_open(address)
        if not self._has_place_for(name, is_open=is_open):
            return False
        draft = await self._found(name, address)
        if draft is None or not proves(draft.key):
            return False
        if is_open:
            return not isinstance(await self._submit(draft), Rejected)
        waits = waiting_draft(draft.id, name, draft.key, None, address, draft.payer)
        await self._admission.submit(WaitingRules(), [waits])
        return False

    def _has_place_for(self, name: str, *, is_open: bool) -> bool:
        if is_open:
            return self._directory.room_for(Source.PING) > 0
        return self._waiting.get(name) is None and self._waiting.has_room_for(name)

    async def _found(self, name: str, address: str) -> KeyDraft | None:
        key = self._reach.counts_as(address)
        if self._asked_back.wait_s(key, self._world.clock.elapsed_s()):
            return None
        try:
            with self._asking_back.one(key):
                ping, _ = await self._ping(_url(address))
            # A postbox that is told 401 introduces itself, with its id.
            is_meant = ping.sender == name and ping.postbox is None
            return self._ping_draft(ping, Payer("peer", address)) if is_meant else None
        except (TooMany, Fault, WireError):
            return None

    # -- who calls ------------------------------------------------------------------------------

    async def meet(self, url: str) -> Met:
        """The node at `url`, which the operator named: its key is known on return. Raises
        MeetingFault or a fault of `net.client`."""
        try:
            ping, met = await self._ping(url)
            if ping.sender == self._identity.name:
                raise MeetingFault(f"{url} is this node itself, or one that has taken its name")
            await self._believe(url, ping)
        except WireError as error:
            raise MeetingFault(f"the node at {url} cannot be met: {error}") from error
        return met

    async def get_to_know(self, url: str, name: str) -> None:
        """`name`, whose key nobody told, is said to be at `url`: it becomes known as it would if
        it came from there, or waits. Its key is known on return. Raises MeetingFault or a fault of
        `net.client`."""
        host = host_of(url)
        try:
            ping, _ = await self._ping(url)
            if ping.sender != name:
                raise WireError(f"it is {ping.sender}, and {name} was looked for there")
            if ping.postbox is None:
                await self._know_nara(ping, host)
            else:
                await self._know_postbox(ping, url, host)
        except WireError as error:
            raise MeetingFault(f"the node at {url} cannot be got to know: {error}") from error

    async def _know_postbox(self, ping: wire.Ping, url: str, host: str) -> None:
        who, payer = await self.introduce(url), Payer("peer", host)
        if who.name != ping.sender:
            raise WireError(f"it calls itself {ping.sender}, and introduces itself otherwise")
        if not self._is_open(host):
            await self._let_wait(who, payer, host[:MAX_ADDRESS])
            raise NotAllowed(f"{who.name} waits for this node's operator: postbox trust list")
        self._require_room(who.name)
        _require_taken(await self._submit(self._introduction_draft(who, payer)))

    async def _know_nara(self, ping: wire.Ping, host: str) -> None:
        """Only where the wire itself says who is there, as when one calls (`call_back`)."""
        if not self._reach.is_network(host) or not self._is_open(host):
            raise NotAllowed(f"naras are got to know inside mesh.networks, and {host} is outside")
        if not self._directory.room_for(Source.PING):
            raise NotAllowed("this node knows as many names as it may")
        _require_taken(await self._submit(self._ping_draft(ping, Payer("peer", host))))

    async def look(self, url: str) -> Met:
        """Who is there; nothing is learned. Raises WireError or a fault of `net.client`."""
        _, met = await self._ping(url)
        return met

    async def check(self, url: str) -> Met:
        """`look`, for the operator. Raises NotAllowed too, if who is there shows another key than
        the one of its name that he stands behind."""
        ping, met = await self._ping(url)
        said = self._ping_draft(ping, CONFIGURED)
        known = self._directory.get(said.name)
        if known is not None and is_vouched(known.source):
            refusal = key_refusal(said.name, said.key, known)
            if refusal is not None:
                raise NotAllowed(refusal.text)
        return met

    async def _believe(self, url: str, ping: wire.Ping) -> None:
        """Whom the operator's URL led to. What is proved there, he vouches for: it takes the place
        of a key that only strangers brought (`trust.rules`). One that is known already is proved by
        what is answered (`confirm`)."""
        draft = self._ping_draft(ping, CONFIGURED)
        known = self._directory.get(draft.name)
        if known is not None and known.key == draft.key:
            return
        if known is None or not is_vouched(known.source):
            draft = await self._proved_at(url, ping, draft) or draft
        _require_taken(await self._submit(draft))

    async def _proved_at(self, url: str, ping: wire.Ping, said: KeyDraft) -> KeyDraft | None:
        if ping.postbox is not None:
            who = await self.introduce(url)
            if (who.name, who.key) != (said.name, said.key):
                raise WireError(f"it calls itself {ping.sender}, and introduces itself otherwise")
            return self._configured_draft(url, who.name, who.key, who.voter_id)
        is_new = self._directory.key_of(said.name) is None
        if is_new or not await self._answers_signed(url, said):
            return None
        return self._configured_draft(url, said.name, said.key)

    async def confirm(self, url: str, name: str) -> None:
        """`name` has signed an answer at `url`, which the operator named, with the key that is
        known: he vouches for it from then on, and the URL speaks for that name."""
        key = self._directory.key_of(name)
        if key is None or (url, name) in self._confirmed:
            return
        if not isinstance(await self._submit(self._configured_draft(url, name, key)), Rejected):
            self._confirmed.add((url, name))

    async def _answers_signed(self, url: str, said: KeyDraft) -> bool:
        """Whether the nara there holds the key that its ping tells: it knows no introductions, and
        signs what it answers. One that does not know us proves nothing."""
        asked_ms = self._world.clock.now_ns() // 10**6
        request = wire.SyncRequest(sender=self._identity.name, mode="recent", limit=1)
        path = wire.NARA_SYNC_PATH
        answer = await self._http.request(
            "POST",
            url + path,
            body=wire.encode_request(request),
            headers={
                "content-type": "application/json",
                **signatures.request_headers(self._identity, "POST", path, asked_ms),
            },
            max_body_bytes=PROOF_BYTES,
            deadline_s=DEADLINE_S,
        )
        try:
            signer = signatures.check_response(
                answer.headers,
                answer.body,
                asked_ms,
                lambda name: said.key if name == said.name else None,
            )
        except WireError:
            return False
        return answer.status == 200 and signer == said.name

    async def introduce(self, url: str) -> Introduced:
        """Brings our hey-there to the node at `url`, and says who answered. Raises MeetingFault if
        that node does not let us in (at once), WireError for an answer that is none."""
        answer = await self._http.request(
            "POST",
            url + wire.HELLO_PATH,
            body=self.own_hello(),
            headers={"content-type": "application/json", **self._own_place()},
            max_body_bytes=HELLO_BYTES,
            deadline_s=DEADLINE_S,
        )
        if answer.status not in (200, 202):
            said = answer.body[:300].decode("utf-8", "replace").strip()
            raise MeetingFault(f"{url} does not let this node in: {answer.status}, {said!r}")
        return read_hello(answer.body, self._world.clock.now_ns())

    def _own_place(self) -> dict[str, str]:
        return {wire.URL_HEADER: self._own_url} if self._own_url else {}

    async def _ping(self, url: str) -> tuple[wire.Ping, Met]:
        clock = self._world.clock
        started_s, started_ns = clock.elapsed_s(), clock.now_ns()
        answer = await self._http.request(
            "GET", url + wire.PING_PATH, max_body_bytes=PING_BYTES, deadline_s=DEADLINE_S
        )
        if answer.status != 200:
            raise WireError(f"{url}{wire.PING_PATH} answered {answer.status}")
        ping = wire.decode_ping(answer.body)
        rtt_ms = (clock.elapsed_s() - started_s) * 1e3
        off_ms = (ping.t - started_ns) / 1e6 - rtt_ms / 2 if ping.t else 0.0
        return ping, Met(ping.sender, ping.postbox, rtt_ms, off_ms)

    def _configured_draft(
        self, url: str, name: str, key: bytes, voter_id: str | None = None
    ) -> KeyDraft:
        return configured_draft(self._world.new_id(), name, key, voter_id, url)

    def _introduction_draft(self, who: Introduced, payer: Payer) -> KeyDraft:
        new_id = self._world.new_id()
        return introduction_draft(new_id, who.name, who.key, who.voter_id, payer)

    def _ping_draft(self, ping: wire.Ping, payer: Payer) -> KeyDraft:
        """Raises WireError for a name or key that is none."""
        try:
            key = parse_public_key(ping.public_key)
            return ping_draft(self._world.new_id(), ping.sender, key, payer)
        except ValueError as error:
            raise WireError(str(error)) from error

    async def _submit(self, draft: KeyDraft) -> Outcome:
        [outcome] = await self._admission.submit(KeyRules(), [draft])
        return outcome


def _require_taken(outcome: Outcome) -> None:
    if isinstance(outcome, Rejected):
        raise NotAllowed(outcome.reason.text)


def _url(address: str) -> str:
    host = f"[{address}]" if ":" in address else address
    return f"http://{host}:{NARA_PORT}"
