"""Putting another thing in a name's place for a while, and the words for a rule that is broken so."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from types import ModuleType
from typing import Any

Owner = ModuleType | type


@contextmanager
def replaced(owner: Owner, name: str, thing: Any) -> Iterator[None]:
    """`owner.name` is `thing` inside."""
    kept = owner.__dict__[name]
    setattr(owner, name, thing)
    try:
        yield
    finally:
        setattr(owner, name, kept)


def instead(owner: Owner, name: str, thing: Any) -> Callable[[], AbstractContextManager[None]]:
    """Break a rule by one replacement."""
    return lambda: replaced(owner, name, thing)


def around(
    owner: Owner, name: str, wrap: Callable[[Callable[..., Any]], Callable[..., Any]]
) -> Callable[[], AbstractContextManager[None]]:
    """Break a rule by wrapping a function: `wrap(original)` takes its place."""
    return lambda: replaced(owner, name, wrap(owner.__dict__[name]))


def together(*breaks: Callable[[], AbstractContextManager[None]]) -> Callable[[], AbstractContextManager[None]]:
    """Break it in several places at once."""

    @contextmanager
    def broken() -> Iterator[None]:
        with ExitStack() as stack:
            for each in breaks:
                stack.enter_context(each())
            yield

    return broken


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule that safety rests on. `broken()` is a context in which it is not kept."""

    name: str
    says: str
    """The rule, as it should be kept."""
    broken: Callable[[], AbstractContextManager[None]]
    mode: str = "leader"
    """Whose days notice."""


def never(*args: Any, **kwargs: Any) -> bool:
    return False


def always(*args: Any, **kwargs: Any) -> bool:
    return True


def nothing(*args: Any, **kwargs: Any) -> None:
    """In place of something that should have been done."""
