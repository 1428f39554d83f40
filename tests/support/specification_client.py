"""A device that knows only the client-sync specification: its block, compiled, on grpcio, in
threads of its own. Nothing of ours is in it but the service's name and how a token is shown.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

import grpc  # type: ignore[import-untyped]
import pytest
from protobuf import Oneof

SPECIFICATION = Path(__file__).parents[1] / "data" / "specification_client"
SERVICE = "/postbox.v1.EventService/"
DEADLINE_S = 30.0
_OPTIONS = [("grpc.enable_http_proxy", 0), ("grpc.use_local_subchannel_pool", 1)]


def compile_specification(into: Path) -> Any:
    """The module that is generated from the block."""
    tools = Path(sys.executable).parent
    plugin = {"local": str(tools / "protoc-gen-py"), "out": str(into)}
    template = json.dumps({"version": "v2", "plugins": [plugin]})
    made = subprocess.run(
        [tools / "buf", "generate", SPECIFICATION, "--template", template],
        check=False,
        capture_output=True,
        text=True,
    )
    assert made.returncode == 0, made.stderr
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(into)
        return import_module("specification_pb")


class SpecificationClient:
    """`block`: the compiled module. All its methods wait where they are called."""

    def __init__(self, channel: Any, token: str, block: Any) -> None:
        self.block = block
        self._channel = channel
        self._metadata = (("authorization", f"Bearer {token}"),)

    def event(self, event_uuid: str, name: str, **members: Any) -> Any:
        """With a content of that name."""
        kind = getattr(self.block, name[0].upper() + name[1:])
        content = Oneof(field=name, value=kind(**members))
        return self.block.Event(uuid=event_uuid, content=content)

    def message(self, uuid: str, conversation: str, text: str) -> Any:
        """Named as the block has it."""
        said = self.block.Message(text=text, conversationUuid=conversation)
        return self.event("", "sendingNewMessage", coredataLocalUuid=uuid, message=said)

    def sync(self, *events: Any) -> list[Any]:
        """The answers."""
        call = self._channel.unary_unary(SERVICE + "Sync")
        request = self.block.SubmitEventInput(events=list(events)).to_binary()
        answer = call(request, timeout=DEADLINE_S, metadata=self._metadata)
        found: list[Any] = self.block.SubmitEventOutput.from_binary(answer).events
        return found

    @contextmanager
    def listening(self) -> Iterator[Iterator[Any]]:
        """From an `Empty` on: events as they come."""
        call = self._channel.unary_stream(SERVICE + "SyncFromServer")
        stream = call(b"", timeout=DEADLINE_S, metadata=self._metadata)
        try:
            yield (self.block.Event.from_binary(message) for message in stream)
        finally:
            stream.cancel()


@contextmanager
def specification_client(url: str, token: str, block: Any) -> Iterator[SpecificationClient]:
    with grpc.insecure_channel(url.partition("://")[2], options=_OPTIONS) as channel:
        yield SpecificationClient(channel, token, block)


def found(events: Iterator[Any], name: str, **members: Any) -> Any:
    """The next one with such a content."""
    for event in events:
        if event.content is not None and event.content.field == name:
            value = event.content.value
            if all(getattr(value, member) == wanted for member, wanted in members.items()):
                return event
    raise AssertionError(f"there was no {name} with {members}")
