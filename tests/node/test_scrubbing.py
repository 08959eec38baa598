"""Scrubbing finds flipped bits before a reader does, has them mended, keeps to its pace, and comes by itself."""

import msgspec

from kvstore.core.ids import GroupId, NodeId
from kvstore.node.config import StorageConfig
from kvstore.node.requests import DropKeyspaceRequest, Failure, Scrubbed, ScrubRequest, Told
from kvstore.node.scrubbing import ScrubStatus
from kvstore.storage.engine import Batch
from kvstore.storage.keys import META, OUTCOME, VALUE, table_range
from tests.node.test_quorum_host import N1, N2, N3, Carts
from tests.node.trio import Trio


def scrubbed(trio: Trio, name: NodeId, ms: int = 6_000) -> Scrubbed:
    """Asked of another node, if there is one."""
    asked = next((other for other in trio.nodes if other != name), name)
    answer = trio.answer(asked, ScrubRequest(name), ms)
    assert isinstance(answer, Told), answer
    return msgspec.json.decode(answer.json, type=Scrubbed)


def state(trio: Trio, name: NodeId) -> ScrubStatus:
    return trio.nodes[name].scrubber.status


def flip(trio: Trio, name: NodeId, group: GroupId, table: bytes, end: bytes = b"") -> bytes:
    """Flip a bit in a row whose key ends so; its key in the engine."""
    host = trio.nodes[name].groups.get(group)
    assert host is not None
    rows = [row for row in trio.engines[name].scan(*table_range(table, host.place.data)) if row[0].endswith(end)]
    key, row = rows[0]
    batch = Batch()
    batch.put(key, row[:-1] + bytes([row[-1] ^ 1]))
    trio.engines[name].commit(batch)
    return key


def test_a_flipped_bit_in_a_leaderless_partition_is_found_and_mended() -> None:
    carts = Carts(exchange_ms=3_600_000)
    for number in range(300):
        carts.write(N1, b"k%d" % number, b"v")
    carts.run(3_000)
    sound = scrubbed(carts, N2)
    assert sound.rows > 300 and (sound.damaged, sound.mending) == (0, 0)
    key = flip(carts, N2, carts.group(), VALUE, b"k77")
    rotten = carts.engines[N2].get(key)
    found = scrubbed(carts, N2)
    assert (found.damaged, found.mending) == (1, 1)
    carts.run(4_000)
    mended = carts.engines[N2].get(key)
    assert mended is not None and mended != rotten
    assert carts.records(N2, b"k77") == carts.records(N1, b"k77") != b""
    assert scrubbed(carts, N2).damaged == 0
    assert state(carts, N2) == ScrubStatus(False, 3, state(carts, N2).ended_at, state(carts, N2).rows, 1)
    assert any("k77" in what for what in carts.nodes[N2].damage)


def test_a_flipped_bit_in_leader_mode_is_found_and_an_image_comes() -> None:
    trio = Trio(storage=StorageConfig(flush_interval_ms=200))
    trio.run(3_000)
    trio.answer(N1, trio.put(b"key", b"precious"))
    trio.run(2_000)
    for name in trio.names:  # the leader among them
        flip(trio, name, GroupId(trio.group_of(b"key")), VALUE, b"key")
        found = scrubbed(trio, name)
        assert (found.damaged, found.mending) == (1, 1)
        trio.run(8_000)
        assert scrubbed(trio, name).damaged == 0


def test_a_state_that_waits_for_an_image_is_not_read_again() -> None:
    trio = Trio(storage=StorageConfig(flush_interval_ms=200))
    trio.run(3_000)
    trio.answer(N1, trio.put(b"key", b"precious"))
    trio.run(2_000)
    trio.cut = {N2}
    group = GroupId(trio.group_of(b"key"))
    flip(trio, N2, group, META)
    for expected in (1, 0):
        handle = trio.ask(N2, ScrubRequest(N2))
        trio.run(500)
        done = trio.answers[handle]
        assert isinstance(done, Told) and msgspec.json.decode(done.json, type=Scrubbed).damaged == expected
    trio.cut = set()
    trio.run(8_000)
    host = trio.nodes[N2].groups.get(group)
    assert host is not None and host.state is not None
    assert scrubbed(trio, N2).damaged == 0


def test_rows_that_describe_a_leaderless_state_are_read_too() -> None:
    carts = Carts()
    for number in range(20):
        carts.write(N1, b"k%d" % number, b"v")
    carts.run(3_000)
    key = flip(carts, N3, carts.group(), META)
    found = scrubbed(carts, N3)
    assert (found.damaged, found.mending) == (1, 1)
    carts.run(100)
    assert scrubbed(carts, N3).damaged == 0 and carts.engines[N3].get(key) is not None
    flip(carts, N3, carts.group(), OUTCOME)
    found = scrubbed(carts, N3)
    assert (found.damaged, found.mending) == (1, 0)  # nobody else remembers what this node does
    assert sum("checksum" in what for what in carts.nodes[N3].damage) >= 1


def test_a_node_alone_finds_damage_and_says_that_nobody_can_mend_it() -> None:
    carts = Carts(1, replicas=1)
    carts.write(N1, b"k", b"v")
    carts.run(3_000)
    flip(carts, N1, carts.group(), VALUE)
    for _ in range(3):
        found = scrubbed(carts, N1)
        assert (found.damaged, found.mending) == (1, 0)
    assert len(carts.nodes[N1].damage) == 1, "it is said once"


def test_a_pass_keeps_to_its_pace() -> None:
    trio = Trio(1, storage=StorageConfig(flush_interval_ms=200, scrub_bytes_per_s=100_000))
    trio.run(3_000)
    for number in range(100):
        trio.answer(N1, trio.put(b"key%d" % number, bytes(10_000)))
    trio.run(3_000)
    handle = trio.ask(N1, ScrubRequest(N1), 30_000)
    trio.run(8_000)
    assert handle not in trio.answers
    trio.run(8_000)
    done = trio.answers[handle]
    assert isinstance(done, Told)
    found = msgspec.json.decode(done.json, type=Scrubbed)
    assert found.bytes > 1_000_000 and found.damaged == 0 and 8_000 <= found.ms <= 14_000
    handle = trio.ask(N1, ScrubRequest(N1), 1_000)
    trio.run(2_000)
    late = trio.answers[handle]
    assert isinstance(late, Failure) and late.code == "DeadlineExceeded"
    assert state(trio, N1).running
    trio.run(12_000)
    assert not state(trio, N1).running and state(trio, N1).passes == 2


def test_passes_come_by_themselves() -> None:
    trio = Trio(1, storage=StorageConfig(scrub_interval_s=2))
    trio.run(9_000)
    assert 3 <= state(trio, N1).passes <= 4 and state(trio, N1).rows > 0
    idle = Trio(1, storage=StorageConfig(scrub_interval_s=0))
    idle.run(9_000)
    assert state(idle, N1) == ScrubStatus(False, 0, 0, 0, 0)


def test_a_keyspace_dropped_on_the_way_does_no_harm() -> None:
    carts = Carts(partitions=4)
    for number in range(50):
        carts.write(N1, b"k%d" % number, bytes(20_000))
    carts.run(3_000)
    handle = carts.ask(N2, ScrubRequest(N2), 20_000)
    assert isinstance(carts.answer(N1, DropKeyspaceRequest("carts")), Told)
    carts.run(3_000)
    assert isinstance(carts.answers[handle], Told)
