"""What is counted of leaderless replicas, for Prometheus: hints, repairs, comparisons, siblings, damage."""

from collections.abc import Callable, Iterable, Iterator
from typing import Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from kvstore.node.quorum_host import QuorumHost
from kvstore.replication.leaderless.exchange import Counts

Look = Callable[[QuorumHost], float]


def _exchanges(host: QuorumHost) -> Counts:
    return host.replica.anti_entropy.counts if host.replica.anti_entropy is not None else Counts()


COUNTERS: Final[tuple[tuple[str, str, Look], ...]] = (
    ("read_repairs", "Records that reads brought to replicas.", lambda host: host.replica.reads.repairs),
    ("exchanges", "Comparisons with another replica, begun here.", lambda host: _exchanges(host).exchanges),
    ("exchanges_equal", "Of these: nothing differed.", lambda host: _exchanges(host).equal),
    ("exchanges_given_up", "Comparisons that did not come to their end.", lambda host: _exchanges(host).given_up),
    ("pulled", "Keys learnt in comparisons.", lambda host: _exchanges(host).pulled),
    ("pushed", "Keys that others learnt in comparisons.", lambda host: _exchanges(host).pushed),
    ("false_repairs", "Records sent in comparisons for nothing.", lambda host: _exchanges(host).false_repairs),
    ("crowded_keys", "Keys that had 25 siblings or more.", lambda host: len(host.replica.crowding.keys)),
    ("damaged_rows", "Rows found damaged.", lambda host: host.replica.damaged_rows),
)
GAUGES: Final[tuple[tuple[str, str, Look], ...]] = (
    ("recovering", "1 while a lost disk is filled again.", lambda host: host.replica.is_recovering),
    ("siblings_max", "The most siblings that a key had.", lambda host: host.replica.crowding.most),
    ("unflushed_rows", "Records in memory and log only.", lambda host: host.state.dirty_rows),
)


def leaderless_metrics(hosts: Iterable[QuorumHost]) -> Iterator[Metric]:
    """Of each replica here; counts are since the node's start."""
    found = list(hosts)
    for name, text, look in COUNTERS:
        counter = CounterMetricFamily(f"kvstore_leaderless_{name}", text, labels=["group"])
        for host in found:
            counter.add_metric([str(host.group)], look(host))
        yield counter
    for name, text, look in GAUGES:
        gauge = GaugeMetricFamily(f"kvstore_leaderless_{name}", text, labels=["group"])
        for host in found:
            gauge.add_metric([str(host.group)], look(host))
        yield gauge
    owed = GaugeMetricFamily("kvstore_leaderless_hints", "Keys kept in mind for a peer.", labels=["group", "peer"])
    for host in found:
        for peer in host.replica.peers:
            owed.add_metric([str(host.group), peer], host.replica.hints.count(peer))
    yield owed
