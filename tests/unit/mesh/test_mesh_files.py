"""Histories in files: whatever a file looks like, each event comes out once, as its bytes."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from postbox.mesh.files import MAX_LINE_BYTES, BadFile, History

EVENTS = [b'{"id":"a","ts":1}', b'{"id":"b", "ts":2}', b'{ "id":"c","x":"\xc3\xa9" }']
GARBAGE = b"not an event {"

Shape = Callable[[list[bytes]], bytes]


def lines(events: list[bytes]) -> bytes:
    return b"".join(event + b"\n" for event in events)


def array(events: list[bytes]) -> bytes:
    return b"[" + b",".join(events) + b"]"


def answer(events: list[bytes]) -> bytes:
    return b'{"from":"ann","events":' + array(events) + b',"ts":1,"sig":"c2ln"}\n'


SHAPES: dict[str, Shape] = {
    "lines": lines,
    "lines without a last line break": lambda events: lines(events).rstrip(b"\n"),
    "lines that end as on Windows": lambda events: lines(events).replace(b"\n", b"\r\n"),
    "lines among blank ones": lambda e: b"\n \n\t\r\n" + lines(e).replace(b"\n", b"\n\n \n"),
    "lines after a byte order mark": lambda events: b"\xef\xbb\xbf" + lines(events),
    "an array": array,
    "an array over many lines": lambda e: b"\n [\n" + b",\n".join(e) + b"\n]\n",
    "an array after a byte order mark": lambda events: b"\xef\xbb\xbf" + array(events),
    "an answer": answer,
    "an answer over many lines": lambda e: b"{\n" + answer(e)[1:].replace(b'],"ts', b'],\n"ts'),
    "an answer whose events come last": lambda e: b'{"ts":1,"events":' + array(e) + b"}",
}


def read(path: Path) -> list[bytes]:
    return list(History(path))


def written(folder: Path, data: bytes, name: str = "history") -> Path:
    path = folder / name
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("is_packed", [False, True], ids=["plain", "packed"])
@pytest.mark.parametrize("shape", SHAPES)
def test_events_come_out_of_every_kind_of_file(tmp_path: Path, shape: str, is_packed: bool) -> None:
    data = SHAPES[shape](EVENTS)
    events = read(written(tmp_path, gzip.compress(data) if is_packed else data))
    assert [event.strip() for event in events] == EVENTS


@pytest.mark.parametrize("name", ["x.json", "x.jsonl", "x.jsonl.gz", "x.txt", "x"])
def test_a_file_is_what_its_bytes_say_whatever_its_name(tmp_path: Path, name: str) -> None:
    assert read(written(tmp_path, lines(EVENTS), name)) == EVENTS
    assert read(written(tmp_path, gzip.compress(array(EVENTS)), name)) == EVENTS


@pytest.mark.parametrize("data", [b"", b"\n\n \n", b"[]", b'{"from":"a","events":null,"ts":1}\n'])
def test_a_file_without_events_has_none(tmp_path: Path, data: bytes) -> None:
    assert read(written(tmp_path, data)) == []
    assert read(written(tmp_path, gzip.compress(data))) == []


def test_garbage_among_lines_costs_only_itself(tmp_path: Path) -> None:
    first, *rest = EVENTS
    for data in ([GARBAGE, *EVENTS], [first, GARBAGE, *rest], [*EVENTS, GARBAGE]):
        assert read(written(tmp_path, lines(data))) == data


@pytest.mark.parametrize("first", [b"{", b"[", b"[1,", b'{"events":[', b'{"a":' + b"[" * 60_000])
def test_a_first_line_that_only_looks_like_a_document_costs_only_itself(
    tmp_path: Path, first: bytes
) -> None:
    assert read(written(tmp_path, lines([first, *EVENTS]))) == [first, *EVENTS]


def test_a_line_of_the_largest_size_is_whole_and_a_longer_one_is_cut_one_byte_over(
    tmp_path: Path,
) -> None:
    largest, longer = b"x" * MAX_LINE_BYTES, b"y" * (3 * MAX_LINE_BYTES + 5)
    for end in (b"\n", b"\r\n"):
        data = end.join([EVENTS[0], largest, longer, EVENTS[1], b""])
        got = read(written(tmp_path, data))
        assert got == [EVENTS[0], largest, longer[: MAX_LINE_BYTES + 1], EVENTS[1]]


def test_a_first_line_that_is_too_long_does_not_swallow_the_others(tmp_path: Path) -> None:
    longer = b'{"a":"' + b"y" * (2 * MAX_LINE_BYTES)
    assert read(written(tmp_path, lines([longer, *EVENTS])))[1:] == EVENTS


def test_an_array_of_more_than_a_line_s_length_is_read_whole(tmp_path: Path) -> None:
    events = [json.dumps({"id": str(number)}).encode() for number in range(20_000)]
    assert read(written(tmp_path, array(events))) == events
    assert read(written(tmp_path, answer(events))) == events


def test_elements_that_are_no_events_are_handed_on_to_be_refused(tmp_path: Path) -> None:
    odd = [b"1", b'"x"', b"null", b"[1]"]
    assert read(written(tmp_path, array([EVENTS[0], *odd, EVENTS[1]]))) == [
        EVENTS[0],
        *odd,
        EVENTS[1],
    ]


@pytest.mark.parametrize("cut", [1, 8, 1_000])
def test_what_was_packed_before_the_end_is_missing_still_comes(tmp_path: Path, cut: int) -> None:
    events = [json.dumps({"id": str(number), "x": hash(number)}).encode() for number in range(5000)]
    path = written(tmp_path, gzip.compress(lines(events))[:-cut])
    got: list[bytes] = []
    with pytest.raises(BadFile, match=r"damaged or cut off .* what could be read of it was taken"):
        got.extend(History(path))
    assert len(got) > 1_000
    assert got[:-1] == events[: len(got) - 1]


@pytest.mark.parametrize(
    "data",
    [
        b"\x1f\x8b",
        b"\x1f\x8bgarbage and more of it",
        gzip.compress(b"x\n", mtime=0) + b"\x1f\x8b\x00",  # no time of the day in a test's name
    ],
)
def test_what_begins_like_gzip_and_is_none_is_named_as_damaged(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(BadFile, match="history is damaged or cut off"):
        read(written(tmp_path, data))


def test_a_byte_changed_in_a_packed_file_is_noticed(tmp_path: Path) -> None:
    packed = bytearray(gzip.compress(lines(EVENTS * 500)))
    packed[-6] ^= 1  # in the checksum
    with pytest.raises(BadFile, match="CRC check failed"):
        read(written(tmp_path, bytes(packed)))


def test_packed_files_one_after_the_other_are_one(tmp_path: Path) -> None:
    parts = [gzip.compress(event + b"\n") for event in EVENTS]
    assert read(written(tmp_path, b"".join(parts))) == EVENTS


def test_a_folder_or_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadFile, match=f"cannot read {tmp_path}: Is a directory"):
        read(tmp_path)
    with pytest.raises(BadFile, match="nothing: No such file or directory"):
        read(tmp_path / "nothing")


def test_how_much_was_read_is_told_while_reading(tmp_path: Path) -> None:
    history = History(written(tmp_path, lines([b"x" * 1_000] * 5_000)))
    shares = [history.read_bytes / history.size_bytes for _ in history]
    assert shares == sorted(shares)
    assert 0 < shares[0] < 0.1
    assert shares[-1] == 1


def test_a_document_of_more_than_the_bound_is_refused_with_what_to_do(tmp_path: Path) -> None:
    document = array([json.dumps("x" * 1_000).encode()] * 3_000)
    path = written(tmp_path, document)
    assert len(list(History(path, max_document_bytes=len(document)))) == 3_000
    with pytest.raises(BadFile, match="more than 2 MB: write one event a line"):
        list(History(path, max_document_bytes=len(document) - 1))
