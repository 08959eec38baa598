"""Forms: what a value in a configuration file must look like, said once, in the type of its field.

A `Section` is a frozen dataclass whose fields are checked when it is built; messages such as `raft.heartbeat_ms:
expected an integer from 5 to 30000, got "often"` are made from the types, so that they can never say anything else.
"""

from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, fields
from difflib import get_close_matches
from typing import Annotated, Any, ClassVar, Literal, TypeVar, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Meta

from kvstore.core.errors import ConfigError

Name = Annotated[
    str,
    Meta(
        pattern=r"\A[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}\Z",  # not ".." nor "-v": names become files and words on a line
        description='a name of 1 to 64 letters, digits, "_", "." or "-"',
    ),
]
Folder = Annotated[str, Meta(min_length=1, description='a folder such as "./n1"')]
Address = Annotated[
    str,
    Meta(
        pattern=r"\A(\[[0-9A-Fa-f:.%]+\]|[^\[\]:\s/]+):[0-9]{1,5}\Z",
        description='an address as "127.0.0.1:7401", with a port from 1 to 65535',
    ),
]


def split_address(address: str) -> tuple[str, int]:
    """Host and port; the brackets of an IPv6 host are taken off. Raises ConfigError for anything else.

    >>> split_address("[::1]:7401")
    ('::1', 7401)
    """
    check_value("address", address, Address)
    host, _, port = address.rpartition(":")
    return host.removeprefix("[").removesuffix("]"), int(port)


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """A table of the file. Building one checks every field by its type, then the fields against each other."""

    WHERE: ClassVar[str] = ""

    def __post_init__(self) -> None:
        """Raises ConfigError."""
        for key, form in forms(type(self)).items():
            check_value(f"{self.WHERE}.{key}", getattr(self, key), form)
        self.check_together()

    def check_together(self) -> None:
        """What no field can say alone. Raises ConfigError."""


S = TypeVar("S", bound=Section)


def build(kind: type[S], table: Mapping[str, Any], where: str) -> S:
    """A section from a table that stands at `where` in its file. Raises ConfigError; keys not known are refused."""
    check_known(where, table, [part.name for part in fields(kind)])
    shapes = forms(kind)
    for part in fields(kind):
        if part.name in table:
            if part.name in shapes:
                check_value(f"{where}.{part.name}", table[part.name], shapes[part.name])
        elif part.default is MISSING and part.default_factory is MISSING:
            raise ConfigError(f"{where}.{part.name}: expected {expected(shapes[part.name])}, but it is missing")
    return kind(**table)


def check_known(where: str, table: Mapping[str, Any], known: Sequence[str]) -> None:
    """Raises ConfigError for the first key that does not exist, and names the nearest that does."""
    for key in table:
        if key not in known:
            near = get_close_matches(str(key), known, n=1, cutoff=0.5)
            hint = f"did you mean {near[0]}?" if near else f"expected one of {', '.join(known)}"
            raise ConfigError(f"{where + '.' if where else ''}{key}: there is no such key; {hint}")


def forms(kind: type[Section]) -> dict[str, Any]:
    """The form of each plain field of a section: its type with limits. Nested sections check themselves."""
    hints = get_type_hints(kind, include_extras=True)
    return {name: hints[name] for name in (part.name for part in fields(kind)) if get_origin(hints[name]) is not tuple}


def check_value(where: str, value: Any, form: Any) -> None:
    try:
        msgspec.convert(value, form)
        if form is Address and not 1 <= int(value.rpartition(":")[2]) <= 65_535:
            raise msgspec.ValidationError("the port is out of range")
    except msgspec.ValidationError as error:
        raise ConfigError(f"{where}: expected {expected(form)}, got {told(value)}") from error


def expected(form: Any) -> str:
    """A form in words, such as: an integer from 1 to 9."""
    kind, limits = (get_args(form)[0], get_args(form)[1]) if get_origin(form) is Annotated else (form, Meta())
    if limits.description:
        return str(limits.description)
    if kind is bool:
        return "true or false"
    if get_origin(kind) is Literal:
        return " or ".join(told(choice) for choice in get_args(kind))
    return f"an integer from {limits.ge} to {limits.le}"


def told(value: Any) -> str:
    """A value as the file would write it, cut short."""
    try:
        text = msgspec.json.encode(value).decode()
    except (TypeError, msgspec.MsgspecError):
        text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def got(table: Mapping[str, Any], key: str) -> str:
    return f"got {told(table[key])}" if key in table else "but it is missing"


def table_at(tables: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    return as_table(tables.get(name, {}), name)


def as_table(value: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise ConfigError(f"{where}: expected a table, got {told(value)}")
    return value


def check_distinct(where: str, doors: Sequence[tuple[str, str]]) -> None:
    """Raises ConfigError if two doors have one address: the second could never open."""
    taken: dict[str, str] = {}
    for door, address in doors:
        if address in taken:
            raise ConfigError(
                f"{where}: expected an address of its own for {door}, got {told(address)} as for {taken[address]}"
            )
        taken[address] = door
