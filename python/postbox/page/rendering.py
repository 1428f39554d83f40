"""The page's HTML: templates filled with a view. Whatever strangers wrote is escaped, always."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from postbox.page.view import View

if TYPE_CHECKING:
    from jinja2 import Environment

SECTIONS: Final = ("head", "problems", "tiles", "ledger", "mesh", "links", "clients")
"""Parts that change by themselves, each a template and an element of that id."""


class Pages:
    def __init__(self, *, actions: bool) -> None:
        """`actions`: whether there are buttons that change something."""
        self._actions = actions

    @cached_property
    def _templates(self) -> Environment:
        """Loaded with the first page that is looked at."""
        from jinja2 import Environment, PackageLoader, StrictUndefined

        templates = Environment(
            loader=PackageLoader("postbox.page"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
        )
        templates.globals["actions"] = self._actions
        return templates

    def page(self, name: str, **context: Any) -> bytes:
        return self._templates.get_template(f"{name}.html").render(context).encode()

    def section(self, name: str, view: View) -> str:
        return self._templates.get_template(f"{name}.html").render(view=view)
