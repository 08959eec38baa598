"""The heap and the trace: what happens next, and the proof that two runs were the same."""

from collections.abc import Callable
from hashlib import sha256
from heapq import heappop, heappush
from typing import Any

Micros = int
"""Virtual time, in microseconds since the universe began."""

SECOND = 1_000_000
MILLI = 1_000

_Entry = tuple[Micros, int, str, str, Callable[..., None], tuple[Any, ...]]


class Trace:
    """SHA-256 over everything that happened, and the story in words if somebody wants to read it."""

    __slots__ = ("_hash", "on_line")

    def __init__(self, on_line: Callable[[str], None] | None = None) -> None:
        self._hash = sha256()
        self.on_line = on_line

    def note(self, at: Micros, sequence: int, target: str, label: str) -> None:
        """One event. Two runs are the same if all their notes are."""
        self._hash.update(f"{at} {sequence} {target} {label}\n".encode())

    def tell(self, at: Micros, words: str) -> None:
        """A line of the story; not part of the hash."""
        if self.on_line is not None:
            self.on_line(f"{at / SECOND:11.6f} {words}")

    @property
    def is_told(self) -> bool:
        """Whether anybody reads the story: words are only made for a reader."""
        return self.on_line is not None

    def digest(self) -> str:
        return self._hash.hexdigest()


class Scheduler:
    """Time jumps from event to event; nobody sleeps. Equal instants keep the order in which they were asked for."""

    __slots__ = ("_heap", "_sequence", "events", "now", "trace")

    def __init__(self, trace: Trace) -> None:
        self.now: Micros = 0
        self.trace = trace
        self.events = 0
        self._sequence = 0
        self._heap: list[_Entry] = []

    def post(self, at: Micros, target: str, label: str, act: Callable[..., None], *args: Any) -> None:
        """Let `act(*args)` happen at that instant, or now if it has passed."""
        self._sequence += 1
        heappush(self._heap, (max(at, self.now), self._sequence, target, label, act, args))

    def after(self, delay: Micros, target: str, label: str, act: Callable[..., None], *args: Any) -> None:
        self.post(self.now + delay, target, label, act, *args)

    def run_until(self, end: Micros, until: Callable[[], bool] | None = None) -> bool:
        """Let time pass up to `end`, or until `until()` holds (asked after each event). True if it came to hold."""
        heap, note = self._heap, self.trace.note
        while heap and heap[0][0] <= end:
            at, sequence, target, label, act, args = heappop(heap)
            self.now = at
            self.events += 1
            note(at, sequence, target, label)
            act(*args)
            if until is not None and until():
                return True
        self.now = max(self.now, end)
        return until is not None and until()
