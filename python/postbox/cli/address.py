"""Where a node is for its users' devices."""

from __future__ import annotations

from urllib.parse import urlsplit

from postbox.admin.command import Nothing, Operator
from postbox.admin.status import STATUS
from postbox.cli.options import Common, Usage


async def address_of(operator: Operator, common: Common) -> str:
    """As `http://host:port`: where it serves, or would."""
    url = (await operator.call(STATUS, Nothing())).url
    if url is not None:
        return url
    serve = common.config().serve
    return f"{'http' if serve.tls_cert is None else 'https'}://{serve.listen}"


def chat_link(url: str, token: str) -> str:
    """To the chat page of the host at `url`. A browser sends nobody what is behind the #. Raises
    Usage."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.path not in ("", "/"):
        raise Usage(f"{url!r} is no address of a host: --url has the form https://chat.example.org")
    return f"{parts.scheme}://{parts.netloc}/chat/#token={token}"
