"""What goes wrong with a device or its file, by name. Each text says what was wrong, where, and
what to do; what is in the file stays as it is."""

from __future__ import annotations

from postbox.errors import Fatal, Fault, HomeInUse


class NoDatabase(Fault):
    """There is no file there, and none can be made."""


class BrokenDatabase(Fatal):
    """What is there is no database of a device, or not a whole one any more."""


class DatabaseInUse(HomeInUse):
    """Another process, or another client of this one, has the file open."""


class AnotherOwner(Fault):
    """The file is another user's, another device's, or another host's."""


class Unknown(Fault):
    """There is no such conversation, message or row of the queue on this device."""


class Closed(Fault):
    """The block of its `open_client` has ended."""


CLOSED = (
    "this client is closed: the block of its `async with open_client(...)` has ended. What was done"
    " in it is in its file: open that again"
)


class NotByItself(Fault):
    """Something else that was refused hangs together with it; the text says what to do."""


class Displaced(Fault):
    """The same device is live elsewhere, and the host serves one of the two: the other one."""


class SignInNeeded(Fault):
    """The host wants a token that is not to be had without the user. What waits in the queue stays
    there; `client.sign_in(token)` goes on."""
