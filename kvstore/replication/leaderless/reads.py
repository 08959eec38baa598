"""One read: ask R replicas, merge what they know, and answer when all of them know it.

We are one of the R if our own disk is whole. The others are asked for digests first; where one differs from ours, for
the whole. What is merged then is stored by those of the R that did not know it before the answer leaves (*blocking
read repair*): with R more than half of N no later read can miss it, so that reads never go back in time. For the same
reason what more than one replica is asked for is answered only when it is on their disks. A read of one replica is what
that replica knows at the moment, and no more.
"""

from typing import TYPE_CHECKING

from kvstore.core.causality import UNKNOWN, Versions, covers, decode, encode, merged, siblings_in
from kvstore.core.errors import Corruption, KvError, QuorumNotMet
from kvstore.core.hybrid_clock import Stamp, wall_of
from kvstore.core.ids import Index, Instant, Millis, NodeId
from kvstore.replication.leaderless.effects import Effects, ReadAsked, ReadDone, Refused
from kvstore.replication.leaderless.merging import news_of
from kvstore.replication.leaderless.messages import Fetch, Fetched, Record
from kvstore.replication.leaderless.staleness import Staleness
from kvstore.replication.leaderless.storing import Storing

if TYPE_CHECKING:
    from kvstore.replication.leaderless.replica import LeaderlessReplica

NOBODY = 0
"""The handle of a read that a replica makes for itself."""


class Read:
    """One read under way."""

    __slots__ = (
        "answered",
        "asked",
        "deadline",
        "digests",
        "fulls",
        "handle",
        "keys",
        "must_store",
        "needed",
        "number",
        "records",
        "repaired",
        "sent_at",
        "with_us",
    )
    is_write = False

    def __init__(self, number: int, handle: int, keys: list[bytes], needed: int, deadline: Millis) -> None:
        self.number, self.handle, self.keys, self.needed, self.deadline = number, handle, keys, needed, deadline
        self.with_us = True
        """Whether what we know ourselves counts."""
        self.asked: dict[NodeId, bool] = {}
        """Whom we asked last, and whether for digests only."""
        self.digests: dict[NodeId, list[bytes]] = {}
        self.fulls: dict[NodeId, list[bytes]] = {}
        self.records: list[bytes] = []
        """What it will be answered with."""
        self.sent_at = Millis(0)
        self.answered = 0
        """How many replicas this is from; 0 until it is known."""
        self.repaired = 0
        self.must_store: set[NodeId] = set()
        """Who must have on disk what was merged."""

    @property
    def heard(self) -> list[NodeId]:
        """Who counts, besides us."""
        return [peer for peer in self.asked if peer in self.digests or peer in self.fulls]

    def handles(self) -> list[int]:
        """See `storing.Waiter`."""
        return [self.handle]

    def on_progress(self, replica: "LeaderlessReplica", now: Instant, storing: Storing, out: Effects) -> bool:
        """What was merged is on its way to those who did not know it (see `storing.Waiter`)."""
        if self.must_store <= storing.stored:
            replica.reads.finish(self, out)
            return True
        if not self.must_store <= storing.stored | storing.owed:
            replica.reads.fail(self, len(storing.stored), sorted(storing.stored), out)
            return True
        if now.monotonic >= self.deadline:
            replica.reads.forget(self)
            return True
        return False


class Reads:
    """All reads that one replica has under way."""

    def __init__(self) -> None:
        self._open: dict[int, Read] = {}
        self._awaiting_disk: list[tuple[Index, Read]] = []
        """Reads that tell what is on its way to our disk, up to which log entry."""
        self.repairs = 0
        """Records that a read has brought to a replica that lacked them."""
        self.staleness = Staleness()

    def __len__(self) -> int:
        return len(self._open)

    def handles(self) -> list[int]:
        """Of the reads that clients wait for."""
        return [read.handle for read in self._open.values() if read.handle != NOBODY]

    # ── asking ───────────────────────────────────────────────────────────────────────────────────────────────────

    def on_read_asked(self, replica: "LeaderlessReplica", now: Instant, asked: ReadAsked, out: Effects) -> None:
        """Answer from what we know if that is enough; else ask others."""
        read = Read(replica.next_number(), asked.handle, asked.keys, asked.needed, asked.deadline)
        try:
            replica.check_reachable(asked.needed, with_us=not replica.is_recovering)
            ours = None if replica.is_recovering else self._known(replica, asked.keys)
        except KvError as error:
            out.replies.append((asked.handle, Refused(error)))
            return
        read.with_us = ours is not None
        self._open[read.number] = read
        if ours is not None and read.needed == 1:
            read.answered, read.records = 1, ours
            self.finish(read, out)
        else:
            self._ask(replica, now, read, out)

    def mend(self, replica: "LeaderlessReplica", now: Instant, key: bytes, needed: int, out: Effects) -> None:
        """Learn anew, from that many others, what was known of a key whose row is damaged."""
        deadline = Millis(now.monotonic + replica.settings.store_patience_ms)
        read = Read(replica.next_number(), NOBODY, [key], needed, deadline)
        read.with_us = False
        self._open[read.number] = read
        self._ask(replica, now, read, out)

    def is_mending(self, key: bytes) -> bool:
        """Whether the others are being asked about a damaged row."""
        return any(read.handle == NOBODY and key in read.keys for read in self._open.values())

    @staticmethod
    def _known(replica: "LeaderlessReplica", keys: list[bytes]) -> list[bytes] | None:
        """Our records of these keys; None if a row of ours cannot be read."""
        records = []
        for key in keys:
            try:
                records.append(replica.table.record(key))
            except Corruption:
                replica.on_damage(key)
                return None
        return records

    def _ask(self, replica: "LeaderlessReplica", now: Instant, read: Read, out: Effects) -> None:
        """Ask as many as are missing, those first that were not asked yet, and of these who seems slow last."""
        missing = read.needed - read.with_us - len(read.heard)
        waiting = [p for p in read.asked if p not in read.digests and p not in read.fulls and p not in replica.down]
        fresh = replica.to_ask(now, read.asked)
        read.sent_at = now.monotonic
        for peer in fresh[: max(0, missing - len(waiting))]:
            self._fetch(read, peer, read.with_us, out)
        if len(waiting) + len(fresh) < missing:
            got = read.with_us + len(read.heard)
            self.fail(read, got, [*([replica.me] if read.with_us else []), *read.heard], out)

    @staticmethod
    def _fetch(read: Read, peer: NodeId, digests: bool, out: Effects) -> None:
        read.asked[peer] = digests
        out.send.append((peer, Fetch(read.number, read.keys, digests, mending=read.handle == NOBODY)))

    # ── hearing ──────────────────────────────────────────────────────────────────────────────────────────────────

    def on_fetched(
        self, replica: "LeaderlessReplica", now: Instant, peer: NodeId, reply: Fetched, out: Effects
    ) -> None:
        """A replica says what it knows."""
        read = self._open.get(reply.id)
        if read is None or peer not in read.asked or read.answered:
            return
        if reply.recovering or not _makes_sense(reply.answers, len(read.keys), digests=read.asked[peer]):
            del read.asked[peer]
            self._ask_another(replica, now, read, peer, out)
            return
        (read.digests if read.asked[peer] else read.fulls)[peer] = reply.answers
        self._conclude(replica, now, read, out)

    def _ask_another(
        self, replica: "LeaderlessReplica", now: Instant, read: Read, instead_of: NodeId, out: Effects
    ) -> None:
        others = replica.to_ask(now, {*read.asked, instead_of})
        if others:
            self._fetch(read, others[0], read.with_us, out)
        else:
            got = read.with_us + len(read.heard)
            self.fail(read, got, [*([replica.me] if read.with_us else []), *read.heard], out)

    def _conclude(self, replica: "LeaderlessReplica", now: Instant, read: Read, out: Effects) -> None:
        """Enough answers: are they alike?"""
        if read.with_us + len(read.heard) < read.needed:
            return
        try:
            ours = [replica.table.digest(key) for key in read.keys] if read.with_us else []
        except Corruption:
            return  # damaged meanwhile; the deadline ends this read, and the next one asks others
        differing = [peer for peer, digests in read.digests.items() if digests != ours]
        for peer in differing:
            del read.digests[peer]
            self._fetch(read, peer, False, out)
        if differing:
            read.sent_at = now.monotonic
            return
        read.answered = read.with_us + len(read.heard)
        if read.answered > 1 and read.handle != NOBODY:
            self.staleness.read(now.monotonic, len(read.keys))
        if read.fulls:
            self._merge(replica, now, read, out)
            return
        read.records = [replica.table.record(key) for key in read.keys]
        if replica.persisted < replica.last.index:
            self._awaiting_disk.append((replica.last.index, read))
        else:
            self.finish(read, out)

    def on_persisted(self, index: Index, out: Effects) -> None:
        """Our log is on disk up to there."""
        while self._awaiting_disk and self._awaiting_disk[0][0] <= index:
            self.finish(self._awaiting_disk.pop(0)[1], out)

    # ── repairing ────────────────────────────────────────────────────────────────────────────────────────────────

    def _merge(self, replica: "LeaderlessReplica", now: Instant, read: Read, out: Effects) -> None:
        """Merge what all know; whoever knew less gets it."""
        lacking: dict[NodeId, list[Record]] = {}
        ours: list[Record] = []
        for position, key in enumerate(read.keys):
            known = replica.known_or_nothing(key)
            before = encode(known) if known.context else b""
            answers = {peer: answers[position] for peer, answers in read.fulls.items()}
            record, versions = self._merged(replica, key, known, before, list(answers.values()))
            read.records.append(record)
            was_damaged = replica.mended(key)
            if was_damaged and not record:
                record = encode(UNKNOWN)  # something must take the place of the damaged row
            if was_damaged or record != before:
                ours.append((key, record))
                replica.learn(key, record, versions, news_of(versions, known))
            answers.update(dict.fromkeys(read.digests, before))
            for peer, answer in answers.items():
                if answer != record:
                    lacking.setdefault(peer, []).append((key, record))
            if read.answered > 1 and read.handle != NOBODY:
                told = [before, *answers.values()] if read.with_us else list(answers.values())
                self._measure(now, versions, [answer for answer in told if answer != record])
        replica.log(ours)
        self._repair(replica, now, read, ours, lacking, out)

    @staticmethod
    def _merged(
        replica: "LeaderlessReplica", key: bytes, known: Versions, before: bytes, answers: list[bytes]
    ) -> tuple[bytes, Versions]:
        """What all know together, as bytes too. `before` are those of what we knew."""
        heard = UNKNOWN
        for answer in answers:
            if answer and answer != before:
                heard = merged(heard, decode(answer))
        if heard is UNKNOWN:
            return before, known
        both = replica.together(key, known, heard, news_of(heard, known))
        return encode(both), both

    def _measure(self, now: Instant, versions: Versions, behind: list[bytes]) -> None:
        """Count how old the oldest write is that one of these answers lacks."""
        contexts = [decode(answer).context if answer else {} for answer in behind]
        lacked = [each.stamp for each in versions.siblings for context in contexts if not covers(context, each.dot)]
        if lacked:
            self.staleness.stale(now.monotonic, now.wall - wall_of(Stamp(min(lacked))))

    def _repair(
        self,
        replica: "LeaderlessReplica",
        now: Instant,
        read: Read,
        ours: list[Record],
        lacking: dict[NodeId, list[Record]],
        out: Effects,
    ) -> None:
        read.repaired = len(lacking) + bool(ours)
        self.repairs += sum(map(len, lacking.values())) + len(ours)
        records = dict(ours)
        for missed in lacking.values():
            records.update(missed)
        read.must_store = {replica.me, *lacking}
        replica.deliveries.begin(replica, now, list(records.items()), tuple(lacking), read, out)

    # ── ending ───────────────────────────────────────────────────────────────────────────────────────────────────

    def finish(self, read: Read, out: Effects) -> None:
        """Tell what was found."""
        if self._open.pop(read.number, None) is None or read.handle == NOBODY:
            return
        siblings = max((_writes_in(record) for record in read.records if record), default=0)
        out.replies.append((read.handle, ReadDone(read.records, read.answered, siblings, read.repaired)))

    def fail(self, read: Read, got: int, names: list[NodeId], out: Effects) -> None:
        """Too few answered."""
        if self._open.pop(read.number, None) is not None and read.handle != NOBODY:
            error = QuorumNotMet(needed=read.needed, got=got, replicas=" ".join(names))
            out.replies.append((read.handle, Refused(error)))

    def forget(self, read: Read) -> None:
        """Nobody waits for it any more."""
        self._open.pop(read.number, None)

    def on_down(self, replica: "LeaderlessReplica", now: Instant, peer: NodeId, out: Effects) -> None:
        """That replica will not answer: ask another."""
        for read in list(self._open.values()):
            if not read.answered and peer in read.asked and peer not in read.heard:
                del read.asked[peer]
                self._ask(replica, now, read, out)

    def tick(self, replica: "LeaderlessReplica", now: Instant, out: Effects) -> None:
        """Give up what is too late; ask again, and somebody else as well."""
        for read in list(self._open.values()):
            if now.monotonic >= read.deadline:
                self.forget(read)
            elif not read.answered and now.monotonic - read.sent_at >= replica.settings.retry_ms:
                self._hurry(replica, now, read, out)

    def _hurry(self, replica: "LeaderlessReplica", now: Instant, read: Read, out: Effects) -> None:
        read.sent_at = now.monotonic
        for peer, digests in list(read.asked.items()):
            if peer not in read.heard and peer not in replica.down:
                self._fetch(read, peer, digests, out)
        for peer in replica.to_ask(now, read.asked)[:1]:
            self._fetch(read, peer, read.with_us, out)


def _writes_in(record: bytes) -> int:
    """How many siblings a client sees in it."""
    count = siblings_in(record)
    return count if count <= 1 else len(decode(record).writes)


def _makes_sense(answers: list[bytes], count: int, *, digests: bool) -> bool:
    """Whether these are answers to the question for so many keys."""
    if len(answers) != count:
        return False
    try:
        return digests or all(decode(answer) for answer in answers if answer)
    except Corruption:
        return False
