"""A cluster file is understood, or refused by name, key and expected form."""

from pathlib import Path

import pytest

from kvstore.core.errors import ConfigError
from kvstore.local.topology import BasePorts, Place, Topology, parse_topology, read_topology

ROOT = Path(__file__).parents[2]

FILE = """
name = "trial"
ports = {client = 8400, http = 0}
nodes = [{id = "a", zone = "east"}, {id = "b"}]
[raft]
heartbeat_ms = 50
"""


def test_a_whole_file() -> None:
    topology = parse_topology(FILE, "trial.toml")
    assert topology.name == "trial"
    assert topology.places == (Place(id="a", zone="east"), Place(id="b", zone="default"))
    assert topology.ports == BasePorts(client=8400, http=0, peer=7600)
    assert topology.settings == {"raft": {"heartbeat_ms": 50}}


def test_the_files_beside_the_scripts() -> None:
    three, five = (read_topology(ROOT / "cluster" / name) for name in ("three.toml", "five.toml"))
    assert [place.zone for place in three.places] == ["z1", "z2", "z3"]
    assert len(five.places) == 5
    assert {place.zone for place in five.places} == {"z1", "z2", "z3"}
    assert three.ports == five.ports == BasePorts()


def test_a_plain_cluster_is_spread_over_zones() -> None:
    assert [(p.id, p.zone) for p in Topology.plain(4).places] == [
        ("n1", "z1"),
        ("n2", "z2"),
        ("n3", "z3"),
        ("n4", "z1"),
    ]


WRONG = [
    ("", 'nodes: expected a list such as [{id = "n1", zone = "z1"}], but it is missing'),
    ("nodes = 3", 'nodes: expected a list such as [{id = "n1", zone = "z1"}], got 3'),
    ("nodes = []", "nodes: expected 1 to 100 nodes, got 0"),
    ("nodes = [3]", "nodes[0]: expected a table, got 3"),
    ('nodes = [{id = "a"}, {zone = "z"}]', "nodes[1].id: expected a name of 1 to 64"),
    ('nodes = [{id = "a"}, {id = "a"}]', 'nodes: expected every id once, got "a" twice'),
    ('nodes = [{id = "a", port = 1}]', "nodes[0].port: there is no such key; expected one of id, zone"),
    ('node = [{id = "a"}]', "node: there is no such key; did you mean nodes?"),
    ('name = "a b"\nnodes = [{id = "a"}]', "name: expected a name of 1 to 64"),
    ('ports = {client = 65500}\nnodes = [{id = "a"}]', "ports.client: expected an integer from 0 to 65435, got 65500"),
    ('nodes = [{id = "a"}]\n[raft]\nheart = 1', "raft.heart: there is no such key; did you mean heartbeat_ms?"),
    ('nodes = [{id = "a"}]\n[raft]\nheartbeat_ms = "x"', "raft.heartbeat_ms: expected an integer from 5 to 30000"),
    ("nodes = [", "not TOML:"),
]


@pytest.mark.parametrize(("text", "message"), WRONG)
def test_a_wrong_file_is_refused_by_name(text: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_topology(text, "trial.toml")
    assert str(caught.value).startswith(f"trial.toml: {message}")


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"trial\.toml: cannot be read: No such file"):
        read_topology(tmp_path / "trial.toml")
    (tmp_path / "trial.toml").write_bytes(b"\xff")
    with pytest.raises(ConfigError, match=r"trial\.toml: expected UTF-8"):
        read_topology(tmp_path / "trial.toml")


@pytest.mark.parametrize("nodes", [0, -1, 101])
def test_a_number_of_nodes_that_makes_no_sense(nodes: int) -> None:
    with pytest.raises(ConfigError, match=f"expected 1 to 100 nodes, got {nodes}"):
        Topology.plain(nodes)
