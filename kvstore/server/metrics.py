"""What a node counts, for Prometheus: latency, traffic, errors, saturation; its disk, its groups, its peers."""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from kvstore.core.ids import Instant
from kvstore.node.status import hints_status
from kvstore.server.leaderless_metrics import leaderless_metrics

if TYPE_CHECKING:
    from kvstore.node.node import Node

_SECONDS = (0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)


class Metrics:
    """One node's counters, in a registry of its own: two nodes in one process do not meet."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.request_seconds = Histogram(
            "kvstore_request_seconds",
            "Time from a call's arrival to its answer.",
            ["operation"],
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.errors = self._counter("kvstore_errors", "Calls that failed, by error.", ["operation", "code"])
        self.frames_dropped = self._counter("kvstore_peer_frames_dropped", "Frames that could not leave.")
        self.frames_malformed = self._counter("kvstore_peer_frames_malformed", "Frames that failed their checksum.")
        self.frame_bytes_sent = self._counter("kvstore_peer_bytes_sent", "Bytes of frames sent to peers.")
        self.ring_changes = self._counter("kvstore_ring_changes", "Changes of the ring or of a leader.")
        self.steps = self._counter("kvstore_steps", "Steps of the node: wake-ups that found something to do.")
        self.sessions = self._counter("kvstore_sessions", "Client sessions opened.")
        self.journal_bytes = Gauge(
            "kvstore_journal_bytes", "Rows in the journal that the data file does not have yet.", registry=self.registry
        )
        self.unread_bytes = Gauge(
            "kvstore_reply_bytes_unread", "Replies that wait for their clients.", registry=self.registry
        )
        self.commit_seconds = Histogram(
            "kvstore_disk_commit_seconds",
            "One commit of the disk writer that somebody waits for, fsync included.",
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.rows_seconds = Histogram(
            "kvstore_disk_flush_seconds",
            "One commit of applied values to the data file, fsync included.",
            buckets=_SECONDS,
            registry=self.registry,
        )

    def _counter(self, name: str, text: str, labels: list[str] | None = None) -> Counter:
        return Counter(name, text, labels or [], registry=self.registry)

    def describe(self, node: "Node", now: Callable[[], Instant]) -> None:
        """Export the node's own state at each scrape."""
        self.registry.register(NodeCollector(node, now))

    def text(self) -> bytes:
        return generate_latest(self.registry)


class NodeCollector(Collector):
    """Gauges read from the node when somebody asks; nothing is kept up to date in between."""

    def __init__(self, node: "Node", now: Callable[[], Instant]) -> None:
        self._node, self._now = node, now

    def describe(self) -> list[Metric]:
        return []

    def collect(self) -> Iterator[Metric]:
        node = self._node
        operations = CounterMetricFamily("kvstore_operations", "Single operations served here.", labels=["operation"])
        for operation, count in node.operations.items():
            operations.add_metric([operation], count)
        yield operations
        yield _gauge("kvstore_requests_open", "Requests under way.", node.gate.requests_open)
        yield _gauge("kvstore_requests_open_max", "More are refused.", node.config.limits.queue_requests_max)
        yield _gauge("kvstore_request_bytes_open", "Their bytes.", node.gate.bytes_open)
        yield _gauge("kvstore_request_bytes_open_max", "More are refused.", node.config.limits.queue_bytes_max)
        yield _gauge("kvstore_storage_bytes", "Disk used by the data.", node.engine.size_bytes())
        yield _gauge("kvstore_storage_bytes_max", "The configured limit.", node.config.storage.map_bytes_max)
        yield _gauge("kvstore_ready", "1 if the node can serve.", int(node.is_ready))
        yield _gauge("kvstore_clock_ahead_ms", "Our wall clock beyond that of most peers.", node.gate.clock_ahead_ms)
        yield _gauge("kvstore_disk_batches_open", "Batches on their way to the disk.", node.batches_open)
        peers = GaugeMetricFamily("kvstore_peer_up", "1 if the peer is heard.", labels=["peer"])
        for name, peer in node.liveness.peers.items():
            peers.add_metric([name], int(peer.up))
        yield peers
        suspicion = GaugeMetricFamily("kvstore_peer_suspicion", "Level (phi) that it has failed.", labels=["peer"])
        now = self._now().monotonic
        for name in node.liveness.peers:
            suspicion.add_metric([name], node.liveness.suspicion(name, now))
        yield suspicion
        refused = GaugeMetricFamily("kvstore_peer_refused", "1 if its configuration does not fit.", labels=["peer"])
        for name in node.liveness.peers:
            refused.add_metric([name], int(name in node.refused))
        yield refused
        yield from self._hints()
        scrub = node.scrubber.status
        yield _gauge("kvstore_scrub_running", "1 while the disk is being read through.", int(scrub.running))
        scrubbed = CounterMetricFamily(
            "kvstore_scrub_rows", "Rows read by scrubs, by what they were.", labels=["result"]
        )
        scrubbed.add_metric(["sound"], scrub.rows - scrub.damaged)
        scrubbed.add_metric(["damaged"], scrub.damaged)
        yield scrubbed
        yield from self._groups()
        yield from leaderless_metrics(node.groups.quorum_hosts())

    def _hints(self) -> Iterator[Metric]:
        told = hints_status(self._node)
        hints = GaugeMetricFamily("kvstore_hints", "Hints for a node that was away.", labels=["target", "where"])
        for where, counts in (("memory", told.waiting), ("guest", told.kept)):
            for target, count in counts.items():
                hints.add_metric([target, where], count)
        yield hints
        yield CounterMetricFamily("kvstore_hints_returned", "Hints that their targets have.", value=told.returned)
        yield CounterMetricFamily("kvstore_hints_dropped", "Hints for which there was no room.", value=told.dropped)
        yield CounterMetricFamily("kvstore_hints_refused", "Records not taken as hints.", value=told.refused)

    def _groups(self) -> Iterator[Metric]:
        labels = ["group"]
        term = GaugeMetricFamily("kvstore_raft_term", "The replica's term.", labels=labels)
        leader = GaugeMetricFamily("kvstore_raft_is_leader", "1 if it leads.", labels=labels)
        changes = CounterMetricFamily("kvstore_raft_leader_changes", "Changes of role or leader seen.", labels=labels)
        commit_lag = GaugeMetricFamily("kvstore_raft_commit_lag", "Entries not committed yet.", labels=labels)
        apply_lag = GaugeMetricFamily("kvstore_raft_apply_lag", "Entries committed, not applied.", labels=labels)
        log_lag = GaugeMetricFamily(
            "kvstore_raft_log_lag", "Entries of a leader that a follower has not on disk.", labels=["group", "peer"]
        )
        flush_lag = GaugeMetricFamily("kvstore_flush_lag", "Entries applied, not flushed.", labels=labels)
        for host in self._node.groups.raft_hosts():
            name = [str(host.group)]
            state = host.state
            applied = state.applied.index if state is not None else 0
            term.add_metric(name, host.raft.term)
            leader.add_metric(name, int(host.raft.is_leader))
            changes.add_metric(name, host.leader_changes)
            for follower in host.raft.followers():
                log_lag.add_metric([*name, follower.peer], host.raft.last.index - follower.match)
            commit_lag.add_metric(name, host.raft.last.index - host.raft.commit)
            apply_lag.add_metric(name, host.raft.commit - applied)
            flush_lag.add_metric(name, applied - (state.flushed.index if state is not None else 0))
        yield from (term, leader, changes, log_lag, commit_lag, apply_lag, flush_lag)


def _gauge(name: str, text: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, text, value=value)
