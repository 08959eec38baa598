"""A node among nodes: founding, writes and reads through any of them, crashes, lost disks, images, keyspaces."""

import msgspec
import pytest

from kvstore.core.commands import Command, Condition, Kind, Status, decode_results
from kvstore.core.ids import Incarnation, Millis
from kvstore.node.config import LimitsConfig, RaftConfig, StorageConfig
from kvstore.node.effects import LinkLost
from kvstore.node.requests import (
    Answer,
    CreateKeyspaceRequest,
    DropKeyspaceRequest,
    Failure,
    Found,
    OutcomeFound,
    OutcomeRequest,
    PageFound,
    PageRequest,
    ReadLevel,
    ReadRequest,
    StatusRequest,
    Told,
    TransferRequest,
    Written,
)
from kvstore.placement.keyspaces import Settings
from kvstore.replication.raft.effects import Standing
from tests.node.trio import Trio

FOUNDED_MS = 3_000


@pytest.fixture
def trio() -> Trio:
    nodes = Trio()
    nodes.run(FOUNDED_MS)
    return nodes


def statuses(answer: Answer) -> list[int]:
    assert isinstance(answer, Written), answer
    return [result.status for result in decode_results(answer.results)]


def stamp_of(answer: Answer) -> int:
    assert isinstance(answer, Written), answer
    return decode_results(answer.results)[0].stamp


def values(answer: Answer) -> list[bytes | None]:
    assert isinstance(answer, Found), answer
    return [version[1] if version else None for version in msgspec.msgpack.decode(answer.versions)]


def code(answer: Answer) -> str:
    assert isinstance(answer, Failure), answer
    return answer.code


def get(nodes: Trio, name: str, key: bytes, level: ReadLevel = ReadLevel.DEFAULT, staleness: int = 0) -> Answer:
    request = ReadRequest(nodes.group_of(key), [key], level, staleness)  # type: ignore[arg-type]
    return nodes.answer(name, request)  # type: ignore[arg-type]


def test_three_fresh_nodes_found_a_cluster_with_a_default_keyspace(trio: Trio) -> None:
    for node in trio.nodes.values():
        assert node.identity.founded and not node.identity.wiped
        assert node.ring is not None and node.ring.epoch == 2
        assert [keyspace.name for keyspace in node.ring.keyspaces] == ["default"]
        assert node.is_ready


def test_two_of_three_founders_wait_for_the_third() -> None:
    nodes = Trio()
    nodes.crash(nodes.names[2])
    nodes.run(FOUNDED_MS)
    assert not any(node.identity.founded for node in nodes.nodes.values())
    nodes.start(nodes.names[2])
    nodes.run(FOUNDED_MS)
    assert all(node.is_ready for node in nodes.nodes.values())


def test_a_single_node_founds_itself() -> None:
    alone = Trio(1)
    alone.run(FOUNDED_MS)
    assert statuses(alone.answer(alone.names[0], alone.put(b"k", b"v"))) == [Status.WRITTEN]
    assert values(get(alone, "n1", b"k")) == [b"v"]


def test_any_node_takes_writes_and_linearizable_reads(trio: Trio) -> None:
    for number, name in enumerate(trio.names):
        assert statuses(trio.answer(name, trio.put(b"key", b"%d" % number))) == [Status.WRITTEN]
        for reader in trio.names:
            assert values(get(trio, reader, b"key")) == [b"%d" % number]


def test_conditions_hold_or_nothing_is_written(trio: Trio) -> None:
    first = trio.answer("n1", trio.put(b"key", b"1", condition=Condition.ABSENT.value))
    assert statuses(first) == [Status.WRITTEN]
    again = trio.answer("n1", trio.put(b"key", b"2", condition=Condition.ABSENT.value))
    assert statuses(again) == [Status.FAILED_CONDITION] and stamp_of(again) == stamp_of(first)
    swap = trio.put(b"key", b"3", condition=Condition.STAMP.value, stamp=stamp_of(first))
    assert statuses(trio.answer("n2", swap)) == [Status.WRITTEN]
    late = trio.put(b"key", b"4", condition=Condition.STAMP.value, stamp=stamp_of(first))
    assert statuses(trio.answer("n3", late)) == [Status.FAILED_CONDITION]
    assert values(get(trio, "n1", b"key")) == [b"3"]


def test_a_retry_gets_the_first_answer_and_changes_nothing(trio: Trio) -> None:
    write = trio.put(b"key", b"1", condition=Condition.ABSENT.value)
    first = trio.answer("n1", write)
    trio.answer("n1", trio.put(b"key", b"2"))
    again = trio.answer("n2", write)
    assert statuses(again) == [Status.WRITTEN] and stamp_of(again) == stamp_of(first)
    assert values(get(trio, "n1", b"key")) == [b"2"]


def test_a_retry_is_exact_after_the_leader_crashed_and_every_state_was_flushed(trio: Trio) -> None:
    write = trio.put(b"key", b"1", condition=Condition.ABSENT.value)
    first = trio.answer("n1", write)
    trio.run(1_000)
    for name in trio.names:
        trio.crash(name)
        trio.start(name)
    trio.run(FOUNDED_MS)
    assert stamp_of(trio.answer("n3", write)) == stamp_of(first)


def test_outcome_tells_how_an_operation_ended(trio: Trio) -> None:
    trio.answer("n1", trio.put(b"key", b"1"))
    group = trio.group_of(b"key")
    known = trio.answer("n2", OutcomeRequest(group, 77, trio.sequence))  # type: ignore[arg-type]
    assert isinstance(known, OutcomeFound)
    assert msgspec.msgpack.decode(known.outcome)[0] == Status.WRITTEN
    unknown = trio.answer("n2", OutcomeRequest(group, 77, 999))  # type: ignore[arg-type]
    assert isinstance(unknown, OutcomeFound) and msgspec.msgpack.decode(unknown.outcome) is None


def test_an_atomic_batch_happens_whole_or_not_at_all(trio: Trio) -> None:
    group = trio.group_of(b"a0")
    keys = [key for key in (b"a%d" % i for i in range(200)) if trio.group_of(key) == group][:3]
    trio.answer("n1", trio.put(keys[2], b"there"))
    commands = [
        Command(500, Kind.PUT.value, keys[0], b"x"),
        Command(501, Kind.PUT.value, keys[1], b"y"),
        Command(502, Kind.PUT.value, keys[2], b"z", Condition.ABSENT.value),
    ]
    refused = trio.answer("n1", trio.batch(commands, atomic=True))
    assert statuses(refused) == [Status.NOT_EXECUTED, Status.NOT_EXECUTED, Status.FAILED_CONDITION]
    request = ReadRequest(group, keys)  # type: ignore[arg-type]
    assert values(trio.answer("n1", request)) == [None, None, b"there"]


def test_writes_go_on_after_the_leader_is_gone_and_nothing_acknowledged_is_lost(trio: Trio) -> None:
    leader = trio.leader_of(b"key")
    trio.answer(leader, trio.put(b"key", b"1"))
    trio.crash(leader)
    trio.run(2_000)
    survivor = trio.leader_of(b"key")
    assert survivor != leader
    assert values(get(trio, survivor, b"key")) == [b"1"]
    assert statuses(trio.answer(survivor, trio.put(b"key", b"2"))) == [Status.WRITTEN]
    trio.start(leader)
    trio.run(2_000)
    assert values(get(trio, leader, b"key")) == [b"2"]


def test_a_cut_off_leader_serves_no_linearizable_read_and_its_write_is_unknown_or_refused(trio: Trio) -> None:
    leader = trio.leader_of(b"key")
    trio.answer(leader, trio.put(b"key", b"1"))
    trio.cut.add(leader)
    handle = trio.ask(leader, trio.put(b"key", b"2"))
    trio.run(3_000)
    answer = trio.answers[handle]
    assert isinstance(answer, Failure) and not answer.definite
    request = ReadRequest(trio.group_of(b"key"), [b"key"])  # type: ignore[arg-type]
    assert isinstance(trio.answer(leader, request), Failure)
    survivor = trio.leader_of(b"key")
    assert survivor != leader
    assert statuses(trio.answer(survivor, trio.put(b"key", b"3"))) == [Status.WRITTEN]
    trio.cut.clear()
    trio.run(2_000)
    assert values(get(trio, leader, b"key")) == [b"3"]


def test_followers_answer_within_the_staleness_asked_for(trio: Trio) -> None:
    trio.answer("n1", trio.put(b"key", b"1"))
    trio.run(1_000)
    for name in trio.names:
        answer = get(trio, name, b"key", ReadLevel.FOLLOWER, 500)
        assert values(answer) == [b"1"]
        assert isinstance(answer, Found) and answer.receipt.staleness_ms <= 500
    follower = next(name for name in trio.names if name != trio.leader_of(b"key"))
    served = get(trio, follower, b"key", ReadLevel.FOLLOWER)
    assert isinstance(served, Found) and served.receipt.node == follower


def test_all_replicas_have_it_when_all_were_asked_for(trio: Trio) -> None:
    command = Command(900, Kind.PUT.value, b"key", b"1")
    answer = trio.answer("n1", trio.batch([command], acks=3))
    assert isinstance(answer, Written) and answer.receipt.on_disk == 3


def test_acks_all_waits_for_a_replica_that_is_down(trio: Trio) -> None:
    leader = trio.leader_of(b"key")
    follower = next(name for name in trio.names if name != leader)
    trio.crash(follower)
    handle = trio.ask(leader, trio.batch([Command(901, Kind.PUT.value, b"key", b"1")], acks=3), deadline_ms=60_000)
    trio.run(1_500)
    assert handle not in trio.answers
    trio.start(follower)
    trio.run(3_000)
    answer = trio.answers[handle]
    assert isinstance(answer, Written) and answer.receipt.on_disk == 3


def test_acks_leader_answers_when_the_leader_alone_has_it(trio: Trio) -> None:
    leader = trio.leader_of(b"key")
    trio.cut.add(leader)
    answer = trio.answer(leader, trio.batch([Command(902, Kind.PUT.value, b"key", b"1")], acks=1), ms=200)
    assert isinstance(answer, Written) and answer.receipt.on_disk == 1


def test_a_node_that_lost_its_disk_recovers_before_it_votes(trio: Trio) -> None:
    for number in range(20):
        trio.answer("n1", trio.put(b"key%d" % number, b"v"))
    trio.wipe(trio.names[0])
    trio.start(trio.names[0])
    node = trio.nodes[trio.names[0]]
    trio.run(200)
    assert node.identity.wiped
    assert all(host.raft.standing is Standing.RECOVERING for host in node.groups.all())
    trio.run(6_000)
    assert all(host.raft.standing is Standing.VOTER for host in node.groups.all())
    assert node.is_ready
    trio.crash(trio.names[0])
    trio.start(trio.names[0])
    trio.run(2_000)
    assert all(host.raft.standing is Standing.VOTER for host in trio.nodes[trio.names[0]].groups.all())
    for number in range(20):
        assert values(get(trio, "n1", b"key%d" % number)) == [b"v"]


def test_a_keyspace_created_after_a_recovery_is_new_to_the_recovered_node(trio: Trio) -> None:
    trio.wipe(trio.names[0])
    trio.start(trio.names[0])
    trio.run(6_000)
    settings = Settings("fresh", partitions=4)
    assert trio.answer("n2", CreateKeyspaceRequest(settings)) == Told()
    trio.run(100)
    ring = trio.nodes[trio.names[0]].ring
    assert ring is not None
    groups = [partition.group for partition in ring.keyspace("fresh").partitions]
    hosts = [trio.nodes[trio.names[0]].groups.get(group) for group in groups]
    assert all(host is not None and host.raft.standing is Standing.VOTER for host in hosts)


def test_a_follower_far_behind_gets_an_image() -> None:
    parts = {
        "raft": RaftConfig(log_entries_max=16, snapshot_chunk_bytes=1024),
        "storage": StorageConfig(flush_rows_max=4, flush_interval_ms=20),
    }
    trio = Trio(**parts)  # type: ignore[arg-type]
    trio.run(FOUNDED_MS)
    leader = trio.leader_of(b"key")
    follower = next(name for name in trio.names if name != leader)
    trio.crash(follower)
    for number in range(60):
        trio.answer(leader, trio.put(b"key", b"%d" % number * 50))
    trio.run(500)
    group = trio.group_of(b"key")
    host = trio.nodes[leader].groups.get(group)  # type: ignore[arg-type]
    assert host is not None and host.raft.log_start.index > 20
    trio.start(follower)
    trio.run(4_000)
    caught_up = trio.nodes[follower].groups.get(group)  # type: ignore[arg-type]
    assert caught_up is not None and caught_up.state is not None
    assert caught_up.state.applied == host.raft.last
    answer = get(trio, follower, b"key", ReadLevel.FOLLOWER)
    assert values(answer) == [b"59" * 50]
    trio.crash(follower)
    trio.start(follower)
    trio.run(2_000)
    assert values(get(trio, follower, b"key", ReadLevel.FOLLOWER)) == [b"59" * 50]


def test_a_damaged_value_is_refused_reported_and_repaired_from_a_replica(trio: Trio) -> None:
    trio.answer("n1", trio.put(b"key", b"precious"))
    trio.run(6_000)  # a flush
    leader = trio.leader_of(b"key")
    rows = [row for row, _ in trio.engines[leader].scan(b"v", b"w") if row.endswith(b"key")]
    record = trio.engines[leader].get(rows[0])
    assert record is not None
    damaged = bytes(record[:-1]) + bytes([record[-1] ^ 1])
    from kvstore.storage.engine import Batch

    batch = Batch()
    batch.put(rows[0], damaged)
    trio.engines[leader].commit(batch)
    request = ReadRequest(trio.group_of(b"key"), [b"key"])  # type: ignore[arg-type]
    assert code(trio.answer(leader, request)) == "Corruption"
    assert trio.nodes[leader].damage
    trio.run(8_000)
    for name in trio.names:
        assert values(get(trio, name, b"key", ReadLevel.FOLLOWER)) == [b"precious"]
        assert values(get(trio, name, b"key")) == [b"precious"]


def test_keyspaces_come_and_go_at_run_time(trio: Trio) -> None:
    settings = Settings("carts", partitions=2, replicas=2)
    assert trio.answer("n3", CreateKeyspaceRequest(settings)) == Told()
    assert code(trio.answer("n2", CreateKeyspaceRequest(settings))) == "KeyspaceExists"
    assert trio.answer("n1", CreateKeyspaceRequest(settings, if_absent=True)) == Told()
    trio.run(2_000)
    assert trio.nodes[trio.names[0]].ring.keyspace("carts").settings.replicas == 2  # type: ignore[union-attr]
    group = trio.group_of(b"k", "carts")
    assert trio.answer("n2", DropKeyspaceRequest("carts")) == Told()
    trio.run(3_000)
    assert code(trio.answer("n1", DropKeyspaceRequest("carts"))) == "UnknownKeyspace"
    read = ReadRequest(group, [b"k"])  # type: ignore[arg-type]
    assert code(trio.answer("n1", read)) == "UnknownKeyspace"
    for engine in trio.engines.values():
        assert not list(engine.scan(b"d", b"e")), "doomed states are removed"


@pytest.mark.parametrize("mode", ["multileader"])
def test_modes_that_are_not_built_are_refused(trio: Trio, mode: str) -> None:
    assert code(trio.answer("n1", CreateKeyspaceRequest(Settings("later", mode=mode)))) == "NotYetAvailable"


def test_bad_requests_change_nothing(trio: Trio) -> None:
    group = trio.group_of(b"key")
    leader = trio.leader_of(b"key")
    too_long = trio.batch([Command(1, Kind.PUT.value, b"key", b"v")])
    cases = {
        "MalformedFrame": msgspec.structs.replace(too_long, commands=b"\xc1garbage"),
        "KeyTooLarge": _with(trio, group, b"k" * 481, b"v"),
        "EmptyKey": _with(trio, group, b"", b"v"),
        "ValueTooLarge": _with(trio, group, b"key", b"v" * ((1 << 20) + 1)),
        "WrongPartition": _with(trio, group, _elsewhere(trio, group), b"v"),
        "NotReady": msgspec.structs.replace(too_long, group=4711),
    }
    for expected, request in cases.items():
        answer = trio.answer(leader, request)
        assert code(answer) == expected
        assert isinstance(answer, Failure) and answer.definite
    assert values(get(trio, leader, b"key")) == [None]


def _with(trio: Trio, group: int, key: bytes, value: bytes):  # type: ignore[no-untyped-def]
    request = trio.batch([Command(1, Kind.PUT.value, b"key", b"v")])
    from kvstore.core.commands import CommandBatch, encode

    return msgspec.structs.replace(
        request, commands=encode(CommandBatch(77, 0, False, [Command(1, Kind.PUT.value, key, value)]))
    )


def _elsewhere(trio: Trio, group: int) -> bytes:
    return next(key for key in (b"x%d" % i for i in range(100)) if trio.group_of(key) != group)


def test_a_full_queue_says_overloaded_and_when_to_come_back() -> None:
    trio = Trio(limits=LimitsConfig(queue_requests_max=3))
    trio.run(FOUNDED_MS)
    leader = trio.leader_of(b"key")
    trio.cut.add(leader)
    handles = [trio.ask(leader, trio.put(b"key", b"%d" % i)) for i in range(5)]
    refused = [trio.answers[handle] for handle in handles if handle in trio.answers]
    assert [code(answer) for answer in refused] == ["Overloaded", "Overloaded"]
    assert all(isinstance(answer, Failure) and b"retry_after_ms" in answer.facts for answer in refused)


def test_a_full_disk_takes_deletes_only_and_recovers() -> None:
    trio = Trio(1, storage=StorageConfig(map_bytes_max=1 << 20, map_bytes_start=1 << 20, flush_interval_ms=10))
    trio.run(FOUNDED_MS)
    written = 0
    while written < 100:
        answer = trio.answer("n1", trio.put(b"key%d" % written, b"v" * 40_000))
        if isinstance(answer, Failure):
            break
        written += 1
        trio.run(150)
    assert code(answer) == "StorageFull"
    for number in range(written):
        assert statuses(trio.answer("n1", trio.delete(b"key%d" % number))) == [Status.WRITTEN]
    trio.run(1_000)
    assert statuses(trio.answer("n1", trio.put(b"again", b"v" * 40_000))) == [Status.WRITTEN]


def test_a_node_whose_clock_is_far_ahead_takes_no_writes(trio: Trio) -> None:
    leader = trio.leader_of(b"key")
    node = trio.nodes[leader]
    for peer in node.liveness.peers.values():
        peer.clock_ahead_ms = -60_000
    node.gate.clock_ahead_ms = node.liveness.clock_ahead_ms()
    handle = trio.ask(leader, trio.put(b"key", b"v"))
    assert code(trio.answers[handle]) == "ClockTooFarAhead"


def test_leadership_moves_on_request(trio: Trio) -> None:
    leader = trio.leader_of(b"key")
    other = next(name for name in trio.names if name != leader)
    request = TransferRequest(trio.group_of(b"key"), other)  # type: ignore[arg-type]
    assert trio.answer("n1", request) == Told()
    trio.run(500)
    assert trio.leader_of(b"key") == other


def test_a_scan_page_stops_at_its_limits_and_says_so(trio: Trio) -> None:
    keys = [b"p%03d" % i for i in range(200)]
    group = trio.group_of(keys[0])
    mine = sorted(key for key in keys if trio.group_of(key) == group)
    for key in mine:
        trio.answer("n1", trio.put(key, b"v" * 100))
    trio.answer("n1", trio.delete(mine[1]))
    left = [mine[0], *mine[2:]]
    page = trio.answer("n1", PageRequest(group, b"p", b"q", limit=3))  # type: ignore[arg-type]
    assert isinstance(page, PageFound) and page.more
    assert [row[0] for row in msgspec.msgpack.decode(page.rows)] == left[:3]
    small = trio.answer("n1", PageRequest(group, b"p", b"q", bytes_max=250))  # type: ignore[arg-type]
    assert isinstance(small, PageFound) and len(msgspec.msgpack.decode(small.rows)) == 3
    whole = trio.answer("n1", PageRequest(group, b"p", b"q", keys_only=True))  # type: ignore[arg-type]
    assert isinstance(whole, PageFound) and not whole.more
    assert [(row[0], row[2]) for row in msgspec.msgpack.decode(whole.rows)] == [(key, b"") for key in left]


def test_a_node_reports_on_itself_and_on_others(trio: Trio) -> None:
    for asked in trio.names:
        answer = trio.answer("n1", StatusRequest(asked))
        assert isinstance(answer, Told)
        report = msgspec.json.decode(answer.json)
        assert report["node"] == asked and report["healthy"] and report["problems"] == []
        assert len(report["groups"]) == 9


def test_a_request_whose_deadline_passes_is_answered_as_such(trio: Trio) -> None:
    leader = trio.leader_of(b"key")
    trio.cut.add(leader)
    handle = trio.ask(leader, trio.put(b"key", b"v"), deadline_ms=100)
    trio.run(400)
    assert code(trio.answers[handle]) == "DeadlineExceeded"


def test_a_stopping_node_hands_over_and_refuses(trio: Trio) -> None:
    from kvstore.node.effects import Stopping

    name = trio.leader_of(b"key")
    trio.step(name, [Stopping()])
    trio.run(1_000)
    assert trio.nodes[name].leads_nothing
    handle = trio.ask(name, trio.put(b"key", b"v"))
    assert code(trio.answers[handle]) == "NotReady"
    assert trio.now > Millis(0)


def test_a_lost_link_ends_the_quiet_of_the_groups_that_peer_led(trio: Trio) -> None:
    trio.answer("n1", trio.put(b"key", b"1"))
    trio.run(25_000)
    leader = trio.leader_of(b"key")
    assert all(host.raft.quiesced for host in trio.nodes[leader].groups.all())
    others = [name for name in trio.names if name != leader]
    trio.crash(leader)
    for name in others:
        trio.step(name, [LinkLost(leader)])
        assert not trio.nodes[name].liveness.peers[leader].up
    trio.run(1_200)
    assert trio.leader_of(b"key") in others


def test_the_end_of_a_connection_of_another_life_is_not_the_end_of_the_peer(trio: Trio) -> None:
    leader, peer, other = trio.leader_of(b"key"), *(name for name in trio.names if name != trio.leader_of(b"key"))
    trio.cut.add(other)
    write = trio.ask(peer, trio.put(b"key", b"1"))  # forwarded to the leader
    trio.step(peer, [LinkLost(leader, Incarnation(trio.incarnations[leader] + 1))])
    assert trio.nodes[peer].liveness.peers[leader].up and write not in trio.answers
    trio.run(200)
    assert statuses(trio.answers[write]) == [Status.WRITTEN]
    trio.step(peer, [LinkLost(leader, trio.incarnations[leader])])
    assert not trio.nodes[peer].liveness.peers[leader].up
