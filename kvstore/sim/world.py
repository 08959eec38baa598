"""The node's world on a simulated machine, and a world that only takes down what was asked of it."""

from typing import Any, Protocol

from kvstore.core.ids import Millis, NodeId
from kvstore.node.effects import Addressed, Founding
from kvstore.node.requests import Answer
from kvstore.storage.engine import Batch


class Doer(Protocol):
    """Who does what a world is asked for: a machine. The names are those of `kvstore.node.world.World`."""

    def record_founding(self, founding: Founding) -> None: ...
    def send(self, peer: NodeId, messages: list[Addressed]) -> None: ...
    def persist(self, batch: Batch, ticket: int) -> None: ...
    def write_rows(self, rows: Batch, ticket: int) -> None: ...
    def reply(self, handle: int, answer: Answer) -> None: ...
    def publish_ring(self) -> None: ...
    def fail(self, reason: str) -> None: ...
    def wake_me_at(self, when: Millis | None) -> None: ...


class NotedWorld:
    """Takes down, in order, what a step wants done, so that a process can stop or die in the middle of doing it."""

    __slots__ = ("owed",)

    def __init__(self) -> None:
        self.owed: list[tuple[str, tuple[Any, ...]]] = []

    def record_founding(self, founding: Founding) -> None:
        self.owed.append(("record_founding", (founding,)))

    def send(self, peer: NodeId, messages: list[Addressed]) -> None:
        self.owed.append(("send", (peer, messages)))

    def persist(self, batch: Batch, ticket: int) -> None:
        self.owed.append(("persist", (batch, ticket)))

    def write_rows(self, rows: Batch, ticket: int) -> None:
        self.owed.append(("write_rows", (rows, ticket)))

    def reply(self, handle: int, answer: Answer) -> None:
        self.owed.append(("reply", (handle, answer)))

    def publish_ring(self) -> None:
        self.owed.append(("publish_ring", ()))

    def fail(self, reason: str) -> None:
        self.owed.append(("fail", (reason,)))

    def wake_me_at(self, when: Millis | None) -> None:
        self.owed.append(("wake_me_at", (when,)))

    def settle(self, doer: Doer, count: int) -> None:
        """Let the first `count` things be done, and forget them."""
        now, self.owed = self.owed[:count], self.owed[count:]
        for name, args in now:
            getattr(doer, name)(*args)
