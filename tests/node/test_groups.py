"""Groups: which replicas a node opens, and whether it may trust what it remembers of them."""

from collections.abc import Callable

from kvstore.core.ids import METADATA_GROUP, GroupId, Index, NodeId
from kvstore.node.config import RaftConfig, StorageConfig
from kvstore.node.metadata import MetadataState
from kvstore.node.recovery_floor import put_floor
from kvstore.node.requests import CreateKeyspaceRequest, DropKeyspaceRequest, Told
from kvstore.placement.keyspaces import Settings
from kvstore.replication.raft.effects import Standing
from kvstore.storage import group_places
from kvstore.storage.engine import Batch
from kvstore.storage.keys import ballot_key, log_range
from tests.node.trio import Trio

FOUNDED_MS = 4_000


def step_until(trio: Trio, holds: Callable[[], bool], ms: int = 10_000) -> None:
    """One event after the other, until something holds."""
    end = trio.now + ms
    while not holds():
        assert trio.now < end, "it never came to hold"
        if not trio.inbox:
            trio.now += 10
            for name in list(trio.nodes):
                trio.step(name, [])
            continue
        to, event = trio.inbox.popleft()
        if to in trio.nodes:
            trio.step(to, [event])


def groups_of(trio: Trio, keyspace: str, by: NodeId) -> list[GroupId]:
    ring = trio.nodes[by].ring
    assert ring is not None
    return [partition.group for partition in ring.keyspace(keyspace).partitions]


def test_a_node_that_dies_right_after_an_image_told_it_of_its_groups_opens_them_afterwards() -> None:
    parts = {
        "raft": RaftConfig(log_entries_max=16, snapshot_chunk_bytes=1024),
        "storage": StorageConfig(flush_rows_max=4, flush_interval_ms=20),
    }
    trio = Trio(**parts)  # type: ignore[arg-type]
    trio.run(FOUNDED_MS)
    for _ in range(12):
        assert trio.answer("n1", CreateKeyspaceRequest(Settings("come-and-go", partitions=1))) == Told()
        assert trio.answer("n1", DropKeyspaceRequest("come-and-go")) == Told()
    trio.run(1_000)
    name = trio.names[2]
    trio.wipe(name)
    trio.start(name)

    def disk_knows_the_ring() -> bool:
        place = group_places.load_place(trio.engines[name], METADATA_GROUP)
        return place is not None and MetadataState(trio.engines[name], place.data).now.epoch > 1

    step_until(trio, disk_knows_the_ring)
    known = [group for group, _ in group_places.load_places(trio.engines[name])]
    assert known == [METADATA_GROUP], "the image is on disk, and no place of another group"
    trio.crash(name)
    trio.start(name)
    opened = {host.group for host in trio.nodes[name].groups.all()}
    assert opened == {METADATA_GROUP, *groups_of(trio, "default", trio.names[0])}
    assert all(host.raft.standing is Standing.RECOVERING for host in trio.nodes[name].groups.all())
    trio.run(6_000)
    assert all(host.raft.standing is Standing.VOTER for host in trio.nodes[name].groups.all())
    assert trio.nodes[name].is_ready


def test_a_group_that_may_be_older_than_a_loss_recovers_even_if_younger_news_come_with_it() -> None:
    """The change that created it, and one after the floor, are heard of at once."""
    trio = Trio()
    trio.run(FOUNDED_MS)
    name, other, _ = trio.names
    host = trio.nodes[name].groups.get(METADATA_GROUP)
    assert host is not None
    floor = Batch()
    put_floor(floor, Index(host.raft.last.index + 1))
    trio.crash(name)
    trio.engines[name].commit(floor)
    trio.run(2_000)
    for keyspace in ("old", "young"):
        assert trio.answer(other, CreateKeyspaceRequest(Settings(keyspace, partitions=1))) == Told()
    (old,) = groups_of(trio, "old", other)
    trio.start(name)
    node = trio.nodes[name]
    step_until(trio, lambda: node.groups.get(old) is not None)
    replica = node.groups.get(old)
    assert replica is not None and replica.raft.standing is Standing.RECOVERING
    trio.run(3_000)
    assert replica.raft.standing is Standing.VOTER


def test_a_replica_whose_ballot_is_damaged_forgets_its_log_and_remembers_that_it_has_to_recover() -> None:
    trio = Trio()
    trio.run(FOUNDED_MS)
    trio.answer("n1", trio.put(b"key", b"v"))
    trio.run(6_000)  # a flush: the ring is among the rows
    group, name = GroupId(trio.group_of(b"key")), trio.names[1]
    trio.crash(name)
    damage = Batch()
    damage.put(ballot_key(group), b"damaged")
    trio.engines[name].commit(damage)
    trio.start(name)
    trio.step(name, [])
    place = group_places.load_place(trio.engines[name], group)
    assert place is not None and place.standing == Standing.RECOVERING
    assert not list(trio.engines[name].scan(*log_range(group)))
    trio.run(4_000)
    replica = trio.nodes[name].groups.get(group)
    assert replica is not None and replica.raft.standing is Standing.VOTER
    assert replica.state is not None and replica.state.applied == replica.raft.last


def dropped(trio: Trio) -> GroupId:
    """A keyspace comes and goes, everywhere; its only group."""
    assert trio.answer("n1", CreateKeyspaceRequest(Settings("gone", partitions=1))) == Told()
    trio.run(1_000)
    (group,) = groups_of(trio, "gone", trio.names[0])
    assert trio.answer("n1", DropKeyspaceRequest("gone")) == Told()
    step_until(trio, lambda: all(node.groups.get(group) is None for node in trio.nodes.values()))
    return group


def test_a_group_whose_drop_is_not_on_disk_yet_is_opened_again_with_all_its_promises() -> None:
    """Otherwise it would vote again in a term in which it has voted, before it hears that it is gone."""
    trio = Trio(storage=StorageConfig(flush_interval_ms=60_000, flush_rows_max=2))
    trio.run(FOUNDED_MS)
    group, name = dropped(trio), trio.names[1]
    trio.crash(name)
    trio.start(name)
    opened = trio.nodes[name].groups.get(group)
    assert opened is None or opened.raft.term > 0
    place = group_places.load_place(trio.engines[name], group)
    assert place is not None and trio.engines[name].get(ballot_key(group)) is not None
    trio.run(3_000)
    assert trio.nodes[name].groups.get(group) is None


def test_rows_of_a_group_go_when_its_drop_is_on_disk_even_if_the_node_dies_in_between() -> None:
    trio = Trio(storage=StorageConfig(flush_interval_ms=500))
    trio.run(FOUNDED_MS)
    group, name = dropped(trio), trio.names[1]

    def drop_is_on_disk() -> bool:
        place = group_places.load_place(trio.engines[name], METADATA_GROUP)
        assert place is not None
        known = MetadataState(trio.engines[name], place.data).now
        return all(keyspace.settings.name != "gone" for keyspace in known.keyspaces)

    step_until(trio, drop_is_on_disk)
    assert group_places.load_place(trio.engines[name], group) is not None
    trio.crash(name)
    trio.start(name)
    trio.run(1_000)
    for each in trio.names:
        assert group_places.load_place(trio.engines[each], group) is None
        assert trio.engines[each].get(ballot_key(group)) is None
        assert not list(trio.engines[each].scan(*log_range(group)))
