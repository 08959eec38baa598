"""How stale quorum reads are, predicted: the WARS model, by Monte Carlo.

Bailis, Venkataraman, Franklin, Hellerstein and Stoica, "Probabilistically Bounded Staleness for Practical Partial
Quorums", PVLDB 5(8), 2012. A write reaches replica i after W_i, its acknowledgement the coordinator after A_i more; the
write commits with the W-th acknowledgement. A read that begins t later reaches replica i after R_i, and its answer is
back after S_i more; it is consistent if one of the first R that answer had the write when the read arrived. Delays are
independent. What is asked: with which probability is a read consistent, t after the commit?

Each trial has one answer to that for all t: the `t` from which on it is consistent. `of_paper` gives it for the model
as it is written, where the coordinator is none of the replicas. `of_ours` gives it for kvstore: coordinators are
replicas, drawn for writer and reader, with no delay to themselves; a read asks no more than R; and what its coordinator
hears of while it waits for the others counts.
"""

from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Protocol

REPLICAS = 3


class Law(Protocol):
    """A distribution of delays, in milliseconds."""

    def draw(self, rng: Random) -> float: ...


@dataclass(frozen=True, slots=True)
class Pareto:
    """No delay is below `scale_ms`; P(more than x) = (scale_ms / x) ** shape."""

    scale_ms: float
    shape: float

    def draw(self, rng: Random) -> float:
        return float(self.scale_ms * (1.0 - rng.random()) ** (-1.0 / self.shape))


@dataclass(frozen=True, slots=True)
class Exponential:
    """P(more than x) = exp(-rate * x), with the rate per millisecond."""

    rate: float

    def draw(self, rng: Random) -> float:
        return rng.expovariate(self.rate)


@dataclass(frozen=True, slots=True)
class Mixture:
    """The first law with this probability, else the other one."""

    share: float
    often: Law
    seldom: Law

    def draw(self, rng: Random) -> float:
        return (self.often if rng.random() < self.share else self.seldom).draw(rng)


@dataclass(frozen=True, slots=True)
class Samples:
    """Any of these delays that were measured."""

    values: tuple[float, ...]

    def draw(self, rng: Random) -> float:
        return rng.choice(self.values)


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """One-way delays of the four messages. `apart_ms` come on top, each way, to all replicas but one, the local one."""

    name: str
    w: Law
    a: Law
    r: Law
    s: Law
    apart_ms: float = 0.0


_SSD = Mixture(0.9122, Pareto(0.235, 10.0), Exponential(1.66))
_DISK = Mixture(0.38, Pareto(1.05, 1.51), Exponential(0.183))
_YAMMER = Mixture(0.982, Pareto(1.5, 3.8), Exponential(0.0217))
MODELS = {
    model.name: model
    for model in (
        Model(name="LNKD-SSD", w=_SSD, a=_SSD, r=_SSD, s=_SSD),
        Model(name="LNKD-DISK", w=_DISK, a=_SSD, r=_SSD, s=_SSD),
        Model(
            name="YMMR",
            w=Mixture(0.939, Pareto(3.0, 3.35), Exponential(0.0028)),
            a=_YAMMER,
            r=_YAMMER,
            s=_YAMMER,
        ),
        Model(name="WAN", w=_DISK, a=_SSD, r=_SSD, s=_SSD, apart_ms=75.0),
    )
}
"""The fits of the paper, table 3: LinkedIn's Voldemort on SSDs and on disks, Yammer's Riak; and three far sites."""


@dataclass(frozen=True, slots=True)
class Trial:
    """One write and one read: the delays of each replica."""

    w: Sequence[float]
    a: Sequence[float]
    r: Sequence[float]
    s: Sequence[float]

    @classmethod
    def drawn(cls, model: Model, rng: Random, replicas: int = REPLICAS) -> "Trial":
        w, a, r, s = ([law.draw(rng) for _ in range(replicas)] for law in (model.w, model.a, model.r, model.s))
        if model.apart_ms:
            writer, reader = rng.randrange(replicas), rng.randrange(replicas)
            for local, there, back in ((writer, w, a), (reader, r, s)):
                for replica in range(replicas):
                    if replica != local:
                        there[replica] += model.apart_ms
                        back[replica] += model.apart_ms
        return cls(w, a, r, s)


@dataclass(frozen=True, slots=True)
class Outcome:
    """Of one trial, in milliseconds; `visible_ms` after the commit a read is consistent, 0: at once."""

    write_ms: float
    read_ms: float
    visible_ms: float


def of_paper(trial: Trial, read: int, write: int, rng: Random) -> Outcome:
    """The model as it is written."""
    committed = sorted(w + a for w, a in zip(trial.w, trial.a, strict=True))[write - 1]
    answers = sorted((r + s, r, w) for r, s, w in zip(trial.r, trial.s, trial.w, strict=True))[:read]
    visible = min(w - committed - r for _, r, w in answers)
    return Outcome(committed, answers[-1][0], max(0.0, visible))


def of_ours(trial: Trial, read: int, write: int, rng: Random) -> Outcome:
    """Both coordinators are replicas, drawn independently."""
    replicas = range(len(trial.w))
    writer, reader = rng.choice(replicas), rng.choice(replicas)
    arrived = [0.0 if i == writer else trial.w[i] for i in replicas]
    committed = sorted(0.0 if i == writer else trial.w[i] + trial.a[i] for i in replicas)[write - 1]
    asked = rng.sample([i for i in replicas if i != reader], read - 1)
    answered = max((trial.r[i] + trial.s[i] for i in asked), default=0.0)
    since = [arrived[reader] - answered, *(arrived[i] - trial.r[i] for i in asked)]
    return Outcome(committed, answered, max(0.0, min(since) - committed))


Way = Callable[[Trial, int, int, Random], Outcome]


class Prediction:
    """What so many trials say of one model with R and W.

    >>> law = Exponential(1.0)
    >>> told = Prediction(Model(name="-", w=law, a=law, r=law, s=law), 2, 2, trials=100, seed=1)
    >>> told.consistent_at(0.0), told.visible_ms(0.999)
    (1.0, 0.0)
    """

    def __init__(
        self,
        model: Model,
        read: int,
        write: int,
        *,
        trials: int,
        seed: int,
        way: Way = of_paper,
    ) -> None:
        rng = Random(seed)
        outcomes = [way(Trial.drawn(model, rng), read, write, rng) for _ in range(trials)]
        self._visible = sorted(outcome.visible_ms for outcome in outcomes)
        self._writes = sorted(outcome.write_ms for outcome in outcomes)
        self._reads = sorted(outcome.read_ms for outcome in outcomes)

    def consistent_at(self, after_ms: float) -> float:
        """The probability that a read which begins so long after the commit is consistent."""
        return bisect_right(self._visible, after_ms) / len(self._visible)

    def visible_ms(self, share: float) -> float:
        """t-visibility: so long after the commit this share of reads is consistent."""
        return _quantile(self._visible, share)

    def write_ms(self, share: float) -> float:
        """The latency that this share of writes does not exceed."""
        return _quantile(self._writes, share)

    def read_ms(self, share: float) -> float:
        """The same of reads."""
        return _quantile(self._reads, share)


def _quantile(ranked: Sequence[float], share: float) -> float:
    """The smallest that at least this share does not exceed."""
    return ranked[max(0, -int(-round(share * len(ranked), 6) // 1) - 1)]
