"""The simulated disk: what is synced stays, what is not can be lost or torn, and fsync takes its time."""

from random import Random

from kvstore.sim.disk import Disk
from kvstore.sim.scheduler import SECOND, Scheduler, Trace
from kvstore.storage.engine import Batch


def batch_of(*numbers: int) -> Batch:
    batch = Batch()
    for number in numbers:
        batch.put(b"r%03d" % number, b"v")
    return batch


class Lab:
    """A disk, and what it said when."""

    def __init__(self, seed: int = 1, fsync_us: tuple[int, int] = (1_000, 1_000)) -> None:
        self.scheduler = Scheduler(Trace())
        self.said: list[tuple[int, int]] = []
        self.said_of_rows: list[tuple[int, int]] = []
        self.disk = Disk(self.scheduler, "n1", Random(seed), fsync_us, self._said, self._said_of_rows)

    def _said(self, ticket: int, duration_ms: float) -> None:
        assert duration_ms > 0
        self.said.append((self.scheduler.now, ticket))

    def _said_of_rows(self, ticket: int) -> None:
        self.said_of_rows.append((self.scheduler.now, ticket))

    def rows(self) -> list[int]:
        return [int(key[1:]) for key, _ in self.disk.engine.scan(b"r", b"s")]


def test_a_batch_is_readable_and_told_of_after_its_fsync() -> None:
    lab = Lab()
    lab.disk.write(batch_of(1), 1)
    lab.scheduler.run_until(999)
    assert lab.rows() == [] and lab.said == []
    lab.scheduler.run_until(1_000)
    assert lab.rows() == [1] and lab.said == [(1_000, 1)]


def test_batches_that_wait_share_one_fsync() -> None:
    lab = Lab()
    for ticket in range(1, 6):
        lab.disk.write(batch_of(ticket), ticket)
    lab.scheduler.run_until(SECOND)
    assert lab.said == [(1_000, 1), (2_000, 5)]
    assert lab.disk.fsyncs == 2
    assert lab.rows() == [1, 2, 3, 4, 5]


def test_power_loss_takes_what_was_not_synced_and_nothing_else() -> None:
    lab = Lab()
    lab.disk.write(batch_of(1), 1)
    lab.scheduler.run_until(1_000)
    lab.disk.write(batch_of(2), 2)
    lab.disk.write(batch_of(3), 3)
    assert lab.disk.lose_power(torn=False) == (0, 2)
    lab.scheduler.run_until(SECOND)
    assert lab.rows() == [1]
    assert lab.said == [(1_000, 1)], "an fsync that died with the power is never told of"


def test_a_torn_tail_keeps_a_prefix_of_whole_batches() -> None:
    seen = set()
    for seed in range(40):
        lab = Lab(seed)
        lab.disk.write(batch_of(0), 1)
        lab.scheduler.run_until(1_000)
        for ticket in range(2, 5):
            lab.disk.engine.commit_unsynced(batch_of(2 * ticket, 2 * ticket + 1))
        lab.disk.lose_power(torn=True)
        seen.add(tuple(lab.rows()))
    assert seen == {(0,), (0, 4, 5), (0, 4, 5, 6, 7), (0, 4, 5, 6, 7, 8, 9)}


def test_the_disk_works_again_after_power_loss() -> None:
    lab = Lab()
    lab.disk.write(batch_of(1), 1)
    lab.disk.lose_power(torn=False)
    lab.disk.write(batch_of(2), 7)
    lab.scheduler.run_until(SECOND)
    assert lab.rows() == [2]
    assert [ticket for _, ticket in lab.said] == [7]


def test_a_wiped_disk_is_empty() -> None:
    lab = Lab()
    lab.disk.write(batch_of(1), 1)
    lab.scheduler.run_until(1_000)
    lab.disk.wipe()
    assert lab.rows() == []


def test_a_slow_disk_is_slow_from_the_next_fsync_on() -> None:
    lab = Lab()
    lab.disk.write(batch_of(1), 1)
    lab.disk.fsync_us = (500_000, 500_000)
    lab.disk.write(batch_of(2), 2)
    lab.scheduler.run_until(SECOND)
    assert lab.said == [(1_000, 1), (501_000, 2)]


def test_an_orderly_end_leaves_everything_synced_and_tells_nobody() -> None:
    lab = Lab()
    for number in (1, 2, 3):
        lab.disk.write(batch_of(number), number)
    lab.disk.finish()
    assert lab.rows() == [1, 2, 3] and lab.disk.engine.unsynced == 0
    lab.scheduler.run_until(SECOND)
    assert lab.said == []


def survivors(*batches: Batch) -> set[str]:
    """The rows that may be there after power was lost while these were under way together."""
    seen = set()
    for seed in range(80):
        lab = Lab(seed)
        lab.disk.write(batch_of(0), 1)
        for ticket, batch in enumerate(batches, 2):
            lab.disk.write(batch, ticket)
        lab.scheduler.run_until(1_500)
        assert lab.disk.lose_power(torn=True)[0] <= 2 * len(batches)
        seen.add(" ".join(key.decode() for key, _ in lab.disk.engine.scan(b"a", b"z") if key != b"r000"))
    return seen


def both(number: int) -> Batch:
    """A log entry and a row of a state."""
    batch = Batch()
    batch.put(b"l%d" % number, b"entry")
    batch.put(b"v%d" % number, b"value")
    return batch


def test_batches_that_go_two_ways_can_be_lost_by_half_the_journals_halves_last() -> None:
    assert survivors(both(1), both(2)) == {"", "l1", "l1 l2", "l1 l2 v1", "l1 l2 v1 v2"}


def test_batches_that_go_to_the_data_file_with_all_that_the_journal_holds_are_lost_whole() -> None:
    place = Batch()
    place.put(b"g3", b"place")
    assert survivors(both(1), place) == {"", "l1 v1", "g3 l1 v1"}
