"""Faults as they come out of nurseries: in groups, from which the operator gets one line."""

from __future__ import annotations

from collections.abc import Iterable


def leaves(error: BaseException) -> list[BaseException]:
    """The exceptions that it consists of."""
    if not isinstance(error, BaseExceptionGroup):
        return [error]
    return [leaf for part in error.exceptions for leaf in leaves(part)]


def in_one_line(errors: Iterable[BaseException]) -> str:
    return "; ".join(dict.fromkeys(map(str, errors)))
