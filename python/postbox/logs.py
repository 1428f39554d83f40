"""What a node says about itself, on one stream: one event a line, as JSON or to read.

Promises: nothing that a peer sends can break, forge or colour a line, or make one long; a flood of
one kind of event by one peer is a few lines a minute and a count; a stream that nobody reads any
more does no harm to the node. Silent until `configure` is called, which only `serve` does.

`Log` stands before structlog so that a module may have one without loading it, and so that a level
that is off costs a comparison.
"""

from __future__ import annotations

import json
import logging
import math
import reprlib
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, NamedTuple, TextIO

if TYPE_CHECKING:
    from structlog.typing import EventDict, FilteringBoundLogger, Processor, WrappedLogger

    from postbox.config import LogConfig
    from postbox.world import Clock

LEVELS: Final = MappingProxyType(
    {
        "debug": logging.DEBUG,
        "info": logging.INFO,
        "warning": logging.WARNING,
        "error": logging.ERROR,
        "critical": logging.CRITICAL,  # of other libraries only
    }
)

MAX_VALUE_BYTES = 512
"""Of any text in a line. What a peer sends is at most this often as long as what we say of it."""
MAX_TRACEBACK_BYTES = 8 * 2**10
"""Of its end, which is where the fault is."""
MAX_WINDOWS = 256
"""Kinds of events times peers that are counted apart within a minute; the rest is one kind. With
six lines each that is at most 1,500 lines a minute, under 1 MB, whatever happens."""
PER_MINUTE = 6
STDLIB_PER_MINUTE = 60
"""From one line of code of a library: they know nothing of our peers."""
WINDOW_S = 60.0

ROUTED = ("postbox", "quart", "hypercorn")
"""Loggers of the standard library that log at our level; all others from warning on."""


class Limit(NamedTuple):
    key: str
    per_minute: int
    counts_as: str = ""
    """What all events count as together; "": each by itself."""


@dataclass(frozen=True)
class Log:
    """What a module or a peer's task logs with. `event` says what happened, in words that do not
    change; what changes is a field."""

    name: str
    bound: Mapping[str, object] = field(default_factory=dict)
    limit: Limit | None = None

    def bind(self, **fields: object) -> Log:
        return replace(self, bound={**self.bound, **fields})

    def debug(self, event: str, **fields: object) -> None:
        self._tell(logging.DEBUG, event, fields)

    def info(self, event: str, **fields: object) -> None:
        self._tell(logging.INFO, event, fields)

    def warning(self, event: str, **fields: object) -> None:
        self._tell(logging.WARNING, event, fields)

    def error(self, event: str, **fields: object) -> None:
        self._tell(logging.ERROR, event, fields)

    def exception(self, event: str, **fields: object) -> None:
        """An error with the traceback of the exception that is being handled. With
        `exc_info=error` any other of these has that one's."""
        self._tell(logging.ERROR, event, {"exc_info": True, **fields})

    def _tell(self, level: int, event: str, fields: Mapping[str, object]) -> None:
        if _journal is not None and level >= _journal.level:
            _journal.tell(level, self, event, fields)


def get(name: str) -> Log:
    """`name`: that of the module."""
    return Log(name)


def limited(log: Log, key: str, per_minute: int = PER_MINUTE) -> Log:
    """`log`, but of each event at most so many lines a minute for `key` (a peer, an address). What
    is more is counted, and told in one line after that minute, when anything is logged next."""
    return replace(log, limit=Limit(key[:MAX_VALUE_BYTES], per_minute))


def configure(config: LogConfig, clock: Clock, stream: TextIO) -> Journal:
    """From here on everything that is logged in this process goes to `stream`."""
    global _journal  # as stderr is the process's
    if _journal is not None:
        _journal.close()
    _journal = Journal(config, clock, stream)
    return _journal


class Journal:
    """The stream, and what stands between a `Log` and it."""

    def __init__(self, config: LogConfig, clock: Clock, stream: TextIO) -> None:
        import structlog

        is_text = config.format == "text" or (config.format == "auto" and stream.isatty())
        self.level = LEVELS[config.level]
        self._clock = clock
        self._windows = Windows()
        self._lock = threading.RLock()  # verification logs from its threads
        chain: list[Processor] = [
            structlog.processors.add_log_level,
            _stamp(clock),
            structlog.processors.format_exc_info,
            _clean,
            _as_text if is_text else structlog.processors.JSONRenderer(_dump),
        ]
        self._logger: FilteringBoundLogger = structlog.wrap_logger(
            _Stream(stream),
            processors=chain,
            wrapper_class=structlog.make_filtering_bound_logger(self.level),
        ).bind()
        self._restore = _route(self)

    def tell(self, level: int, log: Log, event: str, fields: Mapping[str, object]) -> None:
        with self._lock:
            now_s = self._clock.elapsed_s()
            self._tell_ended(now_s)
            if log.limit is not None:
                key, per_minute, counts_as = log.limit
                kind = Kind(log.name, level, counts_as or event, key)
                if not self._windows.admits(kind, per_minute, now_s):
                    return
            self._write(level, event, {**log.bound, **fields, "logger": log.name})

    def close(self) -> None:
        """Tells what is only counted so far, and gives the standard library its loggers back."""
        global _journal
        with self._lock:
            self._tell_ended(math.inf)
        self._restore()
        if _journal is self:
            _journal = None

    def _tell_ended(self, now_s: float) -> None:
        for kind, count in self._windows.ended(now_s):
            told = {"of": kind.event, "key": kind.key, "count": count, "logger": kind.name}
            self._write(kind.level, "more of these were not logged", told)

    def _write(self, level: int, event: str, fields: Mapping[str, object]) -> None:
        self._logger.bind(**fields).log(level, event)


_journal: Journal | None = None


# -- floods -------------------------------------------------------------------------------------


class Kind(NamedTuple):
    name: str
    level: int
    event: str
    key: str


OVERFLOW = Kind("postbox.logs", logging.WARNING, "various", "various")


@dataclass
class _Window:
    end_s: float
    told: int = 0
    counted: int = 0


class Windows:
    """A minute for each kind, from its first event on. At most MAX_WINDOWS and one."""

    def __init__(self) -> None:
        self._open: dict[Kind, _Window] = {}  # in the order of their ends, since all are as long

    def admits(self, kind: Kind, per_minute: int, now_s: float) -> bool:
        """Is it one of the first so many? Else it was counted. Call `ended` before."""
        if kind not in self._open and len(self._open) >= MAX_WINDOWS:
            kind = OVERFLOW
        window = self._open.setdefault(kind, _Window(now_s + WINDOW_S))
        if window.told < per_minute:
            window.told += 1
            return True
        window.counted += 1
        return False

    def ended(self, now_s: float) -> list[tuple[Kind, int]]:
        """Those that are over, and of how many events nothing was told."""
        found = []
        while self._open:
            kind, window = next(iter(self._open.items()))
            if window.end_s > now_s:
                break
            del self._open[kind]
            if window.counted:
                found.append((kind, window.counted))
        return found


# -- lines --------------------------------------------------------------------------------------


def _stamp(clock: Clock) -> Callable[[WrappedLogger, str, EventDict], EventDict]:
    def stamp(logger: WrappedLogger, method: str, fields: EventDict) -> EventDict:
        """ISO 8601 in UTC, to the millisecond; and what every line has, in front."""
        seconds, rest_ns = divmod(clock.now_ns(), 10**9)
        moment = datetime.fromtimestamp(seconds, UTC).replace(microsecond=rest_ns // 1000)
        ts = moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        first = {name: fields.pop(name) for name in ("level", "logger", "event")}
        fields.pop("ts", None)
        return {"ts": ts, **first, **fields}

    return stamp


def _clean(logger: WrappedLogger, method: str, fields: EventDict) -> EventDict:
    """Texts of bounded length, and numbers that JSON has."""
    return {
        name: _tail(str(value)) if name == "exception" else _plain(value)
        for name, value in fields.items()
    }


def _plain(value: object) -> object:
    match value:
        case None | bool():
            return value
        case int():
            return int(value) if value.bit_length() <= 64 else _cut(hex(value))
        case float():
            return float(value) if math.isfinite(value) else str(value)
        case str():
            return _cut(value)
        case bytes():
            return _cut(value[:MAX_VALUE_BYTES].hex())
        case _:
            return _cut(_worded(value))


def _worded(value: object) -> str:
    try:
        is_many = isinstance(value, Mapping | list | tuple | set | frozenset)
        return reprlib.repr(value) if is_many else str(value)
    except Exception:  # whatever it is, it must not stop whoever logs it
        return f"<{type(value).__name__}>"


def _cut(text: str) -> str:
    start = text[:MAX_VALUE_BYTES].encode("utf-8", "backslashreplace")
    if len(text) <= MAX_VALUE_BYTES and len(start) <= MAX_VALUE_BYTES:
        return str(text)
    mark = f"… ({len(text)} characters)"
    return start[: MAX_VALUE_BYTES - len(mark.encode())].decode("utf-8", "ignore") + mark


def _tail(traceback: str) -> str:
    encoded = traceback.encode("utf-8", "backslashreplace")
    if len(encoded) <= MAX_TRACEBACK_BYTES:
        return traceback
    return "…" + encoded[-MAX_TRACEBACK_BYTES:].decode("utf-8", "ignore")


def _dump(fields: EventDict, **_: object) -> str:
    """Printable ASCII: whatever is not is escaped, also what terminals obey beyond ASCII."""
    return json.dumps(fields)


def _as_text(logger: WrappedLogger, method: str, fields: EventDict) -> str:
    ts, level, name, event = (fields.pop(key) for key in ("ts", "level", "logger", "event"))
    traceback = fields.pop("exception", "")
    head = f"{ts} {level:<8} {_escaped(name)}: {_escaped(event)}"
    values = "".join(f" {_escaped(key)}={_quoted(value)}" for key, value in fields.items())
    # A line of a traceback is indented, so that none passes for an event.
    return "\n".join([head + values, *(f"    {_escaped(ln)}" for ln in traceback.splitlines())])


def _escaped(text: str) -> str:
    return text if text.isprintable() else repr(text)[1:-1]


def _quoted(value: object) -> str:
    """`repr` escapes whatever is not printable: controls, line ends of all scripts, directions."""
    text = str(value)
    is_one_word = text.isprintable() and text and set(text).isdisjoint(" \"'=\\")
    return text if is_one_word or not isinstance(value, str) else repr(text)


class _Stream:
    """Has a method for each level, as structlog wants it."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def info(self, line: str) -> None:
        try:
            self._write(line)
        except UnicodeEncodeError:
            self._write(line.encode("ascii", "backslashreplace").decode())

    debug = warning = error = critical = info

    def _write(self, line: str) -> None:
        try:
            self._stream.write(f"{line}\n")
            self._stream.flush()
        except UnicodeEncodeError:
            raise
        except (OSError, ValueError):
            pass  # closed, or its disk is full: there is nobody left to tell


# -- the standard library's loggers -------------------------------------------------------------


class _FromStdlib(logging.Handler):
    def __init__(self, journal: Journal) -> None:
        super().__init__()
        self._journal = journal

    def emit(self, record: logging.LogRecord) -> None:
        try:
            event = record.getMessage()
        except Exception:  # its arguments do not fit its text
            event = str(record.msg)
        level = max(known for known in (0, *LEVELS.values()) if known <= record.levelno)
        if level >= self._journal.level:
            place = f"{record.filename}:{record.lineno}"
            log = Log(record.name, limit=Limit(place, STDLIB_PER_MINUTE, "a library's message"))
            fields = {"exc_info": record.exc_info} if record.exc_info else {}
            self._journal.tell(level, log, event, fields)


def _route(journal: Journal) -> Callable[[], None]:
    """Gives what undoes it. They must not have handlers of their own: hypercorn and quart make
    none where these are first."""
    root = logging.getLogger()
    loggers = [root, *map(logging.getLogger, ROUTED)]
    before = [logger.level for logger in loggers]
    handler = _FromStdlib(journal)
    root.addHandler(handler)
    for logger in loggers:
        logger.setLevel(journal.level)
    root.setLevel(max(journal.level, logging.WARNING))

    def restore() -> None:
        root.removeHandler(handler)
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)

    return restore
