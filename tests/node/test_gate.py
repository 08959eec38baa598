"""The gate: what a node takes on, what it refuses and how, and that every request is answered once."""

from collections.abc import Callable

import msgspec
import pytest

from kvstore.core.commands import Command, CommandBatch, Kind, PutBatch, encode
from kvstore.core.errors import (
    ClockTooFarAhead,
    DeadlineExceeded,
    EmptyKey,
    InvalidRequest,
    KeyTooLarge,
    KvError,
    MalformedFrame,
    NotReady,
    Overloaded,
    RequestTooLarge,
    StorageFull,
    ValueTooLarge,
    WrongPartition,
)
from kvstore.core.ids import GroupId, Instant, KeyspaceId, Millis, NodeId, PartitionId
from kvstore.node.config import LimitsConfig
from kvstore.node.gate import OPERATIONS_PER_BATCH_MAX, Gate
from kvstore.node.requests import Failure, OutcomeRequest, PageRequest, ReadRequest, WriteRequest
from kvstore.node.tick import Tick
from kvstore.placement.hashing import partition_of
from kvstore.placement.keyspaces import Keyspace, Partition, Settings
from kvstore.placement.ring import Place

GROUP, NOW, LATER = GroupId(4), Millis(1_000), Millis(2_000)
SETTINGS = Settings("k", replicas=1, partitions=2, value_bytes_max=100)
PARTITIONS = tuple(Partition(GroupId(3 + i), (NodeId("n1"),)) for i in range(2))
PLACE = Place(Keyspace(KeyspaceId(1), SETTINGS, PARTITIONS), PartitionId(1), PARTITIONS[1])
MINE = next(b"%d" % i for i in range(100) if partition_of(b"%d" % i, 2) == 1)
NOT_MINE = next(b"%d" % i for i in range(100) if partition_of(b"%d" % i, 2) == 0)
MIB = 1 << 20


@pytest.fixture
def gate() -> Gate:
    return Gate(LimitsConfig(queue_requests_max=3, queue_bytes_max=MIB, request_bytes_max=MIB // 2))


def write(*commands: Command, client: int = 77, acks: int = 0) -> WriteRequest:
    return WriteRequest(GROUP, encode(CommandBatch(client, 0, False, list(commands))), acks)


def put(sequence: int = 1, key: bytes = MINE, value: bytes = b"v") -> Command:
    return Command(sequence, Kind.PUT.value, key, value)


# ── taking on ──


def test_requests_are_counted_until_they_are_answered_once(gate: Gate) -> None:
    gate.admit(1, WriteRequest(GROUP, b"x" * 100), LATER, NOW)
    gate.admit(2, ReadRequest(GROUP, [b"key", b"another"]), LATER, NOW)
    gate.admit(3, PageRequest(GROUP, b""), LATER, NOW)
    assert (gate.requests_open, gate.bytes_open) == (3, 100 + 10 + 64)
    assert gate.is_open(2) and gate.left_ms(2, NOW) == 1_000
    assert gate.close(2) and not gate.close(2)
    assert gate.close(1) and gate.close(3)
    assert (gate.requests_open, gate.bytes_open, gate.left_ms(2, NOW)) == (0, 0, 0)


REFUSALS: list[tuple[Callable[[Gate], None], type[KvError], str]] = [
    (lambda gate: setattr(gate, "stopping", True), NotReady, "stopping"),
    (lambda gate: gate.admit(9, WriteRequest(GROUP, b"x" * (MIB // 2 + 1)), LATER, NOW), RequestTooLarge, "524289"),
    (lambda gate: gate.admit(9, ReadRequest(GROUP, []), NOW, NOW), DeadlineExceeded, "nothing was written"),
]


@pytest.mark.parametrize(("make", "kind", "words"), REFUSALS)
def test_what_is_refused_is_not_counted(
    gate: Gate, make: Callable[[Gate], None], kind: type[KvError], words: str
) -> None:
    with pytest.raises(kind, match=words):
        make(gate)
        gate.admit(1, ReadRequest(GROUP, []), LATER, NOW)
    assert (gate.requests_open, gate.bytes_open) == (0, 0)


def test_too_many_requests_and_too_many_bytes_are_overload_with_a_time_to_come_back(gate: Gate) -> None:
    for handle in (1, 2):
        gate.admit(handle, WriteRequest(GROUP, b"x" * (MIB // 2)), LATER, NOW)
    with pytest.raises(Overloaded) as caught:
        gate.admit(3, WriteRequest(GROUP, b"x"), LATER, NOW)
    assert caught.value.retry_after_ms > 0 and caught.value.definite
    gate.close(1)
    gate.admit(3, WriteRequest(GROUP, b"x"), LATER, NOW)
    gate.admit(4, WriteRequest(GROUP, b"x"), LATER, NOW)
    with pytest.raises(Overloaded, match="3 requests are waiting"):
        gate.admit(5, ReadRequest(GROUP, []), LATER, NOW)


def test_those_whose_deadline_has_passed_are_told_so(gate: Gate) -> None:
    gate.admit(1, ReadRequest(GROUP, []), Millis(1_500), NOW)
    gate.admit(2, ReadRequest(GROUP, []), Millis(1_501), NOW)
    tick = Tick(Instant(Millis(1_500), Millis(0)))
    gate.expire(tick)
    [(handle, answer)] = tick.effects.replies
    assert handle == 1 and isinstance(answer, Failure)
    assert (answer.code, answer.definite) == ("DeadlineExceeded", False), "a write may have happened"


# ── writes ──


def test_a_good_batch_comes_back_decoded(gate: Gate) -> None:
    batch = gate.check_write(write(put(1), put(2, value=b"v" * 100), Command(7, Kind.DELETE.value, MINE)), PLACE)
    assert [command.sequence for command in batch.commands] == [1, 2, 7]


BAD_WRITES: list[tuple[WriteRequest, type[KvError], str]] = [
    (WriteRequest(GROUP, b"\xc1"), MalformedFrame, "not a command batch"),
    (write(), InvalidRequest, "1 to 10000 commands, this has 0"),
    (write(*map(put, range(OPERATIONS_PER_BATCH_MAX + 1))), InvalidRequest, "this has 10001"),
    (write(put(), client=0), InvalidRequest, "client id 0"),
    (write(put(), client=-5), InvalidRequest, "client id -5"),
    (write(put(), client=1 << 63), InvalidRequest, "client id"),
    (write(put(), acks=4), InvalidRequest, "acks 4: there is no such level"),
    (write(put(), acks=-1), InvalidRequest, "acks -1"),
    (write(put(1), put(1)), InvalidRequest, "1 after 1: those of a batch ascend"),
    (write(put(5), put(4)), InvalidRequest, "4 after 5"),
    (write(put(-1)), InvalidRequest, "operation number -1"),
    (write(put(key=b"")), EmptyKey, "at least one byte"),
    (write(put(key=b"k" * 481)), KeyTooLarge, "481 bytes, at most 480"),
    (write(put(value=b"v" * 101)), ValueTooLarge, "101 bytes, this keyspace allows 100"),
    (write(put(1), put(2, key=NOT_MINE)), WrongPartition, "does not belong to partition 1"),
    (write(Command(1, 7, MINE)), InvalidRequest, "kind 7"),
]


def puts(*rows: tuple[bytes, bytes], first: int = 1, client: int = 77) -> WriteRequest:
    keys, values = [key for key, _ in rows], [value for _, value in rows]
    return WriteRequest(GROUP, encode(PutBatch(client, 0, first, keys, values)))


BAD_WRITES += [
    (puts(), InvalidRequest, "1 to 10000 commands, this has 0"),
    (puts(*[(MINE, b"")] * (OPERATIONS_PER_BATCH_MAX + 1)), InvalidRequest, "this has 10001"),
    (puts((MINE, b""), client=0), InvalidRequest, "client id 0"),
    (puts((MINE, b""), first=-1), InvalidRequest, "operation number -1"),
    (puts((MINE, b""), (MINE, b""), first=(1 << 63) - 1), InvalidRequest, "operation number 9223372036854775808"),
    (puts((MINE, b""), (b"", b"")), EmptyKey, "at least one byte"),
    (puts((MINE, b""), (b"k" * 481, b"")), KeyTooLarge, "481 bytes, at most 480"),
    (puts((MINE, b""), (MINE, b"v" * 101)), ValueTooLarge, "101 bytes, this keyspace allows 100"),
    (puts((MINE, b""), (NOT_MINE, b"")), WrongPartition, "does not belong to partition 1"),
]


@pytest.mark.parametrize(("request_", "kind", "words"), BAD_WRITES)
def test_a_bad_write_is_refused_before_it_reaches_the_log(
    gate: Gate, request_: WriteRequest, kind: type[KvError], words: str
) -> None:
    with pytest.raises(kind, match=words) as caught:
        gate.check_write(request_, PLACE)
    assert caught.value.definite


def test_a_full_disk_takes_what_frees_space_and_nothing_else(gate: Gate) -> None:
    gate.full = True
    delete = Command(2, Kind.DELETE.value, MINE)
    gate.check_write(write(delete), PLACE)
    with pytest.raises(StorageFull, match=r"storage\.map_bytes_max"):
        gate.check_write(write(put(1), delete), PLACE)
    gate.full = False
    gate.check_write(write(put(1), delete), PLACE)


def test_a_disk_that_falls_behind_is_overload(gate: Gate) -> None:
    gate.unflushed_too_much = True
    gate.check_write(write(Command(1, Kind.DELETE.value, MINE)), PLACE)
    for request in (write(put()), puts((MINE, b"v"))):
        with pytest.raises(Overloaded, match="wait for the disk"):
            gate.check_write(request, PLACE)


def test_a_clock_far_ahead_stamps_nothing(gate: Gate) -> None:
    gate.clock_ahead_ms = 10_000
    gate.check_write(write(put()), PLACE)
    gate.clock_ahead_ms = 10_001
    with pytest.raises(ClockTooFarAhead, match="10001 ms in our future, at most 10000"):
        gate.check_write(write(put()), PLACE)


# ── reads ──


GOOD_READS = [
    ReadRequest(GROUP, [MINE], 3),
    ReadRequest(GROUP, []),
    PageRequest(GROUP, b"", b""),
    PageRequest(GROUP, b"k" * 480 + b"\0", b"k" * 481, level=3),
    OutcomeRequest(GROUP, 77, 1),
]


@pytest.mark.parametrize("request_", GOOD_READS)
def test_a_good_read_passes(gate: Gate, request_: ReadRequest | PageRequest | OutcomeRequest) -> None:
    gate.check_read(request_, PLACE)


BAD_READS: list[tuple[ReadRequest | PageRequest, type[KvError]]] = [
    (ReadRequest(GROUP, [MINE, b""]), EmptyKey),
    (ReadRequest(GROUP, [b"k" * 481]), KeyTooLarge),
    (ReadRequest(GROUP, [NOT_MINE]), WrongPartition),
    (ReadRequest(GROUP, [MINE], 4), InvalidRequest),
    (ReadRequest(GROUP, [MINE], -1), InvalidRequest),
    (PageRequest(GROUP, b"", level=4), InvalidRequest),
    (PageRequest(GROUP, b"k" * 482), KeyTooLarge),
    (PageRequest(GROUP, b"", b"k" * 482), KeyTooLarge),
]


@pytest.mark.parametrize(("request_", "kind"), BAD_READS)
def test_a_bad_read_is_refused(gate: Gate, request_: ReadRequest | PageRequest, kind: type[KvError]) -> None:
    with pytest.raises(kind):
        gate.check_read(request_, PLACE)


def test_every_refusal_survives_the_wire() -> None:
    """What the gate says, a client on the other side of two nodes hears."""
    for request_, kind, _ in BAD_WRITES:
        with pytest.raises(kind) as caught:
            Gate(LimitsConfig()).check_write(request_, PLACE)
        sent = msgspec.msgpack.decode(msgspec.msgpack.encode(Failure.of(caught.value)), type=Failure)
        assert type(sent.error()) is kind
