"""A node that serves is stopped while a device listens."""

from __future__ import annotations

import signal
from pathlib import Path

import grpc  # type: ignore[import-untyped]
import pytest

from postbox.clients import wire
from postbox.rpc.postbox.v1 import clients_pb as pb
from support.client_door import kind_of, value_of
from support.command import TIMEOUT_S, Call, ready_url, running


def test_a_device_is_told_when_to_come_back_before_the_node_stops(
    tmp_path: Path, call: Call
) -> None:
    minted = call("token", "mint", "--user", "ann", "--device", "phone", "--home", tmp_path)
    asker = (("authorization", f"Bearer {minted.out.strip()}"),)
    serving = ("serve", "--home", tmp_path, "--listen", "127.0.0.1:0", "--loopback")
    with running(*serving) as process:
        address = ready_url(process).removeprefix("http://")
        with grpc.insecure_channel(address) as channel:
            call_on = channel.unary_stream(wire.PATHS[wire.SYNC_FROM_SERVER])
            stream = call_on(b"", metadata=asker, timeout=TIMEOUT_S)
            frames: list[pb.Event] = []
            while not frames or kind_of(frames[-1]) != "caughtUp":
                frames.append(pb.Event.from_binary(next(stream)))
            process.send_signal(signal.SIGTERM)
            while kind_of(last := pb.Event.from_binary(next(stream))) == "caughtUp":
                pass  # a sign of life
            assert kind_of(last) == "goAway"
            assert value_of(last).code == "RESTARTING"
            assert 0 <= value_of(last).reconnectAfterMs < 30_000
            with pytest.raises(grpc.RpcError, match="STOPPING"):
                next(stream)
        assert process.wait(TIMEOUT_S) == 0
