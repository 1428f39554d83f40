"""Who types where: in memory, for seconds. Plain values; the time is an argument.

What a device says is not told at once: first somebody looks whether its user is in the conversation
at all, and of what it says of one conversation, what comes within `MERGED_S` is one. It is over
when the device says so, when its user has written something there, when the device has gone, and
in any case after `TYPING_S`, since nobody can be relied upon to say so.
"""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct

from postbox.clients.ids import event_id
from postbox.clients.live.mailbox import Subject

TYPING_S = 10.0
"""Devices say it again every 4 seconds: one that is lost is not seen."""

MERGED_S = 3.0

MAX_TYPISTS = 10_000
"""Beyond them, the one whose turn is over first is dropped."""

MAX_WAITING, MAX_WAITING_OF_DEVICE = 4_096, 8
"""Devices that wait to be told of, and conversations of one: a person types in one or two."""


class Spoken(Struct, frozen=True, eq=False):
    """What a device said: `named` is the conversation's id, or the local uuid of the event that
    made it. Told apart by identity."""

    user: bytes
    device: bytes
    named: bytes
    is_over: bool

    @property
    def may_mean(self) -> tuple[bytes, bytes]:
        """The conversation is one of these."""
        return (self.named, event_id(self.device, self.named))


class _Typist(Struct, frozen=True):
    device: bytes
    until_s: float


class Typists:
    def __init__(self) -> None:
        self._waiting: dict[bytes, dict[bytes, Spoken]] = {}  # by device and conversation
        self._told_s: dict[tuple[bytes, bytes], float] = {}  # the same; oldest first
        self._typists: dict[Subject, _Typist] = {}  # about in the order in which they are over
        self._of_device: dict[bytes, set[Subject]] = {}

    def __len__(self) -> int:
        return len(self._typists)

    # -- what is said ---------------------------------------------------------------------------

    def hear(self, spoken: Spoken) -> None:
        """It takes the place of what the device said before of that conversation. What there is no
        room for is passed over."""
        if spoken.device not in self._waiting and len(self._waiting) == MAX_WAITING:
            return
        of_device = self._waiting.setdefault(spoken.device, {})
        if spoken.named in of_device or len(of_device) < MAX_WAITING_OF_DEVICE:
            of_device[spoken.named] = spoken

    @property
    def is_waiting(self) -> bool:
        return bool(self._waiting)

    def due(self, now_s: float, most: int) -> list[Spoken]:
        """That may be told now: `settle` each."""
        found: list[Spoken] = []
        for of_device in self._waiting.values():
            for spoken in of_device.values():
                told_s = self._told_s.get((spoken.device, spoken.named))
                if told_s is None or told_s + MERGED_S <= now_s:
                    found.append(spoken)
            if len(found) >= most:
                break
        return found

    def settle(self, spoken: Spoken, stream: bytes | None, now_s: float) -> Subject | None:
        """`stream`: of the conversation; None: the user is in no such one. Returns what is to be
        told of; not if the device has said something newer, or its user has written, since."""
        if self._waiting.get(spoken.device, {}).get(spoken.named) is not spoken:
            return None
        self._wait_no_more(spoken.device, spoken.named)
        if stream is None:
            return None
        subject = Subject(stream, spoken.user)
        if spoken.is_over:
            return subject if self.stop(subject, spoken.device) else None
        self.type(subject, spoken.device, TYPING_S, now_s)
        self._told_s.pop((spoken.device, spoken.named), None)
        self._told_s[spoken.device, spoken.named] = now_s
        return subject

    # -- who types ------------------------------------------------------------------------------

    def type(self, subject: Subject, device: bytes, ttl_s: float, now_s: float) -> None:
        self._drop(subject)
        self._typists[subject] = _Typist(device, now_s + min(ttl_s, TYPING_S))
        self._of_device.setdefault(device, set()).add(subject)
        if len(self._typists) > MAX_TYPISTS:
            self._drop(next(iter(self._typists)))

    def stop(self, subject: Subject, device: bytes) -> bool:
        """Unless it is another device of the user's that types; whether it did."""
        typist = self._typists.get(subject)
        if typist is None or typist.device != device:
            return False
        self._drop(subject)
        return True

    def wrote(self, stream: bytes, conversation: bytes, user: bytes, device: bytes) -> None:
        """What was being typed has come: nobody needs to be told that it is over."""
        self._drop(Subject(stream, user))
        for spoken in tuple(self._waiting.get(device, {}).values()):
            if conversation in spoken.may_mean:
                self._wait_no_more(device, spoken.named)
        self._told_s.pop((device, conversation), None)

    def gone(self, device: bytes) -> list[Subject]:
        """It has no stream any more; of what is to be told."""
        self._waiting.pop(device, None)
        subjects = list(self._of_device.get(device, ()))
        for subject in subjects:
            self._drop(subject)
        return subjects

    def left_ms(self, subject: Subject, now_s: float) -> int:
        """0: the user does not type."""
        typist = self._typists.get(subject)
        return 0 if typist is None else max(0, int(1_000 * (typist.until_s - now_s)))

    def all(self) -> Iterator[tuple[Subject, bytes]]:
        """With the device of each."""
        return ((subject, typist.device) for subject, typist in self._typists.items())

    def forget(self, now_s: float) -> None:
        """What is over."""
        while self._typists:
            subject, typist = next(iter(self._typists.items()))
            if typist.until_s > now_s:
                break
            self._drop(subject)
        while self._told_s:
            name, told_s = next(iter(self._told_s.items()))
            if told_s + MERGED_S > now_s:
                break
            del self._told_s[name]

    def _drop(self, subject: Subject) -> None:
        typist = self._typists.pop(subject, None)
        if typist is not None:
            of_device = self._of_device[typist.device]
            of_device.discard(subject)
            if not of_device:
                del self._of_device[typist.device]

    def _wait_no_more(self, device: bytes, named: bytes) -> None:
        of_device = self._waiting[device]
        del of_device[named]
        if not of_device:
            del self._waiting[device]
