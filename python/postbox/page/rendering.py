"""The page's HTML: templates filled with a view. Whatever strangers wrote is escaped, always, and
turns no text around: characters that are not to be seen stand there as ones that are."""

from __future__ import annotations

from typing import Any, Final

from jinja2 import Environment, PackageLoader, StrictUndefined

from postbox.admin.words import printable
from postbox.page.view import View

SECTIONS: Final = ("head", "problems", "tiles", "ledger", "mesh", "links", "clients")
"""Parts that change by themselves, each a template and an element of that id."""


class Pages:
    def __init__(self, *, actions: bool) -> None:
        """`actions`: whether there are buttons that change something."""
        self._templates = Environment(
            loader=PackageLoader("postbox.page"),
            autoescape=True,
            undefined=StrictUndefined,
            finalize=_readable,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
        )
        self._templates.globals["actions"] = actions

    def page(self, name: str, **context: Any) -> bytes:
        return self._templates.get_template(f"{name}.html").render(context).encode()

    def section(self, name: str, view: View) -> str:
        return self._templates.get_template(f"{name}.html").render(view=view)


def _readable(value: Any) -> Any:
    """Of what a template says; HTML of ours is `str` of a class of its own."""
    return printable(value) if type(value) is str and not value.isprintable() else value
