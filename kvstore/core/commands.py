"""What a client can ask of a partition's log, and its bytes.

A client encodes a batch once; the same bytes go to the leader, into its log, to the followers and into theirs. The form
is MessagePack, each struct an array of its fields in order (`msgspec`, `array_like`): new fields go to the end and have
defaults, so that older bytes still decode.

    WriteBatch   := CommandBatch | PutBatch                       the first element of the array tells which
    CommandBatch := [0, client, answered_below, atomic, [Command ...]]
    Command      := [sequence, kind, key, value, condition, stamp, context]
    PutBatch     := [1, client, answered_below, first sequence, [key ...], [value ...]]
    EntryPayload := [first_stamp, [batch bytes ...]]              one log entry; commands take consecutive stamps
    Results      := [Result ...] | Run                            the answers to one batch, in its order
    Result       := [status, stamp, decided, context]
    Run          := {"first": stamp, "count": n}

Nearly all that is written is unconditional puts under consecutive operation numbers, all of which succeed. Such batches
go by columns and are answered by one run, because on the way through client, leader and followers each object costs
more than the bytes in it. Who is not in a hurry asks either form of batch for its `commands`, and iterates over either
form of results.
"""

from collections.abc import Iterator, Sequence
from enum import IntEnum
from typing import Final

import msgspec

from kvstore.core.errors import EmptyKey, InvalidRequest, KeyTooLarge, MalformedFrame, ValueTooLarge
from kvstore.core.limits import KEY_BYTES_MAX

SEQUENCE_MAX: Final = (1 << 63) - 1


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


_PUT: Final = int(Kind.PUT)
_WRITTEN: Final = int(Status.WRITTEN)


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


class CommandBatch(msgspec.Struct, array_like=True, frozen=True, gc=False, tag=0):
    """Writes of one client to one partition. If `atomic`, all happen or none.

    `answered_below`: the client has the answers of all its operations with a smaller sequence and will never retry
    them, so a replica need not keep them ready (their outcome stays known, see `OUTCOME_WINDOW_MS`).
    """

    client: int
    answered_below: int
    atomic: bool
    commands: list[Command]

    def __len__(self) -> int:
        return len(self.commands)

    @property
    def first(self) -> int:
        """The smallest sequence."""
        return self.commands[0].sequence

    @property
    def last(self) -> int:
        """The largest sequence."""
        return self.commands[-1].sequence

    @property
    def keys(self) -> list[bytes]:
        return [command.key for command in self.commands]

    @property
    def is_foregone(self) -> bool:
        """Whether it is written whatever it meets."""
        return not any(command.condition != Condition.NONE or command.kind != Kind.PUT for command in self.commands)

    @property
    def frees(self) -> bool:
        """Whether it needs no space."""
        return all(command.kind == Kind.DELETE for command in self.commands)

    def check(self, value_bytes_max: int) -> None:
        """Raises EmptyKey, KeyTooLarge, ValueTooLarge or InvalidRequest."""
        before = -1
        for command in self.commands:
            check_command(command, value_bytes_max)
            if command.sequence <= before:
                raise InvalidRequest(f"operation number {command.sequence} after {before}: those of a batch ascend")
            before = command.sequence


class PutBatch(msgspec.Struct, array_like=True, frozen=True, gc=False, tag=1):
    """Unconditional puts of one client to one partition, under consecutive sequences from `first` on, by columns.

    It means the same as a CommandBatch of its `commands` that is not atomic.
    """

    client: int
    answered_below: int
    first: int
    keys: list[bytes]
    values: list[bytes]

    atomic = False
    is_foregone = True
    frees = False

    def __post_init__(self) -> None:
        if len(self.keys) != len(self.values):
            raise ValueError(f"{len(self.keys)} keys with {len(self.values)} values")

    def __len__(self) -> int:
        return len(self.keys)

    @property
    def last(self) -> int:
        """The largest sequence."""
        return self.first + len(self.keys) - 1

    @property
    def commands(self) -> list[Command]:
        """The same in the general form."""
        rows = zip(self.keys, self.values, strict=True)
        return [Command(sequence, _PUT, key, value) for sequence, (key, value) in enumerate(rows, self.first)]

    def check(self, value_bytes_max: int) -> None:
        """Raises EmptyKey, KeyTooLarge, ValueTooLarge or InvalidRequest."""
        lengths = list(map(len, self.keys))
        fits = min(lengths) > 0 and max(lengths) <= KEY_BYTES_MAX and max(map(len, self.values)) <= value_bytes_max
        if not (fits and self.first >= 0 and self.last <= SEQUENCE_MAX):
            for command in self.commands:
                check_command(command, value_bytes_max)


WriteBatch = CommandBatch | PutBatch


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


class Run(msgspec.Struct, frozen=True, gc=False):
    """The answers to `count` commands that were all written, at consecutive stamps from `first` on."""

    first: int
    count: int

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[tuple[int, int]]:
        """(status, stamp) of each."""
        for stamp in self.stamps:
            yield (_WRITTEN, stamp)

    @property
    def stamps(self) -> range:
        return range(self.first, self.first + self.count)


_ENCODER = msgspec.msgpack.Encoder()
_BATCHES: msgspec.msgpack.Decoder[WriteBatch] = msgspec.msgpack.Decoder(WriteBatch)
_PAYLOADS = msgspec.msgpack.Decoder(EntryPayload)
_RESULTS: msgspec.msgpack.Decoder[list[Result] | Run] = msgspec.msgpack.Decoder(list[Result] | Run)

encode = _ENCODER.encode
"""Any struct of this module, or a list of them, as MessagePack."""


def batch_of(client: int, answered_below: int, commands: Sequence[Command], *, atomic: bool = False) -> WriteBatch:
    """The shortest batch of at least one command."""
    first = commands[0].sequence
    for sequence, command in enumerate(commands, first):
        if atomic or command != Command(sequence, _PUT, command.key, command.value):
            return CommandBatch(client, answered_below, atomic, list(commands))
    keys, values = [command.key for command in commands], [command.value for command in commands]
    return PutBatch(client, answered_below, first, keys, values)


def decode_batch(data: bytes) -> WriteBatch:
    """Raises MalformedFrame if the bytes are not a command batch."""
    try:
        return _BATCHES.decode(data)
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        raise MalformedFrame(f"not a command batch: {error}") from error


def decode_payload(data: bytes) -> EntryPayload:
    """For log entries, whose checksum was verified: malformed bytes here are our own mistake."""
    return _PAYLOADS.decode(data)


def decode_answers(data: bytes) -> list[Result] | Run:
    """Raises MalformedFrame if the bytes are no results."""
    try:
        return _RESULTS.decode(data)
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        raise MalformedFrame(f"not a list of results: {error}") from error


def decode_results(data: bytes) -> list[Result]:
    """The same one by one. Raises MalformedFrame if the bytes are no results."""
    return one_by_one(decode_answers(data))


def one_by_one(answers: list[Result] | Run) -> list[Result]:
    return [Result(*answer) for answer in answers] if isinstance(answers, Run) else answers


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
