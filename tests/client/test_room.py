"""What is outstanding is bounded, and nobody is forgotten in the line."""

import asyncio
from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvstore.client.room import Room
from kvstore.core.errors import ClientClosed, DeadlineExceeded
from tests.client.virtual_time import run, turns


async def queue(room: Room, operations: int = 1, size: int = 1, deadline: float = inf) -> None:
    if not room.take(operations, size):
        await room.wait(operations, size, deadline, asyncio.get_running_loop())


def test_who_does_not_fit_waits_in_line() -> None:
    async def scene() -> None:
        room, done = Room(2, 100), []

        async def user(name: int) -> None:
            await queue(room)
            done.append(name)

        tasks = [asyncio.create_task(user(name)) for name in range(5)]
        await turns()
        assert done == [0, 1] and room.waiting == 3
        room.give(1, 1)
        await turns()
        assert done == [0, 1, 2]
        room.give(2, 2)
        await asyncio.gather(*tasks)
        assert done == [0, 1, 2, 3, 4]

    run(scene())


def test_newcomers_do_not_overtake_the_line() -> None:
    async def scene() -> None:
        room = Room(10, 100)
        assert room.take(1, 60)
        large = asyncio.create_task(queue(room, size=50))
        await turns()
        assert not room.take(1, 10), "there is room for it, but somebody waits"
        room.give(1, 60)
        await large

    run(scene())


def test_what_is_larger_than_everything_goes_alone() -> None:
    async def scene() -> None:
        room = Room(10, 100)
        assert room.take(1, 1000)
        assert not room.take(1, 1)
        room.give(1, 1000)
        assert room.take(1, 1)

    run(scene())


def test_somebody_who_leaves_the_line_does_not_block_it() -> None:
    async def scene() -> None:
        room = Room(1, 100)
        await queue(room)
        first, second = (asyncio.create_task(queue(room)) for _ in range(2))
        await turns()
        first.cancel()
        await turns()
        room.give(1, 1)
        await second
        assert room.operations_free == 0

    run(scene())


def test_room_given_to_somebody_who_is_just_cancelled_is_not_lost() -> None:
    async def scene() -> None:
        room = Room(1, 100)
        await queue(room)
        late = asyncio.create_task(queue(room))
        await turns()
        room.give(1, 1)  # it is late's turn …
        late.cancel()  # … who is gone before it notices
        await turns()
        assert late.cancelled() and room.operations_free == 1 and room.bytes_free == 100

    run(scene())


def test_deadlines_and_the_end() -> None:
    async def scene() -> None:
        room = Room(1, 100)
        await queue(room)
        early, late = (asyncio.create_task(queue(room, deadline=deadline)) for deadline in (5.0, 9.0))
        await turns()
        assert room.nearest(inf) == 5.0
        room.expire(6.0, DeadlineExceeded)
        with pytest.raises(DeadlineExceeded):
            await early
        assert room.nearest(inf) == 9.0
        room.close(ClientClosed)
        with pytest.raises(ClientClosed):
            await late
        room.give(1, 1)
        assert room.take(1, 1)

    run(scene())


@given(st.lists(st.tuples(st.integers(1, 4), st.integers(1, 60), st.booleans()), max_size=40))
def test_whatever_happens_the_books_balance(users: list[tuple[int, int, bool]]) -> None:
    async def scene() -> None:
        room = Room(5, 100)

        async def user(operations: int, size: int) -> None:
            await queue(room, operations, size)
            assert room.operations_free >= 0
            await asyncio.sleep(0.001)
            room.give(operations, size)

        tasks = []
        for operations, size, cancelled in users:
            tasks.append(asyncio.create_task(user(operations, size)))
            await turns(1)
            if cancelled and room.waiting:
                tasks[-1].cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert (room.waiting, room.operations_free, room.bytes_free) == (0, 5, 100)

    run(scene())
