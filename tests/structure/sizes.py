"""`make sizes`: which files and functions have grown large. A smell detector, not a law: a file
over 400 lines or a function over 60 wants a reason."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from statistics import median

from structure.tree import ROOT, modules

FILE_LINES = 400
FUNCTION_LINES = 60


def functions(path: Path) -> Iterator[tuple[str, int]]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield f"{path.relative_to(ROOT)}:{node.lineno} {node.name}", lines_of(node)


def lines_of(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    return (node.end_lineno or node.lineno) - node.lineno + 1


def main() -> None:
    sources = [*modules(), *sorted((ROOT / "rust").rglob("*.rs"))]
    for path in sources:
        lines = len(path.read_text(encoding="utf-8").splitlines())
        if lines > FILE_LINES:
            print(f"{lines:5} lines  {path.relative_to(ROOT)}")
    sized = [function for path in modules() for function in functions(path)]
    for name, lines in sized:
        if lines > FUNCTION_LINES:
            print(f"{lines:5} lines  {name}")
    print(f"{len(sources)} files; {len(sized)} Python functions, median {median_of(sized)} lines")


def median_of(sized: list[tuple[str, int]]) -> float:
    return median(lines for _, lines in sized) if sized else 0


if __name__ == "__main__":
    main()
