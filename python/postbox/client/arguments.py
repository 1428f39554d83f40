"""What an app gives to a call, looked at before anything is done: a call takes what it says that it
takes. It says so in its annotations, so there is no second list of them."""

from __future__ import annotations

import functools
import inspect
import math
from collections.abc import Awaitable, Callable, Collection
from types import FunctionType, NoneType, UnionType
from typing import Any, ParamSpec, TypeVar, cast, get_args, get_origin

P = ParamSpec("P")
T = TypeVar("T")

MOST = 2**31 - 1
"""Things that are asked for at once: more is a mistake, and no wish."""

PAGE = 50
"""Of them, unless an app says: two screens of a telephone, one of a desk."""


def checks_arguments(made: type[T]) -> type[T]:
    """Of a class: each of its methods that an app calls, as `checked`."""
    for name, call in list(vars(made).items()):
        if isinstance(call, FunctionType) and not name.startswith("_"):
            setattr(made, name, checked(call))
    return made


def checked(call: Callable[P, T]) -> Callable[P, T]:
    """The same. Raises TypeError for what is none of its types, and ValueError for a `limit` that
    limits nothing and for seconds that no clock counts. What is awaited is seen to be: a framework
    that asks whether to await it (a task behind an answer) would run it in a thread otherwise, and
    drop what it returns."""
    signature = inspect.signature(call, eval_str=True)
    takes = {name: each.annotation for name, each in signature.parameters.items() if name != "self"}

    def check(*args: P.args, **kwargs: P.kwargs) -> None:
        for name, value in signature.bind(*args, **kwargs).arguments.items():
            if name in takes:
                _check(call.__name__, name, takes[name], value)

    def checking(*args: P.args, **kwargs: P.kwargs) -> T:
        check(*args, **kwargs)
        return call(*args, **kwargs)

    async def awaiting(*args: P.args, **kwargs: P.kwargs) -> Any:
        check(*args, **kwargs)
        return await cast("Callable[P, Awaitable[Any]]", call)(*args, **kwargs)

    is_awaited = inspect.iscoroutinefunction(call)
    return functools.wraps(call)(cast("Callable[P, T]", awaiting) if is_awaited else checking)


def _check(call: str, name: str, annotation: Any, value: object) -> None:
    if not _is_one(annotation, value):
        kind = "None" if value is None else f"a {type(value).__name__}"
        raise TypeError(f"{call}(): {name} is {_words(annotation)}, and not {kind}")
    if name == "limit" and isinstance(value, int) and not 0 < value <= MOST:
        raise ValueError(f"{call}(): limit is {value}: at least 1, and at most {MOST}")
    if annotation is float and not 0 <= cast("float", value) < math.inf:
        raise ValueError(f"{call}(): {name} is {value}: seconds are a number from 0 on")


def _is_one(annotation: Any, value: object) -> bool:
    match get_origin(annotation):
        case None:
            return isinstance(value, int | float if annotation is float else annotation)
        case origin if origin is UnionType:
            return any(_is_one(each, value) for each in get_args(annotation))
        case origin if origin is Collection:
            (each,) = get_args(annotation)
            return isinstance(value, Collection) and all(_is_one(each, one) for one in value)
        case origin if origin is Callable:
            return callable(value)
        case _:
            return True  # whoever is given it says what there is


def _words(annotation: Any) -> str:
    match get_origin(annotation):
        case origin if origin is UnionType:
            return " or ".join(_words(each) for each in get_args(annotation))
        case origin if origin is Collection:
            (each,) = get_args(annotation)
            return f"a list of {each.__name__}"
        case origin if origin is Callable:
            return "a function"
        case _:
            return "None" if annotation is NoneType else f"a {annotation.__name__}"
