"""The log says each change once."""

import logging
from types import SimpleNamespace
from typing import Any, cast

import pytest

from kvstore.node.node import Node
from kvstore.replication.leaderless.crowding import Crowding
from kvstore.server.chronicle import Chronicle


def node(up: dict[str, bool], leads: list[bool]) -> Node:
    peers = {name: SimpleNamespace(up=is_up) for name, is_up in up.items()}
    hosts = [SimpleNamespace(raft=SimpleNamespace(is_leader=is_leader)) for is_leader in leads]
    groups = SimpleNamespace(raft_hosts=lambda: iter(hosts))
    whole: Any = SimpleNamespace(liveness=SimpleNamespace(peers=peers), groups=groups)
    return cast(Node, whole)


@pytest.fixture(autouse=True)
def heard(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logging.getLogger("kvstore"), "propagate", True)
    caplog.set_level(logging.INFO, "kvstore.server.cluster")


def test_peers_that_come_and_go(caplog: pytest.LogCaptureFixture) -> None:
    chronicle = Chronicle()
    for n2, n3 in ((False, False), (True, False), (True, True), (True, True), (False, True)):
        chronicle.look_at_peers(node({"n2": n2, "n3": n3}, []))
    assert caplog.messages == ["n2 is up", "n3 is up", "n2 is down"]


def test_leadership_is_told_when_it_changed(caplog: pytest.LogCaptureFixture) -> None:
    chronicle = Chronicle()
    for leads in ([False, False], [True, False], [False, True], [True, True], [False, False]):
        chronicle.look_at_groups(node({}, leads))
    assert caplog.messages == ["leads 1 of 2 groups", "leads 2 of 2 groups", "leads 0 of 2 groups"]


def test_keys_with_many_siblings_are_told_once(caplog: pytest.LogCaptureFixture) -> None:
    chronicle, crowding = Chronicle(), Crowding()
    host = SimpleNamespace(group=7, replica=SimpleNamespace(crowding=crowding))
    whole = cast(Node, SimpleNamespace(groups=SimpleNamespace(quorum_hosts=lambda: iter([host]))))
    for count in range(2, 40):
        crowding.look_at(b"cart:42", count)
        chronicle.look_at_siblings(whole)
    (said,) = caplog.messages
    assert said.startswith("key b'cart:42' of group 7 has 25 siblings")
