"""One alarm clock for all deadlines."""

import asyncio
import itertools
from math import inf

from kvstore.client.alarm import LATE_GRACE_S, LATE_S, SWEEP_S_MAX, SWEEP_S_MIN, Alarm
from tests.client.virtual_time import VirtualLoop, now, run


def watch(deadlines: list[float]) -> tuple[Alarm, list[float]]:
    """An alarm that keeps an eye on these instants, and when it went off."""
    loop, seen = asyncio.get_running_loop(), list[float]()

    def sweep(instant: float) -> float | None:
        seen.append(instant)
        deadlines[:] = [deadline for deadline in deadlines if deadline > instant]
        return min(deadlines, default=None)

    return Alarm(loop, loop.time, sweep), seen


def test_it_goes_off_in_time_and_then_rests() -> None:
    async def scene() -> None:
        began = now()
        alarm, seen = watch([began + 0.1, began + 0.6])
        alarm.wake_by(began + 0.1)
        await asyncio.sleep(10)
        assert [round(instant - began, 3) for instant in seen] == [0.1, 0.35, 0.6]
        assert alarm.at == inf

    run(scene())


def test_a_nearer_deadline_moves_it_and_a_later_one_does_not() -> None:
    async def scene() -> None:
        began = now()
        alarm, seen = watch([began + 5])
        alarm.wake_by(began + 5)
        alarm.wake_by(began + 0.05)
        alarm.wake_by(began + 0.2)
        await asyncio.sleep(0.06)
        assert [round(instant - began, 3) for instant in seen] == [0.05]
        alarm.stop()

    run(scene())


def test_it_does_not_ring_without_pause_nor_rest_for_long() -> None:
    async def scene() -> None:
        began = now()
        alarm, seen = watch([began + 100])
        alarm.wake_by(began - 1)
        assert alarm.at == began + SWEEP_S_MIN
        await asyncio.sleep(2)
        pauses = [later - earlier for earlier, later in itertools.pairwise(seen)]
        assert max(pauses) < SWEEP_S_MAX * 1.01
        alarm.stop()
        count = len(seen)
        await asyncio.sleep(2)
        assert len(seen) == count

    run(scene())


def test_after_a_stop_of_the_process_it_waits_a_little() -> None:
    async def scene() -> None:
        alarm, seen = watch([now() + 0.2])
        alarm.wake_by(now() + 0.2)
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        loop.jump(0.2 + LATE_S * 1.1)
        woken = now()
        alarm.go_off()
        assert seen == []
        await asyncio.sleep(LATE_GRACE_S * 1.1)
        assert len(seen) == 1 and seen[0] - woken < LATE_GRACE_S * 1.01

    run(scene())
