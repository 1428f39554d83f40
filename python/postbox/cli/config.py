"""`postbox config`, and docs/configuration.md, which is made by `python -m postbox.cli.config`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import groupby
from operator import attrgetter

from msgspec import structs

from postbox.cli.options import Common, run
from postbox.cli.output import fits, print_json, print_rows, print_text
from postbox.config import Config
from postbox.config.reading import FILE, Declared, declared, value_of

HEADER = ("key", "value", "default", "unit", "restart", "what it is")


def config(*, common: Common | None = None) -> int:
    """Every key of `config.toml`, as the home's file sets it; without a home, as it is by itself.

    The file is read, no node is opened and nothing is made.
    """
    options = common or Common()

    async def verb() -> int:
        found = options.config() if options.home else Config()
        if options.json:
            print_json([_described(found, one) for one in declared().values()])
        else:
            _print(found)
        return 0

    return run(verb, as_json=options.json)


def _described(config: Config, one: Declared) -> dict[str, object]:
    return {
        "key": one.path,
        "value": one.kind.written(value_of(config, one)),
        "default": one.kind.written(one.default),
        "unit": one.key.unit,
        "needs_restart": one.key.needs_restart,
        "option": one.key.option,
        "text": one.key.text,
    }


def _print(config: Config) -> None:
    rows = [HEADER, *_rows(config)]
    if fits(rows):
        print_rows(rows)
    else:
        _print_list(config)


def _print_list(config: Config) -> None:
    """Each key as the file would set it, and below what it is."""
    for number, (section, keys) in enumerate(_sections()):
        print(end="\n" if number else "")
        print_text(f"[{section}]  {_section_text(section)}")
        for one in keys:
            value = value_of(config, one)
            default = "" if value == one.default else f"default {_toml(one, one.default)}"
            notes = (one.key.unit, default, "" if one.key.needs_restart else "counts at once")
            noted = ", ".join(filter(None, notes))
            print_text(f"{one.name} = {_toml(one, value)}  {noted}".rstrip(), "  ", "      ")
            print_text(one.key.text, "      ", "      ")


def _rows(config: Config) -> Iterator[tuple[str, ...]]:
    for section, keys in _sections():
        yield ("",) * len(HEADER)
        yield (f"[{section}]", *[""] * (len(HEADER) - 2), _section_text(section))
        for one in keys:
            value = value_of(config, one)
            default = "same" if value == one.default else _toml(one, one.default)
            restart = "yes" if one.key.needs_restart else "no"
            yield one.name, _toml(one, value), default, one.key.unit, restart, one.key.text


def _sections() -> Iterator[tuple[str, list[Declared]]]:
    for section, keys in groupby(declared().values(), attrgetter("section")):
        yield section, list(keys)


def _section_text(section: str) -> str:
    types = {field.name: field.type for field in structs.fields(Config)}
    return str(types[section].__doc__)


def _toml(one: Declared, value: object) -> str:
    """What JSON writes for these types is TOML too."""
    return json.dumps(one.kind.written(value), ensure_ascii=False)


# -- the page -----------------------------------------------------------------------------------

_INTRODUCTION = f"""\
# Configuration

A node's configuration is the file `{FILE}` in its home, in [TOML](https://toml.io). Without the
file, and for whatever it leaves out, the defaults below hold. `postbox config --home DIR` shows
what the file of a home says.

An unknown key, a value of the wrong type or out of bounds is refused, with its line and with what
was expected; all of them at once. Nothing starts with a file that is wrong. Where an option is
given, it overrides the file for that one run.
"""


def page() -> str:
    """docs/configuration.md, whole."""
    sections = [_page_section(section, keys) for section, keys in _sections()]
    return "\n".join([_INTRODUCTION, *sections, _page_sample()])


def sample() -> str:
    """A file that sets every key to its default."""
    lines = []
    for section, keys in _sections():
        lines += [f"[{section}]", *[f"{one.name} = {_toml(one, one.default)}" for one in keys], ""]
    return "\n".join(lines)


def _page_section(section: str, keys: list[Declared]) -> str:
    return "\n".join([f"## [{section}]\n", f"{_section_text(section)}\n", *map(_page_key, keys)])


def _page_key(one: Declared) -> str:
    facts = [f"**default** `{_toml(one, one.default)}`", f"**takes** {one.kind.expected}"]
    if one.key.unit:
        facts.append(f"**unit** {one.key.unit}")
    if one.key.option:
        facts.append(f"**option** `{one.key.option}`")
    restart = "when the node is started again" if one.key.needs_restart else "at once"
    text = f"{one.key.text[0].upper()}{one.key.text[1:]}. {one.key.more}".rstrip()
    listed = "\n".join(f"- {fact}" for fact in [*facts, f"**a change counts** {restart}"])
    return f"### {one.name}\n\n{text}\n\n{listed}\n"


def _page_sample() -> str:
    return f"## All of it\n\nEvery key at its default.\n\n```toml\n{sample()}```\n"


if __name__ == "__main__":
    print(page(), end="")
