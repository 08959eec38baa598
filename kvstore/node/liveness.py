"""Who is there: pulses between nodes, who is up, whose clock is off, and whether we may trust our own disk.

Founding. A node with an empty disk holds no replica until it knows why its disk is empty. Every pulse says whether
its sender has been founded, and which incarnation of the receiver the sender's disk knows:

* nobody has been founded and every founder has been heard: this is the founding; remember all incarnations, take part;
* a founded peer knows our very incarnation: we were founded with it and lost only the note; take part;
* a founded peer knows another incarnation of us: we had a disk, promised things on it, and lost it. We are *wiped*:
  every replica starts in recovering standing (see `replication/raft/recovery.py`), and votes only once that is over.

So the first start of a cluster needs all its nodes; afterwards none of them is special. A founded node takes note of a
peer's new incarnation only when that peer says that it is founded as such: its own disk then knows that it was wiped.
"""

from dataclasses import dataclass, field
from enum import Enum

from kvstore.core.ids import Incarnation, Instant, Millis, NodeId
from kvstore.node.effects import Founding, Pulse
from kvstore.placement.suspicion import SLOW, Suspicion

AWAY_BEATS = 4
"""If we are so many heartbeats late ourselves, the time between two pulses tells nothing of who sent them."""


@dataclass(slots=True)
class Peer:
    """What we know of another node, from its pulses and frames."""

    suspicion: Suspicion
    heard_at: Millis | None = None
    up: bool = False
    boot: int = 0
    incarnation: int = 0
    lives_over: set[int] = field(default_factory=set)
    """Earlier incarnations: their disks are lost, and with them what they acknowledged."""
    clock_ahead_ms: int = 0
    """How far its wall clock is ahead of ours, by its last pulse (network delay included)."""


class News(Enum):
    """What a pulse or the passing of time told us about a peer."""

    UP, RESTARTED, DOWN = range(3)


class Identity:
    """Which node this is, and what its disk remembers of the founding (empty: not founded yet)."""

    __slots__ = ("boot", "incarnation", "me", "members")

    def __init__(self, me: NodeId, incarnation: Incarnation, boot: int, members: dict[str, int]) -> None:
        self.me, self.incarnation, self.boot, self.members = me, incarnation, boot, dict(members)

    @property
    def founded(self) -> bool:
        return bool(self.members)

    @property
    def wiped(self) -> bool:
        """The founders knew another incarnation of us: our disk was lost since."""
        return self.founded and self.members[self.me] != self.incarnation


class Liveness:
    """The peers of one node."""

    def __init__(self, identity: Identity, peers: tuple[NodeId, ...], heartbeat_ms: int, patience_ms: int) -> None:
        self.identity = identity
        self.peers = {peer: Peer(Suspicion(heartbeat_ms)) for peer in peers}
        self._heartbeat_ms, self._patience_ms = heartbeat_ms, patience_ms
        self._pulses: dict[NodeId, Pulse] = {}
        self._unheard = set(peers)
        """Peers that may yet be heard for the first time; after some patience they are down, too."""
        self._began_at: Millis | None = None
        self.next_pulse_at = Millis(0)
        if not peers and not identity.founded:
            identity.members = {identity.me: identity.incarnation}

    def pulse_for(self, peer: NodeId, now: Instant) -> Pulse:
        recorded = Incarnation(self.identity.members.get(peer, 0))
        identity = self.identity
        return Pulse(identity.incarnation, identity.boot, now.wall, identity.founded, recorded)

    def is_stale(self, sender: NodeId, incarnation: Incarnation) -> bool:
        """Whether a frame comes from a life of the sender that is over, or from a stranger."""
        peer = self.peers.get(sender)
        return peer is None or (peer.incarnation != 0 and peer.incarnation != incarnation)

    def on_frame(self, sender: NodeId, now: Instant) -> News | None:
        """Anything heard of a peer is a sign of life."""
        peer = self.peers[sender]
        peer.heard_at = now.monotonic
        peer.suspicion.heard(now.monotonic)
        if peer.up:
            return None
        peer.up = True
        return News.UP

    def on_pulse(self, sender: NodeId, pulse: Pulse, now: Instant) -> News | None:
        """Take note of who the sender is; RESTARTED if it is another process than before.

        A late pulse of a life that is over says nothing; but which of two lives is over is only our belief (we may have
        heard the later one first). So one that we took for over counts again when the other has fallen silent.
        """
        peer = self.peers[sender]
        if pulse.incarnation in peer.lives_over:
            if peer.heard_at is not None and now.monotonic - peer.heard_at <= self._patience_ms:
                return None
            peer.lives_over.remove(pulse.incarnation)
        if peer.incarnation not in (0, pulse.incarnation):
            peer.lives_over.add(peer.incarnation)
        restarted = peer.boot not in (0, pulse.boot)
        if restarted or not peer.up or now.monotonic - self.next_pulse_at > AWAY_BEATS * self._heartbeat_ms:
            peer.suspicion.missed()
        peer.suspicion.heartbeat(now.monotonic)
        peer.boot, peer.incarnation, peer.heard_at = pulse.boot, pulse.incarnation, now.monotonic
        peer.clock_ahead_ms = pulse.wall - now.wall
        self._pulses[sender] = pulse
        return News.RESTARTED if restarted else None

    def founding(self) -> Founding | None:
        """What the manifest has to say from now on, if the last pulses changed it. See the module."""
        identity = self.identity
        if identity.founded:
            return self._renewed()
        known: dict[str, int] = {peer: pulse.incarnation for peer, pulse in self._pulses.items()}
        founded = [pulse for pulse in self._pulses.values() if pulse.formed]
        if any(pulse.recorded == identity.incarnation for pulse in founded):
            return self._record({**known, identity.me: identity.incarnation})
        if founded:
            return self._record({**known, identity.me: 0})
        if len(known) == len(self.peers):
            return self._record({**known, identity.me: identity.incarnation})
        return None

    def _renewed(self) -> Founding | None:
        """A peer that was founded as another incarnation than we recorded."""
        members = self.identity.members
        new: dict[str, int] = {
            peer: pulse.incarnation
            for peer, pulse in self._pulses.items()
            if pulse.formed and members.get(peer) != pulse.incarnation
        }
        return self._record({**members, **new}) if new else None

    def _record(self, members: dict[str, int]) -> Founding:
        self.identity.members = members
        return Founding(members)

    def is_up(self, peer: NodeId) -> bool:
        """Whether it is heard. False of ourselves."""
        return peer in self.peers and self.peers[peer].up

    def is_down(self, peer: NodeId) -> bool:
        """Whether it ought to be heard and is not: not so of one that was not given the time yet."""
        return peer in self.peers and not self.peers[peer].up and peer not in self._unheard

    def suspicion(self, peer: NodeId, now: Millis) -> float:
        """How surely it has failed (`placement/suspicion.py`), whether it is given up already or not."""
        return self.peers[peer].suspicion.phi(now) if peer in self.peers else 0.0

    def slowness(self, peer: NodeId, now: Millis) -> float:
        """0, or how surely it has failed if that is enough to rather ask others."""
        level = self.suspicion(peer, now)
        return level if level >= SLOW else 0.0

    def on_link_lost(self, peer: NodeId) -> bool:
        """Take a peer whose connection ended for down until it is heard again. True if it was up."""
        known = self.peers.get(peer)
        if known is None or not known.up:
            return False
        known.up = False
        return True

    def beat(self, now: Instant) -> tuple[bool, list[NodeId]]:
        """Whether pulses are due, and which peers have been silent for too long since we looked last."""
        if now.monotonic < self.next_pulse_at:
            return False, []
        self.next_pulse_at = Millis(now.monotonic + self._heartbeat_ms)
        silent = [
            name
            for name, peer in self.peers.items()
            if peer.up and peer.heard_at is not None and now.monotonic - peer.heard_at > self._patience_ms
        ]
        for name in silent:
            self.peers[name].up = False
        return True, silent + self._never_heard(now.monotonic)

    def _never_heard(self, now: Millis) -> list[NodeId]:
        """Peers that should have been heard since our start; told once."""
        if not self._unheard:
            return []
        self._began_at = now if self._began_at is None else self._began_at
        self._unheard = {name for name in self._unheard if not self.peers[name].up}
        if now - self._began_at <= self._patience_ms:
            return []
        never, self._unheard = sorted(self._unheard), set()
        return never

    def clock_ahead_ms(self) -> int:
        """How far our wall clock is ahead of most peers that are up; 0 if it is not ahead of most of them."""
        ahead = sorted(-peer.clock_ahead_ms for peer in self.peers.values() if peer.up)
        return max(0, ahead[(len(ahead) - 1) // 2]) if ahead else 0
