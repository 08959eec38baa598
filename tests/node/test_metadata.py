"""Group 0's state: changes, their refusals, epochs, and numbers that are never given twice."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvstore.core.entries import Entry, LogEnd
from kvstore.core.errors import (
    Corruption,
    InvalidRequest,
    KeyspaceExists,
    KvError,
    NotYetAvailable,
    UnknownKeyspace,
)
from kvstore.core.ids import ClusterId, Index, NodeId, Term, TimelineId
from kvstore.node.metadata import (
    Change,
    CreateKeyspace,
    DropKeyspace,
    FormCluster,
    Metadata,
    MetadataState,
    changed,
    encode_change,
    settle,
)
from kvstore.placement.keyspaces import Settings
from kvstore.placement.members import NodeInfo
from kvstore.storage.engine import Batch
from kvstore.storage.keys import meta_key
from kvstore.storage.memory_engine import MemoryEngine

NODES = tuple(NodeInfo(NodeId(f"n{i}"), f"z{i}") for i in (1, 2, 3))
FORM = FormCluster(ClusterId("demo"), TimelineId(7), NODES)
FORMED = changed(Metadata(), FORM)


def create(name: str, partitions: int = 2, *, if_absent: bool = False) -> CreateKeyspace:
    rows = tuple((NodeId("n1"), NodeId("n2")) for _ in range(partitions))
    return CreateKeyspace(Settings(name, replicas=2, partitions=partitions), rows, if_absent)


def test_a_cluster_is_formed_once() -> None:
    assert (FORMED.epoch, FORMED.cluster, FORMED.timeline, FORMED.nodes) == (1, "demo", 7, NODES)
    other = FormCluster(ClusterId("other"), TimelineId(8), NODES[:1])
    assert changed(FORMED, other) is FORMED


def test_a_keyspace_gets_its_groups_and_raises_the_epoch() -> None:
    state = changed(FORMED, create("carts"))
    assert state.epoch == 2
    [keyspace] = state.keyspaces
    assert [partition.group for partition in keyspace.partitions] == [1, 2]
    assert keyspace.partitions[0].replicas == ("n1", "n2")
    ring = state.ring()
    assert (ring.epoch, ring.timeline, ring.keyspace("carts")) == (2, 7, keyspace)


REFUSED: list[tuple[Change, type[KvError], str]] = [
    (create("carts"), KeyspaceExists, "'carts' exists already"),
    (DropKeyspace("nobody"), UnknownKeyspace, "no keyspace 'nobody'"),
]


@pytest.mark.parametrize(("change", "kind", "words"), REFUSED)
def test_what_does_not_apply_changes_nothing(change: Change, kind: type[KvError], words: str) -> None:
    state = changed(FORMED, create("carts"))
    with pytest.raises(kind, match=words):
        changed(state, change)
    assert changed(state, create("carts", if_absent=True)) is state


@given(st.lists(st.tuples(st.booleans(), st.sampled_from("abc"), st.integers(1, 4))))
def test_numbers_are_never_given_twice_and_every_change_raises_the_epoch(steps: list[tuple[bool, str, int]]) -> None:
    """A dropped keyspace must never be mistaken for a new one of the same name."""
    state, groups, ids = FORMED, set[int](), set[int]()
    for creates, name, partitions in steps:
        before = state
        try:
            state = changed(state, create(name, partitions) if creates else DropKeyspace(name))
        except (KeyspaceExists, UnknownKeyspace):
            assert creates is any(keyspace.name == name for keyspace in before.keyspaces)
            continue
        assert state.epoch == before.epoch + 1
        if creates:
            new = state.keyspaces[-1]
            assert new.id not in ids and not groups & {partition.group for partition in new.partitions}
            assert 0 not in {partition.group for partition in new.partitions}, "group 0 is taken for ever"
            ids.add(new.id)
            groups |= {partition.group for partition in new.partitions}
        assert all(group < state.next_group for group in groups)


@pytest.mark.parametrize(("wish", "nodes", "replicas"), [(0, 1, 1), (0, 2, 2), (0, 3, 3), (0, 9, 3), (2, 3, 2)])
def test_a_wish_for_replicas_made_definite(wish: int, nodes: int, replicas: int) -> None:
    assert settle(Settings("k", replicas=wish), nodes).replicas == replicas


@pytest.mark.parametrize(
    ("wish", "kind", "words"),
    [
        (Settings("k", replicas=4), InvalidRequest, "the cluster has only 3 nodes"),
        (Settings("k", partitions=3), InvalidRequest, "power of two"),
        (Settings(""), InvalidRequest, "keyspace name"),
        (Settings("k", acks="some"), InvalidRequest, "must be one of leader, majority, all"),
        (Settings("k", mode="multileader"), NotYetAvailable, "not yet available"),
        (Settings("k", mode="multileader"), NotYetAvailable, "not yet available"),
        (Settings("k", mode="magic"), InvalidRequest, "mode 'magic'"),
        (Settings("k", value_bytes_max=1 << 30), InvalidRequest, "value_bytes_max"),
    ],
)
def test_wishes_that_cannot_be_granted(wish: Settings, kind: type[KvError], words: str) -> None:
    with pytest.raises(kind, match=words):
        settle(wish, 3)


# ── the state machine ──


def flush(state: MetadataState, engine: MemoryEngine) -> None:
    batch = Batch()
    state.begin_flush()
    state.flush_slice(batch, 1)
    engine.commit(batch)
    assert state.end_slice()


CHANGES: list[Change | None] = [
    FORM, create("a"), None, create("a"), DropKeyspace("a"), DropKeyspace("a"), create("a", if_absent=True),
]  # fmt: skip


def entries() -> list[Entry]:
    return [
        Entry(Term(1 + i // 3), Index(i + 1), encode_change(change) if change is not None else b"")
        for i, change in enumerate(CHANGES)
    ]


@pytest.mark.parametrize("flushed_after", range(len(CHANGES) + 1))
def test_wherever_it_was_flushed_a_restart_ends_in_the_same_state(flushed_after: int) -> None:
    engine = MemoryEngine()
    state = MetadataState(engine, 5)
    told = [state.apply(entry) for entry in entries()]
    assert [type(error).__name__ if error else None for error in told] == [
        None, None, None, "KeyspaceExists", None, "UnknownKeyspace", None,
    ]  # fmt: skip
    other = MetadataState(engine, 5)
    for entry in entries()[:flushed_after]:
        other.apply(entry)
    if other.needs_flush:
        flush(other, engine)
        assert other.flushed == other.applied and not other.needs_flush
    reopened = MetadataState(engine, 5)
    assert reopened.applied.index == flushed_after
    for entry in entries()[flushed_after:]:
        reopened.apply(entry)
    assert (reopened.now, reopened.applied) == (state.now, LogEnd(Term(3), Index(7)))


def test_a_flush_may_take_its_time() -> None:
    engine = MemoryEngine()
    state = MetadataState(engine, 5)
    first, second, *_ = entries()
    state.apply(first)
    batch = Batch()
    state.begin_flush()
    state.flush_slice(batch, 1)
    state.apply(second)
    engine.commit(batch)
    assert state.end_slice() and state.flushed.index == 1 and state.needs_flush


def test_an_entry_out_of_turn_is_our_own_mistake() -> None:
    with pytest.raises(AssertionError, match="entry 2 after"):
        MetadataState(MemoryEngine(), 5).apply(entries()[1])


def test_damage_is_noticed() -> None:
    engine = MemoryEngine()
    state = MetadataState(engine, 5)
    state.apply(entries()[0])
    flush(state, engine)
    row = engine.get(meta_key(5))
    assert row is not None
    batch = Batch()
    batch.put(meta_key(5), row[:-1] + bytes([row[-1] ^ 1]))
    engine.commit(batch)
    with pytest.raises(Corruption, match="metadata"):
        MetadataState(engine, 5)


def test_the_whole_state_travels_as_json_for_people() -> None:
    assert msgspec.json.decode(msgspec.json.encode(changed(FORMED, create("a"))))["epoch"] == 2
