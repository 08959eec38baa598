"""One entry in the log of a leaderless replica: what it has merged in one step.

    payload    MessagePack [[[key, record] …], [[client, sequence, stamp] …], [key …], [voted, collected]]

A record is all that the replica knew of the key after the step (`kvstore.core.causality.encode`), so the last record of
a key is what counts. Operations are those that are to be remembered and are of no sibling in the records: their writes
lost to later ones at once (`newest_only`), or were replaced in the same step.

The last two are there only if tombstones were collected in this step, or its rounds changed
(`replication/leaderless/rounds.py`). A row may be younger than the entry that removed its record: by an entry that
follows.
"""

from collections.abc import Iterable

import msgspec

from kvstore.core.errors import Corruption
from kvstore.replication.leaderless.messages import Operation, Record

_ENCODER = msgspec.msgpack.Encoder()


class Step(msgspec.Struct, array_like=True, frozen=True):
    """What one entry says. `removed`: before the records were put. `rounds`: None if they are as before."""

    records: list[Record]
    operations: list[Operation]
    removed: list[bytes] = []
    rounds: tuple[int, int] | None = None


_DECODER = msgspec.msgpack.Decoder(Step)


def log_payload(
    records: Iterable[Record],
    operations: Iterable[Operation] = (),
    removed: Iterable[bytes] = (),
    rounds: tuple[int, int] | None = None,
) -> bytes:
    """One entry's payload."""
    if rounds is None:
        return _ENCODER.encode((records, operations))
    return _ENCODER.encode((records, operations, removed, rounds))


def read_payload(payload: bytes) -> tuple[list[Record], list[Operation]]:
    """Its records and operations. Raises Corruption."""
    step = read_step(payload)
    return step.records, step.operations


def read_step(payload: bytes) -> Step:
    """All of it. Raises Corruption."""
    try:
        return _DECODER.decode(payload)
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        raise Corruption(f"an entry of a leaderless replica makes no sense: {error}") from error
