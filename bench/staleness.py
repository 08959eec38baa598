"""`bench staleness`: how stale reads of a leaderless keyspace are, measured beside what the WARS model predicts.

Whole nodes run in the simulator, in virtual time, on disks and clocks that take none: only the four messages of a write
and a read take as long as the model says (`Store` W, `Stored` A, `Fetch` R, `Fetched` S), each with a delay of its own.
Every key is written once, at a replica drawn at random, and read once, at another draw, so long after its writer was
told that it is written. A read that finds nothing is stale.

The instants are those at which the prediction says that so many reads are consistent; so what is measured there shall
be that share, give or take two standard deviations of as many reads. What the model does not know is kept out of it:
questions are not asked twice, and replicas do not compare. Hints go out after a second as ever, so that of a model with
longer delays (YMMR) the slowest writes are seen earlier than it says.
"""

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from random import Random

import click
import msgspec

from bench.load import store_folder
from bench.report import OUTPUTS, facts_line, machine_facts, print_table
from bench.wars import MODELS, REPLICAS, Model, Prediction, of_ours
from kvstore.core.commands import Command, CommandBatch, Kind, encode
from kvstore.core.ids import GroupId, NodeId
from kvstore.node.config import LeaderlessConfig, RaftConfig
from kvstore.node.effects import Addressed
from kvstore.node.requests import Answer, CreateKeyspaceRequest, Found, ReadRequest, Told, WriteRequest, Written
from kvstore.placement.keyspaces import Settings
from kvstore.replication.leaderless.messages import Fetch, Fetched, Store, Stored
from kvstore.sim.cluster import SimCluster, SimSettings
from kvstore.sim.faults import NetworkFaults
from kvstore.sim.scheduler import MILLI, SECOND, Micros

KEYSPACE = "wars"
SHARES = (0.9, 0.99, 0.999)
"""A reader comes at once, and when so many are predicted to be consistent."""
SETTLED: Micros = 3 * SECOND
APART: Micros = 2 * MILLI
"""Between two writes, on average: seldom do two share a frame, and a delay."""
WHILE_OTHERS: Micros = 200
"""How long a message takes that is of no write and no read."""
PATIENCE_MS = 60_000
QUORUMS = ((1, 1), (1, 2), (2, 1), (1, 3), (2, 2))


class StalenessFailed(click.ClickException):
    """The simulated cluster did not do what it was asked, so that nothing was measured."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """So many reads that began `after_ms` after the commit of what they read."""

    model: str
    read: int
    write: int
    after_ms: float
    reads: int
    measured: float
    """The share of them that found it."""
    predicted: float
    of_paper: float
    """What the model says as it is written, with coordinators that are no replicas."""

    @property
    def error(self) -> float:
        """Two standard deviations of what is measured, were the prediction true."""
        return 2 * math.sqrt(max(self.predicted * (1 - self.predicted), 0.0) / self.reads)


class Delays:
    """What the network asks: how long does this frame take?"""

    def __init__(self, model: Model, rng: Random) -> None:
        self._rng = rng
        self._laws = {Store: model.w, Stored: model.a, Fetch: model.r, Fetched: model.s}

    def __call__(self, messages: Sequence[Addressed]) -> Micros:
        for _, message in messages:
            law = self._laws.get(type(message))
            if law is not None:
                return round(law.draw(self._rng) * MILLI)
        return WHILE_OTHERS


class Universe:
    """A simulated cluster with a keyspace on it, in which some keys are written and read."""

    def __init__(self, model: Model, read: int, write: int, seed: int) -> None:
        calm = NetworkFaults(delay_us_min=WHILE_OTHERS, delay_us_max=WHILE_OTHERS, in_order=False)
        self._cluster = SimCluster(
            SimSettings(
                seed=f"staleness {model.name} {read} {write} {seed}",
                nodes=REPLICAS,
                raft=RaftConfig(heartbeat_ms=1_000, election_timeout_ms_min=5_000, election_timeout_ms_max=10_000),
                # Nobody asks twice, and nobody compares: the model knows nothing of either.
                leaderless=LeaderlessConfig(retry_ms=60_000, exchange_interval_ms=3_600_000),
                network=calm,
                fsync_us=(0, 0),
                step_us=(0, 0),
            )
        )
        self._read, self._write = read, write
        self._rng = self._cluster.dice.stream("staleness")
        self._group = self._made()
        self._cluster.network.delay_of = Delays(model, self._cluster.dice.stream("wars"))
        self._found: dict[float, list[bool]] = {}
        self._failure = ""

    def _made(self) -> GroupId:
        cluster = self._cluster
        cluster.start()
        if not cluster.run_for(60 * SECOND, self._is_ready):
            raise StalenessFailed("the simulated cluster did not come up")
        told: list[Answer | None] = []
        settings = Settings(KEYSPACE, "leaderless", REPLICAS, 1, read_quorum=self._read, write_quorum=self._write)
        cluster.machines[cluster.names[0]].ask(
            cluster.new_handle(), CreateKeyspaceRequest(settings), PATIENCE_MS, told.append
        )
        cluster.run_for(SETTLED)
        ring = cluster.ring
        if not told or not isinstance(told[0], Told) or ring is None:
            raise StalenessFailed(f"no keyspace was made: {told}")
        return GroupId(ring.partition_of(KEYSPACE, b"").group)

    def _is_ready(self) -> bool:
        return all(machine.node is not None and machine.node.is_ready for machine in self._cluster.up())

    def consistent(self, after_ms: Sequence[float], reads: int) -> list[float]:
        """For each of these times after the commit, which share of so many reads was consistent."""
        cluster, at = self._cluster, self._cluster.now
        self._found = {after: [] for after in after_ms}
        for number in range(reads):
            for place, after in enumerate(self._found):
                at += round(self._rng.expovariate(1 / APART)) + 1
                cluster.scheduler.post(at, "writer", "writes", self._put, b"%d/%d" % (place, number), after)
        cluster.run_for(
            at - cluster.now + PATIENCE_MS * MILLI,
            lambda: bool(self._failure) or all(len(found) >= reads for found in self._found.values()),
        )
        if self._failure or any(len(found) < reads for found in self._found.values()):
            raise StalenessFailed(self._failure or "some of the reads were never answered")
        return [sum(self._found[after]) / reads for after in after_ms]

    def _somebody(self) -> NodeId:
        return self._rng.choice(self._cluster.names)

    def _put(self, key: bytes, after_ms: float) -> None:
        cluster = self._cluster

        def done(answer: Answer | None) -> None:
            if isinstance(answer, Written):
                cluster.scheduler.after(round(after_ms * MILLI), "reader", "reads", self._get, key, after_ms)
            else:
                self._failure = self._failure or f"a write ended with {answer}"

        handle = cluster.new_handle()
        batch = CommandBatch(handle, 0, False, [Command(1, Kind.PUT.value, key, b"v")])
        cluster.machines[self._somebody()].ask(handle, WriteRequest(self._group, encode(batch)), PATIENCE_MS, done)

    def _get(self, key: bytes, after_ms: float) -> None:
        def done(answer: Answer | None) -> None:
            if isinstance(answer, Found):
                (known,) = msgspec.msgpack.decode(answer.versions, type=list[bytes | None])
                self._found[after_ms].append(known is not None)
            else:
                self._failure = self._failure or f"a read ended with {answer}"

        request = ReadRequest(self._group, [key])
        self._cluster.machines[self._somebody()].ask(self._cluster.new_handle(), request, PATIENCE_MS, done)


def measure(model: Model, read: int, write: int, *, reads: int, trials: int, seed: int) -> Iterator[Point]:
    """One model with one R and W. Raises StalenessFailed."""
    ours = Prediction(model, read, write, trials=trials, seed=seed, way=of_ours)
    paper = Prediction(model, read, write, trials=trials, seed=seed)
    times = sorted({0.0, *(math.ceil(ours.visible_ms(share) * MILLI) / MILLI for share in SHARES)})
    shares = Universe(model, read, write, seed).consistent(times, reads)
    for after_ms, share in zip(times, shares, strict=True):
        yield Point(
            model=model.name,
            read=read,
            write=write,
            after_ms=after_ms,
            reads=reads,
            measured=share,
            predicted=ours.consistent_at(after_ms),
            of_paper=paper.consistent_at(after_ms),
        )


def cells_of(point: Point) -> list[str]:
    shares = [f"{share:.4f}" for share in (point.measured, point.predicted)]
    difference = f"{point.measured - point.predicted:+.4f}"
    return [
        point.model, str(point.read), str(point.write), f"{point.after_ms:,.3f}", *shares, difference,
        f"{point.error:.4f}", f"{point.of_paper:.4f}",
    ]  # fmt: skip


@click.command("staleness")
@click.option(
    "--model",
    "names",
    multiple=True,
    type=click.Choice([name for name, model in MODELS.items() if not model.apart_ms]),
    default=("LNKD-SSD", "LNKD-DISK"),
    show_default=True,
    help="Of the delays; may be given more than once.",
)
@click.option("--read-quorum", type=click.IntRange(1, REPLICAS), help="R; default: a choice of R and W.")
@click.option("--write-quorum", type=click.IntRange(1, REPLICAS), help="W.")
@click.option("--reads", type=click.IntRange(100), default=10_000, show_default=True, help="For each line.")
@click.option("--trials", type=click.IntRange(1_000), default=100_000, show_default=True, help="Of the Monte Carlo.")
@click.option("--seed", type=int, default=1, show_default=True)
@click.option("-o", "--output", type=click.Choice(OUTPUTS), default="table", show_default=True)
def command(
    names: tuple[str, ...],
    read_quorum: int | None,
    write_quorum: int | None,
    reads: int,
    trials: int,
    seed: int,
    output: str,
) -> None:
    """How stale reads of leaderless keyspaces are in the simulator, beside what the WARS model predicts.

    N = 3. A line says: so many milliseconds after its commit was a write seen by this share of reads. `of paper` is the
    prediction for coordinators that are no replicas themselves, as in the paper; ours are.
    """
    quorums = QUORUMS if read_quorum is None and write_quorum is None else [(read_quorum or 2, write_quorum or 2)]
    points = [
        point
        for name in names
        for read, write in quorums
        for point in measure(MODELS[name], read, write, reads=reads, trials=trials, seed=seed)
    ]
    facts = facts_line(machine_facts(store_folder(None)))
    if output == "json":
        click.echo(facts, err=True)
        click.echo("[" + ",\n ".join(json.dumps({**asdict(point), "error": point.error}) for point in points) + "]")
        return
    head = ["model", "R", "W", "ms after", "measured", "predicted", "difference", "2 σ", "of paper"]
    print_table(head, [cells_of(point) for point in points])
    click.echo(facts)
