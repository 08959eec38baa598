"""A tick's batch on a disk with a journal: a node never misses what is there, and survives with half of a batch."""

from kvstore.core.ids import NodeId
from kvstore.node.config import RaftConfig, StorageConfig
from kvstore.node.effects import Effects
from kvstore.node.requests import CreateKeyspaceRequest, DropKeyspaceRequest, Found, ReadRequest, Told
from kvstore.node.state_flush import load_applied
from kvstore.placement.keyspaces import Settings
from kvstore.storage import entry_log
from kvstore.storage.engine import Batch
from kvstore.storage.group_places import load_places
from kvstore.storage.journal import Way, split, way_of
from kvstore.storage.keys import BALLOT, DOOMED, FLOOR, HISTORY, JOURNALED, LOG, META, OUTCOME, PLACE, VALUE
from kvstore.storage.memory_engine import MemoryEngine
from kvstore.storage.pending_rows import PendingRows
from tests.node.trio import Trio


class Journaled(Trio):
    """Nodes on disks with a journal: the data file hears of the journal's rows when it must, and never before."""

    def __init__(self, **parts: object) -> None:
        self.pending: dict[NodeId, PendingRows] = {}
        self.tables: dict[Way, set[frozenset[bytes]]] = {way: set() for way in Way}
        self.cuts = self.slices = 0
        super().__init__(**parts)  # type: ignore[arg-type]

    def start(self, name: NodeId) -> None:
        pending = self.pending.setdefault(name, PendingRows())
        self.engines[name].commit(pending.as_batch())
        pending.clear()
        super().start(name)

    def wipe(self, name: NodeId) -> None:
        super().wipe(name)
        self.pending[name].clear()

    def _carry_out(self, name: NodeId, effects: Effects) -> None:
        if effects.rows is not None:
            self.tables[Way.BOTH].add(frozenset(key[:1] for key, _, _ in effects.rows.operations))
            self.slices += 1
            self._check_restart(name, effects.rows)  # before the batch, and before the batches that are under way
        if effects.batch is not None:
            effects.batch = self._route(name, effects.batch)
        if effects.rows is not None:
            self._check_restart(name, Batch())
        super()._carry_out(name, effects)

    def _route(self, name: NodeId, batch: Batch) -> Batch:
        """What goes to the data file now."""
        way, pending = way_of(batch), self.pending[name]
        self.tables[way].add(frozenset(key[:1] for key, _, _ in batch.operations))
        if way is Way.ENGINE:
            whole = pending.as_batch(batch)
            whole.extend(batch)
            pending.clear()
            return whole
        hot, cold = split(batch)
        pending.add(hot.operations)
        self.cuts += any(end is not None for _, _, end in hot.operations)
        if hot and cold:
            self._check_restart(name, Batch())
        return cold

    def _check_restart(self, name: NodeId, written: Batch) -> None:
        """What a node would find now, the journal's half of a batch being on disk and of the rest what is `written`."""
        found = MemoryEngine()
        rows = Batch()
        for key, value in self.engines[name].scan(b"", b"\xff"):
            rows.put(key, value)
        found.commit(rows)
        found.commit(self.pending[name].as_batch())
        found.commit(written)
        for group, place in load_places(found):
            entries = entry_log.load(found, group, place.log_start.index)
            applied = load_applied(found, place.data)
            host = self.nodes[name].groups.get(group)
            if host is not None and host.state is not None:
                assert place.log_start.index <= applied.index, f"group {group}: the log was cut beyond its state"
                assert applied.index <= place.log_start.index + len(entries), f"group {group}: its log is too short"

    def served(self, keys: list[bytes]) -> list[object]:
        answers = [self.answer(self.leader_of(key), ReadRequest(self.group_of(key), [key])) for key in keys]  # type: ignore[arg-type]
        return [answer.versions for answer in answers if isinstance(answer, Found)]


def test_a_node_never_misses_what_is_in_the_journal_and_survives_with_half_a_batch() -> None:
    """Everything a node does to its disk: votes, writes, cut logs, flushes, images, drops, recovery, restarts."""
    trio = Journaled(
        raft=RaftConfig(log_entries_max=16, snapshot_chunk_bytes=1024),
        storage=StorageConfig(flush_rows_max=4, flush_slice_rows=3, flush_interval_ms=20, history_seconds=1),
    )
    trio.run(3_000)
    keys = [b"k%d" % number for number in range(120)]
    for number, key in enumerate(keys):
        trio.ask(trio.leader_of(key), trio.put(key, b"v" * 40))
        if number % 10 == 0:
            trio.run(20)
    leader = trio.leader_of(keys[0])
    trio.cut.add(leader)  # it appends what the others will never have: its log is cut off later
    trio.ask(leader, trio.put(keys[0], b"lost"))
    trio.run(3_000)
    trio.cut.clear()
    trio.run(2_000)
    assert trio.answer(trio.names[0], CreateKeyspaceRequest(Settings("brief", partitions=2))) == Told()
    trio.crash(trio.names[1])
    trio.run(2_000)
    for key in keys * 3:
        trio.answer(trio.leader_of(key), trio.put(key, b"w" * 40))
    trio.start(trio.names[1])  # needs images
    trio.run(5_000)
    assert trio.answer(trio.names[0], DropKeyspaceRequest("brief")) == Told()
    trio.wipe(trio.names[2])
    trio.start(trio.names[2])
    trio.run(10_000)
    before = trio.served(keys)
    for name in trio.names:
        trio.crash(name)
    for name in trio.names:
        trio.start(name)
    trio.run(5_000)
    assert trio.served(keys) == before and len(before) == len(keys)
    assert not trio.failures and not any(node.damage for node in trio.nodes.values())
    assert trio.slices > 50 and trio.cuts
    ways = trio.tables
    assert ways[Way.JOURNAL] <= {frozenset({BALLOT}), frozenset({LOG}), frozenset({BALLOT, LOG})}
    assert not [tables for tables in ways[Way.BOTH] if tables & {PLACE, FLOOR, JOURNALED}]
    everything = {table for kinds in ways.values() for tables in kinds for table in tables}
    assert everything == {BALLOT, PLACE, LOG, META, VALUE, HISTORY, OUTCOME, DOOMED, FLOOR}
