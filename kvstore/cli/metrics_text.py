"""Reads what /metrics says: counters and histograms of one node, and what changed between two looks (pure)."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

_SAMPLE = re.compile(r"([a-zA-Z_:][\w:]*)(?:\{([^}]*)\})? (\S+)")
_LABEL = re.compile(r'(\w+)="([^"]*)"')

Buckets = dict[float, float]
"""Upper bound in seconds to how many took at most so long."""


@dataclass(slots=True)
class Look:
    """One node's counters at one moment."""

    at: float
    """Seconds, by a monotonic clock."""
    operations: dict[str, float] = field(default_factory=dict)
    calls: dict[str, float] = field(default_factory=dict)
    """A call may carry many operations."""
    seconds: dict[str, Buckets] = field(default_factory=dict)


def look_at(text: str, at: float) -> Look:
    """The counters that `top` needs, from the Prometheus text format."""
    look = Look(at)
    for name, labels, value in _samples(text):
        operation = labels.get("operation", "")
        if name == "kvstore_operations_total":
            look.operations[operation] = value
        elif name == "kvstore_request_seconds_count":
            look.calls[operation] = value
        elif name == "kvstore_request_seconds_bucket":
            look.seconds.setdefault(operation, {})[float(labels["le"])] = value
    return look


def _samples(text: str) -> Iterator[tuple[str, Mapping[str, str], float]]:
    for line in text.splitlines():
        found = _SAMPLE.fullmatch(line)
        if found is not None:
            yield found[1], dict(_LABEL.findall(found[2] or "")), float(found[3])


@dataclass(frozen=True, slots=True)
class Rates:
    """What a node did between two looks: operations a second, and how long its calls took (ms; None: none)."""

    operations: dict[str, float]
    p50_ms: dict[str, float | None]
    p99_ms: dict[str, float | None]

    @property
    def total(self) -> float:
        return sum(self.operations.values())


def rates(before: Look, now: Look) -> Rates:
    """A node that restarted in between counts from zero."""
    spent = max(now.at - before.at, 1e-9)
    counted, base = (now.operations, before.operations) if now.operations else (now.calls, before.calls)
    operations = {name: (value - _base(base, name, value)) / spent for name, value in counted.items()}
    spans = {name: _minus(buckets, before.seconds.get(name, {})) for name, buckets in now.seconds.items()}
    return Rates(
        operations,
        {name: quantile_ms(buckets, 0.50) for name, buckets in spans.items()},
        {name: quantile_ms(buckets, 0.99) for name, buckets in spans.items()},
    )


def _base(before: Mapping[str, float], name: str, value: float) -> float:
    known = before.get(name, 0.0)
    return known if known <= value else 0.0


def _minus(now: Buckets, before: Buckets) -> Buckets:
    restarted = any(before.get(bound, 0.0) > count for bound, count in now.items())
    return dict(now) if restarted else {bound: count - before.get(bound, 0.0) for bound, count in now.items()}


def quantile_ms(buckets: Buckets, share: float) -> float | None:
    """Where this share of all lies, straight inside its bucket; in the last, open one: its lower bound."""
    bounds = sorted(buckets)
    total = buckets[bounds[-1]] if bounds else 0.0
    if not total:
        return None
    rank, low, below = share * total, 0.0, 0.0
    for bound in bounds:
        count = buckets[bound]
        if count >= rank and count > below:
            high = bound if bound != float("inf") else low
            return 1000 * (low + (high - low) * (rank - below) / (count - below))
        low, below = bound, count
    return 1000 * low
