"""`bench anti-entropy`: what it costs two leaderless replicas to see that they are equal, and to mend what is not.

Two replicas with their records in LMDB, in this process: what they say goes through the wire's own encoder and decoder
and is counted in bytes, but no network lies between. Times are what passes on the clock, the pauses that an exchange
makes on purpose (to let writes under way arrive, and to stay below its throttle) included; CPU is that of both.
"""

import json
import random
import tempfile
import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import click

from bench.load import store_folder
from bench.report import OUTPUTS, facts_line, machine_facts, print_table
from kvstore.core.causality import Sibling, Versions, after_write, decode, encode, merged
from kvstore.core.entries import LogEnd
from kvstore.core.ids import GroupId, Index, Instant, Millis, NodeId, Term
from kvstore.node.quorum_state import QuorumState
from kvstore.node.quorum_tree import QuorumTree
from kvstore.placement.hashing import key_hash, record_digest
from kvstore.replication.leaderless.comparing import Outcome
from kvstore.replication.leaderless.exchange import Exchanged, Exchanger
from kvstore.replication.leaderless.knowledge import Page
from kvstore.replication.leaderless.merkle import BITS_MAX, Tree
from kvstore.replication.leaderless.messages import Exchange, Record
from kvstore.replication.leaderless.pace import ExchangeSettings, Throttle
from kvstore.storage.engine import Batch
from kvstore.storage.lmdb_engine.engine import LmdbEngine
from kvstore.wire.frames import FrameReader, decode_messages, encode_frame

VALUE_BYTES = 100
SLICE_ROWS = 1_000
CHANGES = 100_000
ONE, OTHER = NodeId("n1"), NodeId("n2")
GROUP = GroupId(1)

CHANGE_US_WANTED = 2.0
EQUAL_MS_WANTED, EQUAL_BYTES_WANTED = 100.0, 10_000
DIFFERING_MS_WANTED = 2_000.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One line. What does not apply is None; `ratio` is what was measured divided by what is wanted, the worse one."""

    item: str
    note: str
    ms: float
    cpu_ms: float
    bytes: int | None = None
    messages: int | None = None
    ratio: float | None = None


class Side:
    """One replica's knowledge on a disk of its own; the log in front of it is left out."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self._engine = LmdbEngine.open(folder)
        self.recovering = False
        self.open()

    def open(self) -> None:
        """As at a start: nothing is counted yet."""
        self._state = QuorumState(self._engine, 1, lww=False)
        self._counted = QuorumTree(self._state, BITS_MAX)
        self._end = self._state.applied.index

    @property
    def tree(self) -> Tree:
        return self._counted.tree

    @property
    def is_whole(self) -> bool:
        return self._counted.is_whole

    def page(self, leaves: Collection[int] | None, start: bytes, limit: int) -> Page:
        return self._counted.page(leaves, start, limit)

    def record(self, key: bytes) -> bytes:
        return self._state.record(key)

    def merge(self, records: list[Record]) -> None:
        for key, record in records:
            known = self._state.known(key)
            together = merged(known, decode(record))
            if together is not known:
                self._state.put(key, encode(together))
        self._advance()

    def write(self, key: bytes, actor: int, counter: int, value: bytes) -> None:
        """A client's write that replaces what is known."""
        known = self._state.known(key)
        after = after_write(known, Sibling(actor, counter, 0, value), known.context)
        self._state.put(key, encode(after))

    def fill(self, records: list[Record]) -> None:
        """New keys, and all of them to the disk."""
        for key, record in records:
            self._state.put(key, record)
        self.flush()

    def _advance(self) -> None:
        self._end = Index(self._end + 1)
        self._state.advance(LogEnd(Term(1), self._end))

    def flush(self) -> None:
        self._advance()
        self._state.begin_flush()
        while self._state.is_flushing:
            batch = Batch()
            self._state.flush_slice(batch, SLICE_ROWS)
            self._engine.commit(batch)
            self._state.end_slice()

    def count(self) -> int:
        """The whole tree, from the rows."""
        pages = 0
        while not self.is_whole:
            self._counted.count(SLICE_ROWS)
            pages += 1
        return pages

    def close(self) -> None:
        self._engine.close()


class Pair:
    """Both replicas, and what they have said to each other."""

    def __init__(self, sides: dict[NodeId, Side], settings: ExchangeSettings) -> None:
        self._exchangers = {
            name: Exchanger(
                name,
                [peer for peer in sides if peer != name],
                side,
                settings,
                Throttle(settings),
                random.Random(name),
                _instant(),
            )
            for name, side in sides.items()
        }
        self._wire: list[tuple[NodeId, NodeId, bytes]] = []
        self._finished: list[Outcome] = []
        self.bytes = self.messages = 0

    @property
    def outcome(self) -> Outcome:
        """Of the latest exchange."""
        return self._finished[-1]

    def exchange(self) -> None:
        """One exchange, begun by the first."""
        self.bytes = self.messages = 0
        before = len(self._finished)
        self._carry_out(ONE, self._exchangers[ONE].demand(_instant(), 1))
        while len(self._finished) == before:
            self._one()

    def _one(self) -> None:
        if self._wire:
            sender, to, frame = self._wire.pop(0)
            for read in FrameReader().feed(frame):
                for _, message in decode_messages(read):
                    assert isinstance(message, Exchange), f"{message} is of no exchange"
                    self._carry_out(to, self._exchangers[to].hear(_instant(), sender, message))
            return
        wake_at = self._exchangers[ONE].wake_at
        assert wake_at is not None, "an exchange is under way"
        time.sleep(max(0.0, wake_at / 1_000 - time.monotonic()))
        self._carry_out(ONE, self._exchangers[ONE].time_passed(_instant()))

    def _carry_out(self, name: NodeId, out: Exchanged) -> None:
        for outcome in out.finished:
            if outcome.failed:
                raise click.ClickException(f"the exchange failed: {outcome.failed}")
            self._finished.append(outcome)
        for peer, message in out.send:
            frame = encode_frame([(GROUP, message)])
            self.bytes += len(frame)
            self.messages += 1
            self._wire.append((name, peer, frame))


def _instant() -> Instant:
    return Instant(Millis(time.monotonic_ns() // 1_000_000), Millis(time.time_ns() // 1_000_000))


def timed(call: Callable[[], object]) -> tuple[float, float]:
    """Milliseconds on the clock and of CPU."""
    began, cpu = time.perf_counter(), time.process_time()
    call()
    return (time.perf_counter() - began) * 1_000, (time.process_time() - cpu) * 1_000


def key_of(number: int) -> bytes:
    return b"key:%012d" % number


def records_of(keys: int) -> list[Record]:
    value = b"v" * VALUE_BYTES
    return [(key_of(i), encode(Versions({7: i + 1}, (Sibling(7, i + 1, 0, value),)))) for i in range(keys)]


def change_figure(keys: int) -> Figure:
    """What a write pays: three hashes and the tree, for records of which both are in memory."""
    tree, before, after = Tree(), b"b" * (VALUE_BYTES + 30), b"a" * (VALUE_BYTES + 30)
    names = [key_of(i % keys) for i in range(CHANGES)]

    def changes() -> None:
        for name in names:
            hashed = key_hash(name)
            tree.change(hashed, record_digest(hashed, before), record_digest(hashed, after))

    ms, cpu_ms = timed(changes)
    each_us = ms * 1_000 / CHANGES
    note = f"{CHANGES:,} changes of records: {each_us:.2f} µs each, wanted {CHANGE_US_WANTED:g}"
    return Figure(item="change", note=note, ms=ms, cpu_ms=cpu_ms, ratio=round(each_us / CHANGE_US_WANTED, 3))


def make_different(sides: dict[NodeId, Side], keys: int, differing: int) -> None:
    """A third of them newer here, a third newer there, a third of them new and here alone."""
    numbers = random.Random(1).sample(range(keys), differing - differing // 3)
    middle = len(numbers) // 2
    for side, mine, actor in ((sides[ONE], numbers[:middle], 8), (sides[OTHER], numbers[middle:], 9)):
        for counter, number in enumerate(mine):
            side.write(key_of(number), actor, counter + 1, b"w" * VALUE_BYTES)
    for counter in range(differing // 3):
        sides[ONE].write(key_of(keys + counter), 10, counter + 1, b"n" * VALUE_BYTES)


def measure_all(folder: Path, keys: int, differing: int, settings: ExchangeSettings) -> Iterator[Figure]:
    """Every line in turn."""
    yield change_figure(keys)
    sides = {name: Side(folder / name) for name in (ONE, OTHER)}
    try:
        records = records_of(keys)
        for side in sides.values():
            side.fill(records)
        for side in sides.values():
            side.open()
        ms, cpu_ms = timed(sides[ONE].count)
        yield Figure(item="count", note=f"{keys:,} records, as after a start, in pages", ms=ms, cpu_ms=cpu_ms)
        sides[OTHER].count()
        pair = Pair(sides, settings)
        yield _exchange_figure(pair, "equal", keys, 0, EQUAL_MS_WANTED, EQUAL_BYTES_WANTED)
        make_different(sides, keys, differing)
        yield _exchange_figure(pair, "differing", keys, differing, DIFFERING_MS_WANTED, None)
        yield _exchange_figure(pair, "equal again", keys + differing // 3, 0, EQUAL_MS_WANTED, EQUAL_BYTES_WANTED)
    finally:
        for side in sides.values():
            side.close()


def _exchange_figure(
    pair: Pair, item: str, keys: int, differing: int, ms_wanted: float, bytes_wanted: int | None
) -> Figure:
    ms, cpu_ms = timed(pair.exchange)
    outcome = pair.outcome
    if (outcome.differing, outcome.pulled + outcome.pushed, outcome.false_repairs) != (differing, differing, 0):
        raise click.ClickException(f"{differing} keys differ, but the exchange found {outcome}")
    wanted, ratios = f"{ms_wanted:g} ms", [ms / ms_wanted]
    if bytes_wanted is not None:
        wanted += f" and {bytes_wanted:,} bytes"
        ratios.append(pair.bytes / bytes_wanted)
    note = f"{differing:,} of {keys:,} keys differ, wanted {wanted}"
    return Figure(
        item=item, note=note, ms=ms, cpu_ms=cpu_ms, bytes=pair.bytes, messages=pair.messages,
        ratio=round(max(ratios), 3),
    )  # fmt: skip


def cells_of(figure: Figure) -> list[str]:
    counted = ["–" if number is None else f"{number:,}" for number in (figure.bytes, figure.messages)]
    ratio = "–" if figure.ratio is None else f"{figure.ratio:.2f}"
    return [figure.item, f"{figure.ms:,.1f}", f"{figure.cpu_ms:,.1f}", *counted, ratio, figure.note]


@click.command("anti-entropy")
@click.option("--keys", type=click.IntRange(1_000), default=100_000, show_default=True, help="Of each replica.")
@click.option("--differing", type=click.IntRange(3, 1_000), default=100, show_default=True, help="How many differ.")
@click.option(
    "--folder",
    type=click.Path(exists=True, file_okay=False, writable=True, path_type=Path),
    help="Where the replicas keep their rows; default: the system's temporary folder.",
)
@click.option("-o", "--output", type=click.Choice(OUTPUTS), default="table", show_default=True)
def command(keys: int, differing: int, folder: Path | None, output: str) -> None:
    """What two leaderless replicas pay to see that they are equal, and to find and mend what is not."""
    with tempfile.TemporaryDirectory(prefix="bench-anti-entropy-", dir=folder) as place:
        figures = list(measure_all(Path(place), keys, differing, ExchangeSettings()))
    facts = facts_line(machine_facts(store_folder(folder)))
    if output == "json":
        click.echo(facts, err=True)
        click.echo("[" + ",\n ".join(json.dumps(asdict(figure), ensure_ascii=False) for figure in figures) + "]")
        return
    head = ["item", "ms", "CPU ms", "bytes", "messages", "÷ wanted", "what"]
    print_table(head, [cells_of(figure) for figure in figures])
    click.echo(facts)
