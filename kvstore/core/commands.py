"""What a client can ask of a partition's log, and its bytes.

A client encodes a `CommandBatch` once; the same bytes go to the leader, into its log, to the followers and into
theirs. The form is MessagePack, each struct an array of its fields in order (`msgspec`, `array_like`): new fields go
to the end and have defaults, so that older bytes still decode.

    CommandBatch := [client, answered_below, atomic, [Command ...]]
    Command      := [sequence, kind, key, value, condition, stamp, context]
    EntryPayload := [first_stamp, [CommandBatch bytes ...]]       one log entry; commands take consecutive stamps
"""

from enum import IntEnum

import msgspec

from kvstore.core.errors import EmptyKey, InvalidRequest, KeyTooLarge, MalformedFrame, ValueTooLarge
from kvstore.core.limits import KEY_BYTES_MAX

SEQUENCE_MAX = (1 << 63) - 1


class Kind(IntEnum):
    """What a command does to its key."""

    PUT = 0
    DELETE = 1


class Condition(IntEnum):
    """What must hold before it does so; otherwise nothing is written."""

    NONE = 0
    ABSENT = 1  # the key does not exist
    STAMP = 2  # the key exists and its version has this stamp


class Status(IntEnum):
    """How a command ended. These are remembered, so that a retry gets the first answer."""

    WRITTEN = 0
    NOT_FOUND = 1  # a delete of a key that was not there; it is a success that changed nothing
    FAILED_CONDITION = 2  # `stamp` is the current version's stamp, 0 if the key is absent
    NOT_EXECUTED = 3  # another command of its atomic batch failed
    TOO_MANY_SIBLINGS = 4  # leaderless: one more is refused; `stamp` is how many there are


class Command(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """One write: put or delete, perhaps conditional. `sequence` with the batch's client is its operation id."""

    sequence: int
    kind: int
    key: bytes
    value: bytes = b""
    condition: int = 0
    stamp: int = 0
    context: bytes = b""
    """Leaderless: what the client has seen and replaces (`core.causality.encode_context`); empty: nothing."""


class CommandBatch(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """Writes of one client to one partition. If `atomic`, all happen or none.

    `answered_below`: the client has the answers of all its operations with a smaller sequence and will never retry
    them, so a replica need not keep them ready (their outcome stays known, see `OUTCOME_WINDOW_MS`).
    """

    client: int
    answered_below: int
    atomic: bool
    commands: list[Command]


class EntryPayload(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """The content of one log entry of a partition: stamps and whole batches, untouched."""

    first_stamp: int
    batches: list[bytes]


class Result(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """The answer to one command: status, and the stamp it was written at (or the current one, if refused)."""

    status: int
    stamp: int
    decided: int = 0  # the command's own stamp, where `stamp` is another's
    context: bytes = b""
    """Leaderless: the version's context, for the client to replace it with."""


_ENCODER = msgspec.msgpack.Encoder()
_BATCHES = msgspec.msgpack.Decoder(CommandBatch)
_PAYLOADS = msgspec.msgpack.Decoder(EntryPayload)
_RESULTS = msgspec.msgpack.Decoder(list[Result])

encode = _ENCODER.encode
"""Any struct of this module, or a list of them, as MessagePack."""


def decode_batch(data: bytes) -> CommandBatch:
    """Raises MalformedFrame if the bytes are not a command batch."""
    try:
        return _BATCHES.decode(data)
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        raise MalformedFrame(f"not a command batch: {error}") from error


def decode_payload(data: bytes) -> EntryPayload:
    """For log entries, whose checksum was verified: malformed bytes here are our own mistake."""
    return _PAYLOADS.decode(data)


def decode_results(data: bytes) -> list[Result]:
    """Raises MalformedFrame if the bytes are not a list of results."""
    try:
        return _RESULTS.decode(data)
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        raise MalformedFrame(f"not a list of results: {error}") from error


def check_key(key: bytes) -> None:
    """Raises EmptyKey or KeyTooLarge."""
    if not key:
        raise EmptyKey(key=key)
    if len(key) > KEY_BYTES_MAX:
        raise KeyTooLarge(key=key, size=len(key), limit=KEY_BYTES_MAX)


def check_command(command: Command, value_bytes_max: int) -> None:
    """Raises EmptyKey, KeyTooLarge, ValueTooLarge or InvalidRequest."""
    check_key(command.key)
    if len(command.value) > value_bytes_max:
        raise ValueTooLarge(key=command.key, size=len(command.value), limit=value_bytes_max)
    if command.kind not in (Kind.PUT, Kind.DELETE) or command.condition not in (0, 1, 2):
        raise InvalidRequest(f"command kind {command.kind} with condition {command.condition} does not exist")
    if not 0 <= command.sequence <= SEQUENCE_MAX:
        raise InvalidRequest(f"operation number {command.sequence}: expected 0 to {SEQUENCE_MAX}")
