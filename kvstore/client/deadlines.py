"""One deadline for a whole block of calls: `with kvstore.timeout(2.0): …`."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from math import inf
from time import monotonic

from kvstore.client.options import seconds_of

block_deadline: ContextVar[float] = ContextVar("kvstore_deadline", default=inf)
"""The monotonic instant by which everything in this context must be done."""


@contextmanager
def timeout(seconds: float | str) -> Iterator[None]:
    """Give everything in the block together at most `seconds` (a number, or text like `500ms`).

    Nesting only shortens: an inner `timeout(60)` cannot outlive the outer block. Calls made after the deadline raise
    DeadlineExceeded without being sent. It holds for the calls of this thread or asyncio task, and for tasks started
    inside the block; it does not interrupt other code.

    >>> with timeout(2.0):
    ...     with timeout("10s"):
    ...         2.1 > block_deadline.get() - monotonic() > 0
    True
    """
    token = block_deadline.set(min(block_deadline.get(), monotonic() + seconds_of(seconds)))
    try:
        yield
    finally:
        block_deadline.reset(token)
