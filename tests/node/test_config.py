"""A configuration is valid or never built, and every refusal names file, key and expected form."""

import copy
import math
import tomllib
from dataclasses import FrozenInstanceError, fields, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvstore.core.errors import ConfigError
from kvstore.node.config import (
    ClusterConfig,
    MemberConfig,
    NodeConfig,
    RaftConfig,
    SelfConfig,
    config_from,
    parse_config,
)
from kvstore.node.forms import split_address

FILE = """
[node]
id = "n1"
zone = "z1"
data = "./n1"

[listen]
client = "127.0.0.1:7401"
peer = "127.0.0.1:7601"
http = "127.0.0.1:7501"

[cluster]
id = "demo"
nodes = [
  {id = "n1", zone = "z1", client = "127.0.0.1:7401", peer = "127.0.0.1:7601", http = "127.0.0.1:7501"},
  {id = "n2", zone = "z2", client = "127.0.0.1:7402", peer = "127.0.0.1:7602", http = "127.0.0.1:7502"},
]

[raft]
heartbeat_ms = 50

[log]
format = "json"
"""


def tables() -> dict[str, Any]:
    return tomllib.loads(FILE)


def refusal(changed: dict[str, Any]) -> str:
    with pytest.raises(ConfigError) as caught:
        config_from(changed, "n1.toml")
    return str(caught.value)


def test_a_whole_file() -> None:
    config = parse_config(FILE, "n1.toml")
    assert config.node == SelfConfig(id="n1", zone="z1", data="./n1")
    assert config.listen is not None and config.listen.http == "127.0.0.1:7501"
    assert [member.id for member in config.peers] == ["n2"]
    assert (config.raft.heartbeat_ms, config.raft.election_timeout_ms_min) == (50, 500)
    assert (config.log.format, config.log.level) == ("json", "info")
    assert config.testing.faults is False
    assert not config.is_embedded


SECTIONS = [
    ("raft", "inflight_appends_max", 7),
    ("storage", "flush_interval_ms", 77),
    ("limits", "queue_requests_max", 777),
    ("leaderless", "hints_max", 7),
    ("log", "level", "debug"),
    ("testing", "faults", True),
]


@pytest.mark.parametrize(("section", "key", "value"), SECTIONS)
def test_every_section_of_a_file_counts(section: str, key: str, value: Any) -> None:
    config = config_from({**tables(), section: {key: value}}, "n1.toml")
    assert getattr(getattr(config, section), key) == value


def test_no_section_is_left_out_above() -> None:
    sections = {field.name for field in fields(NodeConfig)}
    assert sections == {name for name, _, _ in SECTIONS} | {"node", "cluster", "listen"}


def test_zone_and_doors_come_from_the_list_of_nodes() -> None:
    short = tables()
    del short["listen"], short["node"]["zone"]
    assert config_from(short, "n1.toml") == parse_config(FILE, "n1.toml")


def test_a_node_may_listen_elsewhere_than_it_is_reached() -> None:
    behind_a_proxy = tables()
    behind_a_proxy["listen"] = {"client": "0.0.0.0:9000"}
    listen = config_from(behind_a_proxy, "n1.toml").listen
    assert listen is not None and (listen.client, listen.peer) == ("0.0.0.0:9000", "127.0.0.1:7601")


def test_an_embedded_node_needs_a_folder_only() -> None:
    config = NodeConfig.single("./notes")
    assert config.is_embedded
    assert (config.node.data, config.peers) == ("./notes", ())
    with pytest.raises(ConfigError, match=r"node\.data: expected a folder"):
        NodeConfig.single("")


def test_a_configuration_is_frozen() -> None:
    with pytest.raises(FrozenInstanceError):
        parse_config(FILE, "n1.toml").raft.heartbeat_ms = 1  # type: ignore[misc]


def test_a_changed_copy_is_checked_too() -> None:
    with pytest.raises(ConfigError, match="heartbeat_ms: expected at most half"):
        replace(RaftConfig(), heartbeat_ms=400)
    with pytest.raises(ConfigError, match="heartbeat_ms: expected an integer"):
        RaftConfig(heartbeat_ms="often")  # type: ignore[arg-type]


WRONG_VALUES = [
    ("raft", "election_timeout_ms_min", "fast", 'expected an integer from 50 to 60000, got "fast"'),
    ("raft", "election_timeout_ms_min", 49, "expected an integer from 50 to 60000, got 49"),
    ("raft", "election_timeout_ms_min", 500.0, "expected an integer from 50 to 60000, got 500.0"),
    ("raft", "election_timeout_ms_min", True, "expected an integer from 50 to 60000, got true"),
    ("raft", "election_timeout_ms_max", 400, "expected more than election_timeout_ms_min (500), got 400"),
    ("raft", "heartbeat_ms", 251, "expected at most half of election_timeout_ms_min (250), got 251"),
    ("raft", "lease_reads", "yes", 'expected true or false, got "yes"'),
    ("raft", "lease_reads", 1, "expected true or false, got 1"),
    ("log", "level", "loud", 'expected "debug" or "info" or "warning" or "error", got "loud"'),
    ("node", "id", "n 1", 'expected a name of 1 to 64 letters, digits, "_", "." or "-", got "n 1"'),
    ("node", "id", "n1\n", 'expected a name of 1 to 64 letters, digits, "_", "." or "-", got "n1\\n"'),
    ("node", "id", "..", 'expected a name of 1 to 64 letters, digits, "_", "." or "-", got ".."'),
    ("node", "zone", "z2", 'expected "z1" as in cluster.nodes, got "z2"'),
    ("node", "data", "", 'expected a folder such as "./n1", got ""'),
    ("listen", "http", "7501", 'expected an address as "127.0.0.1:7401", with a port from 1 to 65535, got "7501"'),
    ("listen", "http", "a:0", 'expected an address as "127.0.0.1:7401", with a port from 1 to 65535, got "a:0"'),
    ("listen", "http", "a:65536", "expected an address"),
    ("listen", "http", "http://a:1", "expected an address"),
    ("cluster", "nodes", [], "expected a list of nodes, this one among them, got []"),
    ("cluster", "nodes", "n1", 'expected a list of nodes, this one among them, got "n1"'),
    ("storage", "map_bytes_start", 1 << 40, "expected at most map_bytes_max (68719476736), got 1099511627776"),
    ("limits", "request_bytes_max", 1 << 30, "expected an integer from 65536 to 16777216, got 1073741824"),
]


@pytest.mark.parametrize(("section", "key", "value", "message"), WRONG_VALUES)
def test_a_wrong_value_is_named(section: str, key: str, value: Any, message: str) -> None:
    changed = tables()
    changed.setdefault(section, {})[key] = value
    assert refusal(changed).startswith(f"n1.toml: {section}.{key}: {message}")


MISSING = [
    ("node", "id", 'node.id: expected a name of 1 to 64 letters, digits, "_", "." or "-", but it is missing'),
    ("node", "data", 'node.data: expected a folder such as "./n1", but it is missing'),
    ("cluster", "id", "cluster.id: expected a name"),
    ("cluster", "nodes", "cluster.nodes: expected a list of nodes, this one among them, but it is missing"),
]


@pytest.mark.parametrize(("section", "key", "message"), MISSING)
def test_a_missing_key_is_named(section: str, key: str, message: str) -> None:
    changed = tables()
    del changed[section][key]
    assert refusal(changed).startswith(f"n1.toml: {message}")


UNKNOWN = [
    ({"raft": {"heartbeat": 5}}, "raft.heartbeat: there is no such key; did you mean heartbeat_ms?"),
    ({"rafts": {}}, "rafts: there is no such key; did you mean raft?"),
    ({"log": {"zzzzzz": 1}}, "log.zzzzzz: there is no such key; expected one of level, format"),
    ({"raft": 7}, "raft: expected a table, got 7"),
]


@pytest.mark.parametrize(("extra", "message"), UNKNOWN)
def test_an_unknown_key_is_refused(extra: dict[str, Any], message: str) -> None:
    assert refusal(tables() | extra) == f"n1.toml: {message}"


def test_wrong_lines_of_the_list_of_nodes_are_numbered() -> None:
    changed = tables()
    changed["cluster"]["nodes"][1]["peer"] = "nowhere"
    assert refusal(changed).startswith('n1.toml: cluster.nodes[1].peer: expected an address as "127.0.0.1:7401"')
    changed = tables()
    changed["cluster"]["nodes"][1] = "n2"
    assert refusal(changed) == 'n1.toml: cluster.nodes[1]: expected a table, got "n2"'
    changed = tables()
    changed["cluster"]["nodes"][1]["adress"] = "x"
    assert refusal(changed).startswith("n1.toml: cluster.nodes[1].adress: there is no such key")


def test_the_list_of_nodes_must_make_sense() -> None:
    twice = tables()
    twice["cluster"]["nodes"][1]["id"] = "n1"
    assert refusal(twice) == 'n1.toml: cluster.nodes: expected every id once, got "n1" twice'
    shared = tables()
    shared["cluster"]["nodes"][1]["http"] = "127.0.0.1:7401"
    assert refusal(shared) == (
        'n1.toml: cluster.nodes: expected an address of its own for n2.http, got "127.0.0.1:7401" as for n1.client'
    )
    foreign = tables()
    foreign["node"]["id"] = "n9"
    assert refusal(foreign) == 'n1.toml: cluster.nodes: expected this node "n9" among the nodes, got n1, n2'


def test_too_many_nodes() -> None:
    members = tuple(MemberConfig(id=f"n{i}", client=f"h{i}:1", peer=f"h{i}:2", http=f"h{i}:3") for i in range(101))
    assert ClusterConfig(id="demo", nodes=members[:100]).member("n99") == members[99]
    with pytest.raises(ConfigError, match="at most 100 nodes, got 101"):
        ClusterConfig(id="demo", nodes=members)


def test_text_that_is_not_toml() -> None:
    with pytest.raises(ConfigError, match=r"^n1\.toml: not TOML: .*line 2"):
        parse_config("[node]\nid = n1\n", "n1.toml")


def test_addresses_are_split() -> None:
    assert split_address("localhost:7401") == ("localhost", 7401)
    assert split_address("[::1]:1") == ("::1", 1)
    with pytest.raises(ConfigError):
        split_address("::1:1")


VALUES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.lists(st.integers())
PLACES = sorted((section, key) for section, table in tables().items() for key in table)


@given(place=st.sampled_from(PLACES), value=VALUES)
def test_any_value_is_taken_or_refused_by_name(place: tuple[str, str], value: Any) -> None:
    """Whatever stands there: a configuration that says so, or a ConfigError that names the file and the table."""
    section, key = place
    changed = copy.deepcopy(tables())
    changed[section][key] = value
    try:
        built = getattr(config_from(changed, "n1.toml"), section)
    except ConfigError as error:
        assert str(error).startswith("n1.toml: ")
        assert section in str(error) or "cluster.nodes" in str(error)
    else:
        assert getattr(built, key) == value and not (isinstance(value, float) and math.isnan(value))
