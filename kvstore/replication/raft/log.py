"""The entries in memory, and how far the disk has followed. Its four invariants are asserted where they could break.

    start      last       entries are consecutive and follow `start`, the last entry that was compacted away
      |---------|
          ^persisted      start <= persisted <= last, once the disk has caught up with the last install

1. Indexes have no gaps. 2. Terms never fall. 3. Nothing at or before `start` changes. 4. `persisted` only counts
entries that are still ours (see `settle`).
"""

from bisect import bisect_right
from collections.abc import Iterable
from operator import itemgetter

from kvstore.core.entries import Entry, LogEnd
from kvstore.core.ids import Index, Term

_term_of = itemgetter(0)  # of an Entry: a named tuple, read by position because this runs inside a search


class Log:
    """One replica's log. Indexes are 1-based; `start` is index 0, term 0 in a group that never compacted."""

    __slots__ = ("_barrier", "entries", "last", "persisted", "start")

    def __init__(self, start: LogEnd, entries: Iterable[Entry]) -> None:
        """Entries come from the disk, so all of them are persisted."""
        self.start = self.last = start
        self.entries: list[Entry] = []
        self.extend(list(entries))
        self.persisted = self.last.index
        self._barrier = Term(0)

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
        if found == 0:
            return self.start
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
        self.last = LogEnd(last.term, last.index)

    def truncate(self, first_removed: Index, term: Term) -> None:
        """Drop a suffix because the leader of `term` has another one."""
        keep = first_removed - self.start.index - 1
        assert 0 <= keep < len(self.entries), f"nothing to remove from {first_removed} on"
        del self.entries[keep:]
        self.last = self._end()
        if self.persisted > self.last.index:
            self.persisted = self.last.index
        self._barrier = term

    def settle(self, end: LogEnd) -> bool:
        """The disk says it holds the log up to `end`. True if `persisted` grew.

        It counts only if that entry is still ours. And one that left the log and came back must not be believed
        because of its first life: the disk has yet to delete it and to write it again. Hence the barrier: after a
        truncation by the leader of a term, only what was written afterwards counts, which is certain for entries of
        that very term (they cannot have been in the log before, and never conflict with their own leader).
        """
        if end.index <= self.persisted or end.term < self._barrier or not self.has(end):
            return False
        self.persisted = end.index
        self._barrier = Term(0)
        return True

    def compact(self, upto: Index) -> None:
        """Forget the entries up to there."""
        drop = upto - self.start.index
        if drop <= 0:
            return
        assert drop <= len(self.entries), f"cannot compact up to {upto}, the log ends at {self.last}"
        self.start = LogEnd(self.entries[drop - 1].term, self.entries[drop - 1].index)
        del self.entries[:drop]

    def restart(self, mark: LogEnd, term: Term) -> None:
        """Begin anew after an image the leader of `term` sent; nothing is on disk until the disk says so."""
        self.start = self.last = mark
        self.entries = []
        self.persisted = Index(0)
        self._barrier = term

    def _end(self) -> LogEnd:
        if not self.entries:
            return self.start
        return LogEnd(self.entries[-1].term, self.entries[-1].index)
