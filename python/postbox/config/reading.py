"""From `config.toml` and the command line to a `Config`, or to the list of what is wrong."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Literal, NamedTuple, get_args, get_origin

from msgspec import Struct, structs

from postbox.config.declaration import Config, Key
from postbox.config.kinds import Choice, Kind
from postbox.errors import Fault

FILE = "config.toml"


class BadConfig(Fault):
    """The file, or an option that overrides it, is not as declared."""


class Declared(Struct, frozen=True):
    """A key with all that its declaration says."""

    section: str
    name: str
    kind: Kind
    default: object
    key: Key

    @property
    def path(self) -> str:
        return f"{self.section}.{self.name}"

    @property
    def expected(self) -> str:
        is_number = self.kind.expected.startswith("a whole number") and self.key.unit
        return f"{self.kind.expected} ({self.key.unit})" if is_number else self.kind.expected


class Problem(NamedTuple):
    section: str
    name: str  # "": it is about the section
    text: str


@cache
def declared() -> Mapping[str, Declared]:
    """Every key by its path (`serve.listen`), in the order of the declaration."""
    found = {}
    for section in structs.fields(Config):
        for field in structs.fields(section.type):
            plain, *notes = get_args(field.type)
            (key,) = (note for note in notes if isinstance(note, Key))
            kinds = [note for note in notes if not isinstance(note, Key)]
            if get_origin(plain) is Literal:
                kinds = [Choice(get_args(plain))]
            one = Declared(section.name, field.name, kinds[0], field.default, key)
            found[one.path] = one
    return MappingProxyType(found)


def load(home: Path) -> Config:
    """What the home's file says, the defaults where it says nothing. Raises BadConfig."""
    path = home / FILE
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        if path.is_symlink():
            raise BadConfig(f"cannot read {path}: it is a link to what is not there") from None
        return Config()
    except OSError as error:
        raise BadConfig(f"cannot read {path}: {error.strerror}") from error
    import tomllib  # most homes have no file, and every verb looks

    try:
        text = content.decode()
        document = tomllib.loads(text)
    except UnicodeDecodeError as error:
        raise BadConfig(f"{path} is not UTF-8 text: see its byte {error.start}") from error
    except (ValueError, RecursionError) as error:  # tomllib says at which line and column
        raise BadConfig(f"{path} is no TOML: {error}") from error
    problems: list[Problem] = []
    values = dict(_values(document, home, problems))
    config = _changed(Config(), values)
    problems += _contradictions(config, {problem.name for problem in problems})
    if problems:
        raise BadConfig(f"{path} cannot be used:\n{_listed(problems, text)}")
    return config


def overridden(config: Config, options: Mapping[str, object]) -> Config:
    """`config` with the keys of `options` ("serve.listen") as the command line gave them. None
    stands for an option that was not given. Raises BadConfig, which names the options."""
    values: dict[str, object] = {}
    wrong: list[str] = []
    for path, value in options.items():
        if value is None:
            continue
        one = declared()[path]
        try:
            values[path] = one.kind.read(value, Path())
        except ValueError as error:
            expected = one.key.option_takes or one.expected
            wrong.append(f"{one.key.option or path}: expected {expected}, {error}")
    changed = _changed(config, values)
    if not wrong:
        wrong += [problem.text for problem in _contradictions(changed, ())]
    if wrong:
        raise BadConfig("; ".join(wrong))
    return changed


def value_of(config: Config, one: Declared) -> object:
    return getattr(getattr(config, one.section), one.name)


def _values(
    document: Mapping[str, object], home: Path, problems: list[Problem]
) -> Iterator[tuple[str, object]]:
    """By path. What is wrong is added to `problems` instead."""
    sections = structs.asdict(Config())
    for section, content in document.items():
        if section not in sections:
            problems.append(Problem(section, "", _unknown_section(section, content)))
        elif not isinstance(content, dict):
            problems.append(Problem(section, "", f"this is a section: begin it with [{section}]"))
        else:
            for name, value in content.items():
                one = declared().get(f"{section}.{name}")
                if one is None:
                    problems.append(Problem(section, name, _unknown_key(section, name)))
                    continue
                try:
                    yield one.path, one.kind.read(value, home)
                except ValueError as error:
                    problems.append(Problem(section, name, f"expected {one.expected}, {error}"))


def _changed(config: Config, values: Mapping[str, object]) -> Config:
    sections: dict[str, Struct] = structs.asdict(config)
    for path, value in values.items():
        section, name = path.split(".")
        sections[section] = structs.replace(sections[section], **{name: value})
    return structs.replace(config, **sections)


def _contradictions(config: Config, wrong: Collection[str]) -> Iterator[Problem]:
    """What no key alone shows. `wrong`: keys that were refused, of which nothing follows."""
    cert, key = config.serve.tls_cert, config.serve.tls_key
    if (cert is None) != (key is None) and {"tls_cert", "tls_key"}.isdisjoint(wrong):
        given = "tls_key" if cert is None else "tls_cert"
        yield Problem("serve", given, "tls_cert and tls_key are given together or not at all")
    issuer, jwks = config.clients.issuer, config.clients.jwks
    if bool(issuer) != bool(jwks) and {"issuer", "jwks"}.isdisjoint(wrong):
        given = "issuer" if issuer else "jwks"
        yield Problem("clients", given, "issuer and jwks are given together or not at all")


def _unknown_section(section: str, content: object) -> str:
    if isinstance(content, dict):
        known = {field.name: f"[{field.name}]" for field in structs.fields(Config)}
        return f"there is no such section{_nearest(section, known)}"
    return f"no key stands outside a section{_nearest(section, _places_of_keys())}"


def _unknown_key(section: str, name: str) -> str:
    ours = {one.name: f"`{one.name}`" for one in declared().values() if one.section == section}
    nearest = _nearest(name, ours) or _nearest(name, _places_of_keys())
    return f"there is no such key{nearest}"


def _places_of_keys() -> dict[str, str]:
    places: dict[str, str] = {}
    for one in declared().values():
        before = f"{places[one.name]} or " if one.name in places else f"`{one.name}` in "
        places[one.name] = f"{before}[{one.section}]"
    return places


def _nearest(word: str, known: Mapping[str, str]) -> str:
    """`known`: words, and how they are shown."""
    import difflib

    close = difflib.get_close_matches(word, known, n=1)
    return f"; did you mean {known[close[0]]}?" if close else ""


# -- where it stands, which tomllib does not tell -----------------------------------------------

_PART = r"""(?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*')"""
_DOTTED = rf"{_PART}(?:\s*\.\s*{_PART})*"
_LINE = rf"\s*(?:\[+\s*(?P<header>{_DOTTED})\s*\]|(?P<key>{_DOTTED})\s*=)"


def _listed(problems: Sequence[Problem], text: str) -> str:
    """In the order of the file."""
    lines: list[tuple[int, str]] = []
    for section, name, what in problems:
        line = _line_of(text, [section, name] if name else [section])
        place = f"[{section}] {name}" if name else section
        told = f"line {line}, {place}: {what}" if line else f"{place}: {what}"
        lines.append((line or 0, f"  {told}"))
    return "\n".join(told for _, told in sorted(lines))


def _line_of(text: str, path: list[str]) -> int | None:
    """Of the key, or of the inline table that it stands in. Lines are looked at one by one: inside
    a text of several lines this can be misled, to a wrong number at worst."""
    section: list[str] = []
    around = None
    for number, line in enumerate(text.splitlines(), 1):
        match = re.match(_LINE, line)
        if match is None:
            continue
        if match["header"]:
            here = section = _parts(match["header"])
        else:
            here = [*section, *_parts(match["key"])]
        if here[: len(path)] == path:
            return number
        if match["key"] and here == path[:1]:
            around = number
    return around


def _parts(dotted: str) -> list[str]:
    return [part.strip("\"'") for part in re.findall(_PART, dotted)]
