"""Which hosts are let in, as the operator said, and with whom there was contact."""

from __future__ import annotations

from typing import cast

from postbox.hosts.links.host_rules import Admit, SetHost, Tokens, decide_host, new_contact
from postbox.hosts.serving.known import KnownHosts
from postbox.hosts.tables import HOST
from postbox.log.committed import Committed
from postbox.rules import NewEntry, State
from postbox.store.contract import Entry

B = "b.example:2289"


def commit(entry: NewEntry) -> Committed:
    stored = Entry(1, entry.lane, entry.stream, None, entry.id, entry.kind, 0, b"", 0, entry.body)
    return Committed(9, [stored], (), (), {}, {(entry.lane, entry.stream): [stored]})


def said(host: str, admit: Admit = "", tokens: Tokens = "") -> Committed:
    """What the rules make of it, if something else was said before."""
    before = {(HOST, (host,)): (host, "block", "strict")}
    draft = SetHost(b"i" * 16, host, admit, tokens)
    return commit(decide_host(draft, cast("State", before), 0).entries[0])


def known(*words: Committed, is_open: bool = False) -> KnownHosts:
    hosts = KnownHosts("open" if is_open else "list", is_local=False)
    for word in words:
        hosts.applied(word)
    return hosts


def is_let_in(hosts: KnownHosts, host: str = B) -> bool:
    return hosts.settings(host).refusal is None


def test_a_host_that_is_not_on_the_list_is_told_how_it_gets_there() -> None:
    assert "postbox hosts allow b.example:2289" in str(known().settings(B).refusal)
    assert is_let_in(known(said(B, "allow")))
    assert not is_let_in(known(said(B, "allow")), "c.example:2289")


def test_auto_is_open_under_loopback_alone() -> None:
    assert is_let_in(KnownHosts("auto", is_local=True))
    assert not is_let_in(KnownHosts("auto", is_local=False))
    assert is_let_in(known(is_open=True))
    assert not is_let_in(KnownHosts("list", is_local=True))


def test_a_pattern_lets_in_what_is_below_it() -> None:
    hosts = known(said("*.example", "allow"))
    assert is_let_in(hosts)
    assert is_let_in(hosts, "deep.b.example:77")
    assert not is_let_in(hosts, "example:2289")
    assert not is_let_in(hosts, "bexample:2289")


def test_a_block_counts_before_any_word_that_allows() -> None:
    assert not is_let_in(known(said(B, "allow"), said("*.example", "block")))
    assert not is_let_in(known(said("*.example", "allow"), said(B, "block")))
    assert not is_let_in(known(said(B, "block"), is_open=True))


def test_a_word_that_was_taken_back_counts_no_more() -> None:
    assert not is_let_in(known(said(B, "allow"), said(B)))
    assert is_let_in(known(said(B, "block"), said(B), is_open=True))


def test_the_most_specific_word_on_tokens_counts() -> None:
    assert known(said(B, "allow", "plain")).settings(B).is_plain
    assert known(said("*.example", "", "plain")).settings(B).is_plain
    assert not known(said("*.example", "", "plain"), said(B, "", "strict")).settings(B).is_plain
    assert not known().settings(B).is_plain


def test_whom_we_posted_to_or_heard_of_is_a_contact() -> None:
    hosts = known(commit(new_contact(b"i" * 16, B, 0)), is_open=True)
    assert hosts.contacts() == [B]
    assert hosts.settings(B).is_known
    assert not hosts.settings("c.example:1").is_known


def test_a_host_that_the_operator_allowed_by_name_is_no_stranger() -> None:
    assert known(said(B, "allow")).settings(B).is_known
    assert not known(said("*.example", "allow")).settings(B).is_known  # who is below, anyone says
    assert not known(said(B, "", "plain")).settings(B).is_known


def test_a_contact_that_is_not_let_in_is_not_asked_for_what_it_has() -> None:
    met = commit(new_contact(b"i" * 16, B, 0))
    assert known(met).contacts() == []
    assert known(met, said(B, "allow")).contacts() == [B]
    assert known(met, said(B, "block"), is_open=True).contacts() == []
