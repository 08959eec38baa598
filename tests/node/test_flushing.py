"""Flushes: when they are due, how large their slices are, and that nothing that happens meanwhile stops them."""

from collections import deque

import pytest

from kvstore.core.commands import Command, Kind, Status, decode_results
from kvstore.core.ids import GroupId, Millis, NodeId
from kvstore.node.config import StorageConfig
from kvstore.node.effects import Asked, Effects, Event, Persisted, RowsWritten
from kvstore.node.partition_host import PartitionHost
from kvstore.node.requests import CreateKeyspaceRequest, DropKeyspaceRequest, Failure, Told, Written
from kvstore.placement.keyspaces import Settings
from kvstore.storage.engine import Batch
from kvstore.storage.keys import STATE_TABLES, VALUE, table_range
from tests.node.trio import Trio

FOUNDED_MS = 3_000
N1 = NodeId("n1")
STORAGE = StorageConfig(flush_interval_ms=200, flush_rows_max=50, flush_slice_rows=10)


class SlowDisks(Trio):
    """Nodes whose disks say nothing for a while: `held` is what they will say."""

    def __init__(self, count: int, **parts: object) -> None:
        self.slow: set[NodeId] = set()
        self.slow_logs: set[NodeId] = set()
        """The same for what is said of batches, not of rows."""
        self.rows_of: dict[NodeId, int] = {}
        self.held: deque[tuple[NodeId, Event]] = deque()
        self.rows_per_batch: list[int] = []
        super().__init__(count, **parts)

    def settle(self) -> None:
        while self.inbox:
            to, event = self.inbox.popleft()
            waits = to in self.slow and isinstance(event, RowsWritten)
            if waits or (to in self.slow_logs and isinstance(event, Persisted)):
                self.held.append((to, event))
            elif to in self.nodes:
                self.step(to, [event])

    def release(self) -> None:
        self.slow.clear()
        self.slow_logs.clear()
        self.inbox.extend(self.held)
        self.held.clear()

    def _carry_out(self, name: NodeId, effects: Effects) -> None:
        if effects.rows is not None:
            rows = [key for key, value, _ in effects.rows.operations if key[:1] in (b"v", b"h") and value is not None]
            self.rows_per_batch.append(len(rows))
            self.rows_of[name] = self.rows_of.get(name, 0) + len(rows)
        super()._carry_out(name, effects)


def host_of(nodes: Trio, name: NodeId, key: bytes, keyspace: str = "default") -> PartitionHost:
    host = nodes.nodes[name].groups.get(GroupId(nodes.group_of(key, keyspace)))
    assert isinstance(host, PartitionHost)
    return host


def unflushed(host: PartitionHost) -> int:
    assert host.state is not None
    return host.state.applied.index - host.state.flushed.index


@pytest.fixture
def alone() -> SlowDisks:
    nodes = SlowDisks(1, storage=STORAGE)
    nodes.run(FOUNDED_MS)
    nodes.rows_per_batch.clear()
    return nodes


def test_applied_values_wait_for_their_interval_and_then_reach_their_rows(alone: SlowDisks) -> None:
    alone.answer(N1, alone.put(b"key", b"value"))
    host = host_of(alone, N1, b"key")
    assert unflushed(host) > 0
    alone.run(100)
    assert unflushed(host) > 0
    alone.run(400)
    assert unflushed(host) == 0
    assert any(row.endswith(b"key") for row, _ in alone.engines[N1].scan(b"v", b"w"))


def many(nodes: Trio, count: int) -> list[Command]:
    group = nodes.group_of(b"k0")
    keys = [key for key in (b"k%d" % i for i in range(20 * count)) if nodes.group_of(key) == group][:count]
    begin, nodes.sequence = nodes.sequence + 1, nodes.sequence + count
    return [Command(begin + i, Kind.PUT.value, key, b"v") for i, key in enumerate(keys)]


def test_many_rows_are_written_before_their_interval_is_over_and_in_slices() -> None:
    alone = SlowDisks(1, storage=StorageConfig(flush_interval_ms=60_000, flush_rows_max=50, flush_slice_rows=10))
    alone.run(FOUNDED_MS)
    alone.rows_per_batch.clear()
    alone.answer(N1, alone.batch(many(alone, 60)))
    alone.settle()
    alone.run(1_500)
    host = host_of(alone, N1, b"k0")
    assert unflushed(host) == 0, "it did not wait for the interval"
    assert max(alone.rows_per_batch) <= STORAGE.flush_slice_rows
    assert sum(alone.rows_per_batch) == 60


def test_there_is_one_slice_on_its_way_at_a_time(alone: SlowDisks) -> None:
    """The next one reads what this one writes."""
    alone.answer(N1, alone.batch(many(alone, 60)))
    alone.slow.add(N1)
    alone.rows_per_batch.clear()
    for _ in range(10):
        alone.step(N1, [])
    assert len([rows for rows in alone.rows_per_batch if rows]) <= 1
    alone.release()
    alone.run(1_500)
    assert unflushed(host_of(alone, N1, b"k0")) == 0


def test_a_disk_that_falls_behind_makes_writers_wait_and_then_goes_on() -> None:
    nodes = SlowDisks(3, storage=StorageConfig(unflushed_bytes_max=64 << 10))
    nodes.run(FOUNDED_MS)
    leader = nodes.leader_of(b"key")
    refused: list[str] = []
    for _ in range(20):
        answer = nodes.answer(leader, nodes.put(b"key", b"v" * 10_000))
        if isinstance(answer, Failure):
            refused.append(answer.code)
        nodes.run(100)
    assert set(refused) == {"Overloaded"}
    nodes.run(5_000)
    assert isinstance(nodes.answer(leader, nodes.put(b"key", b"v")), Written)


def test_a_keyspace_dropped_while_it_is_being_flushed_stops_nobody_elses_flushes() -> None:
    nodes = SlowDisks(3, storage=STORAGE)
    nodes.run(FOUNDED_MS)
    assert nodes.answer(N1, CreateKeyspaceRequest(Settings("brief", partitions=1))) == Told()
    nodes.run(2_000)
    host = host_of(nodes, N1, b"key", "brief")
    put = nodes.batch([Command(1, Kind.PUT.value, b"key", b"v")])
    request = type(put)(host.group, put.commands)
    assert isinstance(nodes.answer(N1, request), Written)
    nodes.slow.add(N1)
    while not any(event for _, event in nodes.held) or not (host.state is not None and host.state.is_flushing):
        nodes.run(10)
    assert nodes.answer(nodes.names[1], DropKeyspaceRequest("brief")) == Told()
    nodes.run(100)
    assert nodes.nodes[N1].groups.get(host.group) is None, "n1 heard of it while its own disk was silent"
    nodes.release()
    nodes.run(100)
    assert isinstance(nodes.answer(N1, nodes.put(b"key", b"v")), Written)
    nodes.run(1_000)
    assert unflushed(host_of(nodes, N1, b"key")) == 0


def test_after_a_crash_in_the_middle_of_a_flush_everything_is_as_it_was(alone: SlowDisks) -> None:
    commands = many(alone, 60)
    alone.answer(N1, alone.batch(commands))
    alone.run(500)
    again = [Command(command.sequence + 100, Kind.PUT.value, command.key, b"new") for command in commands]
    answer = alone.answer(N1, alone.batch(again))
    alone.slow.add(N1)
    alone.step(N1, [])
    alone.crash(N1)
    alone.held.clear()
    alone.slow.clear()
    alone.start(N1)
    alone.run(FOUNDED_MS)
    host = host_of(alone, N1, b"k0")
    assert host.state is not None and isinstance(answer, Written)
    stamps = [result.stamp for result in decode_results(answer.results)]
    assert [host.state.read(command.key) for command in again] == [(stamp, b"new") for stamp in stamps]
    retried = alone.answer(N1, alone.batch(again))
    assert isinstance(retried, Written)
    assert [(one.status, one.stamp) for one in decode_results(retried.results)] == [
        (Status.WRITTEN, stamp) for stamp in stamps
    ]


def half_a_slice(nodes: SlowDisks) -> PartitionHost:
    """A group that has made a piece of its next slice, and not the whole."""
    nodes.step(N1, [Asked(1_000, nodes.batch(many(nodes, 60)), Millis(nodes.now + 5_000))])
    host = host_of(nodes, N1, b"k0")
    while not nodes.nodes[N1].flusher._slice_groups:
        assert nodes.inbox, "the flush must begin when the entries are on disk"
        nodes.step(N1, [nodes.inbox.popleft()[1]])
    assert host.state is not None and host.state.is_flushing and nodes.rows_per_batch[-1:] != [STORAGE.flush_slice_rows]
    return host


def test_half_a_slice_of_a_state_that_is_gone_does_not_outlive_it() -> None:
    """It goes to the disk before the state is removed, also if both fall into one step."""
    nodes = SlowDisks(1, storage=StorageConfig(flush_interval_ms=200, flush_rows_max=50, flush_slice_rows=40))
    nodes.run(FOUNDED_MS)
    host = half_a_slice(nodes)
    doomed, batch = host.place.data, Batch()
    nodes.nodes[N1].groups._images.doom(batch, doomed)  # as when an image takes its place
    nodes.engines[N1].commit(batch)
    host._drop_state()
    nodes.now += 1_000  # a heartbeat, with which doomed states are removed
    nodes.step(N1, [])
    nodes.run(1_000)
    left = [key for table in STATE_TABLES for key, _ in nodes.engines[N1].scan(*table_range(table, doomed))]
    assert left == []


def test_small_slices_come_in_pieces_too(alone: SlowDisks) -> None:
    host = half_a_slice(alone)
    alone.run(1_500)
    assert unflushed(host) == 0
    assert max(alone.rows_per_batch) <= STORAGE.flush_slice_rows and sum(alone.rows_per_batch) == 60


def test_rows_wait_until_the_log_that_they_come_from_is_on_disk() -> None:
    """The others decided an entry that this disk does not have. With its rows alone, a crash would leave a state that
    is ahead of its log."""
    nodes = SlowDisks(3, storage=STORAGE)
    nodes.run(FOUNDED_MS)
    leader = nodes.leader_of(b"key")
    follower = next(name for name in nodes.names if name != leader)
    nodes.run(1_000)
    nodes.slow_logs.add(follower)
    nodes.rows_of.clear()
    assert isinstance(nodes.answer(leader, nodes.put(b"key", b"v")), Written)
    nodes.run(1_000)
    host = host_of(nodes, follower, b"key")
    assert host.state is not None and host.state.read(b"key") is not None, "it has applied it"
    assert nodes.rows_of.get(leader) == 1 and not nodes.rows_of.get(follower)
    nodes.release()
    nodes.run(1_000)
    assert nodes.rows_of.get(follower) == 1 and unflushed(host) == 0


def test_nothing_is_left_of_a_state_that_was_dropped_with_half_a_slice_in_the_making() -> None:
    nodes = SlowDisks(1, storage=StorageConfig(flush_interval_ms=200, flush_slice_rows=1_000))
    nodes.run(FOUNDED_MS)
    assert nodes.answer(N1, CreateKeyspaceRequest(Settings("brief", replicas=1, partitions=1))) == Told()
    nodes.run(1_000)
    host = host_of(nodes, N1, b"key", "brief")
    commands = [Command(10_000 + i, Kind.PUT.value, b"brief%d" % i, b"v") for i in range(150)]
    put = nodes.batch(commands)
    assert isinstance(nodes.answer(N1, type(put)(host.group, put.commands)), Written)
    nodes.answer(N1, nodes.batch(many(nodes, 1_200)))
    nodes.rows_of.clear()
    while not (host.state is not None and host.state.is_flushing and not host.state.has_slices):
        nodes.run(10)
    assert not nodes.rows_of, "all its rows are in the slice, which others are filling"
    data = host.place.data
    assert nodes.answer(N1, DropKeyspaceRequest("brief")) == Told()
    nodes.run(5_000)
    assert unflushed(host_of(nodes, N1, b"k0")) == 0
    start, end = table_range(VALUE, data)
    assert not list(nodes.engines[N1].scan(start, end))
