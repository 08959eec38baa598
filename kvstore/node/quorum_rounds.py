"""The row of a leaderless state with its rounds (`replication/leaderless/rounds.py`): voted, collected.

It goes with the last slice of a flush, since the log that has them is not needed any more after that.
"""

from struct import Struct

from kvstore.core.records import seal, unseal
from kvstore.storage.engine import Batch, Reader
from kvstore.storage.keys import rounds_key

NO_ROUNDS = (0, 0)
_ROUNDS = Struct(">QQ")


def put_rounds(batch: Batch, data: int, rounds: tuple[int, int]) -> None:
    """None is written before the first round."""
    if rounds != NO_ROUNDS:
        batch.put(rounds_key(data), seal(_ROUNDS.pack(*rounds)))


def load_rounds(reader: Reader, data: int) -> tuple[int, int]:
    """Raises Corruption."""
    record = reader.get(rounds_key(data))
    if record is None:
        return NO_ROUNDS
    voted, collected = _ROUNDS.unpack(unseal(record, "rounds"))
    return voted, collected
