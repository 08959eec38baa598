"""A cluster file, parsed and checked: how many nodes, in which zones, on which ports, with which settings.

name = "demo"                                       # optional
ports = {client = 7400, http = 7500, peer = 7600}   # node i listens on base + i; 0: free ones are chosen
nodes = [{id = "n1", zone = "z1"}, {id = "n2", zone = "z2"}]

[raft]                                              # and leaderless, storage, limits, log, testing: for every node
heartbeat_ms = 50
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, ClassVar, get_type_hints

from msgspec import Meta

from kvstore.core.errors import ConfigError
from kvstore.node.config import MEMBERS_MAX, NodeConfig
from kvstore.node.forms import Name, Section, as_table, build, check_known, check_value, got, table_at, told

SETTINGS = ("raft", "leaderless", "storage", "limits", "log", "testing")
ZONES = 3
BasePort = Annotated[int, Meta(ge=0, le=65_535 - MEMBERS_MAX)]


@dataclass(frozen=True, slots=True, kw_only=True)
class BasePorts(Section):
    """Node i (from 1) listens on base + i. 0: any free port."""

    WHERE: ClassVar[str] = "ports"
    client: BasePort = 7400
    http: BasePort = 7500
    peer: BasePort = 7600


@dataclass(frozen=True, slots=True, kw_only=True)
class Place(Section):
    """One node of the file."""

    WHERE: ClassVar[str] = "nodes"
    id: Name
    zone: Name = "default"


@dataclass(frozen=True, slots=True, kw_only=True)
class Topology:
    """What a local cluster looks like. Raises ConfigError if it makes no sense."""

    places: tuple[Place, ...]
    name: str = "demo"
    ports: BasePorts = field(default_factory=BasePorts)
    settings: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Tables for every node's configuration, by section."""

    def __post_init__(self) -> None:
        """Raises ConfigError."""
        check_value("name", self.name, Name)
        ids = [place.id for place in self.places]
        if not 1 <= len(ids) <= MEMBERS_MAX:
            raise ConfigError(f"nodes: expected 1 to {MEMBERS_MAX} nodes, got {len(ids)}")
        if len(set(ids)) < len(ids):
            twice = next(node for node in ids if ids.count(node) > 1)
            raise ConfigError(f"nodes: expected every id once, got {told(twice)} twice")
        check_known("", self.settings, SETTINGS)
        kinds = get_type_hints(NodeConfig)
        for section, table in self.settings.items():
            build(kinds[section], as_table(table, section), section)

    @classmethod
    def plain(
        cls, nodes: int, name: str = "demo", settings: Mapping[str, Mapping[str, Any]] | None = None
    ) -> "Topology":
        """n1 … nN, spread over three zones in turn. Raises ConfigError."""
        if not isinstance(nodes, int) or not 1 <= nodes <= MEMBERS_MAX:
            raise ConfigError(f"nodes: expected 1 to {MEMBERS_MAX} nodes, got {told(nodes)}")
        places = tuple(Place(id=f"n{i}", zone=f"z{(i - 1) % ZONES + 1}") for i in range(1, nodes + 1))
        return cls(name=name, places=places, settings=settings or {})


def parse_topology(text: str, file: str) -> Topology:
    """A cluster file's text; `file` is its name, for messages. Raises ConfigError."""
    try:
        return _topology_from(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{file}: not TOML: {error}") from error
    except ConfigError as error:
        raise ConfigError(f"{file}: {error}") from error


def read_topology(path: str | Path) -> Topology:
    """A cluster file such as cluster/three.toml. Raises ConfigError."""
    try:
        text = Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: expected UTF-8 text, got other bytes at {error.start}") from error
    return parse_topology(text, str(path))


def _topology_from(tables: Mapping[str, Any]) -> Topology:
    check_known("", tables, ["name", "ports", "nodes", *SETTINGS])
    lines = tables.get("nodes")
    if not isinstance(lines, list):
        raise ConfigError(f'nodes: expected a list such as [{{id = "n1", zone = "z1"}}], {got(tables, "nodes")}')
    places = (build(Place, as_table(line, f"nodes[{i}]"), f"nodes[{i}]") for i, line in enumerate(lines))
    name = tables.get("name", "demo")
    check_value("name", name, Name)
    return Topology(
        name=name,
        places=tuple(places),
        ports=build(BasePorts, table_at(tables, "ports"), "ports"),
        settings={section: tables[section] for section in SETTINGS if section in tables},
    )
