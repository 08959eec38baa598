"""Leaderless partitions on whole nodes: written anywhere, read anywhere, kept over crashes, mended when damaged."""

from dataclasses import replace

import msgspec
import pytest

from kvstore.core.causality import UNKNOWN, Versions, decode, decode_context, encode_context
from kvstore.core.commands import Command, CommandBatch, Condition, Kind, decode_batch, decode_results, encode
from kvstore.core.errors import UnknownKeyspace
from kvstore.core.ids import GroupId, Millis, NodeId
from kvstore.node.config import LeaderlessConfig, StorageConfig
from kvstore.node.effects import Asked
from kvstore.node.requests import (
    Acks,
    ComparedPeer,
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
    RepairRequest,
    Told,
    TransferRequest,
    WriteRequest,
    Written,
)
from kvstore.node.status import node_status
from kvstore.node.tick import Tick
from kvstore.placement.keyspaces import Settings
from kvstore.storage import entry_log
from kvstore.storage.group_places import load_place
from kvstore.storage.keys import log_range
from tests.node.trio import Trio

N1, N2, N3 = NodeId("n1"), NodeId("n2"), NodeId("n3")


class Carts(Trio):
    """Three nodes with a leaderless keyspace."""

    leaderless = LeaderlessConfig()

    def __init__(
        self, count: int = 3, partitions: int = 1, replicas: int = 3, exchange_ms: int = 2_000, **settings: object
    ) -> None:
        leaderless = replace(self.leaderless, exchange_interval_ms=exchange_ms)
        super().__init__(count, storage=StorageConfig(flush_interval_ms=500), leaderless=leaderless)
        self.run(3_000)
        made = Settings("carts", "leaderless", replicas, partitions, **settings)  # type: ignore[arg-type]
        assert isinstance(self.answer(N1, CreateKeyspaceRequest(made)), Told)
        self.run(300)

    def group(self, key: bytes = b"k") -> GroupId:
        return GroupId(self.group_of(key, "carts"))

    def write(
        self, at: NodeId, key: bytes, value: bytes | None, context: dict[int, int] | None = None, **more: int
    ) -> Written:
        answer = self.try_to_write(at, key, value, context, **more)
        assert isinstance(answer, Written), answer
        return answer

    def try_to_write(
        self, at: NodeId, key: bytes, value: bytes | None, context: dict[int, int] | None = None, **more: int
    ) -> object:
        self.sequence += 1
        kind = Kind.DELETE if value is None else Kind.PUT
        seen = encode_context(context) if context is not None else b""
        command = Command(self.sequence, kind.value, key, value or b"", 0, 0, seen)
        data = encode(CommandBatch(77, 0, False, [command]))
        return self.answer(at, WriteRequest(self.group(key), data, **more))

    def read(self, at: NodeId, key: bytes, **more: int) -> Versions:
        answer = self.answer(at, ReadRequest(self.group(key), [key], **more))
        assert isinstance(answer, Found), answer
        (record,) = msgspec.msgpack.decode(answer.versions, type=list[bytes | None])
        return decode(record) if record else UNKNOWN

    def records(self, name: NodeId, key: bytes = b"k") -> bytes:
        host = self.nodes[name].groups.quorum_host(self.group(key))
        assert host is not None, f"{name} holds no replica"
        return host.state.record(key)


def test_what_is_written_at_one_node_is_read_at_every_other() -> None:
    carts = Carts(partitions=4)
    for number in range(20):
        written = carts.write(carts.names[number % 3], b"k%d" % number, b"v%d" % number)
        assert written.receipt.mode == "leaderless" and written.receipt.on_disk >= 2
    for number in range(20):
        found = carts.read(carts.names[(number + 1) % 3], b"k%d" % number)
        assert found.values == [b"v%d" % number]


def test_a_put_with_the_context_of_a_read_replaces_what_was_read() -> None:
    carts = Carts()
    carts.write(N1, b"k", b"a")
    carts.write(N2, b"k", b"b")
    found = carts.read(N3, b"k")
    assert sorted(found.values) == [b"a", b"b"]
    written = carts.write(N3, b"k", b"both", found.context)
    assert carts.read(N1, b"k").values == [b"both"]
    context = decode_results(written.results)[0].context
    carts.write(N2, b"k", b"later", decode_context(context))
    assert carts.read(N1, b"k").values == [b"later"]


def test_a_node_without_a_replica_passes_requests_on() -> None:
    carts = Carts(4)
    group = carts.group()
    outside = next(name for name in carts.names if carts.nodes[name].groups.quorum_host(group) is None)
    carts.write(outside, b"k", b"v")
    assert carts.read(outside, b"k").values == [b"v"]


def test_a_minority_may_be_down_and_gets_what_it_missed() -> None:
    carts = Carts()
    carts.crash(N3)
    carts.run(2_000)
    for number in range(30):
        carts.write(N1, b"k%d" % number, b"v")
    carts.start(N3)
    carts.run(3_000)
    assert all(carts.records(N3, b"k%d" % n) == carts.records(N1, b"k%d" % n) != b"" for n in range(30))


def test_replicas_that_were_told_nothing_find_out_and_mend_it() -> None:
    carts = Carts()
    for number in range(300):
        carts.write(N1, b"k%d" % number, b"v")
    carts.run(3_000)
    carts.crash(N3)
    carts.run(2_000)
    for number in range(200, 260):
        carts.write(N1, b"k%d" % number, b"w", carts.read(N1, b"k%d" % number).context)
    for name in (N1, N2):  # and with them all hints
        carts.crash(name)
        carts.start(name)
    carts.start(N3)
    carts.run(12_000)
    assert all(carts.records(N3, b"k%d" % n) == carts.records(N1, b"k%d" % n) != b"" for n in range(300))
    told = carts.nodes[N1].groups.quorum_host(carts.group()).replica.anti_entropy.counts  # type: ignore[union-attr]
    assert told.pushed == 60 and told.false_repairs == 0


def test_what_quorum_reads_find_stale_is_measured() -> None:
    carts = Carts()
    carts.write(N1, b"old", b"v")
    carts.run(200)
    carts.cut = {N3}
    carts.run(2_000)
    carts.write(N1, b"k", b"v")
    for name in (N1, N2):  # and with them all hints
        carts.crash(name)
        carts.start(name)
    carts.cut = set()
    carts.run(300)
    carts.read(N3, b"k", read_quorum=1)
    carts.read(N3, b"old")
    assert carts.read(N3, b"k").values == [b"v"]
    carts.read(N3, b"k")
    report = node_status(carts.nodes[N3], carts.instant())
    (measured,) = [group.staleness for group in report.groups if group.keyspace == "carts"]
    assert measured is not None
    assert (measured.reads, measured.stale, measured.ages) == (3, 1, {"1000": 1})
    assert 300 <= measured.oldest_ms <= 1_000


def compared(carts: Carts, at: NodeId, *peers: NodeId, check: bool = False) -> list[ComparedPeer]:
    """By name: how a comparison went, asked of another node than `at`."""
    other = next(name for name in carts.nodes if name != at)
    answer = carts.answer(other, RepairRequest(carts.group(), at, list(peers), check), 6_000)
    assert isinstance(answer, Told), answer
    return sorted(msgspec.json.decode(answer.json, type=list[ComparedPeer]), key=lambda one: one.peer)


def forgetful(carts: Carts) -> None:
    """N3 missed five writes, and nobody has hints for it any more."""
    carts.write(N1, b"k", b"v")
    carts.run(3_000)
    carts.cut = {N3}
    carts.run(2_000)
    for number in range(5):
        carts.write(N1, b"k%d" % number, b"v")
    for name in (N1, N2):
        carts.crash(name)
        carts.start(name)
    carts.cut = set()
    carts.run(700)


def test_replicas_are_compared_on_demand_and_mended() -> None:
    carts = Carts(exchange_ms=3_600_000)
    forgetful(carts)
    (checked,) = compared(carts, N1, N3, check=True)
    assert (checked.failed, checked.differing, checked.pushed) == ("", 5, 0)
    assert carts.records(N3, b"k0") == b""
    equal, mended = compared(carts, N1, N2, N3)
    assert (equal.peer, equal.differing, equal.failed) == (N2, 0, "")
    assert (mended.peer, mended.differing, mended.pushed, mended.pulled) == (N3, 5, 5, 0) and mended.bytes > 0
    assert carts.records(N3, b"k0") == carts.records(N1, b"k0") != b""
    assert [one.differing for one in compared(carts, N2, N3)] == [0]


def test_a_replica_that_is_down_is_named_and_the_others_are_compared() -> None:
    carts = Carts()
    carts.write(N1, b"k", b"v")
    carts.crash(N2)
    carts.run(2_000)
    down, up = compared(carts, N1, N2, N3)
    assert (down.peer, down.failed) == (N2, "n2 is down")
    assert (up.peer, up.failed, up.differing) == (N3, "", 0)
    failure = carts.answer(N1, RepairRequest(carts.group(), N2, [N3]))
    assert isinstance(failure, Failure) and failure.code == "NoLeader" and "down" in failure.message


def test_a_comparison_that_takes_too_long_says_so_in_time() -> None:
    carts = Carts()
    carts.write(N1, b"k", b"v")
    carts.run(3_000)
    carts.cut = {N3}  # nobody has noticed yet
    handle = carts.ask(N1, RepairRequest(carts.group(), N1, [N3]), 800)
    carts.run(700)
    answer = carts.answers[handle]
    assert isinstance(answer, Told)
    (late,) = msgspec.json.decode(answer.json, type=list[ComparedPeer])
    assert "in time" in late.failed or "down" in late.failed


def test_what_cannot_be_compared_is_refused() -> None:
    carts = Carts(4)
    outside = next(name for name in carts.names if carts.nodes[name].groups.quorum_host(carts.group()) is None)
    failure = carts.answer(N1, RepairRequest(carts.group(), outside, [N1]))
    assert isinstance(failure, Failure) and "holds no replica of partition 0 of carts" in failure.message
    failure = carts.answer(N1, RepairRequest(GroupId(carts.group_of(b"k")), N1, [N2]))
    assert isinstance(failure, Failure) and failure.code == "WrongMode"


def test_a_cut_off_node_says_who_was_there() -> None:
    carts = Carts()
    carts.cut = {N2, N3}
    carts.run(3_000)
    failure = carts.try_to_write(N1, b"k", b"v")
    assert isinstance(failure, Failure) and failure.code == "QuorumUnreachable" and failure.definite
    assert "2 replicas are needed, 1 (n1) is up" in failure.message
    assert isinstance(carts.try_to_write(N1, b"k", b"v", write_quorum=1), Written)
    carts.cut = set()
    carts.run(3_000)
    assert carts.records(N1) == carts.records(N2) == carts.records(N3) != b""


def test_everything_is_there_after_all_nodes_crashed() -> None:
    carts = Carts()
    for number in range(50):
        carts.write(carts.names[number % 3], b"k%d" % (number % 20), b"v%d" % number)
        if number == 25:
            carts.run(1_500)  # a flush in between
    before = {(name, n): carts.records(name, b"k%d" % n) for name in carts.names for n in range(20)}
    for name in carts.names:
        carts.crash(name)
    for name in carts.names:
        carts.start(name)
    carts.run(3_000)
    after = {(name, n): carts.records(name, b"k%d" % n) for name in carts.names for n in range(20)}
    assert after == before


def test_the_log_on_disk_begins_where_the_place_says() -> None:
    """Else whoever verifies a node that crashed misses entries that were compacted."""
    carts = Carts()
    for number in range(30):
        carts.write(N1, b"k%d" % number, b"v")
    carts.run(1_500)
    carts.write(N1, b"last", b"v")
    for name in carts.names:
        place = load_place(carts.engines[name], carts.group())
        assert place is not None and place.log_start.index >= 30
        entries = entry_log.load(carts.engines[name], carts.group(), place.log_start.index)
        assert len(list(carts.engines[name].scan(*log_range(carts.group())))) == len(entries) >= 1


def test_a_wiped_node_is_filled_again_and_does_not_count_before() -> None:
    carts = Carts()
    for number in range(40):
        carts.write(N1, b"k%d" % number, b"v")
    carts.wipe(N2)
    carts.run(500)
    carts.start(N2)
    carts.run(5_000)
    host = carts.nodes[N2].groups.quorum_host(carts.group())
    assert host is not None and not host.replica.is_recovering
    assert all(carts.records(N2, b"k%d" % n) == carts.records(N1, b"k%d" % n) for n in range(40))


def test_a_retry_at_another_node_makes_no_sibling() -> None:
    carts = Carts()
    data = encode(CommandBatch(77, 0, False, [Command(900, Kind.PUT.value, b"k", b"v")]))
    answers = [carts.answer(name, WriteRequest(carts.group(), data)) for name in carts.names]
    assert all(isinstance(answer, Written) for answer in answers)
    assert carts.read(N1, b"k").values == [b"v"]
    outcome = carts.answer(N3, OutcomeRequest(carts.group(), 77, 900))
    assert isinstance(outcome, OutcomeFound) and msgspec.msgpack.decode(outcome.outcome)[0] == 0


def test_a_page_is_in_order_and_says_whether_there_is_more() -> None:
    carts = Carts()
    for number in range(25):
        carts.write(N1, b"k%02d" % number, b"v")
    first = carts.answer(N2, PageRequest(carts.group(), b"", limit=10))
    assert isinstance(first, PageFound) and first.more
    rows = msgspec.msgpack.decode(first.rows, type=list[tuple[bytes, bytes]])
    assert [key for key, _ in rows] == [b"k%02d" % n for n in range(10)]
    last = carts.answer(N2, PageRequest(carts.group(), b"k20"))
    assert isinstance(last, PageFound) and not last.more


def test_a_dropped_keyspace_is_gone() -> None:
    carts = Carts()
    carts.write(N1, b"k", b"v")
    group = carts.group()
    assert isinstance(carts.answer(N1, DropKeyspaceRequest("carts")), Told)
    carts.run(500)
    failure = carts.answer(N1, ReadRequest(group, [b"k"]))
    assert isinstance(failure, Failure) and failure.code == "UnknownKeyspace"


REFUSED: list[tuple[dict[str, int], str]] = [
    ({"write_quorum": 4}, "InvalidRequest"),
    ({"acks": Acks.LEADER}, "ConsistencyNotSupported"),
]


@pytest.mark.parametrize(("more", "code"), REFUSED)
def test_what_a_leaderless_keyspace_refuses_of_a_write(more: dict[str, int], code: str) -> None:
    failure = Carts().try_to_write(N1, b"k", b"v", **more)
    assert isinstance(failure, Failure) and failure.code == code and failure.definite


def test_conditional_puts_and_leaders_are_refused() -> None:
    carts = Carts()
    conditional = Command(1, Kind.PUT.value, b"k", b"v", Condition.ABSENT.value)
    data = encode(CommandBatch(77, 0, False, [conditional]))
    refused = carts.answer(N1, WriteRequest(carts.group(), data))
    assert isinstance(refused, Failure) and refused.code == "WrongMode" and "context" in refused.message
    leader = carts.answer(N1, ReadRequest(carts.group(), [b"k"], level=ReadLevel.LEADER))
    assert isinstance(leader, Failure) and leader.code == "ConsistencyNotSupported"
    moved = carts.answer(N1, TransferRequest(carts.group()))
    assert isinstance(moved, Failure) and moved.code == "WrongMode"
    beyond = carts.answer(N1, ReadRequest(carts.group(), [b"k"], read_quorum=4))
    assert isinstance(beyond, Failure) and beyond.code == "InvalidRequest"


def test_writes_of_one_tick_travel_together_and_are_answered_each_by_itself() -> None:
    carts = Carts()
    host = carts.nodes[N1].groups.quorum_host(carts.group())
    assert host is not None
    before = host.replica.last.index
    senseless = {host.replica.actor: 1 << 40}
    commands = [
        Command(1, Kind.PUT.value, b"k", b"a"),
        Command(1, Kind.PUT.value, b"k", b"b"),
        Command(1, Kind.PUT.value, b"j", b"c", 0, 0, encode_context(senseless)),
    ]
    asked = [
        Asked(client, WriteRequest(carts.group(), encode(CommandBatch(client, 0, False, [command]))), Millis(1 << 40))
        for client, command in enumerate(commands, start=1_000)
    ]
    carts.step(N1, asked)
    carts.run(100)
    answers = [carts.answers[one.handle] for one in asked]
    assert [type(answer) for answer in answers] == [Written, Written, Failure]
    assert host.replica.last.index == before + 1, "one entry for all of them"
    assert all(sorted(carts.read(name, b"k").values) == [b"a", b"b"] for name in carts.names)
    assert carts.read(N2, b"j") == UNKNOWN


def put_of(carts: Carts, client: int, key: bytes) -> WriteRequest:
    command = Command(1, Kind.PUT.value, key, b"v")
    return WriteRequest(carts.group(), encode(CommandBatch(client, 0, False, [command])))


def test_what_travels_together_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    carts = Carts()
    host = carts.nodes[N1].groups.quorum_host(carts.group())
    assert host is not None
    before = host.replica.last.index
    monkeypatch.setattr("kvstore.node.quorum_host.TOGETHER_BYTES_MAX", 1)
    asked = [Asked(client, put_of(carts, client, b"k%d" % client), Millis(1 << 40)) for client in (1_000, 1_001, 1_002)]
    carts.step(N1, asked)
    carts.run(100)
    assert all(isinstance(carts.answers[one.handle], Written) for one in asked)
    assert host.replica.last.index == before + 3, "each by itself, for each is too large already"


def test_writes_that_gather_when_their_keyspace_is_dropped_were_not_made() -> None:
    carts = Carts()
    host = carts.nodes[N1].groups.quorum_host(carts.group())
    assert host is not None
    tick, request = Tick(carts.instant()), put_of(carts, 80, b"k")
    host.write(tick, 1_000, request, decode_batch(request.commands), Millis(1 << 40))
    assert host.has_waiting and not host.finish(tick, may_propose=False) and host.has_waiting
    host.abandon(tick, UnknownKeyspace("the keyspace was dropped"))
    ((handle, answer),) = tick.effects.replies
    assert handle == 1_000 and isinstance(answer, Failure) and answer.definite
    assert not host.has_waiting
