"""Ranges: a page of keys from R replicas, merged; and a lost disk, filled again page by page from the others."""

from typing import TYPE_CHECKING

from kvstore.core.causality import decode, encode, merged, newest_only
from kvstore.core.errors import Corruption, KvError, QuorumNotMet
from kvstore.core.ids import Instant, Millis, NodeId
from kvstore.replication.leaderless.effects import Effects, PageAsked, PageDone, Refused
from kvstore.replication.leaderless.messages import FetchPage, PageFetched, Record
from kvstore.replication.quorum import majority

if TYPE_CHECKING:
    from kvstore.replication.leaderless.replica import LeaderlessReplica


class Page:
    """One page under way."""

    __slots__ = ("asked", "heard", "question", "sent_at", "with_us")

    def __init__(self, question: PageAsked, now: Millis, *, with_us: bool) -> None:
        self.question, self.sent_at, self.with_us = question, now, with_us
        self.asked: set[NodeId] = set()
        self.heard: dict[NodeId, PageFetched] = {}


class Pages:
    """All pages that one replica has under way for clients."""

    def __init__(self) -> None:
        self._open: dict[int, Page] = {}

    def __len__(self) -> int:
        return len(self._open)

    def handles(self) -> list[int]:
        """Of the pages that are waited for."""
        return [page.question.handle for page in self._open.values()]

    def on_page_asked(self, replica: "LeaderlessReplica", now: Instant, asked: PageAsked, out: Effects) -> None:
        """Answer from what we know if that is enough; else ask others, too."""
        with_us = not replica.is_recovering
        try:
            replica.check_reachable(asked.needed, with_us=with_us)
        except KvError as error:
            out.replies.append((asked.handle, Refused(error)))
            return
        page = Page(asked, now.monotonic, with_us=with_us)
        number = replica.next_number()
        self._open[number] = page
        self._ask(replica, now, number, page, out)
        self._conclude(replica, number, page, out)

    def _ask(self, replica: "LeaderlessReplica", now: Instant, number: int, page: Page, out: Effects) -> None:
        question = page.question
        page.sent_at = now.monotonic
        waiting = [p for p in sorted(page.asked) if p not in page.heard and p not in replica.down]
        missing = question.needed - page.with_us - len(page.heard) - len(waiting)
        for peer in replica.to_ask(now, page.asked)[: max(0, missing)]:
            page.asked.add(peer)
            waiting.append(peer)
        fetch = FetchPage(number, question.start, question.end, question.limit, question.bytes_max)
        out.send += [(peer, fetch) for peer in waiting]

    def on_page_fetched(self, replica: "LeaderlessReplica", peer: NodeId, reply: PageFetched, out: Effects) -> None:
        """A replica says what it knows."""
        page = self._open.get(reply.id)
        if page is not None and peer in page.asked and not reply.recovering:
            page.heard[peer] = reply
            self._conclude(replica, reply.id, page, out)

    def _conclude(self, replica: "LeaderlessReplica", number: int, page: Page, out: Effects) -> None:
        question = page.question
        answered = page.with_us + len(page.heard)
        if answered < question.needed:
            return
        del self._open[number]
        parts = [(reply.records, reply.upto) for reply in page.heard.values()]
        try:
            if page.with_us:
                parts.append(replica.table.page(question.start, question.end, question.limit, question.bytes_max))
            records, upto = merged_pages(parts, lww=replica.settings.lww)
        except Corruption as error:
            out.replies.append((question.handle, Refused(error)))
            return
        out.replies.append((question.handle, PageDone(records, upto, answered)))

    def tick(self, replica: "LeaderlessReplica", now: Instant, out: Effects) -> None:
        """Give up what is too late or has nobody left to ask; ask again."""
        for number, page in list(self._open.items()):
            question = page.question
            if now.monotonic >= question.deadline:
                del self._open[number]
            elif len(replica.up) + page.with_us < question.needed:
                del self._open[number]
                got = page.with_us + len(page.heard)
                error = QuorumNotMet(needed=question.needed, got=got, replicas=" ".join(page.heard))
                out.replies.append((question.handle, Refused(error)))
            elif now.monotonic - page.sent_at >= replica.settings.retry_ms:
                self._ask(replica, now, number, page, out)


def merged_pages(parts: list[tuple[list[Record], bytes]], *, lww: bool) -> tuple[list[Record], bytes]:
    """What several replicas know of a range, as far as all of them told. Raises Corruption."""
    ends = [upto for _, upto in parts if upto]
    end = min(ends) if ends else b""
    known: dict[bytes, list[bytes]] = {}
    for records, _ in parts:
        for key, record in records:
            if not end or key < end:
                known.setdefault(key, []).append(record)
    rows: list[Record] = []
    for key in sorted(known):
        record, *others = known[key]
        if any(other != record for other in others):
            versions = decode(record)
            for other in others:
                versions = merged(versions, decode(other))
            record = encode(newest_only(versions) if lww else versions)
        rows.append((key, record))
    return rows, end


class Refill:
    """After the loss of our disk: everything that so many others know, before we count for anything again."""

    def __init__(self, others: int) -> None:
        self._missing = others
        self._whole: set[NodeId] = set()
        self._cursor: dict[NodeId, bytes] = {}
        self._number = 0
        self._from: NodeId | None = None
        self._sent_at = Millis(0)
        self._ends_at: int | None = None
        """The log entry with the last of what we got."""

    def tick(self, replica: "LeaderlessReplica", now: Instant, out: Effects) -> None:
        """Ask for the next page, of somebody who is up."""
        if self._ends_at is not None or now.monotonic - self._sent_at < replica.settings.retry_ms:
            return
        self._ask(replica, now, out)

    def _ask(self, replica: "LeaderlessReplica", now: Instant, out: Effects) -> None:
        candidates = [peer for peer in replica.up if peer not in self._whole]
        if not candidates:
            return
        peer = self._from if self._from in candidates else candidates[0]
        assert peer is not None, "there are candidates"
        self._from, self._sent_at, self._number = peer, now.monotonic, replica.next_number()
        settings = replica.settings
        start = self._cursor.get(peer, b"")
        out.send.append(
            (peer, FetchPage(self._number, start, b"", settings.batch_records_max, settings.batch_bytes_max, True))
        )

    def on_page_fetched(
        self, replica: "LeaderlessReplica", now: Instant, peer: NodeId, reply: PageFetched, out: Effects
    ) -> bool:
        """The next page. False if we did not ask for it."""
        if reply.id != self._number or peer != self._from:
            return False
        self._number = 0
        replica.take(reply.records)
        if reply.upto:
            self._cursor[peer] = reply.upto
        elif not reply.recovering:
            self._whole.add(peer)
        else:
            self._cursor.pop(peer, None)  # it has not got everything itself: once more, later
            return True
        if len(self._whole) >= self._missing:
            self._ends_at = replica.log_index
        else:
            self._ask(replica, now, out)
        return True

    def is_over(self, persisted: int) -> bool:
        """Whether everything is on our disk."""
        return self._ends_at is not None and persisted >= self._ends_at


def others_to_ask(replicas: int, write_quorum: int) -> int:
    """How many others surely know, together, all that we have acknowledged and forgotten.

    It was on W disks. Ours may have been one, so that of the N - 1 others at least W - 1 have it, and of any N - W + 1
    others one. With W = 1 perhaps nobody has it, and all that there are must do. What counts as W is never more than a
    majority: what a quorum read has repaired is on so many disks, and a request may ask for less than the keyspace. One
    that asks for less than a majority of a keyspace with more is on its own: a lost disk may take it along.

    >>> others_to_ask(3, 2), others_to_ask(3, 3), others_to_ask(3, 1)
    (2, 2, 2)
    """
    return min(replicas - 1, replicas - min(write_quorum, majority(replicas)) + 1)
