"""A guest keeps hints on its disk, for each owner apart and within its budget, and returns them."""

from random import Random

import pytest

from kvstore.core.causality import Sibling, Versions, decode, encode, merged
from kvstore.core.entries import Entry, LogEnd
from kvstore.core.errors import Corruption
from kvstore.core.ids import Index, Instant, Millis, NodeId
from kvstore.replication.leaderless.effects import PeerDown, PeerUp, Persisted, Received, TimePassed
from kvstore.replication.leaderless.guest import LOG_TERM, SLACK_BYTES, Guest, GuestBudget, GuestEffects, GuestEvent
from kvstore.replication.leaderless.messages import Fetch, NotStored, Store, Stored
from kvstore.replication.leaderless.pace import ExchangeSettings, Throttle
from kvstore.replication.leaderless.settings import LeaderlessSettings

N1, N2, N3, N4, N9 = (NodeId(name) for name in ("n1", "n2", "n3", "n4", "n9"))


def versions_of(actor: int, counter: int, value: bytes = b"v", stamp: int = 0) -> bytes:
    return encode(Versions({actor: counter}, (Sibling(actor, counter, stamp or counter, value, 0, 0),)))


class Stage:
    """One guest with a disk that holds what is synced."""

    def __init__(self, records_max: int = 1_000, bytes_max: int = 64 << 20, keys_per_s: int = 1_000_000) -> None:
        self.budget = GuestBudget(records_max, bytes_max)
        self.pace = ExchangeSettings(keys_per_s=keys_per_s)
        self.settings = LeaderlessSettings(2, batch_records_max=10)
        self.now = 1_000
        self.log: dict[int, Entry] = {}
        self.log_start = 0
        self.start()

    def start(self) -> None:
        self.guest = Guest(
            me=N4, replicas=(N1, N2, N3), up=set(), settings=self.settings, budget=self.budget,
            throttle=Throttle(self.pace), log_start=Index(self.log_start), rng=Random(7),
        )  # fmt: skip
        for index in sorted(self.log):
            self.guest.replay(self.log[index])

    def hear(self, event: GuestEvent, *, sync: bool = True) -> GuestEffects:
        out = self.guest.step(Instant(Millis(self.now), Millis(self.now)), event)
        self._carry_out(out)
        if sync and out.append:
            end = LogEnd(LOG_TERM, out.append[-1].index)
            self._carry_out(self.guest.step(Instant(Millis(self.now), Millis(self.now)), Persisted(end)))
        return out

    def _carry_out(self, out: GuestEffects) -> None:
        self.log.update((entry.index, entry) for entry in out.append)
        if out.compact is not None:
            self.log_start = out.compact
            self.log = {index: entry for index, entry in self.log.items() if index > out.compact}

    def store(self, *keys: bytes, owner: NodeId = N3, counter: int = 1, value: bytes = b"v") -> GuestEffects:
        records = [(key, versions_of(5, counter, value)) for key in keys]
        return self.hear(Received(N1, Store(77, records, owner)))

    def owner_takes(self, out: GuestEffects, owner: NodeId = N3) -> tuple[list[bytes], GuestEffects]:
        (store,) = [message for to, message in out.send if to == owner]
        assert isinstance(store, Store) and store.owner == ""
        return [key for key, _ in store.records], self.hear(Received(owner, Stored(store.id)))


def test_a_hint_is_promised_on_the_strength_of_the_log() -> None:
    out = Stage().store(b"k")
    assert len(out.append) == 1 and out.promise == [(N1, Stored(77))] and not out.send


def test_hints_are_returned_in_parts_one_after_the_other_and_then_the_guest_is_done() -> None:
    stage = Stage()
    keys = [b"k%02d" % number for number in range(25)]
    for key in keys:
        stage.store(key)
    out = stage.hear(PeerUp(N3))
    returned: list[bytes] = []
    for count in (10, 10, 5):
        assert stage.guest.count(N3) == 25 - len(returned) and not stage.guest.is_done
        some, out = stage.owner_takes(out)
        assert len(some) == count
        returned += some
    assert returned == keys and stage.guest.is_done and stage.budget.returned == 25
    assert stage.guest.wake_at is None and not stage.log


def test_records_of_a_key_are_merged_for_each_owner_apart() -> None:
    stage = Stage()
    first, second = versions_of(5, 1), versions_of(6, 1, b"w")
    stage.hear(Received(N1, Store(1, [(b"k", first)], N3)))
    stage.hear(Received(N2, Store(2, [(b"k", second)], N3)))
    stage.hear(Received(N2, Store(3, [(b"k", second)], N2)))
    (store,) = [message for _, message in stage.hear(PeerUp(N3)).send]
    assert isinstance(store, Store)
    assert store.records == [(b"k", encode(merged(decode(first), decode(second))))]
    assert stage.guest.count(N2) == 1


def test_the_same_hint_again_is_promised_and_not_logged() -> None:
    stage = Stage()
    stage.store(b"k")
    out = stage.store(b"k")
    assert not out.append and out.promise == [(N1, Stored(77))]


def test_what_changed_on_the_way_is_returned_once_more() -> None:
    stage = Stage()
    stage.store(b"k")
    out = stage.hear(PeerUp(N3))
    stage.store(b"k", counter=2)
    _, out = stage.owner_takes(out)
    assert stage.guest.count(N3) == 1
    stage.owner_takes(out)
    assert stage.guest.is_done


def test_hints_that_got_lost_are_sent_again() -> None:
    stage = Stage()
    stage.store(b"k")
    stage.hear(PeerUp(N3))
    wake_at = stage.guest.wake_at
    assert wake_at is not None
    stage.now = wake_at
    assert stage.owner_takes(stage.hear(TimePassed()))[0] == [b"k"]
    assert stage.guest.is_done


def test_nothing_is_sent_to_an_owner_that_is_down_again() -> None:
    stage = Stage()
    stage.store(b"k")
    stage.hear(PeerUp(N3))
    stage.hear(PeerDown(N3))
    stage.now += 10_000
    assert not stage.hear(TimePassed()).send and stage.guest.wake_at is None
    assert stage.hear(PeerUp(N3)).send


def test_hints_return_no_faster_than_the_throttle_allows() -> None:
    stage = Stage(keys_per_s=10)
    for number in range(30):
        stage.store(b"k%02d" % number)
    out, began_at = stage.hear(PeerUp(N3)), stage.now
    while not stage.guest.is_done:
        if out.send:
            _, out = stage.owner_takes(out)
        else:
            assert stage.guest.wake_at is not None
            stage.now = stage.guest.wake_at
            out = stage.hear(TimePassed())
    assert stage.now - began_at >= 2_000, "30 hints, 10 a second, in parts of 10"


def test_what_does_not_fit_is_refused_and_counted() -> None:
    stage = Stage(records_max=2)
    stage.store(b"a", b"b")
    out = stage.store(b"c", b"d", b"e")
    ((to, refusal),) = out.send
    assert to == N1 and isinstance(refusal, NotStored) and not out.append and not out.promise
    assert refusal.why == "n4 has no room for more hints for n3: it keeps 2 already"
    assert stage.budget.dropped == 3 and stage.guest.count(N3) == 2
    assert stage.store(b"a", counter=2).promise, "what takes the place of a hint fits"
    assert stage.store(b"a", owner=N2).promise, "each owner has its own room"


def test_bytes_are_limited_too() -> None:
    stage = Stage(bytes_max=10_000)
    assert stage.store(b"a", value=bytes(9_000)).promise
    assert isinstance(stage.store(b"b", value=bytes(1_000)).send[0][1], NotStored)


def test_a_full_disk_takes_no_hints() -> None:
    stage = Stage()
    stage.budget.disk_full = True
    ((_, refusal),) = stage.store(b"k").send
    assert isinstance(refusal, NotStored) and "its disk is full" in refusal.why


@pytest.mark.parametrize("owner", [N9, N4, NodeId("")])
def test_hints_for_a_node_that_is_no_replica_are_refused(owner: NodeId) -> None:
    stage = Stage()
    ((to, refusal),) = stage.store(b"k", owner=owner).send
    assert to == N1 and isinstance(refusal, NotStored) and "no replica of these keys" in refusal.why
    assert "n1, n2, n3" in refusal.why and stage.budget.refused == 1 and stage.guest.is_done


def test_damaged_hints_are_refused() -> None:
    stage = Stage()
    ((_, refusal),) = stage.hear(Received(N1, Store(1, [(b"k", b"\xff\x00")], N3))).send
    assert isinstance(refusal, NotStored) and "damaged" in refusal.why


def test_a_guest_answers_no_reads() -> None:
    stage = Stage()
    stage.store(b"k")
    out = stage.hear(Received(N1, Fetch(5, [b"k"])))
    assert not out.send and not out.promise


def test_hints_are_there_after_a_restart_and_no_more_count_than_before() -> None:
    stage = Stage()
    for number in range(30):
        stage.store(b"k%d" % (number % 12), counter=number + 1)
    before = (stage.guest.count(N3), stage.budget.records[N3], stage.budget.bytes[N3])
    stage.budget = GuestBudget(1_000, 1 << 20)
    stage.start()
    assert (stage.guest.count(N3), stage.budget.records[N3], stage.budget.bytes[N3]) == before == (12, 12, before[2])
    assert stage.hear(PeerUp(N3)).send


def test_a_damaged_log_is_told() -> None:
    with pytest.raises(Corruption):
        Stage().guest.replay(Entry(LOG_TERM, Index(1), b"\x00"))


def test_the_log_does_not_grow_with_writes_of_the_same_key_while_others_stay_away() -> None:
    stage = Stage()
    stage.store(b"first", owner=N2)
    for number in range(300):
        stage.store(b"k", counter=number + 1, value=bytes(20_000))
    size = sum(len(entry.payload) for entry in stage.log.values())
    assert size < 3 * SLACK_BYTES, "6 MB were written, one hint of 20 kB and one small one are kept"
    assert stage.guest.count(N2) == stage.guest.count(N3) == 1
    stage.budget = GuestBudget(1_000, 64 << 20)
    stage.start()
    assert stage.guest.count(N2) == stage.guest.count(N3) == 1


def test_nothing_is_let_go_that_is_not_elsewhere_on_the_disk() -> None:
    """Random hints, returns and restarts: what is on the disk is what the guest knows."""
    dice = Random(3)
    stage = Stage()
    for step in range(400):
        key, owner = b"k%d" % dice.randrange(8), dice.choice((N2, N3))
        match dice.randrange(8):
            case 0:
                out = stage.hear(PeerUp(owner))
                if any(to == owner for to, _ in out.send):
                    stage.owner_takes(out, owner)
                stage.hear(PeerDown(owner))
            case 1:
                counts = (stage.guest.count(N2), stage.guest.count(N3))
                stage.budget = GuestBudget(1_000, 64 << 20)
                stage.start()
                assert stage.guest.count(N2) >= counts[0] and stage.guest.count(N3) >= counts[1]
            case _:
                stage.store(key, owner=owner, counter=step + 1, value=bytes(dice.randrange(60_000)))
    assert stage.guest.log_start > 0


def test_the_hints_of_a_dropped_partition_are_dropped() -> None:
    stage = Stage()
    stage.store(b"a", b"b")
    stage.guest.drop()
    assert stage.guest.is_done and stage.budget.dropped == 2 and not stage.budget.records
