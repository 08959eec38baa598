"""Table: where a leaderless replica keeps what it knows. The node has one over its disk; tests have one in memory."""

from collections.abc import Sequence
from typing import Protocol

from kvstore.core.causality import Versions
from kvstore.replication.leaderless.messages import Operation, Record


class Table(Protocol):
    """Keys and what is known of them. A change is there at once; the log that comes with it makes it durable."""

    def known(self, key: bytes) -> Versions:
        """UNKNOWN if nothing is. Raises Corruption."""
        ...

    def record(self, key: bytes) -> bytes:
        """The same as bytes; b"" if nothing is known. Raises Corruption."""
        ...

    def put(self, key: bytes, record: bytes) -> None:
        """What is known of the key from now on, already merged with what was; never b""."""
        ...

    def digest(self, key: bytes) -> bytes:
        """Equal for equal records; b"" if nothing is known. Raises Corruption."""
        ...

    def page(self, start: bytes, end: bytes, limit: int, bytes_max: int) -> tuple[list[Record], bytes]:
        """Records from `start` to before `end` (b"": no end) in key order, and up to before which key that is all.

        Raises Corruption.
        """
        ...

    def remember(self, client: int, sequence: int, stamp: int) -> None:
        """That operation was written, with this stamp."""
        ...

    def outcome(self, client: int, sequence: int) -> Sequence[int] | None:
        """(status, stamp) of an operation that is remembered. Raises Corruption."""
        ...

    def log_payload(self, records: list[Record], operations: list[Operation]) -> bytes:
        """These as the content of one log entry: records, and operations that are to be remembered besides theirs."""
        ...
