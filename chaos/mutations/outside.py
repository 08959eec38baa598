"""Rules of the world outside a node: a disk that lies, a wire that garbles, a clock that is read too early."""

from collections.abc import Callable
from random import Random

from google.protobuf.message import DecodeError

from chaos.mutations.patching import Rule, around, instead
from kvstore.core.errors import MalformedFrame
from kvstore.core.ids import Instant
from kvstore.sim.clock import Clock
from kvstore.sim.disk import Disk
from kvstore.sim.scheduler import MILLI, Micros
from kvstore.storage.engine import Batch
from kvstore.storage.memory_engine import MemoryEngine
from kvstore.v1 import peer_pb2 as pb
from kvstore.wire import frames


def _says_so_at_once(write: Callable[..., None]) -> Callable[..., None]:
    def tells_first(self: Disk, batch: Batch, ticket: int) -> None:
        self._on_synced(ticket, 0.0)
        write(self, batch, ticket)

    return tells_first


def _loses_synced(lose_power: Callable[..., tuple[int, int]]) -> Callable[..., tuple[int, int]]:
    def loses_the_latest_row(self: Disk, torn: bool) -> tuple[int, int]:
        result = lose_power(self, torn)
        batch = Batch()
        for key, _ in self.engine.scan(b"l", b"m", reverse=True):
            batch.delete(key)
            break
        self.engine.commit(batch)
        return result

    return loses_the_latest_row


def _tears_within(crash: Callable[..., int]) -> Callable[..., int]:
    def tears_a_batch(self: MemoryEngine, rng: Random) -> int:
        for plans in self._unsynced.values():
            for plan, _ in plans:
                for key in list(plan)[rng.randint(0, len(plan)) :]:
                    del plan[key]
        return crash(self, rng)

    return tears_a_batch


def _unchecked(body: bytes, checksum: int) -> pb.Frame:
    try:
        return pb.Frame.FromString(body)
    except DecodeError as error:
        raise MalformedFrame(f"not a frame: {error}") from error


def _too_early(instant: Callable[..., Instant]) -> Callable[..., Instant]:
    def is_read_before_the_inbox(self: Clock, now: Micros) -> Instant:
        return instant(self, max(0, now - 150 * MILLI) if now // MILLI % 7 == 0 else now)

    return is_read_before_the_inbox


RULES = (
    Rule("fsync-before-word", "A batch is on disk when the disk says so.", around(Disk, "write", _says_so_at_once)),
    Rule("synced-is-kept", "What was synced survives.", around(Disk, "lose_power", _loses_synced)),
    Rule("commits-are-whole", "A batch survives whole or not at all.", around(MemoryEngine, "crash", _tears_within)),
    Rule(
        "frames-are-checked",
        "A frame that fails its checksum is not heard.",
        instead(frames, "_parsed", _unchecked),
    ),
    Rule(
        "clock-after-inbox", "A step's instant is not earlier than what it hears.", around(Clock, "instant", _too_early)
    ),
)
