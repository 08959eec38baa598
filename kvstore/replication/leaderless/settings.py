"""How patient a leaderless replica is, and how much it keeps for others."""

from typing import Final, NamedTuple

from kvstore.core.ids import Millis

SIBLINGS_WARNED: Final = 25
SIBLINGS_MAX: Final = 100
RECORD_BYTES_MAX: Final = 8 << 20
"""All siblings of a key together; half of what a message may hold."""


class LeaderlessSettings(NamedTuple):
    """`write_quorum` is the keyspace's W: what a replica that lost its disk must assume of every acknowledged write."""

    write_quorum: int
    lww: bool = False
    siblings_max: int = SIBLINGS_MAX
    record_bytes_max: int = RECORD_BYTES_MAX
    retry_ms: Millis = Millis(200)
    """A question that was not answered for so long is asked again, or of somebody else."""
    store_patience_ms: Millis = Millis(1_000)
    """A replica that has not stored something for so long is owed a hint, and is left alone."""
    hints_max: int = 100_000
    """Keys that are kept in mind for one replica."""
    batch_records_max: int = 500
    batch_bytes_max: int = 256 << 10
    """Records that go to one replica at once when hints return, or a lost disk is filled again."""
