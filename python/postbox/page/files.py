"""The files of the pages: few and small, read once, and sent as they lie in the package.

A folder here is a folder of URLs: `vendor/`, `assets/` (the operator's page) and `chat/`, whose
`index.html` answers at `/chat/`. A file is asked for again each time and sent only when it changed
(`etag`), so that a node that was updated has no old script beside a new page. Every answer has the
headers of `POLICY`: a page runs scripts and styles from these files and from nowhere else, what
strangers wrote is never HTML, and nobody else's page may frame ours.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from importlib.resources import files
from typing import TYPE_CHECKING, Final, NamedTuple

from postbox.net.asgi import Reply, discard_body, headers_of, send_reply, text

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

    from hypercorn.typing import ASGIReceiveCallable, ASGISendCallable, Scope

FOLDERS: Final = ("vendor", "assets", "chat")

TYPES: Final = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".webmanifest": "application/manifest+json",
    ".woff2": "font/woff2",
}
"""Of what is sent; what else lies in the folders, as a licence, is for readers of the source."""

POLICY: Final[Mapping[str, str]] = {
    "content-security-policy": "default-src 'self'; img-src 'self' blob:; base-uri 'none';"
    " form-action 'self'; frame-ancestors 'none'; object-src 'none'",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "same-origin",  # with no-referrer a form of ours would have no Origin
    "x-content-type-options": "nosniff",
}
"""`blob:` is a picture that a script of ours has in memory, as the chat's are."""

INDEX: Final = "index.html"
ICON: Final = "/favicon.ico"
"""Where a browser looks for one, whatever it was told."""


class File(NamedTuple):
    """`headers`: all that go with it."""

    body: bytes
    content_type: str
    headers: Mapping[str, str]


class Files:
    """An ASGI app of the files, by their paths."""

    def __init__(self) -> None:
        root = files("postbox.page")
        self._files = {
            path: file for name in FOLDERS for path, file in _within(root / name, f"/{name}/")
        }
        self._files[ICON] = self._files["/assets/icon.svg"]

    @property
    def paths(self) -> list[str]:
        return list(self._files)

    async def __call__(
        self, scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable
    ) -> None:
        if scope["type"] == "http":
            await discard_body(receive)
            known = headers_of(scope).get("if-none-match", "")
            reply = self._reply(scope["method"], scope["path"], known)
            await send_reply(send, reply, head=scope["method"] == "HEAD")

    def _reply(self, method: str, path: str, known: str) -> Reply:
        file = self._files.get(path)
        if file is None:
            if f"{path}/" in self._files:
                return text(308, f"it is at {path}/", location=f"{path}/", **POLICY)
            return text(404, "no such file is here", **POLICY)
        if method not in ("GET", "HEAD"):
            return text(405, f"use GET {path}", allow="GET, HEAD", **POLICY)
        if file.headers["etag"] in (tag.strip() for tag in known.split(",")):
            return Reply(304, b"", file.content_type, file.headers)
        return Reply(200, file.body, file.content_type, file.headers)


def _within(folder: Traversable, prefix: str) -> Iterator[tuple[str, File]]:
    if not folder.is_dir():
        return
    for entry in folder.iterdir():
        if entry.is_dir():
            yield from _within(entry, f"{prefix}{entry.name}/")
            continue
        suffix = entry.name[entry.name.rfind(".") :]
        if suffix not in TYPES:
            continue
        body = entry.read_bytes()
        etag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
        headers = {**POLICY, "cache-control": "no-cache", "etag": etag}
        file = File(body, TYPES[suffix], headers)
        yield f"{prefix}{entry.name}", file
        if entry.name == INDEX:
            yield prefix, file
