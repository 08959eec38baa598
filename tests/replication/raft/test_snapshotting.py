"""Images of the state: chunk by chunk, resumed after a cut, begun again by another leader, and what the log keeps."""

import pytest

from kvstore.core.entries import Entry, LogEnd
from kvstore.core.ids import Index, Millis, NodeId, Term
from kvstore.replication.raft.effects import ChunkRead, ChunkWanted, Compact, Damaged, Persisted, Received, TimePassed
from kvstore.replication.raft.messages import (
    AppendReply,
    AppendRequest,
    Heartbeat,
    SnapshotChunk,
    SnapshotReply,
    TimeoutNow,
    VoteReply,
)
from kvstore.replication.raft.settings import RaftSettings
from tests.lab import Lab, Watch
from tests.replication.raft.laws import Laws

N1, N2, N3 = NodeId("n1"), NodeId("n2"), NodeId("n3")


def behind(entries: int = 5, **settings: int) -> Lab:
    """n1 leads and has compacted what n3 missed; n3 has just come back, and its image is on its way."""
    lab = Lab(settings=RaftSettings(**settings), watch=Laws())  # type: ignore[arg-type]
    lab.elect("n1")
    lab.crash("n3")
    lab.propose("n1", *[f"value {i}" for i in range(entries)])
    lab.settle()
    lab.run(100)
    lab.compact("n1")
    lab.start("n3")
    lab.pass_time(100)
    while lab.mail and not isinstance(lab.mail[0].message, SnapshotChunk):
        lab.deliver(lab.mail[0])
    return lab


def chunk(mark: LogEnd, first: int, stop: int, *, done: bool = False, term: int = 1) -> Received:
    cursor = str(first).encode() if first else b""
    return Received(N2, SnapshotChunk(Term(term), mark, cursor, b"\x90", str(stop).encode(), done, Millis(5)))


def end(index: int, term: int = 1) -> LogEnd:
    return LogEnd(Term(term), Index(index))


def alone() -> Lab:
    """n1 as a follower whose leader is made up."""
    lab = Lab()
    lab.nodes[N1].holds_disk = True
    return lab


def append(lab: Lab, previous: int, *terms: int, commit: int = 0) -> None:
    entries = tuple(Entry(Term(t), Index(i), b"x") for i, t in enumerate(terms, previous + 1))
    term_before = lab["n1"].log.term_at(Index(previous))
    assert term_before is not None
    request = AppendRequest(terms[-1], LogEnd(term_before, Index(previous)), entries, Index(commit), Millis(1))  # type: ignore[arg-type]
    lab["n1"].step(lab.clock(lab.nodes[N1]), Received(N2, request))


def replied(lab: Lab, event: Received) -> tuple[bytes, bool]:
    effects = lab["n1"].step(lab.clock(lab.nodes[N1]), event)
    ((to, reply),) = effects.promise
    assert to == N2 and isinstance(reply, SnapshotReply)
    return reply.cursor, reply.done


def test_a_follower_gets_the_state_and_goes_on_with_entries() -> None:
    lab = behind()
    lab.propose("n1", "later")
    lab.run(300)
    assert lab["n3"].log_start == (1, 6) and lab.nodes[N3].applied == lab.nodes[N1].applied
    assert lab["n1"].followers()[1].pace == "stream"
    assert not lab.nodes[N1].images, "the image was closed"


def test_a_chunk_is_acknowledged_from_the_disk() -> None:
    lab = behind()
    lab.nodes[N3].holds_disk = True
    lab.settle()
    assert not any(isinstance(letter.message, SnapshotReply) for letter in lab.mail)
    lab.sync("n3")
    assert [letter.message.cursor for letter in lab.mail if isinstance(letter.message, SnapshotReply)] == [b"2"]


def test_a_lost_chunk_is_sent_again_after_a_silence() -> None:
    lab = behind(snapshot_retry_ms=300)
    lab.mail.clear()
    lab.run(280)
    assert lab["n3"].log_start.index == 0
    lab.run(200)
    assert lab["n3"].log_start.index == 6


def test_a_transfer_goes_on_where_it_was_cut() -> None:
    lab = behind(entries=9, snapshot_retry_ms=300)
    for _ in range(4):  # two chunks and their acknowledgements
        lab.deliver(lab.mail[0])
    lab.cut(["n1", "n2"], ["n3"])
    lab.run(800)
    lab.heal()
    lab.watch = watch = Chunks()
    lab.run(800)
    assert watch.cursors[0] == b"4" and lab["n3"].log_start.index == 10


class Chunks(Watch):
    """Notes which parts are sent."""

    def __init__(self) -> None:
        self.cursors: list[bytes] = []

    def left(self, lab: Lab, sender: NodeId, to: NodeId, message: object) -> None:
        if isinstance(message, SnapshotChunk):
            self.cursors.append(message.cursor)


def test_a_transfer_is_given_up_and_begun_anew_when_the_follower_speaks() -> None:
    lab = behind(snapshot_patience_ms=1_000)
    lab.cut(["n1", "n2"], ["n3"])
    lab.run(1_200)
    assert lab["n1"].followers()[1].pace == "probe" and not lab.nodes[N1].images
    lab.propose("n1", "a")
    assert lab["n1"].followers()[1].pace == "probe", "nobody is there: no image is opened for it"
    lab.heal()
    lab.run(3_000)
    assert lab.nodes[N3].applied == lab.nodes[N1].applied


def test_a_leader_that_steps_down_closes_its_images() -> None:
    lab = behind()
    assert list(lab.nodes[N1].images) == [N3]
    lab.step("n1", Received(N2, Heartbeat(Term(5), Index(0), Index(0), Millis(1))))
    assert not lab.nodes[N1].images


def test_what_nobody_waits_for_any_more_is_closed() -> None:
    lab = behind()
    lab.run(500)
    effects = lab.step("n1", ChunkRead(N3, end(6), b"", b"", b"2", False))
    assert effects.images_over == [N3] and not effects.send


def test_an_image_that_moved_on_is_sent_from_its_beginning() -> None:
    """The one the transfer began with is gone; the node opened a later one."""
    lab = behind()
    lab.mail.clear()
    assert not lab.step("n1", ChunkRead(N3, end(7), b"2", b"", b"4", False)).send, "not in the middle of it"
    ((_, message),) = lab.step("n1", ChunkRead(N3, end(7), b"", b"\x90", b"2", False)).send
    assert isinstance(message, SnapshotChunk) and message.mark == end(7) and message.cursor == b""


def test_an_image_must_reach_the_log() -> None:
    lab = behind(snapshot_retry_ms=300)
    lab.mail.clear()
    lab.now += 300
    effects = lab["n1"].step(lab.clock(lab.nodes[N1]), TimePassed())
    assert effects.chunks_wanted == [ChunkWanted(N3, end(6), b"", mark_min=Index(6))]


def test_chunks_are_taken_in_order() -> None:
    lab = alone()
    assert replied(lab, chunk(end(9), 2, 4)) == (b"", False), "it lacks the beginning"
    assert replied(lab, chunk(end(9), 0, 2)) == (b"2", False)
    assert replied(lab, chunk(end(9), 4, 6)) == (b"2", False), "it lacks what is between"
    assert replied(lab, chunk(end(9), 0, 2)) == (b"2", False), "it has that"
    assert replied(lab, chunk(end(9), 2, 4)) == (b"4", False)


def test_only_new_chunks_are_stored() -> None:
    lab = alone()
    stored = []
    for event in (chunk(end(9), 2, 4), chunk(end(9), 0, 2), chunk(end(9), 0, 2), chunk(end(9), 4, 6)):
        stored.append(lab["n1"].step(lab.clock(lab.nodes[N1]), event).store_chunk is not None)
    assert stored == [False, True, False, False]


def test_another_leader_or_image_begins_again() -> None:
    lab = alone()
    replied(lab, chunk(end(9), 0, 2))
    assert replied(lab, chunk(end(9), 2, 4, term=2)) == (b"", False)
    assert replied(lab, chunk(end(9), 0, 2, term=2)) == (b"2", False)
    assert replied(lab, chunk(end(12), 2, 4, term=2)) == (b"", False)


def test_the_last_chunk_installs_the_image() -> None:
    lab = alone()
    append(lab, 0, 1, 1, 1, 1, 1, 1)
    replied(lab, chunk(end(5, 2), 0, 2, term=2))
    effects = lab["n1"].step(lab.clock(lab.nodes[N1]), chunk(end(5, 2), 2, 5, done=True, term=2))
    assert effects.install == (2, 5) and effects.truncate_from == 6, "6@1 follows another 5"
    assert lab["n1"].commit == 5 and lab["n1"].last == (2, 5) and lab["n1"].persisted == 0
    lab["n1"].step(lab.clock(lab.nodes[N1]), Persisted(end(6)))  # an old write is done
    assert lab["n1"].persisted == 0
    lab["n1"].step(lab.clock(lab.nodes[N1]), Persisted(end(5, 2)))
    assert lab["n1"].persisted == 5


def test_a_log_that_reaches_the_mark_needs_no_image() -> None:
    lab = alone()
    append(lab, 0, 1, 1, 1, 1, 1)
    assert replied(lab, chunk(end(3), 0, 2)) == (b"", True)
    assert lab["n1"].commit == 3, "the mark is committed, and so is all of an equal log before it"


def test_a_state_that_is_further_needs_no_image() -> None:
    lab = alone()
    append(lab, 0, 1, 1, 1, commit=3)
    lab["n1"].step(lab.clock(lab.nodes[N1]), Persisted(end(3)))
    lab["n1"].step(lab.clock(lab.nodes[N1]), Compact(Index(3)))
    assert replied(lab, chunk(end(2), 0, 2)) == (b"", True)


def damaged(committed: int = 4, persisted: bool = True) -> Lab:
    lab = alone()
    append(lab, 0, *[1] * 6, commit=committed)
    now = lab.clock(lab.nodes[N1])
    if persisted:
        lab["n1"].step(now, Persisted(end(6)))
    lab["n1"].step(now, Damaged())
    return lab


def test_a_damaged_state_is_replaced_and_the_log_after_the_mark_kept() -> None:
    """The entries after the mark are promised. What was committed of them is delivered again, to the new state."""
    lab = damaged()
    now = lab.clock(lab.nodes[N1])
    effects = lab["n1"].step(now, chunk(end(3), 0, 3, done=True))
    assert effects.install == end(3) and effects.truncate_from is None
    assert lab["n1"].last == end(6) and lab["n1"].persisted == 6 and not lab["n1"].damaged
    beat = Received(N2, Heartbeat(Term(1), Index(4), Index(6), Millis(9)))
    assert not lab["n1"].step(now, beat).committed, "there is no state yet that could take it"
    lab["n1"].step(now, Persisted(end(3)))
    assert [entry.index for entry in lab["n1"].step(now, beat).committed] == [4]


@pytest.mark.parametrize("suffix", [False, True])
def test_a_leader_delivers_nothing_while_an_image_is_on_its_way_to_its_disk(suffix: bool) -> None:
    """It was elected in the meantime; what its followers have on disk is committed when there is a state again."""
    lab = damaged() if suffix else alone()
    now = Millis(lab.clock(lab.nodes[N1]) + 5_000)
    mark = end(3) if suffix else end(3, 2)
    assert lab["n1"].step(now, chunk(mark, 0, 3, done=True, term=2)).install == mark
    first = lab["n1"].last.index + 1
    lab["n1"].step(now, Received(N2, TimeoutNow(Term(2))))
    lab["n1"].step(now, Received(N2, VoteReply(Term(3), granted=True)))
    assert lab["n1"].is_leader
    for peer in (N2, N3):
        reply = AppendReply(Term(3), Index(first), now, Millis(1))
        assert not lab["n1"].step(now, Received(peer, reply)).committed
    delivered = lab["n1"].step(now, Persisted(mark)).committed
    assert [entry.index for entry in delivered] == list(range(4, first + 1))


def test_an_image_from_before_our_log_is_not_installed() -> None:
    """Between it and our log there would be a hole, and in the hole entries that we promised to keep."""
    lab = damaged()
    now = lab.clock(lab.nodes[N1])
    lab["n1"].step(now, Compact(Index(4)))
    effects = lab["n1"].step(now, chunk(end(3), 0, 3, done=True))
    assert effects.install is None and effects.store_chunk is None and lab["n1"].damaged
    reply = lab["n1"].step(now, Received(N2, Heartbeat(Term(1), Index(4), Index(6), Millis(9)))).send[0][1]
    assert getattr(reply, "needs_image", None) == 4


def test_an_image_waits_for_our_own_disk() -> None:
    """If the disk still owes us the entry at the mark, its word could be taken for that of the image."""
    lab = damaged(persisted=False)
    now = lab.clock(lab.nodes[N1])
    assert lab["n1"].step(now, chunk(end(6), 0, 6, done=True)).install is None
    lab["n1"].step(now, Persisted(end(6)))
    assert lab["n1"].step(now, chunk(end(6), 0, 6, done=True)).install == end(6)


def test_a_damaged_follower_is_mended_even_if_its_group_is_silent() -> None:
    lab = Lab(watch=Laws())
    lab.elect("n1")
    lab.propose("n1", "a")
    lab.run(4_500)
    assert lab["n1"].quiesced
    lab.step("n3", Damaged())
    lab.run(1_000)
    assert not lab["n3"].damaged and lab["n3"].log_start.index == 2


def test_a_damaged_follower_whose_request_was_lost_asks_again() -> None:
    lab = Lab(watch=Laws())
    lab.elect("n1")
    lab.propose("n1", "a")
    lab.run(4_500)
    lab.step("n3", Damaged())
    lab.mail.clear()
    lab.run(8_000)
    assert not lab["n3"].damaged


def test_a_damaged_leader_without_followers_steps_down() -> None:
    lab = Lab(watch=Laws())
    lab.elect("n1")
    lab["n1"].down |= {N2, N3}
    assert lab.step("n1", Damaged()).role_changed and not lab["n1"].is_leader


def test_compaction_stops_at_the_commit_index_and_the_disk() -> None:
    lab = alone()
    append(lab, 0, 1, 1, 1, 1, commit=3)
    now = lab.clock(lab.nodes[N1])
    lab["n1"].step(now, Compact(Index(4)))
    assert lab["n1"].log_start.index == 0, "the disk has none of it yet"
    lab["n1"].step(now, Persisted(end(4)))
    lab["n1"].step(now, Compact(Index(4)))
    assert lab["n1"].log_start.index == 3
