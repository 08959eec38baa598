"""Documentation written once: a synchronous method says what its asynchronous twin says, without the `await`."""

import re
from collections.abc import Callable
from typing import Any, TypeVar

F = TypeVar("F", bound=Callable[..., Any])
_ASYNC_WORDS = re.compile(r"\b(?:await|async) ")


def without_await(text: str) -> str:
    """
    >>> without_await("value = await db.get('a'); async with db.batch() as b: ...")
    "value = db.get('a'); with db.batch() as b: ..."
    """
    return _ASYNC_WORDS.sub("", text)


def like(twin: Callable[..., Any]) -> Callable[[F], F]:
    """Gives a method the documentation of its twin."""

    def document(method: F) -> F:
        method.__doc__ = without_await(twin.__doc__ or "")
        return method

    return document
