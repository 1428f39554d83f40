"""What an outbox is, without a database: dicts, and each act as the few lines that it means."""

from __future__ import annotations

from dataclasses import dataclass, field

from postbox.log.outbox_rules import Ack, Act, Add, Bury, Forget, Hurry, Retry, Revive


@dataclass
class ReaderModel:
    streams: tuple[bytes, ...]
    acknowledged: int
    attempts: int = 0
    retry_ms: int = 0
    error: str = ""

    def settle(self, pos: int) -> None:
        self.acknowledged = max(self.acknowledged, pos)
        self.attempts, self.retry_ms, self.error = 0, 0, ""


@dataclass
class LetterModel:
    attempts: int
    error: str
    is_revived: bool = False


@dataclass
class OutboxModel:
    entries: dict[int, bytes] = field(default_factory=dict)  # position -> stream
    readers: dict[str, ReaderModel] = field(default_factory=dict)
    letters: dict[tuple[str, int], LetterModel] = field(default_factory=dict)

    def act(self, name: str, act: Act) -> str:
        """The code of the refusal, if any."""
        match act:
            case Add(_, streams, after):
                self.readers.setdefault(name, ReaderModel(streams, after)).streams = streams
            case Forget():
                self.readers.pop(name, None)
                self.letters = {key: each for key, each in self.letters.items() if key[0] != name}
            case Revive(pos):
                return self._revive(name, pos)
            case _ if name not in self.readers:
                return "unknown_reader"
            case _:
                self._move(name, self.readers[name], act)
        return ""

    def _revive(self, name: str, pos: int) -> str:
        if (name, pos) not in self.letters:
            return "unknown_letter"
        if pos not in self.entries:
            return "entry_gone"
        self.letters[name, pos].is_revived = True
        return ""

    def _move(self, name: str, reader: ReaderModel, act: Act) -> None:
        match act:
            case Hurry():
                reader.retry_ms = 0
            case Ack(pos):
                if self._is_open(name, reader, pos):
                    reader.settle(pos)
                self.letters.pop((name, pos), None)
            case Retry(pos, at_ms, error):
                if self._is_open(name, reader, pos) and at_ms > reader.retry_ms:
                    reader.attempts += 1
                    reader.retry_ms, reader.error = at_ms, error
            case Bury(pos, _, _, error):
                if self._is_open(name, reader, pos):
                    self.letters[name, pos] = LetterModel(reader.attempts + 1, error)
                    reader.settle(pos)
            case _:
                raise AssertionError(act)

    def _is_open(self, name: str, reader: ReaderModel, pos: int) -> bool:
        letter = self.letters.get((name, pos))
        return pos > reader.acknowledged if letter is None else letter.is_revived

    def due(self, name: str, now_ms: int) -> list[int]:
        reader = self.readers[name]
        if now_ms < reader.retry_ms:
            return []
        revived = [
            pos
            for (owner, pos), letter in self.letters.items()
            if owner == name and letter.is_revived and pos in self.entries
        ]
        later = [
            pos
            for pos, stream in self.entries.items()
            if stream in reader.streams and pos > reader.acknowledged
        ]
        return [min(revived)] if revived else sorted(later)
