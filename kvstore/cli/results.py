"""What a command found or did, before anybody decides how it looks: a few shapes that every output format understands.

Done     something was carried out: one line, a few facts
Value    the value of one key
Table    rows under columns; the rows may be a stream
Report   one screen: lines and tables for people, one document for programs
Text     words to be printed as they are: help, a completion script
Bytes    a stream of bytes that is already in its format: an export
"""

import enum
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple


class Shape(enum.Enum):
    """What the cells of a column are; each output format has its own way to show them."""

    KEY = "bytes, shown in the chosen key format"
    VALUE = "bytes, shown as text if they are"
    TEXT = "text"
    STATE = "a word with a colour: up, DOWN"
    NUMBER = "a number"
    MILLIS = "a duration in milliseconds"
    SIZE = "bytes, as a number"
    TIME = "milliseconds since 1970"
    REPLICAS = "the nodes of a partition"


class Replicas(NamedTuple):
    """The nodes that hold a partition. Programs get their names, people see who leads (n1*) and who is down (n3)."""

    nodes: tuple[str, ...]
    leader: str | None = None
    down: tuple[str, ...] = ()

    def __str__(self) -> str:
        up = (node + ("*" if node == self.leader else "") for node in self.nodes if node not in self.down)
        return " ".join([*up, *(f"({node})" for node in self.down)])


@dataclass(frozen=True, slots=True)
class Column:
    """`name` is the title for people and the field for programs."""

    name: str
    shape: Shape = Shape.TEXT
    title: str = ""
    for_people: bool = True
    to_the_right: bool = False

    @property
    def is_right(self) -> bool:
        return self.to_the_right or self.shape in (Shape.NUMBER, Shape.MILLIS, Shape.SIZE)


@dataclass(slots=True, kw_only=True)
class Served:
    """What a receipt tells people about one answer, and how long it took. Milliseconds."""

    client_ms: float | None = None
    server_ms: float | None = None
    acknowledged: int | None = None
    replicas: int | None = None
    remarks: list[str] = field(default_factory=list)
    """What else is worth saying: served by a follower, on fewer disks than asked."""
    facts: dict[str, Any] = field(default_factory=dict)
    """The whole receipt, for programs."""


@dataclass(slots=True, kw_only=True)
class Result:
    """What all results have: how the command line ends, and what is said about the answer."""

    exit_code: int = 0
    served: Served | None = None
    notes: list[str] = field(default_factory=list)
    """Said on standard error, unless quiet."""


@dataclass(slots=True, kw_only=True)
class Done(Result):
    """It was carried out. `says` is the line for people, `facts` what programs get, `raw` what a pipe gets."""

    says: str
    facts: dict[str, Any] = field(default_factory=dict)
    raw: str = ""


@dataclass(slots=True, kw_only=True)
class Value(Result):
    """One key's value. `bare`: the bytes and nothing else, no newline."""

    key: bytes
    value: bytes
    bare: bool = False
    facts: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True, kw_only=True)
class Table(Result):
    """Rows under columns. A cell of None is empty. `empty` is said to people when there is no row."""

    columns: tuple[Column, ...]
    rows: Iterable[tuple[Any, ...]]
    empty: str = "nothing"
    one: str = "row"
    many: str = "rows"


@dataclass(frozen=True, slots=True)
class Line:
    """A line for people, with a style: good, bad, faint, strong or none."""

    text: str = ""
    style: str = ""


@dataclass(slots=True, kw_only=True)
class Report(Result):
    """One screen."""

    blocks: list[Line | Table]
    document: Any
    raw: str | None = None
    """What a pipe gets; None: the blocks as plain text."""


@dataclass(slots=True, kw_only=True)
class Text(Result):
    text: str


@dataclass(slots=True, kw_only=True)
class Bytes(Result):
    chunks: Iterable[bytes]
