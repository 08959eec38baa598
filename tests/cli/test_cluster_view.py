"""What all reports say together: nodes, partitions, lags, problems."""

from typing import Any

from kvstore.cli.cluster_view import CLUSTER, view_of
from tests.cli.fake_client import NODES, report


def silent(node: str) -> dict[str, Any]:
    return {"node": node, "healthy": False, "ready": False, "problems": ["no answer within the deadline"]}


def test_a_healthy_cluster() -> None:
    view = view_of([report(node) for node in NODES], healthy=True)
    assert (view.cluster, view.healthy, view.up, view.epoch, view.timeline) == ("fake", True, 3, 3, 255)
    assert [(node.id, node.state, node.leads, node.lag, node.open) for node in view.nodes] == [
        ("n1", "up", 1, 0, 0),
        ("n2", "up", 0, 0, 0),
        ("n3", "up", 0, 2, 0),
    ]
    cluster, partition = view.partitions
    assert (cluster.keyspace, cluster.group) == (CLUSTER, 0)
    assert (partition.keyspace, partition.leader, partition.up, partition.down) == ("default", "n1", NODES, ())
    assert (partition.state, view.short, view.without_leader, view.problems) == ("ok", 0, 0, ())


def test_a_node_that_does_not_answer() -> None:
    first = report("n1", healthy=False, problems=["n3 is down"])
    for group in first["groups"]:
        group["followers"][1]["down"] = True
    second = report("n2", healthy=False, problems=["n3 is down"])
    view = view_of([first, second, silent("n3")], healthy=False)
    assert [(node.id, node.state, node.lag) for node in view.nodes][2] == ("n3", "DOWN", None)
    assert view.problems == (("n1", "n3 is down"),)
    assert view.data[0].down == ("n3",)
    assert view.data[0].state == "2/3 up"
    assert view.short == 1


def test_a_silent_node_nobody_misses_is_still_named() -> None:
    view = view_of([report("n1"), report("n2"), silent("n3")], healthy=False)
    assert view.problems == (("n3", "does not answer"),)


def test_a_partition_without_leader() -> None:
    reports = [report("n2"), report("n3"), silent("n1")]
    view = view_of(reports, healthy=False)
    assert view.data[0].leader is None
    assert view.data[0].state == "NO LEADER"
    assert set(view.data[0].up) == {"n2", "n3"}
    assert (view.without_leader, view.short) == (1, 0)


def test_of_two_that_claim_to_lead_the_later_term_counts() -> None:
    old, new = report("n1"), report("n2")
    new["groups"][1] |= {"role": "leader", "term": 3, "followers": report("n1")["groups"][1]["followers"]}
    assert view_of([old, new, report("n3")], healthy=True).data[0].leader == "n2"


def test_a_follower_that_lags_is_counted_by_its_leader() -> None:
    first = report("n1")
    first["groups"][1]["followers"][0]["match"] = 4
    assert view_of([first, report("n2"), report("n3")], healthy=True).data[0].lag == 5


def test_a_node_that_runs_and_is_not_ready_is_up_all_the_same() -> None:
    view = view_of([report("n1", ready=False), silent("n2")], healthy=False)
    assert ([node.state for node in view.nodes], view.up) == (["not ready", "DOWN"], 1)


def test_nodes_stand_in_the_order_of_their_numbers() -> None:
    view = view_of([silent(name) for name in ("n10", "n2", "b", "n1", "2")], healthy=False)
    assert [node.id for node in view.nodes] == ["2", "b", "n1", "n2", "n10"]


def test_nobody_answers() -> None:
    view = view_of([silent("n1")], healthy=False)
    assert (view.cluster, view.up, view.partitions) == ("?", 0, ())


def leaderless(node: str, **changed: Any) -> dict[str, Any]:
    """The same report with one leaderless group besides; its log is the node's own."""
    group = {
        "group": 2, "keyspace": "carts", "partition": 0, "leader": None, "role": "replica", "term": 0, "commit": 5,
        "applied": 5 + int(node[1:]), "followers": [], "standing": "voter", "mode": "leaderless",
        "replicas": list(NODES), "hints": {},
    }  # fmt: skip
    whole = report(node)
    whole["groups"].append(group | changed)
    return whole


def test_a_leaderless_partition_needs_nobody_who_leads() -> None:
    view = view_of([leaderless(node) for node in NODES], healthy=True)
    carts = view.data[0]
    assert (carts.keyspace, carts.state, carts.up, carts.down) == ("carts", "ok", NODES, ())
    assert (view.without_leader, view.short, view.hints) == (0, 0, 0)
    assert [node.lag for node in view.nodes] == [0, 0, 2], (
        "logs of leaderless replicas have nothing to do with each other"
    )


def test_a_leaderless_partition_without_all_replicas_and_the_hints_for_them() -> None:
    hints = {"hints": {"n3": 4}}
    view = view_of([leaderless("n1", **hints), leaderless("n2", standing="recovering"), silent("n3")], healthy=False)
    carts = view.data[0]
    assert (carts.up, carts.down, carts.state) == (("n1",), ("n2", "n3"), "1/3 up")
    assert view.hints == 4 and [node.hints for node in view.nodes] == [4, 0, 0]
    assert view.short == 1


def test_a_node_is_as_suspect_as_any_that_hears_it_says() -> None:
    first, second = report("n1"), report("n2")
    first["peers"]["n3"]["suspicion"], second["peers"]["n3"]["suspicion"] = 4.2, 0.3
    view = view_of([first, second, report("n3")], healthy=True)
    assert [node.suspicion for node in view.nodes] == [0.0, 0.0, 4.2]
    first["peers"]["n3"] |= {"up": False}
    assert view_of([first, second, report("n3")], healthy=True).nodes[2].suspicion == 0.3


def test_hints_that_a_node_keeps_as_a_guest_count_too() -> None:
    kept = {"waiting": {"n3": 4}, "kept": {"n3": 2, "n2": 1}, "returned": 9, "dropped": 0, "refused": 0}
    view = view_of([{**leaderless("n1", hints={"n3": 4}), "hints": kept}, leaderless("n2")], healthy=False)
    assert [node.hints for node in view.nodes] == [7, 0]
