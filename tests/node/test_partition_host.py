"""acks=leader: answered from the leader's own log, and only where that answer is the one that will stand."""

import pytest

from kvstore.core.commands import Command, CommandBatch, Condition, Kind, Status, batch_of, decode_results, encode
from kvstore.core.ids import GroupId, NodeId
from kvstore.node.requests import Acks, Answer, CreateKeyspaceRequest, Failure, Told, WriteRequest, Written
from kvstore.placement.keyspaces import Settings
from tests.node.trio import Trio

FOUNDED_MS = 3_000
KEY = b"key"


@pytest.fixture
def trio() -> Trio:
    nodes = Trio()
    nodes.run(FOUNDED_MS)
    return nodes


def put(trio: Trio, sequences: list[int], acks: Acks, client: int = 77, keyspace: str = "default") -> WriteRequest:
    commands = [Command(sequence, Kind.PUT.value, KEY, b"%d" % sequence) for sequence in sequences]
    data = encode(batch_of(client, 0, commands))
    return WriteRequest(GroupId(trio.group_of(KEY, keyspace)), data, acks)


def results(answer: Answer) -> list[tuple[int, int]]:
    assert isinstance(answer, Written), answer
    return [(result.status, result.stamp) for result in decode_results(answer.results)]


@pytest.mark.parametrize("first", [Acks.LEADER, Acks.MAJORITY])
@pytest.mark.parametrize("together", [True, False])
def test_a_retry_that_meets_the_first_try_in_the_log_gets_its_stamp(trio: Trio, first: Acks, together: bool) -> None:
    leader = trio.leader_of(KEY)
    trio.cut.add(leader)
    begun = trio.ask(leader, put(trio, [500], first), deadline_ms=20_000)
    if not together:
        trio.run(50)
    retried = trio.ask(leader, put(trio, [500], Acks.LEADER), deadline_ms=20_000)
    trio.run(100)
    assert (begun in trio.answers) is (first is Acks.LEADER)
    trio.cut.clear()
    trio.run(FOUNDED_MS)
    assert results(trio.answers[begun]) == results(trio.answers[retried])
    outcome = trio.answer(leader, put(trio, [500], Acks.MAJORITY))
    assert results(outcome) == results(trio.answers[retried]), "the stamp that was told is the one that stands"


def test_a_retry_beside_new_operations_waits_for_its_answer_and_the_others_do_not(trio: Trio) -> None:
    leader = trio.leader_of(KEY)
    trio.cut.add(leader)
    trio.ask(leader, put(trio, [500, 501], Acks.MAJORITY), deadline_ms=20_000)
    trio.run(50)
    mixed = trio.ask(leader, put(trio, [501, 502], Acks.LEADER), deadline_ms=20_000)
    fresh = trio.ask(leader, put(trio, [503], Acks.LEADER), deadline_ms=20_000)
    stranger = trio.ask(leader, put(trio, [500], Acks.LEADER, client=78), deadline_ms=20_000)
    trio.run(100)
    assert [handle in trio.answers for handle in (mixed, fresh, stranger)] == [False, True, True]
    trio.cut.clear()
    trio.run(FOUNDED_MS)
    for sequences, handle in (([501, 502], mixed), ([503], fresh)):
        assert results(trio.answer(leader, put(trio, sequences, Acks.MAJORITY))) == results(trio.answers[handle])


def test_a_leader_that_is_still_catching_up_takes_nothing_for_new(trio: Trio) -> None:
    """The first try may be in its log, not applied yet: what its state has not seen it may have done."""
    old = trio.leader_of(KEY)
    others = [name for name in trio.names if name != old]
    first = trio.ask(old, put(trio, [500], Acks.LEADER), deadline_ms=20_000)
    while first not in trio.answers:
        trio.settle()
        trio.step(old, [])
    trio.crash(old)
    new: NodeId | None = None
    while new is None:
        trio.run(10)
        new = next((name for name in others if trio.nodes[name].groups.get(trio.group_of(KEY)).raft.is_leader), None)  # type: ignore[arg-type, union-attr]
    retried = trio.answer(new, put(trio, [500], Acks.LEADER))
    assert results(trio.answer(new, put(trio, [500], Acks.MAJORITY))) == results(retried)


@pytest.mark.parametrize("acks", [Acks.DEFAULT, Acks.LEADER])
def test_a_condition_is_judged_whatever_the_keyspace_waits_for(trio: Trio, acks: Acks) -> None:
    assert trio.answer(NodeId("n1"), CreateKeyspaceRequest(Settings("quick", partitions=1, acks="leader"))) == Told()
    trio.run(2_000)
    leader = trio.leader_of(KEY, "quick")
    assert results(trio.answer(leader, put(trio, [500], acks, keyspace="quick")))[0][0] == Status.WRITTEN
    taken = Command(501, Kind.PUT.value, KEY, b"other", Condition.ABSENT.value)
    gone = Command(502, Kind.DELETE.value, KEY, b"", Condition.STAMP.value, 7)
    group = GroupId(trio.group_of(KEY, "quick"))
    for command in (taken, gone):
        request = WriteRequest(group, encode(CommandBatch(77, 0, False, [command])), acks)
        assert results(trio.answer(leader, request))[0][0] == Status.FAILED_CONDITION


def test_the_keyspaces_own_level_is_used_where_none_is_asked_for(trio: Trio) -> None:
    assert trio.answer(NodeId("n1"), CreateKeyspaceRequest(Settings("quick", partitions=1, acks="leader"))) == Told()
    trio.run(2_000)
    leader = trio.leader_of(KEY, "quick")
    trio.cut.add(leader)
    answer = trio.answer(leader, put(trio, [500], Acks.DEFAULT, keyspace="quick"), ms=200)
    assert isinstance(answer, Written) and answer.receipt.on_disk == 1
    handle = trio.ask(leader, put(trio, [501], Acks.MAJORITY, keyspace="quick"), deadline_ms=400)
    trio.run(800)
    assert isinstance(trio.answers[handle], Failure)
