"""`postbox open`."""

from __future__ import annotations

from postbox.admin.command import Nothing
from postbox.admin.page import OPEN_PAGE, Opened
from postbox.admin.words import span
from postbox.cli.asking import ask
from postbox.cli.options import Common
from postbox.cli.output import note


def open_(*, common: Common | None = None) -> int:
    """Print a link to the operator's page of the node that serves. It lets in whoever opens it
    first; then it is used up."""
    return ask(OPEN_PAGE, Nothing(), _print, common)


def _print(link: Opened) -> None:
    print(link.url)
    note(f"open it in a browser; good once, within {span(link.good_s)}")
