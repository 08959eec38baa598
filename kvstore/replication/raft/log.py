"""The entries in memory, and how far the disk has followed. Its four invariants are asserted where they could break.

    start      last       entries are consecutive and follow `start`, the last entry that was compacted away
      |---------|
          ^persisted      persisted <= last: what is on disk, still ours, and known to be both

1. Indexes have no gaps. 2. Terms never fall. 3. Nothing at or before `start` changes. 4. `persisted` counts no entry
that a write under way will still delete, even if it comes back afterwards (see `settle`).
"""

from bisect import bisect_right
from collections import deque
from collections.abc import Iterable
from operator import itemgetter

from kvstore.core.entries import Entry, LogEnd
from kvstore.core.ids import Index, Term

_term_of = itemgetter(0)  # of an Entry: a named tuple, read by position because this runs inside a search


_Write = tuple[LogEnd, Index, Index]
"""A write under way: what the disk will call it, the first index it changes, and up to where the log is then there."""


class Log:
    """One replica's log. Indexes are 1-based; `start` is index 0, term 0 in a group that never compacted."""

    __slots__ = ("_unheard", "entries", "last", "persisted", "start")

    def __init__(self, start: LogEnd, entries: Iterable[Entry]) -> None:
        """Entries come from the disk, so all of them are persisted."""
        self.start = self.last = start
        self.entries: list[Entry] = []
        self._unheard: deque[_Write] = deque()  # what was given to the disk, in its order
        self.extend(list(entries))
        self._unheard.clear()
        self.persisted = self.last.index

    # --- asking ---

    def term_at(self, index: Index) -> Term | None:
        """The term of the entry there; None if we do not have it (any more)."""
        offset = index - self.start.index
        if offset == 0:
            return self.start.term
        return self.entries[offset - 1].term if 0 < offset <= len(self.entries) else None

    def has(self, end: LogEnd) -> bool:
        """Whether our entry at that index is of that term: then both logs are equal up to it (§5.3, log matching)."""
        return self.term_at(end.index) == end.term

    def between(self, after: Index, upto: Index) -> list[Entry]:
        """The entries after < index <= upto, all of which we have."""
        start = self.start.index
        return self.entries[after - start : upto - start]

    def batch_after(self, after: Index, bytes_max: int) -> tuple[tuple[Entry, ...], int]:
        """As many entries after an index as fit (one at least, if there is one), and their payload bytes."""
        first = after - self.start.index
        if first == len(self.entries) - 1:
            return (self.entries[first],), len(self.entries[first].payload)
        size = stop = 0
        for stop, entry in enumerate(self.entries[first : first + 1024], 1):  # at most that many in one message
            size += len(entry.payload)
            if size > bytes_max and stop > 1:
                return tuple(self.entries[first : first + stop - 1]), size - len(entry.payload)
        return tuple(self.entries[first : first + stop]), size

    def meeting_point(self, other: LogEnd) -> LogEnd:
        """Our last entry that a log with this entry may have as well: not above its index, not of a later term.

        Both sides use it to find where two logs part with one question per term, not per entry (the end of §5.3,
        in the form of etcd: terms never fall, so what lies above is certainly different).
        """
        room = min(other.index, self.last.index) - self.start.index
        assert room >= 0, f"whether we have {other} was forgotten: the log starts at {self.start}"
        found = bisect_right(self.entries, other.term, hi=room, key=_term_of)
        if found == 0:  # at the start, or somewhere before it that we have forgotten
            return self.start if self.start.term <= other.term else LogEnd(other.term, Index(self.start.index - 1))
        return LogEnd(self.entries[found - 1].term, self.entries[found - 1].index)

    # --- changing ---

    def extend(self, entries: list[Entry]) -> None:
        """Add entries at the end."""
        if not entries:
            return
        first, last = entries[0], entries[-1]
        assert first.index == self.last.index + 1, f"entry {first.index} would leave a gap after {self.last}"
        assert last.index - first.index == len(entries) - 1, "the new entries are not consecutive"
        assert self.last.term <= first.term <= last.term, "a log's terms never fall"
        self.entries += entries
        self.last = end = LogEnd(last.term, last.index)
        self._unheard.append((end, first.index, end.index))

    def truncate(self, first_removed: Index) -> None:
        """Drop a suffix because the leader has another one, which must follow at once."""
        keep = first_removed - self.start.index - 1
        assert 0 <= keep < len(self.entries), f"nothing to remove from {first_removed} on"
        del self.entries[keep:]
        self.last = self._end()
        if self.persisted > self.last.index:
            self.persisted = self.last.index

    def settle(self, end: LogEnd) -> bool:
        """The disk says that the write with this end, and all before it, are done. True if `persisted` grew.

        An entry may leave the log and come back: 5@1, then 5@2, then 5@1 again. When the first 5@1 is on disk, the
        disk has yet to delete it. So ends are matched with writes in their order, and what a later write under way
        touches does not count. (If one transaction held all three, the end is taken for the first: `persisted`
        falls short until the next write, which is safe.)
        """
        unheard = self._unheard
        if not unheard or (unheard[0][0] != end and not self.awaits(end)):
            return False
        done = unheard.popleft()
        while done[0] != end:
            done = unheard.popleft()  # written before it, hence done as well
        safe = done[2]
        for _, first, _ in unheard:
            if first <= safe:
                safe = Index(first - 1)
        if safe <= self.persisted:
            return False
        self.persisted = safe
        return True

    def awaits(self, end: LogEnd) -> bool:
        """Whether a write with this end is still under way."""
        return any(written == end for written, _, _ in self._unheard)

    def compact(self, upto: Index) -> None:
        """Forget the entries up to there."""
        drop = upto - self.start.index
        if drop <= 0:
            return
        assert drop <= len(self.entries), f"cannot compact up to {upto}, the log ends at {self.last}"
        self.start = LogEnd(self.entries[drop - 1].term, self.entries[drop - 1].index)
        del self.entries[:drop]

    def install(self, mark: LogEnd) -> None:
        """An image replaces everything up to the mark; what follows it stays if the logs are equal there."""
        if self.has(mark):
            self.compact(mark.index)
            self._unheard.append((mark, Index(self.last.index + 1), self.last.index))
            return
        self.start = self.last = mark
        self.entries = []
        self.persisted = Index(0)
        self._unheard.append((mark, Index(1), mark.index))

    def _end(self) -> LogEnd:
        if not self.entries:
            return self.start
        return LogEnd(self.entries[-1].term, self.entries[-1].index)
