"""Writes what a node of a local cluster needs before it starts: its folder and its configuration file."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from kvstore.local.records import LOCK, STATE, WARDEN_LOG, ClusterRecord, NodeRecord
from kvstore.node.config import parse_config


def config_file(folder: Path, node: str) -> Path:
    return folder / node / "node.toml"


def log_file(folder: Path, node: str) -> Path:
    return folder / node / "node.log"


def data_folder(folder: Path, node: str) -> Path:
    return folder / node / "data"


def write_node_files(folder: Path, record: ClusterRecord, settings: Mapping[str, Mapping[str, Any]]) -> None:
    """A folder and a configuration for every node. Raises ConfigError if the settings do not fit together."""
    for node in record.nodes:
        file = config_file(folder, node.id)
        text = node_toml(record, node, settings)
        parse_config(text, str(file))  # rather here, with the file's name, than in the log of a node that ended
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")


def node_toml(record: ClusterRecord, node: NodeRecord, settings: Mapping[str, Mapping[str, Any]]) -> str:
    """One node's configuration file."""
    members = [_inline({key: getattr(other, key) for key in ("id", "zone", "client", "peer", "http")})
               for other in record.nodes]  # fmt: skip
    settings = {**settings, "testing": {"faults": True, **settings.get("testing", {})}}  # `local partition` needs them
    tables = {"node": {"id": node.id, "zone": node.zone, "data": "./data"}, **settings}
    head = f"# Node {node.id} of the local cluster {record.name}, written by `kvstore local`.\n"
    cluster = ["[cluster]", f"id = {_value(record.name)}", "nodes = [", *(f"  {line}," for line in members), "]\n"]
    return "\n".join([head, *(_table(name, table) for name, table in tables.items()), *cluster])


def _table(name: str, table: Mapping[str, Any]) -> str:
    return "\n".join([f"[{name}]", *(f"{key} = {_value(value)}" for key, value in table.items()), ""])


def _inline(table: Mapping[str, Any]) -> str:
    return "{" + ", ".join(f"{key} = {_value(value)}" for key, value in table.items()) + "}"


def _value(value: str | int | bool) -> str:
    """Strings, integers and booleans look the same in JSON and TOML."""
    return msgspec.json.encode(value).decode()


def made_here(folder: Path, nodes: Sequence[str]) -> list[Path]:
    """What `kvstore local` put into a cluster's folder, in the order to remove it; nothing else that lies there."""
    return [*(folder / node for node in nodes), *(folder / name for name in (WARDEN_LOG, STATE, LOCK))]
