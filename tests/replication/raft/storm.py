"""A storm: random events in a random order over one group, from a seed. Each seed is a different kind of bad day."""

from random import Random

from kvstore.core.ids import Millis, NodeId
from kvstore.replication.raft.effects import (
    Damaged,
    PeerDown,
    PeerUp,
    ReadRequested,
    Standing,
    TransferLeadership,
)
from kvstore.replication.raft.settings import RaftSettings
from tests.lab import Lab, Node
from tests.replication.raft.laws import Laws

CALM = {"deliver": 300, "sync": 60, "pass_time": 90, "propose": 25, "read": 12}
WILD = {
    "drop": 40,
    "repeat": 30,
    "crash": 4,
    "start": 12,
    "wipe": 2,
    "cut": 4,
    "heal": 8,
    "compact": 6,
    "damage": 2,
    "transfer": 2,
    "sync_unheard": 25,
    "liveness": 6,
    "pause": 4,
    "surge": 3,
    "campaign": 3,
    "flush_mail": 6,
}


class Storm:
    """Draws what kind of day it is, then lives it step by step. The laws watch."""

    def __init__(self, seed: int, rng: Random | None = None) -> None:
        self.rng = rng = rng or Random(f"storm {seed}")
        restless = rng.random() < 0.25  # leaders come and go before their entries have reached everybody
        self.settings = RaftSettings(
            append_bytes_max=1 if restless else rng.choice((1, 40, 1 << 20)),
            inflight_appends_max=rng.choice((1, 3, 64)),
            uncommitted_bytes_max=rng.choice((200, 1 << 20)),
            snapshot_retry_ms=Millis(300),
            snapshot_patience_ms=Millis(2_000),
            quiesce_after_ms=Millis(rng.choice((200, 400, 100_000))),
            prefer_after_ms=Millis(rng.choice((300, 1_000))),
            slow_disk_ms=Millis(rng.choice((200, 2_000))),
        )
        names = ("n1", "n2", "n3", "n4", "n5")[: rng.choice((3, 3, 3, 5))]
        self.laws = Laws()
        self.lab = Lab(names, settings=self.settings, seed=seed, preferred=rng.choice((None, "n1", "n2")))
        self.lab.watch = self.laws
        for node in self.lab.nodes.values():
            node.holds_disk = True
            node.clock_rate = 1 + rng.random() * 0.1  # as far apart as `clock_drift_percent` allows
            node.clock_offset = rng.randrange(-500, 5_000)
            self._restart_clock(node)
        chosen = {verb: weight for verb, weight in WILD.items() if rng.random() < 0.5}
        self.weights = CALM | chosen | ({"start": 12} if chosen.keys() & {"crash", "wipe"} else {})
        self.weights["propose"] = rng.choice((25, 25, 3))
        self.weights["read"] = rng.choice((12, 12, 1))
        if restless:
            self.weights |= {"topple": 30, "start": 40, "campaign": 60, "heal": 20, "surge": 15, "propose": 10}
        self.verbs = tuple(self.weights)
        self.context = 0
        self.paused: dict[NodeId, int] = {}  # until when
        self.tells_liveness = rng.random() < 0.7

    def _restart_clock(self, node: Node) -> None:
        self.lab.crash(node.name)
        self.lab.start(node.name)

    def live(self, steps: int) -> None:
        """So many random events."""
        weights = tuple(self.weights.values())
        for verb in self.rng.choices(self.verbs, weights, k=steps):
            getattr(self, verb)()

    # --- who ---

    def _nodes(self, alive: bool = True) -> list[Node]:
        return [
            node
            for node in self.lab.nodes.values()
            if (node.replica is not None) == alive and self.paused.get(node.name, 0) <= self.lab.now
        ]

    def _node(self, alive: bool = True) -> Node | None:
        nodes = self._nodes(alive)
        return self.rng.choice(nodes) if nodes else None

    def _leader(self) -> Node | None:
        """A node that believes it leads, or any: it should refuse."""
        leaders = [node for node in self._nodes() if node.alive.is_leader]
        return self.rng.choice(leaders) if leaders and self.rng.random() < 0.9 else self._node()

    # --- what happens ---

    def deliver(self) -> None:
        mail = self.lab.mail
        reach = len(mail) if self.rng.random() < 0.3 else min(len(mail), 3)  # mostly in order, sometimes not at all
        if mail:
            letter = mail[self.rng.randrange(reach)]
            if self.paused.get(letter.to, 0) <= self.lab.now:
                self.lab.deliver(letter)

    def flush_mail(self) -> None:
        for _ in range(self.rng.randrange(1, 40)):
            self.deliver()

    def drop(self) -> None:
        if self.lab.mail:
            self.lab.mail.pop(self.rng.randrange(len(self.lab.mail)))

    def repeat(self) -> None:
        if self.lab.mail:
            self.lab.mail.append(self.rng.choice(self.lab.mail))

    def sync(self) -> None:
        node = self._node()
        if node:
            self.lab.sync(node.name, self.rng.choice((None, None, 1, 2)))

    def sync_unheard(self) -> None:
        """The disk is done, and dies or goes on writing before the replica hears of it."""
        node = self._node()
        if node:
            node.disk.sync(self.rng.choice((None, 1)))

    def pass_time(self) -> None:
        """Time passes for those who are awake."""
        self.lab.now += self.rng.choice((1, 5, 20, 60))
        for node in self._nodes():
            when = self.lab.wake_time(node)
            if when is not None and when <= self.lab.now:
                self.lab.pass_time_of(node)

    def surge(self) -> None:
        """A long while without any mail."""
        self.lab.now += self.rng.choice((200, 600, 1_000))
        self.pass_time()

    def campaign(self) -> None:
        """One node's alarm goes off at the earliest moment."""
        node = self._node()
        if node and node.alive.wake_at is not None and not node.alive.is_leader:
            self.lab.now = max(self.lab.now, self.lab.wake_time(node) or 0)
            self.lab.pass_time_of(node)

    def pause(self) -> None:
        node = self._node()
        if node:
            self.paused[node.name] = self.lab.now + self.rng.choice((50, 400, 1_500))

    def propose(self) -> None:
        node = self._leader()
        if node:
            self.context += 1
            self.lab.propose(node.name, *(f"{self.context}.{i}" for i in range(self.rng.choice((1, 1, 3)))))

    def read(self) -> None:
        node = self._leader()
        if node:
            self.context += 1
            self.lab.step(node.name, ReadRequested(self.context))

    def transfer(self) -> None:
        node = self._leader()
        if node:
            to = self.rng.choice((None, *self.lab.names))
            self.lab.step(node.name, TransferLeadership(to))

    def crash(self) -> None:
        node = self._node()
        if node:
            self.lab.crash(node.name)
            self._tell(PeerDown(node.name))

    def topple(self) -> None:
        """Whoever has just been elected loses what it was about to say, and its power or its peers."""
        leaders = [node for node in self._nodes() if node.alive.is_leader]
        if leaders:
            node = max(leaders, key=lambda node: node.alive.term)
            said = [letter for letter in self.lab.mail if letter.sender == node.name]
            lost = said[self.rng.randrange(len(said) + 1) :]
            self.lab.mail = [letter for letter in self.lab.mail if not any(letter is other for other in lost)]
            if self.rng.random() < 0.5:
                self.lab.crash(node.name)
            else:
                self.lab.cut([node.name], [name for name in self.lab.names if name != node.name])

    def start(self) -> None:
        node = self._node(alive=False)
        if node:
            self.lab.start(node.name)
            self._tell(PeerUp(node.name, restarted=True))

    def wipe(self) -> None:
        """A minority at most may be without its memory at any time."""
        lost = sum(node.disk.standing is Standing.RECOVERING for node in self.lab.nodes.values())
        node = self.rng.choice(list(self.lab.nodes.values()))
        if lost < (len(self.lab.nodes) - 1) // 2 or node.disk.standing is Standing.RECOVERING:
            self.laws.disk_lost(node.name)
            self.lab.wipe(node.name)
            self._tell(PeerDown(node.name))

    def compact(self) -> None:
        node = self._node()
        if node and not node.disk.queue and not node.disk.synced:
            self.lab.compact(node.name, self.rng.randrange(len(node.applied) + 1))

    def damage(self) -> None:
        damaged = sum(node.replica is not None and node.replica.damaged for node in self.lab.nodes.values())
        node = self._node()
        if node and not damaged:
            self.lab.step(node.name, Damaged())

    def cut(self) -> None:
        names = list(self.lab.names)
        self.rng.shuffle(names)
        here = self.rng.randrange(1, len(names))
        if self.rng.random() < 0.5:
            self.lab.cut(names[:here], names[here:])
        else:
            self.lab.cuts.add((names[0], names[1]))

    def heal(self) -> None:
        self.lab.heal()

    def liveness(self) -> None:
        """The node-level failure detector says something, true or not."""
        name = self.rng.choice(self.lab.names)
        up = self.rng.random() < 0.6
        self._tell(PeerUp(name, restarted=self.rng.random() < 0.3) if up else PeerDown(name))

    def _tell(self, event: PeerUp | PeerDown) -> None:
        if self.tells_liveness:
            for node in self._nodes():
                if node.name != event.node and self.rng.random() < 0.8:
                    self.lab.step(node.name, event)

    # --- the end ---

    def calm_down(self) -> None:
        """Everything works again: there must be one leader, progress, recovery of everyone, and equal logs."""
        lab = self.lab
        lab.heal()
        self.paused.clear()
        for node in lab.nodes.values():
            node.holds_disk = False
            if node.replica is None:
                lab.start(node.name)
        for node in lab.nodes.values():
            lab.sync(node.name)
            for peer in node.alive.peers:
                lab.step(node.name, PeerUp(peer, restarted=True))
        lab.run(12_000, step_ms=20)
        leaders = [node for node in lab.nodes.values() if node.alive.is_leader]
        assert leaders, f"nobody leads: {lab.describe()}"
        leader = max(leaders, key=lambda node: node.alive.term)
        for node in lab.nodes.values():
            assert node.alive.standing is Standing.VOTER, f"{node.name} did not recover: {lab.describe()}"
            assert not node.alive.damaged, f"{node.name} was not mended: {lab.describe()}"
        before = len(self.laws.committed)
        effects = lab.propose(leader.name, "at last")
        if effects.refused:  # it was just handing over
            lab.run(3_000)
            leader = next(node for node in lab.nodes.values() if node.alive.is_leader)
            lab.propose(leader.name, "at last")
        lab.run(3_000, step_ms=20)
        assert len(self.laws.committed) > before, f"no progress: {lab.describe()}"
        for node in lab.nodes.values():
            assert node.applied == self.laws.committed, f"{node.name} is not like the others: {lab.describe()}"
            assert node.alive.commit == len(self.laws.committed)
