"""The options that every verb accepts, before or after it, and what they come to: flag, then KVSTORE_* variable."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from kvstore.cli.formats import KEY_FORMATS, OUTPUTS
from kvstore.cli.registry import Kind, Option

CONSISTENCIES = ("linearizable", "leader", "follower")
ACKS = ("majority", "all", "leader")
QUORUMS = ("one", "quorum", "all")
"""Of leaderless keyspaces; a number of replicas does it, too."""


def _global(name: str, *variables: str, **more: Any) -> Option:
    return Option(name, variables=(f"KVSTORE_{name.upper()}", *variables), **more)


GLOBAL_OPTIONS = (
    _global("cluster", "KVSTORE_URL", short="-c", kind=Kind.ADDRESS, metavar="URL|NAME",
            help="where to connect: a kv:// URL or the name of a local cluster"),
    _global("output", short="-o", kind=Kind.CHOICE, choices=OUTPUTS, metavar="FORMAT",
            help="table, raw, json, jsonl or csv; without it a table on a terminal, raw in a pipe"),
    _global("keyspace", short="-k", kind=Kind.KEYSPACE, metavar="NAME", help="the keyspace; 'default' if not given"),
    _global("consistency", kind=Kind.CHOICE, choices=CONSISTENCIES, metavar="LEVEL",
            help="of reads: linearizable, leader or follower"),
    _global("acks", kind=Kind.CHOICE, choices=ACKS, metavar="LEVEL", help="of writes: majority, all or leader"),
    _global("read", choices=QUORUMS, metavar="R",
            help="leaderless: how many replicas must answer a read: one, quorum, all or a number"),
    _global("write", choices=QUORUMS, metavar="W",
            help="leaderless: how many replicas must have a write: one, quorum, all or a number"),
    _global("sloppy", kind=Kind.CHOICE, choices=("yes", "no"), metavar="yes|no",
            help="leaderless: whether hints for replicas that are down count"),
    _global("timeout", kind=Kind.DURATION, help="for one request, as 500ms or 5s"),
    _global("key_format", kind=Kind.CHOICE, choices=KEY_FORMATS, metavar="FORMAT",
            help="how keys are written and shown: text, hex or base64"),
    _global("no_color", kind=Kind.FLAG, help="no colours (NO_COLOR does the same)"),
    _global("quiet", short="-q", kind=Kind.FLAG, help="results and errors only, no notes"),
    _global("verbose", short="-v", kind=Kind.FLAG, help="say more: receipts, and where an error came from"),
    _global("yes", kind=Kind.FLAG, help="do not ask"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Settings:
    """The global options of one command. None: not given, so the profile or the cluster decides."""

    cluster: str | None = None
    output: str | None = None
    keyspace: str | None = None
    consistency: str | None = None
    acks: str | None = None
    read: str | None = None
    write: str | None = None
    sloppy: str | None = None
    timeout: float | None = None
    key_format: str = "text"
    no_color: bool = False
    quiet: bool = False
    verbose: bool = False
    yes: bool = False

    @property
    def levels(self) -> dict[str, Any]:
        """How fresh and how safe, as `with_options` takes it; only what was given."""
        given = {"consistency": self.consistency, "acks": self.acks, "read": self.read, "write": self.write,
                 "sloppy": None if self.sloppy is None else flag_from(self.sloppy)}  # fmt: skip
        return {name: level for name, level in given.items() if level is not None}

    def without_levels(self) -> "Settings":
        return replace(self, consistency=None, acks=None, read=None, write=None, sloppy=None)

    def with_given(self, given: Mapping[str, Any]) -> "Settings":
        """These settings, changed by the options that were given."""
        names = {field.name for field in fields(self)}
        return replace(self, **{name: value for name, value in given.items() if name in names and value is not None})

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> "Settings":
        """What the KVSTORE_* variables say. Raises ValueError that names the variable."""
        variables = os.environ if environment is None else environment
        given: dict[str, Any] = {}
        for option in GLOBAL_OPTIONS:
            name = next((name for name in option.variables if variables.get(name)), None)
            if name is not None:
                try:
                    given[option.name] = convert(option, variables[name])
                except ValueError as error:
                    raise ValueError(f"{name}: {error}") from error
        return cls().with_given(given)


_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h)?")
_SECONDS = {"ms": 0.001, "s": 1.0, None: 1.0, "m": 60.0, "h": 3600.0}
_SIZE = re.compile(r"(\d+)\s*(B|kB|KB|KiB|MB|MiB|GB|GiB)?", re.IGNORECASE)
_BYTES = {"b": 1, "kb": 1000, "kib": 1 << 10, "mb": 1000**2, "mib": 1 << 20, "gb": 1000**3, "gib": 1 << 30}


def convert(option: Option, text: str) -> Any:
    """The value an option's text means. Raises ValueError with the expected form."""
    match option.kind:
        case Kind.FLAG:
            return flag_from(text)
        case Kind.DURATION:
            return seconds_from(text)
        case Kind.SIZE:
            return bytes_from(text)
        case Kind.NUMBER:
            return number_from(text)
        case Kind.CHOICE if text not in option.choices:
            raise ValueError(f"{text!r} is none of {', '.join(option.choices)}")
        case _:
            return text


def number_from(text: str) -> int:
    if not re.fullmatch(r"\d+", text):
        raise ValueError(f"{text!r} is not a whole number")
    return int(text)


def seconds_from(text: str) -> float:
    """Seconds of a time such as 200ms, 2s, 5m or 1h; a bare number is seconds.

    >>> seconds_from("200ms"), seconds_from("2"), seconds_from("1.5m")
    (0.2, 2.0, 90.0)
    """
    found = _DURATION.fullmatch(text.strip())
    if found is None:
        raise ValueError(f"{text!r} is not a time such as 200ms, 2s, 5m or 1h")
    return float(found[1]) * _SECONDS[found[2]]


def bytes_from(text: str) -> int:
    """Bytes of a size such as 4096, 64KiB or 1MiB.

    >>> bytes_from("64KiB"), bytes_from("1MB")
    (65536, 1000000)
    """
    found = _SIZE.fullmatch(text.strip())
    if found is None:
        raise ValueError(f"{text!r} is not a size such as 4096, 64KiB or 1MiB")
    return int(found[1]) * _BYTES[(found[2] or "B").lower()]


def flag_from(text: str) -> bool:
    lowered = text.lower()
    if lowered in ("1", "yes", "true", "on"):
        return True
    if lowered in ("0", "no", "false", "off", ""):
        return False
    raise ValueError(f"{text!r} is neither yes nor no")
