"""The watch: looks at every step of every node, and ends the run at the first broken promise.

What must hold at any moment (Ongaro's thesis, figure 3.2, and our own promises):

- one leader per term and group; a new leader has everything that was decided in earlier terms;
- entries are applied in order, and are the same on all nodes at each index;
- a state that is read back from disk, or installed as an image, is that of its applied index, neither more nor less;
- stamps rise, operations happen once, answers are those of the log (all by comparison with the oracle);
- an acknowledged write is on the disks of a majority, or of all where all were asked for, when its answer leaves;
- a read's answer is that of the state at the index it names; a linearizable one is not older than any acknowledged
  write that was answered before the read arrived; a follower's is no staler than it says.
"""

from bisect import bisect_right
from collections.abc import Iterator
from operator import itemgetter

import msgspec

from chaos.simulating.news import Grapevine, News, news_in
from chaos.simulating.oracle import GroupOracle, Oracle, Violation
from kvstore.core.commands import decode_batch, decode_results
from kvstore.core.entries import Entry
from kvstore.core.errors import Corruption
from kvstore.core.ids import GroupId, Index, NodeId
from kvstore.node.effects import Effects
from kvstore.node.group_host import GroupHost
from kvstore.node.partition_state import PartitionState
from kvstore.node.requests import (
    Acks,
    Answer,
    Found,
    OutcomeFound,
    OutcomeRequest,
    ReadLevel,
    ReadRequest,
    Receipt,
    Request,
    WriteRequest,
    Written,
)
from kvstore.node.state_flush import load_meta
from kvstore.replication.quorum import majority
from kvstore.replication.raft.effects import Standing
from kvstore.replication.raft.replica import RaftReplica
from kvstore.sim.clock import EVEN
from kvstore.sim.cluster import SimCluster
from kvstore.sim.machine import Machine
from kvstore.sim.scheduler import MILLI, Micros
from kvstore.storage import entry_log, group_places
from kvstore.storage.keys import log_key

READ_BACK = "what is read back is what was decided"

_VERSIONS = msgspec.msgpack.Decoder(list[tuple[int, bytes] | None])


class Seen:
    """What was last seen of one replica in one life of its node."""

    __slots__ = ("applied", "data", "state", "term", "whole_at")

    def __init__(self, data: int, state: object, applied: int) -> None:
        self.data, self.state, self.applied = data, state, applied
        self.whole_at = 0
        """From this applied index on, its rows are those of its index."""
        self.term = 0
        """The latest term in which it was seen to lead."""


class Watch:
    """One watch per universe. It is made before the cluster, and shown it then."""

    def __init__(self) -> None:
        self.oracle = Oracle()
        self.machines: dict[NodeId, Machine] = {}
        self.acknowledged: dict[GroupId, list[tuple[Micros, int]]] = {}
        """Per group, when an answer left and the largest index acknowledged by then."""
        self.asked_at: dict[int, Micros] = {}
        self.elections = 0
        self.installs = 0
        self.replies = 0
        self.grapevine = Grapevine()
        """Told of what happens in a step before it is carried out: who lies in wait may strike in its middle."""
        self._news: list[News] = []
        self._seen: dict[tuple[NodeId, GroupId], Seen] = {}
        self._leaders: dict[tuple[GroupId, int], str] = {}

    def observe(self, cluster: SimCluster) -> None:
        """This is the cluster to watch."""
        self.machines = cluster.machines

    # --- a node's steps -----------------------------------------------------------------------------------------------

    def started(self, machine: Machine) -> None:
        """The node has read its disk: whatever it holds must be what was decided."""
        for key in [key for key in self._seen if key[0] == machine.name]:
            del self._seen[key]
        is_lost = machine.wipes or machine.is_rotten
        # A founder whose pulses were lost, so that founded peers do not know it yet, begins as if it had been wiped.
        if not is_lost and machine.node is not None and not machine.node.identity.wiped:
            for host in self._hosts(machine):
                if host.raft.standing is not Standing.VOTER:
                    raise Violation(
                        "good disks are believed", f"group {host.group}: {machine.name} found its own log to be damaged"
                    )
        self._look(machine)

    def stepped(self, machine: Machine, effects: Effects) -> None:
        self._look(machine)
        if effects.ring_changed:
            for host in self._hosts(machine):
                if host.raft.is_leader:
                    self._check_leader(machine, host)
        if self.grapevine.listens:
            for news in (*self._news, *news_in(effects, machine.name)):
                self.grapevine.spread(news)
        self._news.clear()

    def failed(self, machine: Machine, reason: str) -> None:
        """A node may give up if its disk is bad, and for no other reason."""
        if not machine.is_rotten:
            raise Violation("nodes do not give up", f"{machine.name}: {reason}")

    def _hosts(self, machine: Machine) -> Iterator[GroupHost]:
        node = machine.node
        assert node is not None, "a machine without a node does not step"
        return node.groups.raft_hosts()

    def _look(self, machine: Machine) -> None:
        name, seen = machine.name, self._seen
        for host in self._hosts(machine):
            state = host.state
            last = seen.get((name, host.group))
            if state is None:
                # Damage may be met in the step that applied and answered: what that was is decided all the same.
                if last is not None and host.raft.log.start.index <= last.applied < host.raft.commit:
                    self._take(machine, host, last, host.raft.commit)
                continue
            if last is None or last.state is not state:
                last = self._meet(machine, host, last)
            applied = state.applied.index
            if applied != last.applied:
                self._take(machine, host, last, applied)

    def _meet(self, machine: Machine, host: GroupHost, last: Seen | None) -> Seen:
        """A state we have not seen: just opened from disk, or installed."""
        state = host.state
        assert state is not None, "only a state can be met"
        if last is not None:
            self.installs += 1
        oracle = self.oracle.group(host.group)
        begun = state.flushed.index if last is None or last.data != host.place.data else last.applied
        if begun > oracle.length:
            raise Violation(
                "state from nowhere",
                f"group {host.group}: {machine.name} has a state at {begun}, only {oracle.length} were ever applied",
            )
        seen = Seen(host.place.data, state, begun)
        seen.whole_at = begun
        if isinstance(state, PartitionState) and not machine.is_rotten:
            # A flush that was cut short has written some rows too early: the state is whole when that is redone.
            seen.whole_at = max(begun, load_meta(machine.disk.engine, state.data).redo_until)
        if seen.whole_at == begun == state.applied.index:
            self._check_state(machine, host, READ_BACK)
        seen.term = last.term if last is not None else 0
        self._seen[machine.name, host.group] = seen
        return seen

    def _take(self, machine: Machine, host: GroupHost, last: Seen, applied: int) -> None:
        """Entries were applied: compare each with what others applied there."""
        if applied < last.applied:
            raise Violation(
                "applied index never falls",
                f"group {host.group}: {machine.name} went from {last.applied} to {applied}",
            )
        log, oracle = host.raft.log, self.oracle.group(host.group)
        if log.start.index > last.applied:
            raise Violation(
                "nothing unapplied is compacted",
                f"group {host.group}: {machine.name} applied {last.applied}, its log starts at {log.start}",
            )
        entries: list[Entry] = log.between(Index(last.applied), Index(applied))
        if len(entries) != applied - last.applied:
            raise Violation(
                "only the log is applied", f"group {host.group}: {machine.name} applied {applied}, log {log.last}"
            )
        known = oracle.length
        for entry in entries:
            oracle.take(machine.name, entry, host.raft.term)
        if oracle.length > known:
            self._news.append(News("an entry is decided", machine.name, host.group))
            self._check_rivals(host.raft)
        if last.applied < last.whole_at <= applied:
            self._check_state(machine, host, READ_BACK)
        last.applied = applied

    def _check_leader(self, machine: Machine, host: GroupHost) -> None:
        raft, group, name = host.raft, host.group, machine.name
        # A lone voter leads before its ballot is on disk, and after a crash perhaps in the same term again: nothing is
        # decided in between, because that takes its disk, and nobody else hears of it.
        me = name if len(host.voters) == 1 else f"{name} in its life {machine.lives}"
        other = self._leaders.setdefault((group, raft.term), me)
        if other != me:
            raise Violation("one leader per term", f"group {group}: {other} and {me} both lead term {raft.term}")
        seen = self._seen.get((name, group))
        if seen is None or seen.term == raft.term:
            return
        seen.term = raft.term
        self.elections += 1
        self._news.append(News("a leader rises", name, group))
        oracle = self.oracle.group(group)
        owed = sum(1 for term in oracle.decided_in if term < raft.term)
        if not has_entry(raft, oracle, owed):
            raise Violation(
                "leader completeness",
                f"group {group}: {name} leads term {raft.term} with its log ending at {raft.last}, "
                f"but {owed} entries were decided before",
            )

    def _check_rivals(self, raft: RaftReplica) -> None:
        """Nobody leads a later term without what was just decided in this one."""
        oracle = self.oracle.group(raft.group)
        for machine in self.machines.values():
            host = machine.node.groups.raft_host(raft.group) if machine.node is not None else None
            if host is None or not host.raft.is_leader or host.raft.term <= raft.term:
                continue
            if not has_entry(host.raft, oracle, oracle.length):
                raise Violation(
                    "leader completeness",
                    f"group {raft.group}: {raft.me} in term {raft.term} has decided entry {oracle.length}, which "
                    f"{machine.name} does not have, who leads term {host.raft.term}",
                )

    # --- states -------------------------------------------------------------------------------------------------------

    def _check_state(self, machine: Machine, host: GroupHost, check: str) -> None:
        if isinstance(host.state, PartitionState) and not machine.is_rotten:
            check_state(self.oracle.group(host.group), host.state, machine.name, check)

    def check_states(self, machine: Machine) -> None:
        """Every partition on the machine is exactly what was decided up to its applied index."""
        for host in self._hosts(machine):
            self._check_state(machine, host, "convergence")

    # --- answers ------------------------------------------------------------------------------------------------------

    def replied(self, machine: Machine, request: Request, answer: Answer, asked_at: Micros) -> None:
        self.replies += 1
        if isinstance(answer, Written) and isinstance(request, WriteRequest):
            self._check_written(machine, request, answer)
        elif isinstance(answer, Found) and isinstance(request, ReadRequest):
            self._check_found(machine, request, answer, asked_at)
        elif isinstance(answer, OutcomeFound) and isinstance(request, OutcomeRequest):
            self._check_outcome(request, answer)
        elif isinstance(answer, Written | Found | OutcomeFound):
            raise Violation("answers fit", f"{machine.name} answers {request} with {answer}")

    def _check_written(self, machine: Machine, request: WriteRequest, answer: Written) -> None:
        if request.acks == Acks.LEADER:
            return
        receipt, oracle = answer.receipt, self.oracle.group(request.group)
        batch = decode_batch(request.commands)
        for command, result in zip(batch.commands, decode_results(answer.results), strict=True):
            expected = oracle.answers.get((batch.client, command.sequence))
            if expected is None and self._has_parted(NodeId(receipt.node), request.group):
                return
            if expected is None or expected != (result.status, result.stamp):
                raise Violation(
                    "answers are those of the log",
                    f"group {request.group}: {machine.name} says {result} for operation "
                    f"{batch.client}-{command.sequence}, the log says {expected}",
                )
        self._check_durable(machine, request, receipt, oracle)
        acknowledged = self.acknowledged.setdefault(request.group, [])
        if not acknowledged or receipt.index > acknowledged[-1][1]:
            acknowledged.append((machine.now, receipt.index))

    def _has_parted(self, name: NodeId, group: GroupId) -> bool:
        """Whether the node gave its state of the group up, perhaps in the very step that applied what it answers: the
        group was dropped, or its rows are damaged. What it applied last we did not see then."""
        machine = self.machines[name]
        host = machine.node.groups.get(group) if machine.node is not None else None
        return machine.is_rotten or host is None or host.state is None

    def _check_durable(self, machine: Machine, request: WriteRequest, receipt: Receipt, oracle: GroupOracle) -> None:
        replicas = self._replicas_of(request.group)
        if not replicas or any(self.machines[name].wipes or self.machines[name].is_rotten for name in replicas):
            return
        term = oracle.entries[receipt.index - 1][0]
        have = [name for name in replicas if is_on_disk(self.machines[name], request.group, receipt.index, term)]
        needed = len(replicas) if request.acks == Acks.ALL else majority(len(replicas))
        if len(have) < needed:
            raise Violation(
                "acknowledged is on disk",
                f"group {request.group}: {machine.name} acknowledges entry {receipt.index}, "
                f"which is on the disks of {have}, of {list(replicas)}",
            )

    def _replicas_of(self, group: GroupId) -> tuple[NodeId, ...]:
        for machine in self.machines.values():
            ring = machine.node.ring if machine.node is not None else None
            place = ring.place_of(group) if ring is not None else None
            if place is not None:
                return place.partition.replicas
        return ()

    def _check_found(self, machine: Machine, request: ReadRequest, answer: Found, asked_at: Micros) -> None:
        receipt, oracle = answer.receipt, self.oracle.group(request.group)
        for key, version in zip(request.keys, _VERSIONS.decode(answer.versions), strict=True):
            expected = oracle.read(key, receipt.index)
            if expected != version:
                raise Violation(
                    "reads see a decided state",
                    f"group {request.group}: {machine.name} says {key!r} is {version} at {receipt.index}, "
                    f"the log says {expected}",
                )
        if request.level == ReadLevel.FOLLOWER:
            served_at = machine.stepped_at if receipt.node == machine.name else asked_at
            self._check_fresh(machine, request, receipt, served_at)
        elif request.level != ReadLevel.LEADER:
            self._check_latest(request, receipt, asked_at)

    def _check_latest(self, request: ReadRequest, receipt: Receipt, asked_at: Micros) -> None:
        """Whatever had been acknowledged when the read arrived is in its answer."""
        owed = self._acknowledged_by(request.group, asked_at)
        if receipt.index < owed:
            raise Violation(
                "linearizable reads are fresh",
                f"group {request.group}: {receipt.node} in term {receipt.term} answers from {receipt.index} "
                f"({'lease' if receipt.by_lease else 'round'}), but {owed} was acknowledged before the read arrived",
            )

    def _acknowledged_by(self, group: GroupId, at: Micros) -> int:
        acknowledged = self.acknowledged.get(group)
        if not acknowledged:
            return 0
        place = bisect_right(acknowledged, at, key=itemgetter(0))
        return acknowledged[place - 1][1] if place else 0

    def _check_fresh(self, machine: Machine, request: ReadRequest, receipt: Receipt, served_at: Micros) -> None:
        """Nothing above the answer's index had been acknowledged as long ago as its staleness says."""
        if request.max_staleness_ms and receipt.staleness_ms > request.max_staleness_ms:
            raise Violation("staleness bound", f"{machine.name} answers at {receipt.staleness_ms} ms, more than asked")
        if receipt.staleness_ms >= 0xFFFF_FFFF:
            return
        age = (receipt.staleness_ms + 1) * MILLI * EVEN // machine.clock.rate
        owed = self._acknowledged_by(request.group, served_at - age)
        if receipt.index < owed:
            raise Violation(
                "staleness bound",
                f"group {request.group}: {machine.name} answers from {receipt.index} and says it is at most "
                f"{receipt.staleness_ms} ms old, but {owed} was acknowledged before that",
            )

    def _check_outcome(self, request: OutcomeRequest, answer: OutcomeFound) -> None:
        found: list[int] | None = msgspec.msgpack.decode(answer.outcome)
        expected = self.oracle.group(request.group).answers.get((request.client, request.sequence))
        if (None if found is None else (found[0], found[1])) != expected:
            raise Violation(
                "outcomes are remembered",
                f"group {request.group}: operation {request.client}-{request.sequence} is said to have ended as "
                f"{found}, the log says {expected}",
            )


def has_entry(raft: RaftReplica, oracle: GroupOracle, index: int) -> bool:
    """Whether the replica's log, or its state, has the entry that was decided at this index (0: there is none)."""
    if index <= raft.log_start.index:
        return True
    return raft.log.term_at(Index(index)) == oracle.entries[index - 1][0]


def check_state(oracle: GroupOracle, state: PartitionState, name: str, check: str) -> None:
    """A partition's rows are those the oracle has at its applied index. Raises Violation."""
    try:
        rows, _ = state.page(b"", b"", 0, 1 << 40, False)
    except Corruption as error:
        raise Violation(check, f"group {oracle.group}: {name} cannot read its state: {error}") from error
    expected = oracle.rows(state.applied.index)
    if rows != expected:
        wrong = [row for row in rows if row not in expected][:3]
        missing = [row for row in expected if row not in rows][:3]
        raise Violation(
            check,
            f"group {oracle.group}: the state of {name} at {state.applied} is not what was decided: "
            f"has {wrong}, lacks {missing}",
        )


def is_on_disk(machine: Machine, group: GroupId, index: int, term: int) -> bool:
    """Whether a machine's disk, as a crash would leave it at worst, has that entry or a state with it."""
    engine = machine.disk.engine
    row = engine.get(log_key(group, Index(index)))
    if row is not None:
        return entry_log.decode_row(log_key(group, Index(index)), row).term == term
    place = group_places.load_place(engine, group)
    return place is not None and place.log_start.index >= index
