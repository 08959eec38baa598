"""Every error on one page. Each answers one question: could the write have happened anyway?

A *definite* error means the request did not happen and never will. After an indefinite one nobody can say yet:
`outcome(op_id)` can (maelstrom's `errors.edn` taught us the word). `retryable` says that the same request may
succeed later or elsewhere. `code` is the error's name on the wire, stable for ever; `exit_code` is what the command
line ends with.

    KvError
    ├── NotFound                        (also KeyError)
    ├── ConflictError                   unresolved siblings
    ├── PreconditionFailed              if_version / if_absent did not hold; `.current` says what is there
    ├── SiblingsExceeded                too many unresolved siblings for one more
    ├── Unavailable                     (also ConnectionError)
    │   ├── QuorumUnreachable · QuorumNotMet · NoLeader · NotConnected · NotReady
    ├── DeadlineExceeded                (also TimeoutError)
    ├── OutcomeUnknown                  the write was under way when leadership changed
    ├── Overloaded                      `.retry_after_ms`
    ├── InvalidRequest                  (also ValueError)
    │   ├── KeyTooLarge · EmptyKey · ValueTooLarge · RequestTooLarge · ConsistencyNotSupported
    │   ├── UnknownKeyspace · KeyspaceExists · WrongMode · NotYetAvailable
    │   └── WrongCluster · WrongTimeline · OperationExpired · MalformedFrame
    ├── CodecError                      (also ValueError)
    ├── ConfigError                     (also ValueError)
    ├── StorageFull · Corruption · VersionSkew · ForeignData · ClockTooFarAhead
    ├── NotLeader                       internal: ask somebody else; clients follow it by themselves
    ├── WrongPartition                  internal: the caller's ring is old
    └── ClientClosed
"""

from typing import Any, ClassVar


class KvError(Exception):
    """Every error answers: could the write have happened anyway?"""

    definite: ClassVar[bool] = True
    retryable: ClassVar[bool] = False
    exit_code: ClassVar[int] = 1
    code: ClassVar[str] = "KvError"

    def __init__(self, message: str = "", **facts: Any) -> None:
        super().__init__(message or self.sentence(facts))
        self.facts = facts
        """What the error knows beyond its sentence: plain values (str, int, bytes, None) that survive the wire."""

    def __init_subclass__(cls, *, definite: bool, retryable: bool = False, exit_code: int = 1) -> None:
        cls.definite, cls.retryable, cls.exit_code = definite, retryable, exit_code
        cls.code = cls.__name__
        BY_CODE[cls.__name__] = cls

    @classmethod
    def sentence(cls, facts: dict[str, Any]) -> str:
        return (cls.__doc__ or cls.__name__).splitlines()[0]

    @property
    def maybe_applied(self) -> bool:
        """True if the write may have happened, or may yet happen."""
        return not self.definite

    @property
    def key(self) -> bytes | None:
        return self.facts.get("key")

    @property
    def node(self) -> str | None:
        return self.facts.get("node")

    def __str__(self) -> str:
        return str(self.args[0])


BY_CODE: dict[str, type[KvError]] = {}


def error_from_wire(code: str, message: str, facts: dict[str, Any]) -> KvError:
    """The error a peer or server named. An unknown name (a newer node) becomes an indefinite UnknownError."""
    return BY_CODE.get(code, UnknownError)(message, **facts)


class UnknownError(KvError, definite=False):
    """The other side named an error this version does not know. The write may have happened."""


class NotFound(KvError, KeyError, definite=True, exit_code=3):
    """The key does not exist."""


class ConflictError(KvError, definite=True, exit_code=4):
    """The key has unresolved siblings; nothing is lost and nothing was merged."""

    @property
    def record(self) -> Any:
        return self.facts.get("record")


class PreconditionFailed(KvError, definite=True, exit_code=4):
    """The key is not as the condition demands; nothing was written."""

    @property
    def current(self) -> Any:
        """The record that is there now (absent: `.current.exists` is False)."""
        return self.facts.get("current")


class SiblingsExceeded(KvError, definite=True, exit_code=4):
    """The key has too many unresolved siblings for one more; nothing was written. Read it, and put with its context."""


class Unavailable(KvError, ConnectionError, definite=True, retryable=True, exit_code=5):
    """The partition cannot be served now; nothing was written. Try again later."""


class QuorumUnreachable(Unavailable, definite=True, retryable=True, exit_code=5):
    """Fewer replicas are up than were asked for; nothing was written."""

    @classmethod
    def sentence(cls, facts: dict[str, Any]) -> str:
        return f"{facts.get('needed')} replicas are needed, {_those(facts)} up; nothing was done"


class QuorumNotMet(Unavailable, definite=False, retryable=True, exit_code=5):
    """Fewer replicas answered than were asked for. The write may have happened."""

    @classmethod
    def sentence(cls, facts: dict[str, Any]) -> str:
        return f"{facts.get('needed')} replicas were needed, {_those(facts)} there; a write may have happened"


def _those(facts: dict[str, Any]) -> str:
    """`needed`, `got` and `replicas` (their names): what errors about quorums know."""
    got, names = facts.get("got"), facts.get("replicas") or "none"
    return f"{got} ({names}) {'is' if got == 1 else 'are'}"


class NoLeader(Unavailable, definite=True, retryable=True, exit_code=5):
    """The partition has no leader at the moment; nothing was written. An election takes about a second."""


class NotReady(Unavailable, definite=True, retryable=True, exit_code=5):
    """The node is starting or stopping and takes no requests; nothing was written."""


class NotConnected(Unavailable, definite=True, retryable=True, exit_code=8):
    """No node of the cluster could be reached; nothing was sent."""


class DeadlineExceeded(KvError, TimeoutError, definite=False, retryable=True, exit_code=6):
    """No answer within the deadline. A write may have happened; ask `outcome(op_id)`."""


class OutcomeUnknown(KvError, definite=False, retryable=True, exit_code=6):
    """Leadership or the connection was lost while the write was under way. Ask `outcome(op_id)`."""


class Overloaded(KvError, definite=True, retryable=True, exit_code=5):
    """The node's queue is full; nothing was written. Try again after `retry_after_ms`."""

    @property
    def retry_after_ms(self) -> int:
        return int(self.facts.get("retry_after_ms", 100))


class InvalidRequest(KvError, ValueError, definite=True, exit_code=2):
    """The request makes no sense as it stands; nothing was written."""


class EmptyKey(InvalidRequest, definite=True, exit_code=2):
    """A key has at least one byte."""


class KeyTooLarge(InvalidRequest, definite=True, exit_code=2):
    """The key is longer than the limit."""

    @classmethod
    def sentence(cls, facts: dict[str, Any]) -> str:
        return f"the key has {facts.get('size')} bytes, at most {facts.get('limit')} are allowed: shorten or hash it"


class ValueTooLarge(InvalidRequest, definite=True, exit_code=2):
    """The value is longer than the keyspace's limit."""

    @classmethod
    def sentence(cls, facts: dict[str, Any]) -> str:
        return (
            f"the value has {facts.get('size')} bytes, this keyspace allows {facts.get('limit')}: "
            "split it, or create a keyspace with a higher value_bytes_max"
        )


class RequestTooLarge(InvalidRequest, definite=True, exit_code=2):
    """The request is larger than 16 MiB: send fewer operations at once."""


class ConsistencyNotSupported(InvalidRequest, definite=True, exit_code=2):
    """This keyspace's mode does not know that consistency level."""


class UnknownKeyspace(InvalidRequest, definite=True, exit_code=2):
    """There is no such keyspace."""


class KeyspaceExists(InvalidRequest, definite=True, exit_code=2):
    """A keyspace of that name exists already."""


class WrongMode(InvalidRequest, definite=True, exit_code=2):
    """This keyspace's replication mode cannot do that."""


class NotYetAvailable(InvalidRequest, definite=True, exit_code=2):
    """That feature is in the schema but not yet available in this version."""


class WrongCluster(InvalidRequest, definite=True, exit_code=2):
    """The client or node belongs to another cluster; check the addresses."""


class WrongTimeline(InvalidRequest, definite=True, exit_code=2):
    """The version token is from another timeline of this cluster (it was restored since); read the key again."""


class OperationExpired(InvalidRequest, definite=False, exit_code=2):
    """The operation id is older than the store remembers; the first try may have happened."""


class MalformedFrame(InvalidRequest, definite=True, exit_code=2):
    """The bytes are not a message of this protocol."""


class CodecError(KvError, ValueError, definite=True):
    """The value could not be encoded or decoded by the codec in use."""


class ConfigError(KvError, ValueError, definite=True, exit_code=2):
    """The configuration is wrong; the message names file, key and expected form."""


class StorageFull(KvError, definite=True, retryable=True, exit_code=5):
    """The node's disk or map limit is reached; nothing was written. Deletes still work."""


class Corruption(KvError, definite=True, retryable=True):
    """A stored record failed its checksum; it was not returned. Another replica may have it."""


class VersionSkew(KvError, definite=True):
    """The data or the message was made by a newer version of kvstore."""


class ForeignData(KvError, definite=True):
    """The data directory belongs to another node or cluster."""


class ClockTooFarAhead(KvError, definite=True, retryable=True):
    """A stamp lies too far in the future: a node's clock is off."""

    @classmethod
    def sentence(cls, facts: dict[str, Any]) -> str:
        return (
            f"a stamp lies {facts.get('ahead_ms')} ms in our future, at most {facts.get('ahead_ms_max')} are allowed: "
            "check the clocks of the nodes"
        )


class NotLeader(KvError, definite=True, retryable=True, exit_code=5):
    """This node does not lead the partition; nothing was written. `leader` says who may."""

    @property
    def leader(self) -> str | None:
        return self.facts.get("leader")


class WrongPartition(KvError, definite=True, retryable=True):
    """The key does not belong to the partition it was sent to: the sender's ring is old."""


class ClientClosed(KvError, definite=True):
    """The client was closed; nothing was sent."""
