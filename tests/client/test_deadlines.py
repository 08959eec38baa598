"""One deadline for a block."""

import asyncio
from math import inf
from time import monotonic

import pytest

from kvstore.client.deadlines import block_deadline, timeout
from kvstore.core.errors import InvalidRequest


def test_nesting_only_shortens() -> None:
    with timeout(100):
        outer = block_deadline.get()
        assert monotonic() + 99 < outer < monotonic() + 101
        with timeout("1h"):
            assert block_deadline.get() == outer
        with timeout("1s"):
            assert block_deadline.get() < outer
        assert block_deadline.get() == outer
    assert block_deadline.get() == inf


def test_it_ends_with_its_block_even_if_that_raises() -> None:
    with pytest.raises(ZeroDivisionError), timeout(1):
        raise ZeroDivisionError
    assert block_deadline.get() == inf


def test_tasks_started_inside_have_it_and_others_do_not() -> None:
    async def seen() -> float:
        await asyncio.sleep(0)
        return block_deadline.get()

    async def scene() -> None:
        outside = asyncio.create_task(seen())
        with timeout(100):
            inside = asyncio.create_task(seen())
            await asyncio.sleep(0)
        assert await outside == inf and await inside < inf

    asyncio.run(scene())


@pytest.mark.parametrize("wrong", [0, -1, "soon"])
def test_what_is_no_time(wrong: object) -> None:
    with pytest.raises(InvalidRequest), timeout(wrong):  # type: ignore[arg-type]
        ...
