"""After the last fault: the cluster must come back to life, agree, write down what it owes its disks and nothing else,
survive a power cut, and have lost nothing."""

from chaos.checkers.linearizable import check
from chaos.checkers.verdict import Answer as Judgement
from chaos.mercy import is_whole
from chaos.simulating.day import Day
from chaos.simulating.ground import Ground
from chaos.simulating.oracle import Violation
from chaos.simulating.traffic import Traffic
from chaos.simulating.watch import Watch
from chaos.workloads.register import RegisterModel
from kvstore.core.commands import Command, Kind, batch_of, encode
from kvstore.core.ids import GroupId
from kvstore.node.requests import Acks, Answer, Failure, ReadRequest, WriteRequest
from kvstore.sim import faults as words
from kvstore.sim.client import Call
from kvstore.sim.cluster import SimCluster
from kvstore.sim.machine import Machine
from kvstore.sim.scheduler import MILLI, SECOND
from kvstore.storage.group_places import load_places
from kvstore.storage.keys import STATE_TABLES

PROBE_CLIENT = 1
CHECKER_STEPS_MAX = 300_000


class Ending:
    """Plays the end of a run, scene by scene. Each raises Violation if the cluster does not do what it must.

    What it means to agree, and what must not be lost, is for each mode to say.
    """

    def __init__(self, cluster: SimCluster, day: Day, ground: Ground, watch: Watch) -> None:
        self._cluster, self._day, self.ground, self._watch = cluster, day, ground, watch
        self._probes = 0
        self._probe_acks = Acks.DEFAULT if day.is_leaderless else Acks.MAJORITY
        election = day.cluster.raft.election_timeout_ms_max
        self.patience = 30 * SECOND + 40 * election * MILLI
        """Generous: elections, slow chunks of an image, a node that has to recover. A cluster that hangs never ends."""

    def play(self) -> None:
        cluster = self._cluster
        self.ground.closed = True
        self._replace_bad_disks()
        self._some_stay_broken()
        cluster.inject(words.Heal())
        self._work_again("after the last fault")
        self._agree("after the last fault")
        self._settle()
        self._tidy_up()
        self._cut_power()

    def judge(self) -> int:
        """Raises Violation if clients saw what they must not. Returns how many keys could not be judged."""
        raise NotImplementedError

    def _replace_bad_disks(self) -> None:
        """Flipped bits may sleep in rows that nobody reads: the machine gets a new disk."""
        for machine in self._cluster.machines.values():
            if machine.is_rotten:
                self._cluster.inject(words.WipeDisk(machine.name))

    def _some_stay_broken(self) -> None:
        """On some days a minority is down for good while the others must already work (VOPR's liveness mode)."""
        cluster = self._cluster
        rng = cluster.dice.stream("ending")
        if self._day.keyspace.replicas < 3 or rng.random() < 0.6:
            return
        if any(machine.wipes and not self._is_whole(machine) for machine in cluster.machines.values()):
            return  # it may take all others to bring one back that lost its disk
        broken = rng.sample(cluster.names, self._spare())
        if not broken:
            return
        cluster.inject(words.Heal())
        cluster.inject(words.Crash(tuple(broken)))
        self._work_again(f"while {', '.join(broken)} stay down")

    def _spare(self) -> int:
        """How many nodes the others can do without."""
        return (self._day.keyspace.replicas - 1) // 2

    def _is_whole(self, machine: Machine) -> bool:
        """Whether the machine has everything it ever had on its disk."""
        return is_whole(self._cluster, machine)

    # --- progress -----------------------------------------------------------------------------------------------------

    def _work_again(self, when: str) -> None:
        """Every call that is under way ends, and every group takes a write and answers a read."""
        cluster, ground = self._cluster, self.ground
        if not cluster.run_for(self.patience, lambda: ground.is_set_up):
            raise Violation("progress", f"{when}: the keyspace could not be created")
        waiting = {f"group {group} {kind}" for group in ground.groups for kind in ("write", "read")}
        for group in ground.groups:
            self._probe(group, waiting)
        if not cluster.run_for(self.patience, lambda: not waiting):
            raise Violation("progress", f"{when}: {', '.join(sorted(waiting))} did not succeed; {self._picture()}")

    def _probe(self, group: GroupId, waiting: set[str]) -> None:
        """Write and then read a key of that group, until both succeed."""
        key = next(key for key in self._probe_keys() if self.ground.group_of(key.decode()) == group)
        call_ms = self.patience // MILLI
        self._probes += 1

        def written(call: Call, answer: Answer | None) -> None:
            if answer is not None and not isinstance(answer, Failure):
                waiting.discard(f"group {group} write")
                self.ground.admin.call(ReadRequest(group, [key]), found, call_ms)

        def found(call: Call, answer: Answer | None) -> None:
            if answer is not None and not isinstance(answer, Failure):
                waiting.discard(f"group {group} read")

        batch = batch_of(PROBE_CLIENT, 0, [Command(self._probes, Kind.PUT, key, b"probe")])
        self.ground.admin.call(WriteRequest(group, encode(batch), self._probe_acks), written, call_ms)

    def _probe_keys(self) -> list[bytes]:
        return [f"probe{number}".encode() for number in range(200)]

    # --- agreement ----------------------------------------------------------------------------------------------------

    def _agree(self, when: str) -> None:
        """All replicas come to be the same."""
        cluster = self._cluster
        deadline = cluster.now + self.patience
        while not self._is_agreed() and cluster.now < deadline:
            cluster.run_for(50 * MILLI)
        if not self._is_agreed():
            raise Violation("convergence", f"{when}: the replicas do not come to agree; {self._picture()}")
        self._compare(when)

    def _is_agreed(self) -> bool:
        machines = list(self._cluster.machines.values())
        if not all(machine.node is not None and self._is_whole(machine) for machine in machines):
            return False
        return all(self._is_level(machine) for machine in machines)

    def _is_level(self, machine: Machine) -> bool:
        """Whether every replica on the machine, which is up, has everything."""
        raise NotImplementedError

    def _is_raft_level(self, machine: Machine) -> bool:
        """Every replica of a group with leaders has applied everything anybody ever has, and all that is in its log."""
        assert machine.node is not None, "asked of nodes that are up"
        for host in machine.node.groups.raft_hosts():
            state, length = host.state, self._watch.oracle.group(host.group).length
            if state is None or host.raft.damaged or not state.applied.index == length == host.raft.last.index:
                return False
        return True

    def _compare(self, when: str) -> None:
        """Raises Violation if a replica is not what it should be, now that all agree."""
        raise NotImplementedError

    # --- nothing is lost ----------------------------------------------------------------------------------------------

    def _settle(self) -> None:
        """What is still on its way arrives or is too late."""
        self._cluster.run_for(4 * SECOND)

    def _tidy_up(self) -> None:
        """Every flush comes to its end, every state that is gone is removed, and no row of one stays behind."""
        cluster = self._cluster
        machines = list(cluster.machines.values())
        if not cluster.run_for(self.patience, lambda: all(_is_flushed(machine) for machine in machines)):
            raise Violation("progress", f"some applied values never reach their rows; {self._picture()}")
        if not cluster.run_for(self.patience, lambda: all(_is_swept(machine) for machine in machines)):
            raise Violation("progress", "the rows of a state that is gone stay on a disk")

    def _cut_power(self) -> None:
        """Promise 1: no acknowledged write is lost, not even if all nodes lose power at once."""
        cluster = self._cluster
        cluster.inject(words.Crash(tuple(cluster.names), torn=False))
        cluster.run_for(SECOND)
        cluster.inject(words.Restart(tuple(cluster.names)))
        self._work_again("after a power cut")
        self._agree("after a power cut")

    def _picture(self) -> str:
        """Who is where, in a line."""
        words_: list[str] = []
        for machine in self._cluster.machines.values():
            if machine.node is None:
                words_.append(f"{machine.name} is down {machine.failure}")
                continue
            if not machine.node.identity.founded:
                words_.append(f"{machine.name} is not founded")
            words_ += [
                f"[{host.group}] {host.raft}"
                + (f" applied={host.state.applied}" if host.state is not None else " no state")
                for host in machine.node.groups.raft_hosts()
            ]
            words_ += [
                f"[{host.group}] {machine.name} log={host.replica.last}{' recovering' * host.replica.is_recovering}"
                for host in machine.node.groups.quorum_hosts()
            ]
        return "; ".join(words_)


class LeaderEnding(Ending):
    """All replicas are voters with the same applied index, their states are what was decided, and clients saw that."""

    def __init__(self, cluster: SimCluster, day: Day, watch: Watch) -> None:
        self._traffic = Traffic(cluster, day)
        super().__init__(cluster, day, self._traffic, watch)

    def _is_level(self, machine: Machine) -> bool:
        return self._is_raft_level(machine)

    def _compare(self, when: str) -> None:
        for machine in self._cluster.up():
            self._watch.check_states(machine)

    def _settle(self) -> None:
        """Every unknown write has a known end."""
        super()._settle()
        over: list[bool] = []
        self._traffic.settle(lambda: over.append(True))
        if not self._cluster.run_for(self.patience, lambda: bool(over)):
            raise Violation("progress", "the outcomes of unknown writes cannot be asked")

    def judge(self) -> int:
        """What the clients saw has an order. Returns how many keys' histories were too hard to judge."""
        verdict = check(self._traffic.history.operations(), RegisterModel(), steps_max=CHECKER_STEPS_MAX)
        if verdict.answer is Judgement.INVALID:
            raise Violation("linearizable", str(verdict))
        return len(verdict.findings)


def _is_flushed(machine: Machine) -> bool:
    if machine.node is None:
        return False
    states = [host.state for host in machine.node.groups.all()]
    return all(state is not None and state.applied == state.flushed for state in states)


def _is_swept(machine: Machine) -> bool:
    """Whether every row of a state on the disk is of one that some group is, or receives."""
    engine = machine.disk.engine
    known = {number for _, place in load_places(engine) for number in (place.data, place.staging)}
    rows = (key for table in STATE_TABLES for key, _ in engine.scan(table, bytes((table[0] + 1,))))
    return {int.from_bytes(key[1:5], "big") for key in rows} <= known
