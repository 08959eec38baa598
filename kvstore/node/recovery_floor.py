"""The one fact a node that lost its disk must keep after it has recovered: the floor.

Replicas that group 0 created at or before this index may be replicas this node had, and made promises for, before the
loss: they start in recovering standing whenever it hears of them. Later ones are new to it and vote at once.
"""

from struct import Struct

from kvstore.core.ids import Index
from kvstore.core.records import seal, unseal
from kvstore.storage.engine import Batch, Reader
from kvstore.storage.keys import FLOOR

_INDEX = Struct(">Q")


def put_floor(batch: Batch, floor: Index) -> None:
    batch.put(FLOOR, seal(_INDEX.pack(floor)))


def load_floor(reader: Reader) -> Index | None:
    """None if this node never lost its disk. Raises Corruption."""
    record = reader.get(FLOOR)
    return None if record is None else Index(_INDEX.unpack(unseal(record, "recovery floor"))[0])
