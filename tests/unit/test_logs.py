"""A log line is one event, of bounded length, whatever is in it; and a flood is a few lines."""

from __future__ import annotations

import io
import json
import logging
import subprocess
import sys
from collections.abc import Iterator
from typing import Any, Literal

import pytest

from postbox import logs
from postbox.config import LogConfig
from postbox.logs import MAX_VALUE_BYTES, MAX_WINDOWS, STDLIB_PER_MINUTE, configure, get, limited

Format = Literal["text", "json"]

HOSTILE = (
    "\r\n2026-01-01T00:00:00.000Z info     postbox: forged",
    '"}\n{"event": "forged"}',
    "\x1b[31mred\x1b[0m",
    "\x9b31m",
    "\x00\x07\x08\x7f",
    "a\x85b\u2028c\u2029d\x0be\x0cf\x1cg",
    "\u202eesrever",
    "\udc80",
    "x=1 y='2'\\",
)


class Stopwatch:
    """A clock that goes on when it is told to."""

    def __init__(self) -> None:
        self.at_s = 1_790_000_000.0

    def now_ns(self) -> int:
        return round(self.at_s * 1000) * 1_000_000

    def elapsed_s(self) -> float:
        return self.at_s


@pytest.fixture
def clock() -> Stopwatch:
    return Stopwatch()


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    yield io.StringIO()
    if logs._journal is not None:
        logs._journal.close()


def lines(stream: io.StringIO) -> list[str]:
    return stream.getvalue().split("\n")[:-1]


def told(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in lines(stream)]


def assert_tame(stream: io.StringIO, events: int) -> None:
    """Printable, and exactly so many lines that begin with a time."""
    assert "".join(lines(stream)).isprintable()
    begin = [line for line in lines(stream) if not line.startswith("    ")]
    assert len(begin) == events
    assert all(line.startswith(("2026-", '{"ts": "2026-')) for line in begin)


def test_a_node_that_does_not_serve_logs_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    get("postbox.test").error("lost")
    assert capfd.readouterr() == ("", "")


def test_an_event_is_a_line_of_json(clock: Stopwatch, stream: io.StringIO) -> None:
    configure(LogConfig(format="json"), clock, stream)
    log = get("postbox.mesh").bind(peer="ann")
    log.info("pulled", events=250, took_s=0.5, name="me", level="mine", ts="mine", logger="mine")
    (line,) = lines(stream)
    assert line.startswith('{"ts": "2026-09-21T14:13:20.000Z", "level": "info", ')
    assert json.loads(line) == {
        "ts": "2026-09-21T14:13:20.000Z",
        "level": "info",
        "logger": "postbox.mesh",
        "event": "pulled",
        "peer": "ann",
        "events": 250,
        "took_s": 0.5,
        "name": "me",
    }


def test_an_event_is_a_line_to_read(clock: Stopwatch, stream: io.StringIO) -> None:
    configure(LogConfig(format="text"), clock, stream)
    clock.at_s += 0.0625
    get("postbox.mesh").warning("cannot reach a peer", peer="ann", why="no route", tries=3, of="")
    assert stream.getvalue() == (
        "2026-09-21T14:13:20.062Z warning  postbox.mesh: cannot reach a peer"
        " peer=ann why='no route' tries=3 of=''\n"
    )


@pytest.mark.parametrize("style", ["text", "json"])
@pytest.mark.parametrize("text", HOSTILE)
def test_nothing_in_a_value_breaks_forges_or_colours_a_line(
    clock: Stopwatch, stream: io.StringIO, text: str, style: Format
) -> None:
    configure(LogConfig(format=style), clock, stream)
    log = get("postbox.mesh")
    log.info("refused", why=text)
    log.info(
        "refused",
        why=[text, {text: text}],
        error=ValueError(text),
        raw=text.encode("u8", "replace"),
    )
    log.info(text)
    log.info("refused", **{text: 1})
    limited(log, text, 0).info("refused")
    clock.at_s += 61
    log.bind(peer=text).info("refused")
    logging.getLogger("quart.app").error("refused %s", text)
    logging.getLogger(text).error(text)
    assert_tame(stream, 8)
    try:
        raise ValueError(text)
    except ValueError:
        log.exception("failed")
    assert_tame(stream, 9)
    if style == "json":
        assert told(stream)[0]["why"] == text  # to whom reads the JSON nothing is lost


@pytest.mark.parametrize("style", ["text", "json"])
def test_no_value_is_longer_than_its_bound(
    clock: Stopwatch, stream: io.StringIO, style: Format
) -> None:
    configure(LogConfig(format=style), clock, stream)
    for text in ("x" * 10**7, "ü" * MAX_VALUE_BYTES, "😀" * 200, "\udc80" * 600, "\x1b" * 600):
        get("postbox").info("long", value=text)
        get("postbox").info("many", value=[text] * 10_000)
        get("postbox").info(text)
        get("postbox").info("fault", value=ValueError(text))
        get("postbox").info("bytes", value=text.encode("u8", "replace"))
    # An escape is six characters: a value of controls alone is as much longer.
    assert max(map(len, lines(stream))) < 6 * MAX_VALUE_BYTES + 200


def test_what_is_cut_says_so_and_what_fits_is_whole(clock: Stopwatch, stream: io.StringIO) -> None:
    configure(LogConfig(format="json"), clock, stream)
    for text in ("x" * 512, "x" * 513, "ü" * 256, "ü" * 257):
        get("postbox").info("long", value=text)
    values = [line["value"] for line in told(stream)]
    assert values[0::2] == ["x" * 512, "ü" * 256]
    assert [value.split("… ")[1] for value in values[1::2]] == [
        "(513 characters)",
        "(257 characters)",
    ]
    assert all(500 < len(value.encode()) <= 512 for value in values)


def test_odd_values_are_logged_too(clock: Stopwatch, stream: io.StringIO) -> None:
    class Broken:
        def __str__(self) -> str:
            raise RuntimeError("broken")

    configure(LogConfig(format="json"), clock, stream)
    get("postbox").info("odd", a=Broken(), b=10**5000, c=float("nan"), d=None, e=True, f=b"\1\2")
    get("postbox").info("odd", a=[10**5000], b=(1, "x"), c={"k": 1}, d=float("inf"), e=-1)
    first, second = told(stream)
    assert (first["a"], first["c"], first["d"], first["e"]) == ("<Broken>", "nan", None, True)
    assert first["b"].startswith("0x")
    assert first["f"] == "0102"
    assert (second["b"], second["c"], second["e"]) == ("(1, 'x')", "{'k': 1}", -1)


def fail(text: str) -> None:
    raise ValueError(text)


def test_a_traceback_is_one_field_of_json(clock: Stopwatch, stream: io.StringIO) -> None:
    configure(LogConfig(format="json"), clock, stream)
    try:
        fail("of mine")
    except ValueError as error:
        get("postbox").exception("failed", peer="ann")
        get("postbox").warning("failed", exc_info=error)
    for line in told(stream):
        assert line["exception"].startswith("Traceback (most recent call last):\n")
        assert line["exception"].endswith("\nValueError: of mine")
        assert "exc_info" not in line


@pytest.mark.parametrize("style", ["text", "json"])
def test_a_traceback_keeps_its_end_within_its_bound(
    clock: Stopwatch, stream: io.StringIO, style: Format
) -> None:
    configure(LogConfig(format=style), clock, stream)
    try:
        fail(20_000 * "\n" + "the end")
    except ValueError:
        get("postbox").exception("failed")
    assert "the end" in stream.getvalue()[-10:]
    assert 8_000 < len(stream.getvalue()) < 50_000
    assert_tame(stream, 1)


def test_a_traceback_to_read_stands_indented_below_its_event(
    clock: Stopwatch, stream: io.StringIO
) -> None:
    configure(LogConfig(format="text"), clock, stream)
    try:
        fail("of mine")
    except ValueError:
        get("postbox").exception("failed")
    first, *rest = lines(stream)
    assert first.endswith("error    postbox: failed")
    assert rest[0] == "    Traceback (most recent call last):"
    assert rest[-1] == "    ValueError: of mine"


def test_a_level_that_is_off_costs_not_even_a_look_at_the_clock(stream: io.StringIO) -> None:
    class NoClock:
        def now_ns(self) -> int:
            raise AssertionError("looked")

        elapsed_s = now_ns

    configure(LogConfig(level="warning", format="json"), NoClock(), stream)
    get("postbox").info("nothing", value=object())
    limited(get("postbox"), "ann").debug("nothing")
    logging.getLogger("postbox.net").info("nothing")
    assert stream.getvalue() == ""
    with pytest.raises(AssertionError, match="looked"):
        get("postbox").warning("something")


def test_on_a_terminal_it_is_text_and_else_json(clock: Stopwatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    for stream, begin in ((Terminal(), "2026-"), (io.StringIO(), "{")):
        journal = configure(LogConfig(), clock, stream)
        get("postbox").info("ready")
        journal.close()
        assert stream.getvalue().startswith(begin)


# -- floods -------------------------------------------------------------------------------------


def test_of_one_kind_and_peer_there_are_so_many_lines_a_minute_and_a_count(
    clock: Stopwatch, stream: io.StringIO
) -> None:
    configure(LogConfig(format="json"), clock, stream)
    log = get("postbox.mesh")
    for _ in range(10):
        limited(log, "ann", 3).warning("refused", peer="ann")
        limited(log, "bob", 3).warning("refused", peer="bob")
    limited(log, "ann", 3).warning("late", peer="ann")
    assert [line["peer"] for line in told(stream)] == ["ann", "bob"] * 3 + ["ann"]
    clock.at_s += 59.9
    log.info("still within the minute")
    assert len(told(stream)) == 8
    clock.at_s += 0.1
    log.info("after it")
    *counts, last = told(stream)[8:]
    assert last["event"] == "after it"
    assert counts == [
        {
            "ts": last["ts"],
            "level": "warning",
            "logger": "postbox.mesh",
            "event": "more of these were not logged",
            "of": "refused",
            "key": name,
            "count": 7,
        }
        for name in ("ann", "bob")
    ]
    for _ in range(4):
        limited(log, "ann", 3).warning("refused", peer="ann")
    assert len(told(stream)) == 8 + 3 + 3


def test_what_is_only_counted_is_told_at_the_end(clock: Stopwatch, stream: io.StringIO) -> None:
    journal = configure(LogConfig(format="json"), clock, stream)
    for _ in range(3):
        limited(get("postbox"), "ann", 1).info("refused")
    journal.close()
    assert told(stream)[1]["count"] == 2
    get("postbox").info("after the end")
    assert len(told(stream)) == 2


def test_a_flood_by_ever_new_peers_is_bounded_in_lines_and_memory(
    clock: Stopwatch, stream: io.StringIO
) -> None:
    journal = configure(LogConfig(format="json"), clock, stream)
    log = get("postbox.mesh")
    sent = 40_000
    for number in range(sent):
        limited(log, f"peer {number}", 2).warning("refused", why="x" * 10_000)
        assert len(journal._windows._open) <= MAX_WINDOWS + 1
    journal.close()
    assert len(told(stream)) == MAX_WINDOWS + 2 + 1
    assert told(stream)[-1]["count"] == sent - MAX_WINDOWS - 2
    assert len(stream.getvalue()) < 300_000


def test_a_flood_through_a_library_is_bounded_too(clock: Stopwatch, stream: io.StringIO) -> None:
    journal = configure(LogConfig(format="json"), clock, stream)
    for number in range(5_000):
        logging.getLogger("hypercorn.error").error(f"bad request {number}")
    journal.close()
    assert len(told(stream)) == STDLIB_PER_MINUTE + 1
    assert told(stream)[-1]["count"] == 5_000 - STDLIB_PER_MINUTE


# -- the standard library -----------------------------------------------------------------------


def test_libraries_log_on_the_same_stream_in_the_same_form(
    clock: Stopwatch,
    stream: io.StringIO,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(logging.getLogger(), "handlers", [])  # pytest's raise on what does not fit
    configure(LogConfig(format="json"), clock, stream)
    for name in ("postbox.net", "quart.app", "hypercorn.error"):
        logging.getLogger(name).info("served %d", 3)
        logging.getLogger(name).debug("not this")
    logging.getLogger("another").info("not this")
    logging.getLogger("another").warning("this", stacklevel=1)
    logging.getLogger("another").error("%d %d", "does not fit")
    logging.getLogger("another").log(35, "between two levels")
    assert [(line["logger"], line["level"], line["event"]) for line in told(stream)] == [
        ("postbox.net", "info", "served 3"),
        ("quart.app", "info", "served 3"),
        ("hypercorn.error", "info", "served 3"),
        ("another", "warning", "this"),
        ("another", "error", "%d %d"),
        ("another", "warning", "between two levels"),
    ]
    assert capfd.readouterr() == ("", "")


def test_a_librarys_traceback_is_kept(clock: Stopwatch, stream: io.StringIO) -> None:
    configure(LogConfig(format="json"), clock, stream)
    try:
        fail("in a route")
    except ValueError:
        logging.getLogger("quart.app").exception("a route failed")
    (line,) = told(stream)
    assert line["exception"].endswith("ValueError: in a route")


def test_the_end_gives_the_libraries_their_loggers_back(
    clock: Stopwatch, stream: io.StringIO
) -> None:
    loggers = [logging.getLogger(name) for name in (None, "postbox", "quart", "hypercorn")]
    before = [(one.level, list(one.handlers)) for one in loggers]
    configure(LogConfig(level="debug"), clock, stream)
    again = configure(LogConfig(level="error"), clock, stream)
    assert before != [(one.level, list(one.handlers)) for one in loggers]
    again.close()
    assert before == [(one.level, list(one.handlers)) for one in loggers]


# -- the stream ---------------------------------------------------------------------------------


def test_a_stream_that_nobody_reads_any_more_does_no_harm(clock: Stopwatch) -> None:
    class Gone(io.StringIO):
        def write(self, text: str, /) -> int:
            raise BrokenPipeError

    closed = io.StringIO()
    closed.close()
    for stream in (Gone(), closed):
        journal = configure(LogConfig(format="json"), clock, stream)
        get("postbox").info("lost")
        journal.close()


def test_a_stream_that_knows_ascii_only_gets_ascii(clock: Stopwatch) -> None:
    raw = io.BytesIO()
    journal = configure(LogConfig(format="text"), clock, io.TextIOWrapper(raw, "ascii"))
    get("postbox").info("met", peer="Jürgen")
    journal.close()
    assert raw.getvalue().endswith(b"met peer=J\\xfcrgen\n")


def test_to_have_a_log_loads_no_structlog() -> None:
    code = "import sys, postbox.logs; postbox.logs.get('a').info('b'); print(*sys.modules)"
    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    loaded = ran.stdout.split()
    assert "postbox.logs" in loaded, "the test has lost its way"
    assert {"structlog", "rich", "trio"}.isdisjoint(loaded)
