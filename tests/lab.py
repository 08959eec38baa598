"""The in-memory cluster the Raft tests talk to: replicas, disks that forget what was not synced, a slow network.

Nothing happens by itself. Messages lie in `lab.mail` until somebody delivers, drops or repeats them; writes lie in a
disk's queue until it syncs, and the replica hears of it only when it is notified; clocks stand still until `pass_time`.
Whoever drives the lab (a golden script, a test of one sentence, a storm of random events) decides the order.
`watch` is asked after every step and objects to a broken law (tests/replication/raft/laws.py).
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from random import Random

import msgspec

from kvstore.core.entries import NO_BALLOT, NOTHING, Ballot, Entry, LogEnd
from kvstore.core.ids import GroupId, Index, Millis, NodeId
from kvstore.replication.raft.effects import (
    ChunkRead,
    ChunkWanted,
    Compact,
    Effects,
    Event,
    Persisted,
    Propose,
    ReadRequested,
    Received,
    Standing,
    TimePassed,
)
from kvstore.replication.raft.messages import Message, SnapshotChunk
from kvstore.replication.raft.replica import RaftReplica
from kvstore.replication.raft.settings import RaftSettings

Rows = tuple[Entry, ...]
CHUNK_ROWS = 2
_encode, _decode = msgspec.msgpack.Encoder().encode, msgspec.msgpack.Decoder(tuple[Entry, ...]).decode


class Watch:
    """Sees everything and may object. This one never does."""

    def stepped(self, lab: "Lab", node: "Node", event: Event, effects: Effects) -> None: ...

    def left(self, lab: "Lab", sender: NodeId, to: NodeId, message: Message) -> None: ...


@dataclass(slots=True)
class Letter:
    """A message under way."""

    sender: NodeId
    to: NodeId
    message: Message


@dataclass(slots=True)
class Disk:
    """What survives a crash, and what has been written but not synced."""

    ballot: Ballot = NO_BALLOT
    standing: Standing = Standing.VOTER
    log_start: LogEnd = NOTHING
    entries: list[Entry] = field(default_factory=list)
    state: Rows = ()  # the durable image of the state machine
    staging: list[Entry] = field(default_factory=list)
    queue: list[Effects] = field(default_factory=list)  # written, not synced
    synced: list[Effects] = field(default_factory=list)  # on disk, and the replica does not know yet

    def sync(self, count: int | None = None) -> None:
        """Make the oldest writes durable."""
        for _ in range(len(self.queue) if count is None else min(count, len(self.queue))):
            effects = self.queue.pop(0)
            self._carry_out(effects)
            self.synced.append(effects)

    def _carry_out(self, effects: Effects) -> None:
        if effects.ballot is not None:
            self.ballot = effects.ballot
        if effects.standing is not None:
            self.standing = effects.standing
        if effects.truncate_from is not None:
            del self.entries[max(0, effects.truncate_from - self.log_start.index - 1) :]
        if effects.append:
            assert effects.append[0].index == self.end.index + 1, f"{effects.append[0]} leaves a gap after {self.end}"
            self.entries += effects.append
        if effects.store_chunk is not None:
            self._store(effects.store_chunk)
        if effects.install is not None:
            mark = effects.install
            self.entries = [entry for entry in self.entries if entry.index > mark.index]
            self.state, self.log_start, self.staging = tuple(self.staging), mark, []
            assert len(self.state) == mark.index, "the installed image is not whole"

    def _store(self, chunk: SnapshotChunk) -> None:
        if not chunk.cursor:
            self.staging = []
        assert int(chunk.cursor or b"0") == len(self.staging), "a chunk is missing from the staging image"
        self.staging += _decode(chunk.data)

    @property
    def end(self) -> LogEnd:
        return LogEnd(self.entries[-1].term, self.entries[-1].index) if self.entries else self.log_start

    def term_at(self, index: int) -> int | None:
        """The term of an entry, in the log or in the state."""
        if 0 < index <= len(self.state):
            return self.state[index - 1].term
        offset = index - self.log_start.index - 1
        return self.entries[offset].term if 0 <= offset < len(self.entries) else None


class Node:
    """One place in the cluster: a disk that stays, and a replica while the process lives."""

    def __init__(self, name: NodeId) -> None:
        self.name = name
        self.disk = Disk()
        self.replica: RaftReplica | None = None
        self.applied: list[Entry] = []  # the state machine: simply all entries
        self.images: dict[NodeId, tuple[LogEnd, Rows]] = {}  # opened for followers
        self.clock_rate = 1.0
        self.clock_offset = 0
        self.holds_disk = False  # syncs only when told to
        self.reads: list[tuple[int, Index]] = []  # ready, waiting for the state machine
        self.answered: list[tuple[int, int]] = []  # (context, applied index at the answer)
        self.failed: list[int] = []

    @property
    def alive(self) -> RaftReplica:
        assert self.replica is not None, f"{self.name} is down"
        return self.replica


class Lab:
    """A cluster in a box."""

    def __init__(
        self,
        names: Iterable[str] = ("n1", "n2", "n3"),
        *,
        settings: RaftSettings | None = None,
        seed: int = 0,
        preferred: str | None = None,
        watch: Watch | None = None,
    ) -> None:
        self.names = tuple(NodeId(name) for name in names)
        self.settings = settings or RaftSettings()
        self.preferred = NodeId(preferred) if preferred else None
        self.rng = Random(f"lab {seed}")
        self.watch = watch or Watch()
        self.now = 1_000
        self.mail: list[Letter] = []
        self.cuts: set[tuple[NodeId, NodeId]] = set()  # (from, to): what is delivered there is lost
        self.nodes = {name: Node(name) for name in self.names}
        for name in self.names:
            self.start(name)

    def __getitem__(self, name: str) -> RaftReplica:
        return self.nodes[NodeId(name)].alive

    # --- lives ---

    def start(self, name: str) -> None:
        """A process begins: all it knows is on its disk."""
        node = self.nodes[NodeId(name)]
        disk = node.disk
        assert node.replica is None, f"{name} runs already"
        node.replica = RaftReplica(
            me=node.name,
            group=GroupId(1),
            voters=self.names,
            settings=self.settings,
            ballot=disk.ballot,
            log_start=disk.log_start,
            entries=list(disk.entries),
            standing=disk.standing,
            now=self.clock(node),
            rng=Random(self.rng.random()),
            preferred_leader=self.preferred,
        )
        node.applied = list(disk.state)
        self.step(name, TimePassed())

    def crash(self, name: str) -> None:
        """The process ends; writes that were not synced are gone."""
        node = self.nodes[NodeId(name)]
        node.replica = None
        node.images.clear()
        node.reads.clear()
        node.disk.queue.clear()
        node.disk.synced.clear()

    def wipe(self, name: str) -> None:
        """The disk is lost too; the node comes back as one that must recover."""
        self.crash(name)
        self.nodes[NodeId(name)].disk = Disk(standing=Standing.RECOVERING)

    # --- time ---

    def clock(self, node: Node) -> Millis:
        """Its monotonic clock: another origin and perhaps another speed than ours."""
        return Millis(int(self.now * node.clock_rate) + node.clock_offset)

    def pass_time(self, ms: int) -> None:
        """Let time pass, stepping every replica that wants to be woken, each at its instant."""
        end = self.now + ms
        while True:
            due = [(self.wake_time(node), node.name) for node in self.nodes.values()]
            when, name = min(((when, name) for when, name in due if when is not None), default=(end + 1, None))
            if name is None or when > end:
                self.now = end
                return
            self.now = max(self.now, when)
            self.step(name, TimePassed())

    def pass_time_of(self, node: Node) -> None:
        """This node's alarm goes off."""
        self.step(node.name, TimePassed())

    def wake_time(self, node: Node) -> int | None:
        """When our clock shows what the replica waits for on its own."""
        if node.replica is None or node.replica.wake_at is None:
            return None
        when = int((node.replica.wake_at - node.clock_offset) / node.clock_rate)
        return when if int(when * node.clock_rate) + node.clock_offset >= node.replica.wake_at else when + 1

    # --- events ---

    def step(self, name: str, event: Event) -> Effects:
        """One event, and everything its effects ask for that need not wait."""
        node = self.nodes[NodeId(name)]
        effects = node.alive.step(self.clock(node), event)
        self.watch.stepped(self, node, event, effects)
        self._carry_out(node, effects)
        return effects

    def _carry_out(self, node: Node, effects: Effects) -> None:
        for to, message in effects.send:
            self.post(node.name, to, message)
        writes = effects.ballot, effects.standing, effects.truncate_from, effects.store_chunk, effects.install
        if effects.append or effects.promise or any(write is not None for write in writes):
            node.disk.queue.append(effects)
        for entry in effects.committed:
            if entry.index > len(node.applied):
                assert entry.index == len(node.applied) + 1, f"{node.name} was not given entry {len(node.applied) + 1}"
                node.applied.append(entry)
        node.reads += effects.reads_ready
        node.failed += effects.reads_failed
        self._answer_reads(node)
        for peer in effects.images_over:
            node.images.pop(peer, None)
        for wanted in effects.chunks_wanted:
            self.read_chunk(node, wanted)
        if not node.holds_disk:
            self.sync(node.name)

    def _answer_reads(self, node: Node) -> None:
        waiting, node.reads = node.reads, []
        for context, index in waiting:
            if len(node.applied) >= index:
                node.answered.append((context, len(node.applied)))
            else:
                node.reads.append((context, index))

    def sync(self, name: str, count: int | None = None) -> None:
        """The disk catches up, and the replica hears of it."""
        self.nodes[NodeId(name)].disk.sync(count)
        self.notify(name)

    def notify(self, name: str) -> None:
        """The replica hears what its disk has done: promises leave, and the log counts as persisted."""
        node = self.nodes[NodeId(name)]
        synced, node.disk.synced = node.disk.synced, []
        end = None
        for effects in synced:
            for to, message in effects.promise:
                self.post(node.name, to, message)
            if effects.install is not None:
                node.applied = list(node.disk.state)
                end = effects.install
            if effects.append:
                end = LogEnd(effects.append[-1].term, effects.append[-1].index)
        if end is not None and node.replica is not None:
            self.step(name, Persisted(end))

    def read_chunk(self, node: Node, wanted: ChunkWanted) -> None:
        """The node reads its own durable state for a follower."""
        if wanted.mark is None or wanted.peer not in node.images:
            if not node.disk.queue and not node.disk.synced:
                node.disk.state = tuple(node.applied)  # what follows from the log may be written once the log is
            state = node.disk.state
            if not state or len(state) < wanted.mark_min:
                return
            node.images[wanted.peer] = LogEnd(state[-1].term, state[-1].index), state
        mark, rows = node.images[wanted.peer]
        first = int(wanted.cursor or b"0") if mark == wanted.mark else 0
        stop = min(first + CHUNK_ROWS, len(rows))
        cursor = str(first).encode() if first else b""
        data = _encode(rows[first:stop])
        done = stop == len(rows)
        self.step(node.name, ChunkRead(wanted.peer, mark, cursor, data, str(stop).encode(), done))

    def compact(self, name: str, upto: int | None = None) -> None:
        """The state machine is made durable, the log cut."""
        node = self.nodes[NodeId(name)]
        disk = node.disk
        assert not disk.queue, "the state machine's rows come after the log's"
        if len(disk.state) < (upto or len(node.applied)):
            disk.state = tuple(node.applied[: upto or len(node.applied)])
        self.step(name, Compact(Index(len(disk.state))))
        start = node.alive.log_start
        disk.entries = [entry for entry in disk.entries if entry.index > start.index]
        disk.log_start = start

    # --- mail ---

    def post(self, sender: NodeId, to: NodeId, message: Message) -> None:
        self.watch.left(self, sender, to, message)
        self.mail.append(Letter(sender, to, message))

    def deliver(self, letter: Letter) -> bool:
        """Hand over one letter. False if it was lost: the way is cut or the node is down."""
        self.mail.remove(letter)
        if (letter.sender, letter.to) in self.cuts or self.nodes[letter.to].replica is None:
            return False
        self.step(letter.to, Received(letter.sender, letter.message))
        return True

    def cut(self, *groups: Iterable[str]) -> None:
        """Groups of nodes no longer reach each other."""
        sides = [{NodeId(name) for name in group} for group in groups]
        for here in sides:
            for there in sides:
                if here is not there:
                    self.cuts |= {(a, b) for a in here for b in there}

    def heal(self) -> None:
        self.cuts.clear()

    # --- shortcuts ---

    def settle(self, rounds: int = 20_000) -> None:
        """Deliver everything until nobody has anything to say."""
        while self.mail:
            self.deliver(self.mail[0])
            rounds -= 1
            assert rounds, "they never stop talking"

    def run(self, ms: int, step_ms: int = 5) -> None:
        """Let time pass and mail flow."""
        end = self.now + ms
        while self.now < end:
            self.pass_time(min(step_ms, end - self.now))
            self.settle()

    def elect(self, name: str) -> RaftReplica:
        """Make this node the leader: the others are patient."""
        node = self.nodes[NodeId(name)]
        self.run(self.settings.election_timeout_ms_min)  # until nobody is loyal to a leader that is gone
        replica = node.alive
        assert replica.wake_at is not None, f"{name} has stopped its clock"
        for _ in range(3):
            node.clock_offset += max(0, replica.wake_at - self.clock(node))
            self.step(name, TimePassed())
            self.settle()
            if replica.is_leader:
                return replica
        raise AssertionError(f"{name} was not elected: {self.describe()}")

    def propose(self, name: str, *payloads: str) -> Effects:
        return self.step(name, Propose(tuple(payload.encode() for payload in payloads)))

    def read(self, name: str, context: int) -> None:
        self.step(name, ReadRequested(context))

    def describe(self) -> str:
        return " · ".join(str(node.replica or f"{node.name} is down") for node in self.nodes.values())
