"""The asker's half of an exchange: find where two trees differ, which keys those are, and mend both sides.

    roots       equal? Then that was all: one hash, two messages.
    walk        level by level, the hashes below the nodes that differ, down to leaves
    settle      a moment later, look at those leaves again: what was merely under way has arrived now
    list        page by page, the other one's keys and digests in these leaves, beside ours
    pull, push  take what the other knows better, then send what we do

It is written as one coroutine that yields questions and is resumed with their answers; who drives it (exchange.py) owns
numbers, timeouts and repetitions. Nothing is remembered by the one who answers, so that a lost exchange leaves nothing
behind, and the next begins anew: what was mended stays so.

Writes under way are why replicas differ most of the time for some milliseconds, and repairing those is wasted. So a
leaf is listed only if it differs at both looks, and no hash of it changed in between (an exchange that is `thorough`
does not mind that), and a record younger than the same moment is left to its coordinator. Who recovers from a lost disk
leaves nothing out: when it is done, it knows everything that the other one knew when the exchange began.
"""

from collections.abc import Collection, Generator, Iterable, Iterator
from typing import NamedTuple, TypeVar

import msgspec

from kvstore.core.ids import Millis, NodeId
from kvstore.replication.leaderless.knowledge import Knowledge, is_young
from kvstore.replication.leaderless.merkle import FIRST_BITS, children
from kvstore.replication.leaderless.messages import (
    Answer,
    CompareTrees,
    FetchHashes,
    HashesFetched,
    LeavesListed,
    ListLeaves,
    Pull,
    Pulled,
    Question,
    Record,
    Repair,
    Repaired,
    TreesCompared,
)
from kvstore.replication.leaderless.pace import ExchangeSettings

NAMED_LEAVES_MAX = 4_096
"""If more leaves than that differ, all are listed: their keys cost less than naming them page by page."""
LOOK_COST = 0.1
"""What looking at a key costs, in keys sent."""


class Pause(NamedTuple):
    """Nothing to ask for so long."""

    ms: Millis


T = TypeVar("T")
A = TypeVar("A", bound=Answer)
Steps = Generator[Question | Pause, Answer | None, T]


class Unfit(Exception):
    """The other replica's answer cannot be: it says so in words."""


class Outcome(msgspec.Struct):
    """How an exchange went. `failed`: why it was given up; "" if it came to its end."""

    peer: NodeId
    began: Millis
    ticket: int = 0
    """Of whoever demanded it; 0: nobody did."""
    check: bool = False
    """Only compared."""
    failed: str = ""
    busy: bool = False
    peer_recovering: bool = False
    leaves: int = 0
    """Leaves that differed for longer than a moment."""
    differing: int = 0
    """Keys that did."""
    pulled: int = 0
    """Keys of which we learnt something."""
    pushed: int = 0
    """Keys of which the other one did."""
    false_repairs: int = 0
    """Records sent either way that changed nothing; those that met a damaged row of the other one count, too."""
    skipped: int = 0
    """Keys and leaves left alone because they were being written."""
    phantom: int = 0
    """Leaves that differ although all their keys are equal: one of the two trees was told wrong, see merkle.py."""
    bytes: int = 0
    """Sent and received, about."""
    ms: int = 0
    """How long it took."""

    @property
    def complete(self) -> bool:
        """Whether we now know everything that the other replica knew when this began."""
        return not (self.failed or self.busy or self.check or self.skipped)


class Look(NamedTuple):
    """A leaf's hashes at a moment."""

    ours: int
    theirs: int


class Difference(NamedTuple):
    """The digests of a key; 0: nothing is known."""

    key: bytes
    ours: int
    theirs: int


class Comparison:
    """One exchange, of what `ours` knows with what a peer does. `wall` is set by the driver before each step."""

    def __init__(self, ours: Knowledge, settings: ExchangeSettings, outcome: Outcome, *, thorough: bool) -> None:
        self.outcome = outcome
        self.wall = Millis(0)
        self.cost = 0.0
        """Work done since the driver last took it, in keys."""
        self._ours = ours
        self._settings = settings
        self._recovering = ours.recovering
        self._thorough = thorough or outcome.check

    def run(self) -> Steps[None]:
        """Everything, from the first question on. Raises Unfit."""
        tree, outcome = self._ours.tree, self.outcome
        compared = yield from _asked(CompareTrees(0, tree.bits, tree.root), TreesCompared)
        outcome.busy, outcome.peer_recovering = compared.busy, compared.recovering
        if compared.equal or compared.busy:
            return
        if compared.bits != tree.bits:
            raise Unfit(f"its tree has {compared.bits} bits, ours has {tree.bits}")
        leaves = yield from self._differing_leaves(compared.hashes)
        if not self._recovering:
            leaves = yield from self._lasting(leaves)
        outcome.leaves = len(leaves)
        if not leaves:
            return
        yield from self._compare_keys(sorted(leaves))
        if outcome.differing == 0:
            looks = yield from self._looks(list(leaves))
            outcome.phantom = sum(look == leaves[leaf] for leaf, look in looks.items())

    # ── trees ────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _differing_leaves(self, hashes: list[int]) -> Steps[dict[int, Look]]:
        """Down from the first level, whose hashes we have."""
        depth, differing = FIRST_BITS, self._differing(FIRST_BITS, range(1 << FIRST_BITS), hashes)
        while depth < self._ours.tree.bits and differing:
            below = self._ours.tree.below(depth)
            found: dict[int, Look] = {}
            for part in _parts(list(differing), max(1, self._settings.hashes_max >> (below - depth))):
                fetched = yield from _asked(FetchHashes(0, depth, part, below), HashesFetched)
                found |= self._differing(below, children(part, depth, below), fetched.hashes)
            depth, differing = below, found
        return differing

    def _lasting(self, leaves: dict[int, Look]) -> Steps[dict[int, Look]]:
        """Those that still differ a moment later; if not thorough, only if they have not changed meanwhile."""
        if not leaves:
            return {}
        yield Pause(self._settings.settle_ms)
        looks = yield from self._looks(list(leaves))
        if self._thorough:
            return looks
        still = {leaf: look for leaf, look in looks.items() if look == leaves[leaf]}
        self.outcome.skipped += len(looks) - len(still)
        return still

    def _looks(self, leaves: list[int]) -> Steps[dict[int, Look]]:
        """Those of these leaves that differ now."""
        bits = self._ours.tree.bits
        found: dict[int, Look] = {}
        for part in _parts(leaves, self._settings.hashes_max):
            fetched = yield from _asked(FetchHashes(0, bits, part, bits), HashesFetched)
            found |= self._differing(bits, part, fetched.hashes)
        return found

    def _differing(self, depth: int, nodes: Collection[int], theirs: list[int]) -> dict[int, Look]:
        if len(theirs) != len(nodes):
            raise Unfit(f"{len(theirs)} hashes for {len(nodes)} nodes")
        looks = zip(nodes, self._ours.tree.hashes(depth, nodes), theirs, strict=True)
        return {node: Look(our, their) for node, our, their in looks if our != their}

    # ── keys ─────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _compare_keys(self, leaves: list[int]) -> Steps[None]:
        """Mend page by page, or when there is enough for a message."""
        named = leaves if len(leaves) <= NAMED_LEAVES_MAX else []
        wanted = frozenset(named) if named else None
        limit, start = self._settings.page_keys, b""
        found: list[Difference] = []
        while True:
            listed = yield from _asked(ListLeaves(0, named, start, limit), LeavesListed)
            if listed.upto and listed.upto <= start:
                raise Unfit(f"a listing from {start!r} that ends at {listed.upto!r}")
            self.cost += len(listed.keys)
            theirs = list(zip(listed.keys, listed.digests, strict=True))
            listed_all = False
            while not listed_all:
                page = self._ours.page(wanted, start, limit)
                self.cost += LOOK_COST * page.looked_at
                end = _earlier(page.upto, listed.upto)
                found += _differences(_between(page.entries, start, end), _between(theirs, start, end))
                start, listed_all = end, end == listed.upto
                if len(found) >= self._settings.pull_keys or not end:
                    yield from self._mend(found)
                    found = []
            if not start:
                return

    def _mend(self, found: list[Difference]) -> Steps[None]:
        self.outcome.differing += len(found)
        if self.outcome.check:
            return
        behind = yield from self._pull([each for each in found if each.theirs])
        yield from self._push(sorted([each.key for each in found if not each.theirs] + behind))

    def _pull(self, wanted: list[Difference]) -> Steps[list[bytes]]:
        """Learn what the other one knows of these keys. Returns those of which we know more than it does."""
        behind: list[bytes] = []
        while wanted:
            asked = [each.key for each in wanted[: self._settings.pull_keys]]
            question = Pull(0, asked, [each.ours for each in wanted[: len(asked)]], self._recovering)
            pulled = yield from _asked(question, Pulled)
            count = len(pulled.records)
            if not 1 <= count <= len(asked):
                raise Unfit(f"{count} records for {len(asked)} keys")
            records = [(key, record) for key, record in zip(asked, pulled.records, strict=False) if record]
            if not self._recovering:
                self.outcome.skipped += count - len(records)
            behind += self._take(records)
            wanted = wanted[count:]
        return behind

    def _take(self, records: list[Record]) -> list[bytes]:
        before = [self._ours.record(key) for key, _ in records]
        self._ours.merge(records)
        self.cost += len(records)
        behind = []
        for (key, theirs), was in zip(records, before, strict=True):
            now = self._ours.record(key)
            if now != theirs:
                behind.append(key)
            if now != was:
                self.outcome.pulled += 1
            elif now == theirs:
                self.outcome.false_repairs += 1
        return behind

    def _push(self, keys: list[bytes]) -> Steps[None]:
        """Send what we know of these keys, as it is now."""
        batch: list[Record] = []
        size = 0
        for key in keys:
            record = self._ours.record(key)
            if not record or is_young(record, self.wall, self._settings.settle_ms):
                self.outcome.skipped += not self._recovering
                continue
            if batch and size + len(record) > self._settings.batch_bytes:
                yield from self._send(batch)
                batch, size = [], 0
            batch.append((key, record))
            size += len(record)
        if batch:
            yield from self._send(batch)

    def _send(self, records: list[Record]) -> Steps[None]:
        repaired = yield from _asked(Repair(0, records), Repaired)
        if repaired.changed > len(records):
            raise Unfit(f"{repaired.changed} repaired by {len(records)} records")
        self.cost += len(records)
        self.outcome.pushed += repaired.changed
        self.outcome.false_repairs += len(records) - repaired.changed


def _asked(question: Question, kind: type[A]) -> Steps[A]:
    answer = yield question
    assert isinstance(answer, kind), f"the driver answered {type(question).__name__} with {answer}"
    return answer


def _parts(things: list[int], most: int) -> Iterator[list[int]]:
    return (things[i : i + most] for i in range(0, len(things), most))


def _earlier(one: bytes, other: bytes) -> bytes:
    """Of two ends, where b"" is after everything.

    >>> _earlier(b"b", b""), _earlier(b"b", b"a")
    (b'b', b'a')
    """
    return min(one, other) if one and other else one or other


def _between(entries: Iterable[tuple[bytes, int]], start: bytes, end: bytes) -> dict[bytes, int]:
    return {key: digest for key, digest in entries if start <= key and (not end or key < end)}


def _differences(ours: dict[bytes, int], theirs: dict[bytes, int]) -> list[Difference]:
    """In the order of the keys."""
    keys = sorted(key for key in ours.keys() | theirs.keys() if ours.get(key, 0) != theirs.get(key, 0))
    return [Difference(key, ours.get(key, 0), theirs.get(key, 0)) for key in keys]
