"""The declaration: every key of `config.toml`, once.

Type and default are the field's; its text, unit, bounds and option stand in the annotation.
Reading, refusing, `postbox config` and docs/configuration.md all come from here.
"""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Annotated, Literal

from msgspec import Struct

from postbox.config.kinds import (
    URL_EXPECTED,
    Address,
    Broker,
    Cutoff,
    Cutoffs,
    Database,
    File,
    Flag,
    HostName,
    KeySetPlace,
    Listen,
    Memory,
    Network,
    Networks,
    Origins,
    Url,
    Urls,
    Whole,
    Word,
)


class Key(Struct, frozen=True):
    """What the type and the default of a field do not say."""

    text: str
    """One line."""
    more: str = ""
    """For the page, where the line is not enough."""
    unit: str = ""
    option: str = ""
    """Of `postbox serve`, where it overrides the file."""
    option_takes: str = ""
    """Of an option that is given again for each; else as the key."""
    needs_restart: bool = True


class NodeConfig(Struct, frozen=True):
    """What the node keeps."""

    memory: Annotated[
        str,
        Memory(),
        Key(
            "how many events are kept",
            "`short` is 20,000, `medium` 80,000 and `hog` 320,000; `auto` chooses one of them by"
            " the memory of the machine or of its control group.",
            unit="events",
            option="--memory",
        ),
    ] = "auto"
    store: Annotated[
        str,
        Database(),
        Key(
            "the database, if it is not the file in the home",
            "The home remembers it: later verbs need not be told again. Several processes, each"
            " with a home of its own and a copy of `node.key`, may be one node on one database. A"
            " password is better kept in `~/.pgpass`.",
            option="--store",
        ),
    ] = ""


class ServeConfig(Struct, frozen=True):
    """The node's address, and who may connect to it."""

    listen: Annotated[
        Address,
        Listen(),
        Key(
            "where the node listens; port 0 takes a free one",
            "`0.0.0.0` is every address of the machine, `[::]` those of IPv6 too. Over plain HTTP"
            " only the networks of `mesh.networks` are let in as peers.",
            option="--listen",
        ),
    ] = Address("127.0.0.1", 7433)
    tls_cert: Annotated[
        Path | None,
        File(),
        Key(
            "certificate chain in PEM; with it the node speaks TLS",
            "Goes with `tls_key`. In the file a relative path begins at the home.",
            option="--tls-cert",
        ),
    ] = None
    tls_key: Annotated[
        Path | None, File(), Key("the certificate's secret key in PEM", option="--tls-key")
    ] = None
    loopback: Annotated[
        bool,
        Flag(),
        Key(
            "allow peers on loopback and private addresses over plain HTTP",
            "For tests and demonstrations on one machine or one trusted wire.",
            option="--loopback",
        ),
    ] = False
    max_connections: Annotated[
        int, Whole(1, 100_000), Key("open at once, of all callers", unit="connections")
    ] = 1000
    max_connections_per_address: Annotated[
        int, Whole(1, 100_000), Key("open at once, of one address", unit="connections")
    ] = 100


class MeshConfig(Struct, frozen=True):
    """Peers: whom the node asks, and whom it answers."""

    peers: Annotated[
        tuple[str, ...],
        Urls(),
        Key(
            "URLs of the peers that are asked for what is new",
            option="--peer",
            option_takes=URL_EXPECTED,
        ),
    ] = ()
    mqtt: Annotated[
        str,
        Broker(),
        Key(
            "the MQTT broker that the peers share",
            "`mqtts://` is TLS, on port 8883 if none is named; `mqtt://` is plain, on port 1883,"
            " and allowed where plain HTTP is. The node announces itself there, hears of others,"
            " and asks for what it missed when no peer can be reached. The broker must speak"
            " MQTT 5, as Mosquitto does from 1.6 on. A password is better kept in this file than"
            " in the option.",
            option="--mqtt",
        ),
    ] = ""
    mqtt_ca: Annotated[
        Path | None,
        File(),
        Key("authorities in PEM that are trusted besides the system's, for the broker alone"),
    ] = None
    url: Annotated[
        str,
        Url(),
        Key(
            "how others reach this node, told to them by /ping",
            "Needed where `serve.listen` is not what others dial: behind a proxy, or with"
            " `0.0.0.0`.",
        ),
    ] = ""
    networks: Annotated[
        tuple[Network, ...],
        Networks(),
        Key(
            "networks whose wire is secured, so that plain HTTP will do",
            "The default is what Tailscale and Headscale give out. Anywhere else peers speak TLS.",
        ),
    ] = (IPv4Network("100.64.0.0/10"), IPv6Network("fd7a:115c:a1e0::/48"))
    admit: Annotated[
        Literal["auto", "open", "ask"],
        Key(
            "what becomes of a new name that introduces itself",
            "`open` believes it, `ask` lets it wait in `postbox trust list` for the operator."
            " `auto` is open from `mesh.networks` and under `serve.loopback`, ask elsewhere.",
        ),
    ] = "auto"
    pull_every: Annotated[
        int,
        Whole(1, 86_400),
        Key(
            "from one round of asking the peers to the next",
            "Some jitter is added, so that nodes do not fall into step.",
            unit="seconds",
        ),
    ] = 60
    agreeableness: Annotated[
        int,
        Whole(0, 99),
        Key(
            "how much this node dislikes what speaks ill of others",
            "Above 80 it keeps no social event about an abandoned trend that a peer sends.",
        ),
    ] = 50
    sociability: Annotated[
        int,
        Whole(0, 99),
        Key(
            "how much it cares about what others do",
            "Below 20 it keeps no teases without a reason that peers send, below 30 none of the"
            " remarks on the stages of a journey.",
        ),
    ] = 50
    chill: Annotated[
        int,
        Whole(0, 99),
        Key(
            "how little of the small talk it keeps",
            "Above 70 nothing without a reason that peers send, above 80 no casual observation,"
            " above 85 no change of status and of social events hardly any but comebacks and many"
            " restarts. At 50, as the other two, nothing is dropped; an import never is.",
        ),
    ] = 50
    cutoff: Annotated[
        tuple[Cutoff, ...],
        Cutoffs(),
        Key(
            "checkpoints that are not taken in: about that name, up to that second of Unix time",
            "The default is the one rule that nara has, about checkpoints that were made wrongly."
            " Those that are stored already stay.",
        ),
    ] = (Cutoff("r2d2", 1_768_774_453),)
    coordinates: Annotated[
        Literal["relative", "nara"],
        Key(
            "by which rule the node finds its place among its peers",
            "`relative` is the rule of the paper about Vivaldi, `nara` the one that naras have."
            " Nodes of both rules can be in one mesh.",
        ),
    ] = "relative"
    chattiness: Annotated[
        int,
        Whole(0, 100),
        Key(
            "how often the node gossips: tells a few peers what happened lately, and hears them",
            "At 100 every 30 s, at 0 every 300 s.",
        ),
    ] = 50
    refresh_every: Annotated[
        int,
        Whole(60, 86_400),
        Key(
            "from one round of asking peers that are not configured to the next",
            "One or two of those that are online, five minutes sooner or later by chance.",
            unit="seconds",
        ),
    ] = 1800
    requests_per_minute: Annotated[
        int,
        Whole(1, 1_000_000),
        Key("that one peer may make; beyond it is answered 429", unit="requests"),
    ] = 600
    concurrent_requests: Annotated[
        int,
        Whole(1, 1000),
        Key("that one peer may have under way; beyond it is answered 429", unit="requests"),
    ] = 4


class HostsConfig(Struct, frozen=True):
    """Other hosts: what this one is called among them, and whose events it takes."""

    name: Annotated[
        str,
        HostName(),
        Key(
            "what other hosts call this one: a domain that they reach, and a port",
            "The port is 2289 when it is left out. The node needs a certificate for the domain"
            " (`serve.tls_cert`) that others trust; a proxy in front calls it by TLS, too. Without"
            " a name nothing is sent to other hosts, and nothing is taken from them; under"
            " `serve.loopback` the address stands in for it.",
            option="--host",
        ),
    ] = ""
    admit: Annotated[
        Literal["auto", "open", "list"],
        Key(
            "which hosts may post here",
            "`open` takes whoever proves its name, `list` those that the operator allowed"
            " (`postbox hosts allow`). `auto` is open under `serve.loopback`, list elsewhere. A"
            " host that was blocked is not let in anyhow.",
        ),
    ] = "auto"
    invites: Annotated[
        Literal["consent", "anyone"],
        Key(
            "who may invite a user of this host to a direct conversation",
            "`consent` asks that the user has dealt with the inviter's host before.",
        ),
    ] = "consent"
    follow: Annotated[
        bool,
        Flag(),
        Key(
            "keep a stream open to every host, on which it sends what it has for this one",
            "For a host that others cannot reach, behind a home's router.",
        ),
    ] = False
    retain_days: Annotated[
        int,
        Whole(0, 3650),
        Key(
            "for how long events stay after they were delivered, or handled",
            "A host that comes back from a backup asks again for what it had since: keep them for"
            " longer than from one backup to the next.",
            unit="days",
        ),
    ] = 30
    retain_mib: Annotated[
        int,
        Whole(1, 1_000_000),
        Key("of such events that stay, for each host and direction", unit="MiB"),
    ] = 256
    requests_per_minute: Annotated[
        int,
        Whole(1, 1_000_000),
        Key("that one host may make; beyond it is answered 429", unit="requests"),
    ] = 6000
    ca: Annotated[
        Path | None,
        File(),
        Key(
            "authorities in PEM that are trusted besides the system's, when other hosts are called",
            "For a network with an authority of its own. They count for `clients.jwks`, too.",
        ),
    ] = None


class ClientsConfig(Struct, frozen=True):
    """Clients: the devices of this host's users, and how they show whose they are."""

    issuer: Annotated[
        str,
        Word('the `iss` of its tokens, as in https://login.example.org, or ""', may_be_empty=True),
        Key(
            "who else signs users in, besides this node by postbox token mint",
            "Its tokens are JWTs (RFC 7519) signed by Ed25519, with `sub` (the user's name, without"
            " `@`), `aud`, `iat` and `exp`, and with `device`, or else the header `postbox-device`"
            " beside them. Goes with `jwks`.",
        ),
    ] = ""
    jwks: Annotated[
        str,
        KeySetPlace(),
        Key(
            "where that issuer publishes its keys: a JSON Web Key Set (RFC 7517)",
            "Its Ed25519 keys count. It is read again every ten minutes, and at most once a minute"
            " when a token names a key that is not among them. A URL is called where a peer of the"
            " mesh may be: on a private network that `mesh.networks` names, or at a public address."
            " In the file a relative path begins at the home.",
        ),
    ] = ""
    audience: Annotated[
        str, Word(), Key("what the issuer's tokens name as `aud` if they are for this host")
    ] = "postbox-clients"
    token_days: Annotated[
        int,
        Whole(1, 3650),
        Key("for how long a token is good that postbox token mint makes", unit="days"),
    ] = 30
    max_devices: Annotated[
        int,
        Whole(1, 1000),
        Key(
            "that a user may have",
            "One more takes the place of one that was not seen for 90 days, and is refused if there"
            " is none.",
            unit="devices",
        ),
    ] = 50
    events_per_second: Annotated[
        int,
        Whole(1, 100_000),
        Key("that one device may send in the long run; beyond it is answered 429", unit="events"),
    ] = 100
    burst: Annotated[
        int,
        Whole(100, 1_000_000),
        Key(
            "that one device may send at once",
            "As after a day without a network. A batch has up to 100.",
            unit="events",
        ),
    ] = 1000
    origins: Annotated[
        tuple[str, ...],
        Origins(),
        Key(
            "whose pages may call this node from a browser",
            "A page of the node's own origin, as behind one proxy, needs no mention.",
        ),
    ] = ()


class PageConfig(Struct, frozen=True):
    """Pages for a browser, at the node's address: the operator's at `/`, the chat's at `/chat`."""

    enabled: Annotated[bool, Flag(), Key("whether this node has them")] = True
    actions: Annotated[
        bool,
        Flag(),
        Key(
            "whether the operator's page may change anything",
            "Ban or forgive a peer, let in or refuse a name that waits, try again what was given"
            " up. Without it the page only shows.",
        ),
    ] = False


class LogConfig(Struct, frozen=True):
    """What the node says on stderr."""

    level: Annotated[
        Literal["debug", "info", "warning", "error"], Key("the least that is logged")
    ] = "info"
    format: Annotated[
        Literal["auto", "text", "json"],
        Key("lines to read or lines of JSON; auto: text on a terminal, else json"),
    ] = "auto"


class MetricsConfig(Struct, frozen=True):
    """Figures for Prometheus."""

    networks: Annotated[
        tuple[Network, ...],
        Networks(),
        Key("who may read /metrics at the node's address"),
    ] = (IPv4Network("127.0.0.0/8"), IPv6Network("::1/128"))


class Config(Struct, frozen=True):
    node: NodeConfig = NodeConfig()
    serve: ServeConfig = ServeConfig()
    mesh: MeshConfig = MeshConfig()
    hosts: HostsConfig = HostsConfig()
    clients: ClientsConfig = ClientsConfig()
    page: PageConfig = PageConfig()
    log: LogConfig = LogConfig()
    metrics: MetricsConfig = MetricsConfig()
