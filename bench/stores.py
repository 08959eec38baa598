"""What `bench` needs of a store it measures: start fresh, name its processes, stop. And the errors of doing so."""

from typing import Protocol, Self


class BenchError(Exception):
    """A measurement that could not be made. The message says what to do."""

    exit_code = 1


class StoreAbsent(BenchError):
    """The store is not installed on this machine."""

    exit_code = 2


class StoreFailed(BenchError):
    """The store did not start, or ended too early."""


class Store(Protocol):
    """A fresh cluster of real processes on this machine. Entering starts it, leaving removes every trace."""

    @property
    def name(self) -> str: ...

    @property
    def generator(self) -> str:
        """The module to run as load generator: takes a LoadPlan, prints a LoadResult."""

    @property
    def version(self) -> str: ...

    @property
    def pids(self) -> tuple[int, ...]:
        """The nodes' processes: the ones whose CPU counts."""

    @property
    def endpoints(self) -> tuple[str, ...]:
        """`host:port` of every node, the one to prefer first."""

    @property
    def settings(self) -> dict[str, str | int]:
        """What the keyspace is made with that the load is put on (`LoadPlan.settings`)."""

    @property
    def loads_first(self) -> bool:
        """Whether it must hold all keys, and settle, before anything is measured, not before reads alone."""

    def settle(self) -> None:
        """Called after loading the keys and before measuring, if that is not done in one go (see `load.measure`)."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...
