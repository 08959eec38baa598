"""A node's description is right, or refused with the reason."""

import msgspec
import pytest

from kvstore.core.errors import InvalidRequest
from kvstore.core.ids import NodeId
from kvstore.placement.members import WEIGHT_MAX, NodeInfo, Standing, check_node, is_address

N1 = NodeInfo(NodeId("n1"), "a", "127.0.0.1:7401", "127.0.0.1:7501", "127.0.0.1:7601")


@pytest.mark.parametrize("node", [N1, NodeInfo(NodeId("n.1_x-2")), NodeInfo(NodeId("x" * 64), weight=WEIGHT_MAX)])
def test_a_right_description_passes(node: NodeInfo) -> None:
    check_node(node)


WRONG = [
    ({"id": NodeId("")}, "node id ''"),
    ({"id": NodeId("n 1")}, "node id 'n 1'"),
    ({"id": NodeId("n1\n")}, "node id"),
    ({"id": NodeId("x" * 65)}, "1 to 64 characters"),
    ({"weight": 0}, "weight 0 must be from 1 to"),
    ({"weight": WEIGHT_MAX + 1}, "weight"),
    ({"peer_address": "localhost"}, "peer_address 'localhost' must be host:port"),
    ({"client_address": ":7401"}, "client_address"),
    ({"http_address": "h:99999"}, "http_address"),
]


@pytest.mark.parametrize(("change", "words"), WRONG)
def test_a_wrong_description_is_refused(change: dict[str, object], words: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        check_node(msgspec.structs.replace(N1, **change))
    assert words in str(refused.value)


@pytest.mark.parametrize("text", ["h:1", "127.0.0.1:65535", "[::1]:7401", "node-1.example.org:80"])
def test_addresses(text: str) -> None:
    assert is_address(text)


@pytest.mark.parametrize("text", ["", "h", "h:", ":1", "h:0", "h:65536", "::1:80", "h:1:2", "h h:1", "[]:1", "h:²"])
def test_no_addresses(text: str) -> None:
    assert not is_address(text)


def test_only_nodes_that_are_up_get_replicas() -> None:
    takers = [standing for standing in Standing if NodeInfo(NodeId("n"), standing=standing).may_hold_replicas]
    assert takers == [Standing.UP]


def test_a_node_survives_the_log_of_group_0() -> None:
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(N1), type=NodeInfo) == N1


def test_a_node_says_itself_in_one_line() -> None:
    assert str(N1) == "n1 up zone=a weight=100 peers=127.0.0.1:7601"
    assert str(NodeInfo(NodeId("n2"))) == "n2 up weight=100 peers=-"
