"""A link lets in once, for a while; of secrets nothing is kept but a bounded number of digests."""

from __future__ import annotations

from dataclasses import dataclass

from postbox.page.sessions import LINK_S, MAX_LINKS, MAX_SESSIONS, SESSION_S, Sessions


@dataclass
class Time:
    s: float = 100.0

    def now_ns(self) -> int:
        return int(self.s * 1e9)

    def elapsed_s(self) -> float:
        return self.s


class Counted:
    """Draws that are all different."""

    def __init__(self) -> None:
        self.drawn = 0

    def bytes(self, count: int) -> bytes:
        self.drawn += 1
        return self.drawn.to_bytes(count, "big")


def make() -> tuple[Sessions, Time]:
    time = Time()
    return Sessions(time, Counted()), time


def test_a_link_lets_in_once() -> None:
    sessions, _ = make()
    link = sessions.link()
    session = sessions.redeem(link)
    assert session is not None
    assert sessions.is_open(session)
    assert sessions.redeem(link) is None
    assert sessions.is_open(session), "who tries it again ends nobody's session"


def test_a_link_is_no_session_and_a_session_is_no_link() -> None:
    sessions, _ = make()
    link = sessions.link()
    session = sessions.redeem(sessions.link())
    assert session is not None
    assert not sessions.is_open(link)
    assert sessions.redeem(session) is None
    for wrong in ("", "x", "\udcff", link[:-1]):
        assert not sessions.is_open(wrong)
        assert sessions.redeem(wrong) is None


def test_links_and_sessions_end_by_themselves() -> None:
    sessions, time = make()
    late, link = sessions.link(), sessions.link()
    time.s += LINK_S - 1
    session = sessions.redeem(link)
    time.s += 1
    assert sessions.redeem(late) is None
    assert session is not None
    time.s += SESSION_S - 2
    assert sessions.is_open(session)
    time.s += 1
    assert not sessions.is_open(session)


def test_who_logs_out_is_out() -> None:
    sessions, _ = make()
    session = sessions.redeem(sessions.link())
    assert session is not None
    sessions.end(session)
    assert not sessions.is_open(session)
    sessions.end(session)


def test_the_oldest_gives_way() -> None:
    sessions, _ = make()
    links = [sessions.link() for _ in range(MAX_LINKS + 1)]
    assert [sessions.redeem(link) is not None for link in links] == [False] + [True] * MAX_LINKS
    opened = [sessions.redeem(sessions.link()) or "" for _ in range(MAX_SESSIONS + 1)]
    assert [sessions.is_open(one) for one in opened] == [False] + [True] * MAX_SESSIONS


def test_no_secret_is_kept() -> None:
    sessions, _ = make()
    link = sessions.link()
    session = sessions.redeem(sessions.link())
    parts = [vars(each) for each in vars(sessions).values() if vars(each)]
    kept = repr(parts)
    assert "until_s" in kept, "the test has lost its way"
    assert link not in kept
    assert session is not None
    assert session not in kept
