"""Leaderless replicas: who must have what before anybody is told, and what happens when somebody is missing."""

import pytest

from kvstore.core.causality import decode_context
from kvstore.core.commands import Status
from kvstore.core.errors import QuorumNotMet, QuorumUnreachable
from kvstore.core.ids import NodeId
from kvstore.replication.leaderless.effects import PageDone, PeerDown, PeerUp, ReadDone, Refused, TimePassed
from kvstore.replication.leaderless.messages import Fetched, Store, Stored
from kvstore.replication.leaderless.paging import others_to_ask
from tests.replication.leaderless.quorum_lab import Lab

N1, N2, N3 = NodeId("n1"), NodeId("n2"), NodeId("n3")
KEY = b"k"


# ── writes ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_write_is_answered_when_enough_disks_have_it() -> None:
    lab = Lab()
    write = lab.write(N1, KEY, b"v")
    assert [(to, type(message)) for _, to, message in lab.wire] == [(N2, Store), (N3, Store)]
    lab.deliver(0)
    assert write not in lab.answers and len(lab.wire) == 1, "n2 promises nothing before its disk has it"
    lab.sync(N2)
    lab.deliver(1)
    assert write not in lab.answers, "n2 is one disk; two are needed"
    lab.sync(N1)
    assert lab.wrote(write).on_disk == 2


def test_our_own_disk_counts_only_when_it_has_it() -> None:
    lab = Lab()
    write = lab.write(N1, KEY, b"v", needed=1)
    assert write not in lab.answers
    lab.sync(N1)
    assert lab.wrote(write).on_disk == 1


def test_the_answer_gives_the_context_to_replace_it_with() -> None:
    lab = Lab()
    first = lab.write(N1, KEY, b"a")
    lab.settle()
    status, _, _, context = lab.wrote(first).results[0]
    assert status == Status.WRITTEN
    lab.write(N2, KEY, b"b", decode_context(context))
    lab.settle()
    assert all(table.known(KEY).values == [b"b"] for table in lab.tables.values())


def test_blind_writes_are_siblings_everywhere() -> None:
    lab = Lab()
    writes = [lab.write(N1, KEY, b"a"), lab.write(N2, KEY, b"b")]
    lab.settle()
    assert [lab.wrote(write).siblings for write in writes] == [1, 1]
    assert all(sorted(table.known(KEY).values) == [b"a", b"b"] for table in lab.tables.values())


def test_the_last_writer_wins_where_that_is_chosen() -> None:
    lab = Lab(lww=True)
    lab.write(N1, KEY, b"a")
    lab.now += 5
    lab.write(N2, KEY, b"b")
    lab.settle()
    assert {tuple(table.known(KEY).values) for table in lab.tables.values()} == {(b"b",)}


def test_a_write_that_cannot_reach_enough_replicas_changes_nothing() -> None:
    lab = Lab()
    lab.crash(N2)
    lab.crash(N3)
    answer = lab.answers[lab.write(N1, KEY, b"v")]
    assert isinstance(answer, Refused) and isinstance(answer.error, QuorumUnreachable)
    assert answer.error.definite and answer.error.facts == {"needed": 2, "got": 1, "replicas": "n1"}
    assert "2 replicas are needed, 1 (n1) is up; nothing was done" in str(answer.error)
    assert not lab.tables[N1].rows


def test_a_write_whose_replicas_die_says_that_it_may_have_happened() -> None:
    lab = Lab()
    write = lab.write(N1, KEY, b"v")
    lab.sync(N1)
    lab.hear(N1, PeerDown(N2))
    assert write not in lab.answers
    lab.hear(N1, PeerDown(N3))
    answer = lab.answers[write]
    assert isinstance(answer, Refused) and isinstance(answer.error, QuorumNotMet) and not answer.error.definite
    assert answer.error.facts == {"needed": 2, "got": 1, "replicas": "n1"}


def test_what_is_lost_on_the_way_is_sent_again() -> None:
    lab = Lab()
    write = lab.write(N1, KEY, b"v", needed=3)
    lab.drop()
    lab.run(1_000)
    assert lab.wrote(write).on_disk == 3


def test_a_retry_gets_the_first_answer_at_any_replica() -> None:
    lab = Lab()
    first = lab.write(N1, KEY, b"v", sequence=5)
    lab.settle()
    again = [lab.write(name, KEY, b"v", sequence=5) for name in lab.names]
    lab.settle()
    for retry in again:
        assert lab.wrote(retry).results[0][:2] == lab.wrote(first).results[0][:2]
        assert lab.wrote(retry).on_disk >= 2
    assert all(len(table.known(KEY).siblings) == 1 for table in lab.tables.values())


def test_a_retry_does_not_bring_back_what_was_replaced() -> None:
    lab = Lab()
    first = lab.write(N1, KEY, b"v", sequence=5)
    lab.settle()
    lab.write(N2, KEY, b"w", decode_context(lab.wrote(first).results[0][3]))
    lab.settle()
    retry = lab.write(N3, KEY, b"v", sequence=5)
    lab.settle()
    assert decode_context(lab.wrote(retry).results[0][3]) == {}
    assert all(table.known(KEY).values == [b"w"] for table in lab.tables.values())


@pytest.mark.parametrize("value", (b"w", None))
def test_a_first_try_that_comes_late_does_not_bring_back_what_was_replaced(value: bytes | None) -> None:
    """Its coordinator was cut off; the retry elsewhere was seen and replaced, and then the first try gets through."""
    lab = Lab()
    lab.write(N1, KEY, b"v", sequence=5)
    late, lab.wire = lab.wire, []
    lab.sync(N1)
    retry = lab.write(N2, KEY, b"v", sequence=5)
    lab.drop(to=N1)
    lab.settle()
    lab.write(N2, KEY, value, decode_context(lab.wrote(retry).results[0][3]))
    lab.drop(to=N1)
    lab.settle()
    lab.wire += late
    lab.settle()
    found = lab.found(_settled_read(lab, N1))
    assert [each.value for each in found.siblings] == [value]
    lab.run(3_000)
    assert all([each.value for each in lab.tables[name].known(KEY).siblings] == [value] for name in (N2, N3))


def test_what_a_damaged_row_held_is_learnt_anew_although_its_operation_is_remembered() -> None:
    lab = Lab()
    lab.write(N1, KEY, b"v", sequence=5)
    lab.settle()
    lab.tables[N2].damaged.add(KEY)
    lab.read(N2, KEY)
    lab.run(1_000)
    assert lab.tables[N2].known(KEY).values == [b"v"]


def test_two_tries_at_two_coordinators_that_did_not_know_are_one_sibling() -> None:
    lab = Lab()
    lab.write(N1, KEY, b"v", sequence=5)
    lab.write(N2, KEY, b"v", sequence=5)
    lab.settle()
    assert {len(table.known(KEY).writes) for table in lab.tables.values()} == {1}
    assert len({table.record(KEY) for table in lab.tables.values()}) == 1


def test_siblings_have_an_end() -> None:
    lab = Lab(siblings_max=3)
    for number in range(3):
        lab.write(N1, KEY, b"%d" % number)
    lab.settle()
    refused = lab.write(N1, KEY, b"one too many")
    lab.settle()
    assert lab.wrote(refused).results[0][:2] == (Status.TOO_MANY_SIBLINGS, 3)
    resolved = lab.write(N1, KEY, b"all", lab.tables[N1].known(KEY).context)
    lab.settle()
    assert lab.wrote(resolved).results[0][0] == Status.WRITTEN
    assert all(table.known(KEY).values == [b"all"] for table in lab.tables.values())


def test_a_context_that_has_seen_the_future_is_refused() -> None:
    lab = Lab()
    answer = lab.answers[lab.write(N1, KEY, b"v", {lab.replicas[N1].actor: 5})]
    assert isinstance(answer, Refused) and "never happened" in str(answer.error) and not lab.tables[N1].rows


def test_a_delete_without_a_context_deletes_what_is_there() -> None:
    lab = Lab()
    lab.write(N1, KEY, b"a")
    lab.settle()
    lab.write(N2, KEY, None)
    lab.settle()
    assert all(table.known(KEY).is_deleted for table in lab.tables.values())


# ── hints ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_replica_that_was_away_gets_what_it_missed() -> None:
    lab = Lab(batch_records_max=2)
    lab.crash(N3)
    for number in range(5):
        lab.write(N1, b"k%d" % number, b"v")
    lab.settle()
    assert lab.replicas[N1].hints.count(N3) == 5
    lab.start(N3)
    lab.run(500)
    assert lab.tables[N3].rows == lab.tables[N1].rows
    assert lab.replicas[N1].hints.count(N3) == 0 and lab.replicas[N1].hints.returned == 5


def test_a_lost_message_with_hints_is_sent_again() -> None:
    lab = Lab()
    lab.crash(N3)
    lab.write(N1, KEY, b"v")
    lab.settle()
    lab.start(N3)
    lab.drop()
    lab.run(3_000)
    assert lab.tables[N3].rows == lab.tables[N1].rows and lab.replicas[N1].hints.is_empty


def test_hints_beyond_the_limit_are_counted_and_left_to_anti_entropy() -> None:
    lab = Lab(hints_max=2)
    lab.crash(N3)
    for number in range(3):
        lab.write(N1, b"k%d" % number, b"v")
    lab.settle()
    hints = lab.replicas[N1].hints
    assert hints.count(N3) == 2 and hints.dropped == 1 and hints.overflowed == {N3}


def test_a_hint_is_no_acknowledgement() -> None:
    lab = Lab()
    lab.crash(N3)
    write = lab.write(N1, KEY, b"v", needed=2)
    lab.sync(N1)
    assert write not in lab.answers


def test_a_replica_that_stays_silent_is_owed_a_hint() -> None:
    lab = Lab()
    write = lab.write(N1, KEY, b"v")
    lab.drop(to=N3)
    lab.settle()
    assert lab.wrote(write).on_disk == 2
    for _ in range(15):
        lab.now += 100
        for name in lab.names:
            lab.sync(name)
        lab.hear(N1, TimePassed())
        lab.drop(to=N3)
    assert len(lab.replicas[N1].deliveries) == 0 and lab.replicas[N1].hints.made == 1
    lab.run(3_000)
    assert lab.tables[N3].rows == lab.tables[N1].rows


# ── reads ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_read_of_one_is_answered_at_once() -> None:
    lab = Lab()
    lab.write(N1, KEY, b"v")
    lab.settle()
    assert lab.found(lab.read(N2, KEY, needed=1)).values == [b"v"]
    assert not lab.wire


def test_a_quorum_read_asks_for_digests_and_is_content_if_they_agree() -> None:
    lab = Lab()
    lab.write(N1, KEY, b"v")
    lab.settle()
    read = lab.read(N2, KEY)
    assert len(lab.wire) == 1 and lab.wire[0][2].digests  # type: ignore[union-attr]
    lab.settle()
    answer = lab.answers[read]
    assert isinstance(answer, ReadDone) and (answer.answered, answer.repaired) == (2, 0)
    assert lab.found(read).values == [b"v"]


def test_a_quorum_read_finds_what_a_quorum_wrote_and_repairs_who_lacks_it() -> None:
    lab = Lab()
    lab.hear(N1, PeerDown(N3))
    lab.write(N1, KEY, b"v")
    lab.settle()
    assert lab.tables[N3].rows == {}
    lab.hear(N3, PeerDown(N2))
    read = lab.read(N3, KEY)
    lab.settle()
    assert lab.found(read).values == [b"v"] and lab.answers[read].repaired == 1  # type: ignore[union-attr]
    assert lab.tables[N3].known(KEY).values == [b"v"]


def test_a_repair_is_on_disk_before_the_answer_leaves() -> None:
    lab = Lab()
    lab.hear(N1, PeerDown(N2))
    lab.hear(N1, PeerDown(N3))
    lab.write(N1, KEY, b"v", needed=1)
    lab.sync(N1)
    lab.hear(N1, PeerUp(N2))
    lab.drop()
    read = lab.read(N1, KEY)
    while any(isinstance(message, Fetched) or to == N2 for _, to, message in lab.wire):
        lab.deliver()
    assert read not in lab.answers and lab.tables[N2].known(KEY).values == [b"v"], "n2 has it in memory only"
    lab.sync(N2)
    while lab.wire:
        lab.deliver()
    assert lab.found(read).values == [b"v"]


def test_what_was_read_by_a_quorum_is_on_the_disks_that_told_it() -> None:
    lab = Lab()
    lab.write(N1, KEY, b"v", needed=1)
    lab.deliver()
    lab.drop()
    read = lab.read(N1, KEY)
    while lab.wire:
        lab.deliver()
    assert read not in lab.answers
    lab.sync(N2)
    while lab.wire:
        lab.deliver()
    assert read not in lab.answers, "our own disk has not got it either"
    lab.sync(N1)
    assert lab.found(read).values == [b"v"]


def test_a_replica_tells_only_what_its_disk_has() -> None:
    lab = Lab()
    lab.write(N1, KEY, b"v")
    lab.drop()
    lab.read(N3, KEY)
    lab.deliver()
    assert not lab.wire, "a crash of n1 would take back what n3 had told its client"
    lab.sync(N1)
    assert isinstance(lab.wire[-1][2], Fetched)


def test_a_read_of_all_waits_for_all() -> None:
    lab = Lab()
    read = lab.read(N1, KEY, needed=3)
    lab.deliver(0)
    lab.deliver(1)
    assert read not in lab.answers and len(lab.wire) == 1
    lab.settle()
    assert lab.answers[read].answered == 3  # type: ignore[union-attr]


def test_a_read_goes_elsewhere_when_a_replica_is_silent() -> None:
    lab = Lab()
    lab.write(N1, KEY, b"v")
    lab.settle()
    read = lab.read(N1, KEY)
    lab.drop(to=lab.wire[0][1])
    lab.run(500)
    assert lab.found(read).values == [b"v"]


def test_a_read_that_finds_too_few_says_who_was_there() -> None:
    lab = Lab()
    read = lab.read(N1, KEY, needed=3)
    lab.drop()
    lab.hear(N1, PeerDown(N3))
    answer = lab.answers[read]
    assert isinstance(answer, Refused) and isinstance(answer.error, QuorumNotMet)
    assert answer.error.facts["needed"] == 3 and "n3" not in answer.error.facts["replicas"].split()


def test_not_found_is_what_enough_replicas_said() -> None:
    lab = Lab()
    read = lab.read(N1, KEY)
    assert read not in lab.answers
    lab.settle()
    assert lab.found(read).is_deleted and lab.answers[read].answered == 2  # type: ignore[union-attr]


def test_a_page_is_what_enough_replicas_know_together() -> None:
    lab = Lab()
    lab.hear(N1, PeerDown(N2))
    lab.hear(N1, PeerDown(N3))
    for key in (b"a", b"c"):
        lab.write(N1, key, b"1", needed=1)
    lab.hear(N2, PeerDown(N1))
    lab.hear(N2, PeerDown(N3))
    lab.write(N2, b"b", b"2", needed=1)
    for name in (N1, N2):
        lab.sync(name)
    lab.hear(N1, PeerUp(N2))
    lab.drop()
    page = lab.page(N1, limit=2)
    lab.settle()
    answer = lab.answers[page]
    assert isinstance(answer, PageDone) and [key for key, _ in answer.records] == [b"a", b"b", b"c"]
    assert answer.answered == 2 and not answer.upto


# ── what is lost ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_new_life_is_a_new_actor_so_that_what_it_forgot_is_not_taken_for_replaced() -> None:
    lab = Lab()
    lab.write(N1, KEY, b"sent and not on our disk")
    lab.deliver(0)
    lab.sync(N2)
    lab.drop()
    lab.crash(N1)
    lab.start(N1)
    assert not lab.tables[N1].rows
    lab.write(N1, KEY, b"later")
    lab.settle()
    assert sorted(lab.tables[N2].known(KEY).values) == [b"later", b"sent and not on our disk"]


def test_a_wiped_replica_counts_for_nothing_until_it_is_whole_again() -> None:
    lab = Lab(batch_records_max=2)
    lab.crash(N3)
    for number in range(5):
        lab.write(N1, b"k%d" % number, b"v")
    lab.settle()
    lab.start(N3)
    lab.drop()
    lab.wipe(N1)
    lab.start(N1, recovering=True)
    assert lab.replicas[N1].is_recovering
    lab.replicas[N2].down.add(N1)
    refused = lab.answers[lab.read(N1, b"k0", needed=3)]
    assert isinstance(refused, Refused) and isinstance(refused.error, QuorumUnreachable)
    lab.drop()
    read = lab.read(N3, b"k0")
    for position, (_, to, _) in enumerate(lab.wire):
        if to == N1:
            lab.deliver(position)
            break
    lab.sync(N1)
    lab.settle()
    assert lab.found(read).values == [b"v"]
    lab.run(3_000)
    assert not lab.replicas[N1].is_recovering and lab.tables[N1].rows == lab.tables[N2].rows


def test_a_wiped_replica_learns_what_a_request_asked_of_fewer_than_the_keyspace() -> None:
    """W of the keyspace is 3, of the write 2: n3 does not have it, and n2 is away."""
    lab = Lab(write_quorum=3)
    write = lab.write(N1, KEY, b"v", needed=2)
    lab.drop(to=N3)
    lab.settle()
    assert lab.wrote(write).on_disk == 2
    lab.crash(N2)
    lab.wipe(N1)
    lab.start(N1, recovering=True)
    lab.run(2_000)
    read = lab.read(N3, KEY)
    lab.settle()
    assert isinstance(lab.answers[read], Refused), "n3 alone is no quorum"
    lab.start(N2)
    lab.run(2_000)
    assert not lab.replicas[N1].is_recovering
    assert lab.found(_settled_read(lab, N1)).values == [b"v"]


def test_a_wiped_replica_that_had_nothing_to_get_counts_again_too() -> None:
    lab = Lab()
    lab.wipe(N1)
    lab.start(N1, recovering=True)
    lab.run(1_000)
    assert not lab.replicas[N1].is_recovering


def test_a_damaged_row_is_learnt_anew_and_answered_by_others_meanwhile() -> None:
    lab = Lab()
    lab.write(N1, KEY, b"v")
    lab.settle()
    lab.tables[N1].damaged.add(KEY)
    actor = lab.replicas[N1].actor
    refused = lab.answers[lab.write(N1, KEY, b"w")]
    assert isinstance(refused, Refused) and refused.error.code == "Corruption"
    assert lab.replicas[N1].actor != actor, "which of its own writes the row held is forgotten"
    read = lab.read(N1, KEY)
    lab.settle()
    assert lab.found(read).values == [b"v"] and not lab.tables[N1].damaged
    assert lab.tables[N1].rows == lab.tables[N2].rows


def test_a_damaged_row_promises_nothing() -> None:
    lab = Lab()
    lab.write(N1, KEY, b"v")
    lab.settle()
    lab.tables[N2].damaged.add(KEY)
    lab.write(N1, KEY, b"w")
    lab.deliver(0)
    lab.sync(N2)
    assert not any(isinstance(message, Stored) for _, _, message in lab.wire)
    lab.run(1_000)
    assert lab.tables[N2].rows == lab.tables[N1].rows


@pytest.mark.parametrize(
    ("replicas", "w", "others"), [(3, 2, 2), (3, 3, 2), (3, 1, 2), (5, 3, 3), (1, 1, 0), (5, 4, 3), (5, 2, 4)]
)
def test_how_many_others_know_all_that_was_acknowledged(replicas: int, w: int, others: int) -> None:
    assert others_to_ask(replicas, w) == others


def test_answers_to_nobody_are_ignored() -> None:
    lab = Lab()
    for message in (Stored(5), Fetched(5, [b""])):
        lab.wire.append((N2, N1, message))
    lab.wire.append((NodeId("stranger"), N1, Store(1, [(KEY, b"")])))
    lab.settle()
    assert not lab.answers and not lab.tables[N1].rows


def _settled_read(lab: Lab, at: NodeId) -> int:
    handle = lab.read(at, KEY)
    lab.settle()
    return handle


def test_two_who_lost_the_same_row_do_not_wait_for_each_other() -> None:
    lab = Lab()
    lab.write(N1, KEY, b"v")
    lab.settle()
    for name in (N1, N2):
        lab.tables[name].damaged.add(KEY)
        lab.read(name, KEY)
    lab.run(3_000)
    assert not lab.tables[N1].damaged and not lab.tables[N2].damaged
    assert lab.tables[N1].known(KEY).values == lab.tables[N2].known(KEY).values == [b"v"]


def test_a_wiped_replica_is_filled_again_by_one_that_has_a_damaged_row() -> None:
    lab = Lab()
    for number in range(5):
        lab.write(N1, b"k%d" % number, b"v")
    lab.settle()
    lab.tables[N2].damaged.add(b"k2")
    lab.wipe(N1)
    lab.start(N1, recovering=True)
    lab.run(5_000)
    assert not lab.replicas[N1].is_recovering and not lab.tables[N2].damaged
    assert lab.tables[N1].rows == lab.tables[N2].rows == lab.tables[N3].rows


def test_a_page_for_a_client_is_not_told_by_who_has_a_damaged_row() -> None:
    lab = Lab()
    lab.write(N1, KEY, b"v")
    lab.settle()
    lab.tables[N2].damaged.add(KEY)
    page = lab.page(N1, needed=3)
    lab.settle()
    assert page not in lab.answers
