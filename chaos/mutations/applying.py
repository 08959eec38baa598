"""Rules of the state machine, its flushes, its memory of operations, and of answers."""

from collections.abc import Callable
from typing import Any

from chaos.mutations.patching import Rule, around, instead, never, nothing
from kvstore.core.commands import WriteBatch
from kvstore.core.ids import Index
from kvstore.node.forwards import Forwards
from kvstore.node.gate import Gate
from kvstore.node.liveness import Liveness
from kvstore.node.node import Node
from kvstore.node.outcomes import Outcomes
from kvstore.node.partition_host import PartitionHost
from kvstore.node.partition_state import PartitionState
from kvstore.node.state_flush import Flush
from kvstore.node.tick import Tick
from kvstore.replication.raft.replica import RaftReplica
from kvstore.storage.engine import Batch


def _one_by_one(self: PartitionState, batch: WriteBatch, window: Any, first_stamp: int) -> list[Any]:
    answers = []
    for stamp, command in enumerate(batch.commands, first_stamp):
        answers.append(self._apply_command(command, stamp))
        window.answered(command.sequence, answers[-1])
    return answers


def _index_first(next_slice: Callable[..., int]) -> Callable[..., int]:
    def says_the_new_index_first(self: Flush, batch: Batch, rows_max: int) -> int:
        rows = next_slice(self, batch, rows_max)
        if not self.is_done:
            self.after.put(batch, self._data)
        return rows

    return says_the_new_index_first


def _no_redo(init: Callable[..., None]) -> Callable[..., None]:
    def forgets_what_to_redo(self: PartitionState, *args: Any) -> None:
        init(self, *args)
        self._meta.redo_until = Index(0)

    return forgets_what_to_redo


def _opens_unwritten(init: Callable[..., None]) -> Callable[..., None]:
    def loses_what_opening_wrote(self: Node, *args: Any) -> None:
        init(self, *args)
        self._opening = Batch()

    return loses_what_opening_wrote


def _counts_from_nought(init: Callable[..., None]) -> Callable[..., None]:
    def numbers_from_one(self: Forwards, liveness: Liveness, gate: Gate, first_number: int) -> None:
        init(self, liveness, gate, 0)

    return numbers_from_one


def _early_majority(self: RaftReplica) -> Index:
    return self.commit


RULES = (
    Rule("promises-wait", "What is promised leaves when it is on disk.", instead(Tick, "vow", Tick.send)),
    Rule(
        "batches-are-atomic",
        "All commands of an atomic batch happen, or none.",
        instead(PartitionState, "_apply_atomic", _one_by_one),
    ),
    Rule(
        "operations-once",
        "An operation that is retried gets its first answer.",
        instead(Outcomes, "find", nothing),
    ),
    Rule("outcomes-on-disk", "Outcomes reach the disk with the state.", instead(Outcomes, "_put_rows", nothing)),
    Rule(
        "values-before-index",
        "The applied index is written after the values.",
        around(Flush, "next_slice", _index_first),
    ),
    Rule(
        "redo-after-crash",
        "Entries whose flush was cut short are redone, not judged again.",
        around(PartitionState, "__init__", _no_redo),
    ),
    Rule(
        "stamps-after-own-entry",
        "A new leader stamps when it has seen all stamps before.",
        instead(PartitionHost, "_is_catching_up", property(never)),
    ),
    Rule(
        "all-means-all",
        "A write that waits for all is answered when all have it.",
        instead(RaftReplica, "stored_on_all", property(_early_majority)),
    ),
    Rule("opening-is-written", "What opening a node changes is written.", around(Node, "__init__", _opens_unwritten)),
    Rule(
        "forwards-of-this-life",
        "An answer meets a request of this life only.",
        around(Forwards, "__init__", _counts_from_nought),
    ),
)
