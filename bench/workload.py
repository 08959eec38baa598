"""What is asked of a store, and the one line that is answered: the same for every store.

A load generator is a process. It takes a `LoadPlan` as its one argument, in JSON, and prints a `LoadResult`, in JSON,
as its one line of output.
"""

import json
import os
import random
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field

from bench.histogram import Latencies
from bench.processes import MachineCpu, cpu_seconds, machine_cpu

OPS = ("put", "get", "mixed", "batch")
KEY_COUNT_DEFAULT = 100_000
VALUE_BYTES = 100
BATCH_PUTS = 100
_POOL_BYTES = 1 << 16

Operation = tuple[bytes, bytes | None]
"""A key and the value to put there; None asks for a get."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadPlan:
    """One load, complete: what a generator process is told."""

    endpoints: tuple[str, ...]
    """`host:port` of every node, the one to prefer first."""
    op: str
    outstanding: int
    seconds: float
    """The measured window. 0 loads the keys and measures nothing."""
    warmup_s: float = 1.5
    key_count: int = KEY_COUNT_DEFAULT
    preload: bool = True
    node_pids: tuple[int, ...] = ()
    """Whose CPU to sample at both ends of the window."""
    connections: int = 1
    """TCP connections of the etcd generator: with one, etcd answers more calls per write and does best. The kvstore
    client decides for itself."""
    partitions: int = 1
    """Of the keyspace that kvstore is loaded in. Every key of etcd is in one Raft group, and so they are here: more
    partitions spread the leaders over the nodes, which three nodes on one small machine pay for and do not need."""
    settings: dict[str, str | int] = field(default_factory=dict)
    """Of the keyspace that kvstore is loaded in, as `create_keyspace` takes them; etcd has none."""
    seed: int = 1

    def __post_init__(self) -> None:
        if self.op not in OPS:
            raise ValueError(f"op is one of {', '.join(OPS)}, not {self.op!r}")
        if self.outstanding < 1 or self.connections < 1:
            raise ValueError("outstanding and connections are at least 1")
        if self.key_count < BATCH_PUTS:
            raise ValueError(f"at least {BATCH_PUTS} keys, so that a batch has distinct ones")
        if not self.endpoints:
            raise ValueError("no endpoint to load")

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "LoadPlan":
        told = json.loads(text)
        return cls(**{**told, "endpoints": tuple(told["endpoints"]), "node_pids": tuple(told["node_pids"])})


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadResult:
    """What happened inside the window. A batch of 100 puts is one call and 100 ops; latency is per call."""

    ops: int
    calls: int
    errors: int
    seconds: float
    p50_us: int
    p99_us: int
    p999_us: int
    cpu_seconds: float
    """User and system time of the generator itself."""
    node_cpu_seconds: float
    """User and system time of all nodes."""
    other_cpu_share: float
    """What everything else took of the machine, 0 to 1, time stolen by the hypervisor included."""
    first_error: str = ""

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "LoadResult":
        return cls(**json.loads(text))


class Workload:
    """Keys, values and operations, drawn from a seed: uniform over the keys, values that do not compress."""

    def __init__(self, op: str, key_count: int, seed: int) -> None:
        self._op = op
        self._draw = random.Random(seed).random
        self._keys = [b"key:%012d" % number for number in range(key_count)]
        self._pool = random.Random(seed).randbytes(_POOL_BYTES)

    def key(self) -> bytes:
        """16 bytes."""
        keys = self._keys
        return keys[int(self._draw() * len(keys))]

    def value(self) -> bytes:
        """100 bytes."""
        start = int(self._draw() * (_POOL_BYTES - VALUE_BYTES))
        return self._pool[start : start + VALUE_BYTES]

    def operations(self) -> Iterator[Operation]:
        """Endless single operations: all puts, all gets, or for `mixed` either with equal chance."""
        put_share = {"put": 1.0, "get": 0.0, "mixed": 0.5}[self._op]
        draw = self._draw
        while True:
            yield self.key(), (self.value() if draw() < put_share else None)

    def batches(self) -> Iterator[dict[bytes, bytes]]:
        """Endless batches of 100 puts to distinct keys."""
        while True:
            batch: dict[bytes, bytes] = {}
            while len(batch) < BATCH_PUTS:
                batch[self.key()] = self.value()
            yield batch

    def every_key(self) -> Iterator[dict[bytes, bytes]]:
        """All keys once, in batches: what a store holds before the load begins."""
        for start in range(0, len(self._keys), BATCH_PUTS):
            yield {key: self.value() for key in self._keys[start : start + BATCH_PUTS]}


class Tally:
    """Hears how each call ended, and remembers the failures. This one keeps no time: enough for loading keys."""

    def __init__(self) -> None:
        self.errors = 0
        self.first_error = ""

    def advance(self, now: int) -> None:
        """The generator has looked at its clock."""

    def ended(self, latency_ns: int) -> None:
        """One call was answered as it should be."""

    def failed(self, why: str) -> None:
        """One call was answered with an error, or not at all."""
        self.errors += 1
        self.first_error = self.first_error or why


class Window(Tally):
    """The measured stretch of a load: begins after the warm-up, lasts `seconds`, samples CPU at both ends.

    The generator calls `begin` with the first request, `advance` whenever it has looked at its clock, and
    `ended` or `failed` for each call. Clock readings are nanoseconds of `time.perf_counter_ns`.
    """

    def __init__(self, plan: LoadPlan) -> None:
        super().__init__()
        self._plan = plan
        self._ops_per_call = BATCH_PUTS if plan.op == "batch" else 1
        self._latencies = Latencies()
        self._opens_at = self._closes_at = 0
        self._opened: _Sample | None = None
        self._closed: _Sample | None = None
        self.over = False
        self.recording = False

    def begin(self, now: int) -> None:
        self._opens_at = now + int(self._plan.warmup_s * 1e9)
        self._closes_at = self._opens_at + int(self._plan.seconds * 1e9)

    def advance(self, now: int) -> None:
        """Open or close the window if it is time. Cheap when it is not."""
        if self.over or now < self._opens_at:
            return
        if self._opened is None:
            self._opened = _Sample.taken(self._plan.node_pids)
            self.recording = True
        elif now >= self._closes_at:
            self._closed = _Sample.taken(self._plan.node_pids)
            self.recording, self.over = False, True

    def ended(self, latency_ns: int) -> None:
        """Counts inside the window only. Failures count from `begin` to the end of the drain."""
        if self.recording:
            self._latencies.add(latency_ns // 1_000)

    def result(self) -> LoadResult:
        if self._opened is None or self._closed is None:
            raise RuntimeError("the window never closed, so there is nothing to report")
        calls, seen = len(self._latencies), self._latencies
        spent = self._closed.since(self._opened)
        return LoadResult(
            ops=calls * self._ops_per_call,
            calls=calls,
            errors=self.errors,
            seconds=round(spent.at, 4),
            p50_us=seen.percentile(0.5),
            p99_us=seen.percentile(0.99),
            p999_us=seen.percentile(0.999),
            cpu_seconds=round(spent.own_cpu_s, 4),
            node_cpu_seconds=round(spent.nodes_cpu_s, 4),
            other_cpu_share=round(spent.other_share(), 4),
            first_error=self.first_error,
        )


@dataclass(frozen=True, slots=True)
class _Sample:
    """Clock and CPU meters at one instant, or their advance between two."""

    at: float
    own_cpu_s: float
    nodes_cpu_s: float
    machine: MachineCpu

    @classmethod
    def taken(cls, node_pids: tuple[int, ...]) -> "_Sample":
        return cls(time.perf_counter(), time.process_time(), cpu_seconds(node_pids), machine_cpu())

    def since(self, start: "_Sample") -> "_Sample":
        machine = self.machine.since(start.machine)
        return _Sample(
            self.at - start.at, self.own_cpu_s - start.own_cpu_s, self.nodes_cpu_s - start.nodes_cpu_s, machine
        )

    def other_share(self) -> float:
        others = self.machine.busy_s + self.machine.stolen_s - self.own_cpu_s - self.nodes_cpu_s
        return max(0.0, others / (self.at * (os.cpu_count() or 1)))
