"""The clients' part of the demo: two users' devices, on the client library, and a host that is
killed under them.

The devices are in this process, each with its file; what they need of the host they have by its
address and a token, as an app on another machine would.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, TypeAlias

import trio

from postbox.cli.demo.commands import DemoFailed, say
from postbox.cli.demo.stage import IN_STEP_S, Stage
from postbox.client import Client, Conversation, Message, State, open_client

DOOR = "Clients"
HOST = "north"
IN_A_ROW = 50
"""Messages that ann sends without a pause."""
KILLED_AT = 10
"""Messages that the host has answered by then, those before ann's among them."""
ALL = IN_A_ROW + 4
SHOWN = 2
"""Messages of either end of a conversation."""
Holds: TypeAlias = Callable[[Sequence[Message]], bool]


async def chat(stage: Stage) -> None:
    say(f"\nClients: ann's telephone and bob's laptop talk by way of {HOST}. Each keeps what")
    say("it knows, and what its user does, in a file of its own")
    phone = await _Device.signed_in(stage, "ann", "phone")
    laptop = await _Device.signed_in(stage, "bob", "laptop")
    async with phone.on() as ann:
        async with laptop.on() as bob:
            supper = await _meet(ann, bob)
        say("  bob's laptop is shut. ann goes on writing, and the host is killed meanwhile")
        await _send_while_killed(stage, ann, supper)
        async with laptop.on() as bob:
            say("  bob's laptop is opened, without a host. He writes into its file, too")
            await bob.send(supper.uuid, "I bring the bread.")
            await bob.send(supper.uuid, "Is nobody there?")
            say(f"    waiting in ann's file: {len(await ann.queue())}, in bob's: 2")
            await stage.start([HOST])
            await _compare(stage, supper, ann, bob)


class _Device:
    def __init__(self, stage: Stage, name: str, token: str) -> None:
        self._stage = stage
        self._file = stage.folder / f"{name}.db"
        self._token = token

    @classmethod
    async def signed_in(cls, stage: Stage, user: str, device: str) -> _Device:
        mint = ("token", "mint", "--user", user, "--device", device)
        minted = await stage.commands.ask(*mint, home=HOST, show=_without_secret)
        return cls(stage, f"{user}-{device}", minted["token"])

    def on(self) -> AbstractAsyncContextManager[Client]:
        return open_client(self._stage.urls[HOST], self._token, self._file)


async def _meet(ann: Client, bob: Client) -> Conversation:
    """A conversation that both are in, and a message each; as the host names it."""
    await bob.caught_up()  # from now on the host knows who bob is
    made = await ann.create("Supper", ["bob"])
    await ann.send(made, "Soup at eight?")
    await ann.drained()
    supper = await ann.conversation(made)
    assert supper is not None
    seen = await _until(bob, supper.uuid, lambda messages: len(messages) == 1)
    await bob.send(supper.uuid, "Yes!")
    await _until(ann, supper.uuid, lambda messages: len(messages) == 2)
    say(f"    ann made {supper.name!r} and wrote {seen[0].text!r}, bob answered 'Yes!'")
    return supper


async def _send_while_killed(stage: Stage, ann: Client, supper: Conversation) -> None:
    async def send_all() -> None:
        for number in range(IN_A_ROW):
            await ann.send(supper, f"{number + 1} of {IN_A_ROW} things to bring")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(send_all)
        await _until(ann, supper.uuid, lambda messages: _sent(messages) >= KILLED_AT)
        await stage.kill(HOST)
    answered = _sent(await ann.messages(supper, limit=2 * ALL))
    say(f"    of {IN_A_ROW} messages in a row the host had answered {answered - 2}")


async def _compare(stage: Stage, supper: Conversation, ann: Client, bob: Client) -> None:
    """Waits for both devices to show everything, and for the host to have it."""
    started_s = stage.world.clock.elapsed_s()
    for client in (ann, bob):
        client.network_up()  # as a system tells an app; else it is tried again in some seconds
    here = await _until(ann, supper.uuid, _is_all_there)
    there = await _until(bob, supper.uuid, _is_all_there)
    say(f"  both show everything {stage.world.clock.elapsed_s() - started_s:.1f} s later")
    for message in (*here[:SHOWN], None, *here[-SHOWN:]):
        say(f"    {message.author_name:<4} {message.text}" if message else "    ...")
    stage.proofs.add(
        DOOR,
        _conversation(here) == _conversation(there),
        f"two devices, a host killed between them: both show the same {ALL} messages",
    )
    stage.proofs.add(
        DOOR,
        len(here) == len({message.uuid for message in here}) == ALL,
        "what was sent again, and what was written without a host, is there once",
    )
    written = [message.text for message in here if message.text.endswith("things to bring")]
    stage.proofs.add(
        DOOR,
        [int(text.split()[0]) for text in written] == list(range(1, IN_A_ROW + 1)),
        "all of ann's are in the order in which she wrote them",
    )


async def _until(client: Client, conversation: str, holds: Holds) -> list[Message]:
    """What the device shows as soon as that holds of it."""
    changes = client.changes()  # before the first look, so that nothing is missed in between
    with trio.move_on_after(IN_STEP_S):
        while not holds(messages := await client.messages(conversation, limit=2 * ALL)):
            await anext(changes)
        return messages
    raise DemoFailed(
        f"a device did not show what it should within {IN_STEP_S:.0f} s; it is"
        f" {client.status.connection}: {client.status.text}"
    )


def _sent(messages: Sequence[Message]) -> int:
    return sum(message.state is not State.SENDING for message in messages)


def _is_all_there(messages: Sequence[Message]) -> bool:
    return _sent(messages) >= ALL


def _conversation(messages: Sequence[Message]) -> list[tuple[str, str, str]]:
    return [(message.uuid, message.author, message.text) for message in messages]


def _without_secret(minted: dict[str, Any]) -> str:
    return f'{{"token":"...","user":"{minted["user"]}","device":"{minted["device"]}",...}}'
