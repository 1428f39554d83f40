"""Files of the pages by HTTP: their types, their headers, sent again only when they changed."""

from __future__ import annotations

from typing import cast

import pytest
from hypercorn.typing import ASGIFramework

from postbox.net.client import Answer
from postbox.page.files import FOLDERS, POLICY, Files
from support.serving import served

APP = cast("ASGIFramework", Files())
SCRIPT = "/vendor/htmx.min.js"


async def ask(method: str, path: str, **headers: str) -> Answer:
    async with served(APP) as node:
        return await node.client.request(
            method, node.url + path, headers=headers, max_body_bytes=2**20, deadline_s=30.0
        )


@pytest.mark.parametrize(
    ("path", "content_type"),
    [
        (SCRIPT, "text/javascript; charset=utf-8"),
        ("/vendor/uPlot.min.css", "text/css; charset=utf-8"),
        ("/assets/icon.svg", "image/svg+xml"),
        ("/favicon.ico", "image/svg+xml"),
    ],
)
async def test_a_file_is_sent_with_its_type_and_the_policy_of_pages(
    path: str, content_type: str
) -> None:
    answer = await ask("GET", path)
    assert answer.status == 200
    assert answer.headers["content-type"] == content_type
    assert {name: answer.headers[name] for name in POLICY} == dict(POLICY)
    assert "'unsafe-" not in answer.headers["content-security-policy"]


async def test_a_file_that_the_browser_has_is_not_sent_again() -> None:
    first = await ask("GET", SCRIPT)
    assert first.headers["cache-control"] == "no-cache"
    again = await ask("GET", SCRIPT, **{"if-none-match": f'"other", {first.headers["etag"]}'})
    assert (again.status, again.body) == (304, b"")
    assert again.headers["etag"] == first.headers["etag"]
    changed = await ask("GET", SCRIPT, **{"if-none-match": '"other"'})
    assert (changed.status, changed.body) == (200, first.body)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("HEAD", SCRIPT, 200),
        ("POST", SCRIPT, 405),
        ("GET", "/vendor/SHA256SUMS", 404),
        ("GET", "/vendor/LICENSE.htmx", 404),
        ("GET", "/vendor/../files.py", 404),
        ("GET", "/vendor/%2e%2e/files.py", 404),
        ("GET", "/assets/", 404),
        ("GET", "/vendor", 404),
    ],
)
async def test_nothing_else_is_sent(method: str, path: str, status: int) -> None:
    answer = await ask(method, path)
    assert answer.status == status
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert method != "HEAD" or answer.body == b""


def test_every_folder_has_files() -> None:
    paths = Files().paths
    assert {folder for folder in FOLDERS if any(path.startswith(f"/{folder}/") for path in paths)}
