"""One entry in the log of a leaderless replica: what it has merged in one step.

    payload    MessagePack [[[key, record] …], [[client, sequence, stamp] …]]

A record is all that the replica knew of the key after the step (`kvstore.core.causality.encode`), so the last record of
a key is what counts. Operations are those that are to be remembered and are of no sibling in the records: their writes
lost to later ones at once (`newest_only`), or were replaced in the same step.
"""

from collections.abc import Iterable

import msgspec

from kvstore.core.errors import Corruption
from kvstore.replication.leaderless.messages import Operation, Record

_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(tuple[list[Record], list[Operation]])


def log_payload(records: Iterable[Record], operations: Iterable[Operation] = ()) -> bytes:
    """One entry's payload."""
    return _ENCODER.encode((records, operations))


def read_payload(payload: bytes) -> tuple[list[Record], list[Operation]]:
    """The inverse. Raises Corruption."""
    try:
        return _DECODER.decode(payload)
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        raise Corruption(f"an entry of a leaderless replica makes no sense: {error}") from error
