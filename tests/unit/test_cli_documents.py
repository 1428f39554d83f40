"""What `postbox post --data` makes of a file."""

from __future__ import annotations

from pathlib import Path

import pytest

from postbox.cli.documents import BadDocument, Document, Documents, batches
from postbox.cli.stdin import STDIN

MAX_BYTES = 100


def read(path: Path, file: Path | None = None) -> list[Document]:
    return list(Documents(file or path, path, MAX_BYTES))


def raws(path: Path, file: Path | None = None) -> list[bytes]:
    return [document.raw for document in read(path, file)]


def test_a_file_is_one_document_kept_as_it_stands_there(tmp_path: Path) -> None:
    path = tmp_path / "note.json"
    path.write_bytes(b'\xef\xbb\xbf\n { "a":\n 1.0 }\r\n')
    assert read(path) == [Document(b'{ "a":\n 1.0 }', str(path), 1.0)]


def test_of_a_jsonl_each_line_is_a_document_and_empty_ones_are_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "notes.jsonl"
    path.write_bytes(b'{"a": 1}\r\n\n \t\n[2]\n"three"')
    assert raws(path) == [b'{"a": 1}', b"[2]", b'"three"']
    wheres = [document.where for document in read(path)]
    assert wheres == [f"line {number} of {path}" for number in (1, 4, 5)]
    assert [document.share for document in read(path)] == pytest.approx([10 / 25, 18 / 25, 1.0])


def test_an_empty_jsonl_has_no_documents_and_an_empty_file_is_none(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(b"\n\n")
    (tmp_path / "a.json").write_bytes(b"\n\n")
    assert read(tmp_path / "a.jsonl") == []
    with pytest.raises(BadDocument, match=r"a\.json is no JSON document"):
        read(tmp_path / "a.json")


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b'{\n"a": 1\n}\n', [b'{\n"a": 1\n}']),
        (b"{}\n[]\n", [b"{}", b"[]"]),
        (b"[" + b"1," * 60 + b"1]", None),
        (b"1\n" * 80, [b"1"] * 80),
    ],
)
def test_stdin_is_one_document_or_else_lines(
    tmp_path: Path, content: bytes, expected: list[bytes] | None
) -> None:
    path = tmp_path / "copy"
    path.write_bytes(content)
    if expected is None:
        with pytest.raises(BadDocument, match="line 1 of stdin is larger than 100 bytes"):
            raws(path, STDIN)
    else:
        assert raws(path, STDIN) == expected


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (b"{", "line 2 of .* is no JSON document"),
        (b'{"a": \xff}', "line 2 of .* is no JSON document"),
        (b'"\xc3\x28"', "line 2 of .* is no JSON document"),
        (b"{} {}", "line 2 of .* is no JSON document"),
        (b"[" * 45 + b"]" * 44, "line 2 of .* is no JSON document"),
        (b'"' + b"x" * 99 + b'"', "line 2 of .* is larger than 100 bytes"),
        (b'"' + b"x" * 999 + b'"', "line 2 of .* is larger than 100 bytes"),
    ],
)
def test_a_bad_line_is_named_after_the_good_ones(tmp_path: Path, line: bytes, says: str) -> None:
    path = tmp_path / "notes.jsonl"
    path.write_bytes(b"{}\n" + line + b"\n{}\n")
    documents = iter(Documents(path, path, MAX_BYTES))
    assert next(documents).raw == b"{}"
    with pytest.raises(BadDocument, match=says):
        next(documents)


def test_a_document_of_just_the_most_bytes_is_taken(tmp_path: Path) -> None:
    document = b'"' + b"x" * (MAX_BYTES - 2) + b'"'
    for name, content in (
        ("a.jsonl", b"\xef\xbb\xbf" + document + b"\r\n"),
        ("a.json", b"\xef\xbb\xbf" + document),
    ):
        (tmp_path / name).write_bytes(content)
        assert raws(tmp_path / name) == [document]


def test_lines_in_a_file_that_is_not_called_so_are_told_how(tmp_path: Path) -> None:
    (tmp_path / "notes.json").write_bytes(b"{}\n{}\n")
    with pytest.raises(BadDocument, match=r"one document a line\? then call the file \.jsonl"):
        read(tmp_path / "notes.json")


def test_a_file_that_cannot_be_read_is_said_to_be_so(tmp_path: Path) -> None:
    with pytest.raises(BadDocument, match=r"cannot read .*missing: No such file"):
        read(tmp_path / "missing")
    with pytest.raises(BadDocument, match="Is a directory"):
        read(tmp_path)


def test_batches_keep_order_and_are_bounded_by_count_and_bytes() -> None:
    documents = [Document(b"x" * size, "", 0.0) for size in (4, 4, 4, 20, 1, 1, 1, 1)]
    found = list(batches(documents, 3, 10))
    assert [[len(one.raw) for one in batch] for batch in found] == [
        [4, 4],
        [4],
        [20],
        [1, 1, 1],
        [1],
    ]
    assert list(batches([], 3, 10)) == []
