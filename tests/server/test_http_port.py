"""The HTTP port: health, readiness, metrics that Prometheus can read, and the status document."""

import asyncio
import logging
from pathlib import Path

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families

from kvstore.node import config
from kvstore.v1 import admin_pb2
from kvstore.v1 import kv_pb2 as pb
from tests.server.stage import PATIENCE_S, Stage, staged, until


async def fetch(stage: Stage, name: str, path: str) -> tuple[int, str]:
    listen = stage.config(name).listen
    assert listen is not None
    async with aiohttp.ClientSession() as session, session.get(f"http://{listen.http}{path}") as response:
        return response.status, await response.text()


async def test_a_node_that_waits_for_its_founding_lives_but_is_not_ready(tmp_path: Path) -> None:
    stage = Stage(tmp_path, 3)
    try:
        await stage.start("n1")
        assert await fetch(stage, "n1", "/healthz") == (200, "ok\n")
        status, text = await fetch(stage, "n1", "/readyz")
        assert status == 503 and "waiting for the founding: not heard of n2, n3" in text
        _, document = await fetch(stage, "n1", "/api/v1/status")
        assert '"founded":false' in document
        for name in ("n2", "n3"):
            await stage.start(name)
        await stage.ready()
        assert await fetch(stage, "n1", "/readyz") == (200, "ready\n")
    finally:
        await stage.close()


async def test_a_node_that_stops_is_not_ready_any_more(tmp_path: Path) -> None:
    async with staged(tmp_path, 1) as stage:
        await stage.one.hand_over()
        status, text = await fetch(stage, "n1", "/readyz")
        assert status == 503 and text.startswith("not ready")
        assert (await fetch(stage, "n1", "/healthz"))[0] == 200


WANTED = {
    "kvstore_raft_term", "kvstore_raft_is_leader", "kvstore_raft_leader_changes", "kvstore_raft_commit_lag",
    "kvstore_raft_log_lag", "kvstore_raft_apply_lag", "kvstore_flush_lag",
    "kvstore_request_seconds", "kvstore_operations", "kvstore_errors",
    "kvstore_disk_commit_seconds", "kvstore_disk_batches_open", "kvstore_storage_bytes", "kvstore_storage_bytes_max",
    "kvstore_requests_open", "kvstore_requests_open_max", "kvstore_request_bytes_open",
    "kvstore_request_bytes_open_max",
    "kvstore_peer_up", "kvstore_peer_frames_dropped", "kvstore_peer_frames_malformed", "kvstore_peer_bytes_sent",
    "kvstore_ready", "kvstore_clock_ahead_ms", "kvstore_ring_changes", "kvstore_sessions",
    "kvstore_leaderless_hints", "kvstore_leaderless_read_repairs", "kvstore_leaderless_exchanges",
    "kvstore_leaderless_exchanges_equal", "kvstore_leaderless_pulled", "kvstore_leaderless_pushed",
    "kvstore_leaderless_false_repairs", "kvstore_leaderless_recovering", "kvstore_leaderless_siblings_max",
    "kvstore_leaderless_crowded_keys", "kvstore_leaderless_damaged_rows", "kvstore_scrub_rows", "kvstore_scrub_running",
    "kvstore_peer_suspicion", "kvstore_hints", "kvstore_hints_returned", "kvstore_hints_dropped",
    "kvstore_hints_refused",
}  # fmt: skip
"""Latency, traffic, errors, saturation; Raft's term, leader changes and lags; fsync; queues."""


async def test_metrics_are_what_prometheus_reads(tmp_path: Path) -> None:
    async with staged(tmp_path, 3) as stage:
        leader = stage.leader_of(b"key")
        for _ in range(3):
            await stage.kv(leader).Put(pb.PutRequest(key=b"key", value=b"v"))
        status, text = await fetch(stage, leader, "/metrics")
        assert status == 200
        families = {family.name: family for family in text_string_to_metric_families(text)}
        assert set(families) >= WANTED
        assert all(family.documentation for family in families.values())
        samples = {
            (sample.name, *sorted(sample.labels.values())): sample.value
            for family in families.values()
            for sample in family.samples
        }
        group = str(stage.group_of(b"key"))
        assert samples["kvstore_raft_is_leader", group] == 1
        assert samples["kvstore_raft_term", group] >= 1
        assert samples["kvstore_raft_leader_changes_total", group] >= 1
        assert samples["kvstore_raft_commit_lag", group] == 0
        lags = {labels[1] for name, *labels in samples if name == "kvstore_raft_log_lag" and labels[0] == group}
        assert lags == {"n1", "n2", "n3"} - {leader}
        assert samples["kvstore_operations_total", "write"] == 3
        assert samples["kvstore_request_seconds_count", "write"] == 3
        assert samples["kvstore_disk_commit_seconds_count",] >= 3
        assert samples["kvstore_ready",] == 1
        assert [value for (name, *_), value in samples.items() if name == "kvstore_peer_up"] == [1, 1]
        assert samples["kvstore_peer_bytes_sent_total",] > 0


async def test_leaderless_replicas_are_counted(tmp_path: Path) -> None:
    async with staged(tmp_path, 1) as stage:
        await stage.admin().CreateKeyspace(
            admin_pb2.CreateKeyspaceRequest(name="carts", mode="leaderless", partitions=1)
        )
        for number in range(26):
            await stage.kv().Put(pb.PutRequest(keyspace="carts", key=b"key", value=b"%d" % number))
        _, text = await fetch(stage, "n1", "/metrics")
        samples = {
            sample.name: sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
            if sample.name.startswith("kvstore_leaderless_")
        }
        assert samples["kvstore_leaderless_siblings_max"] == 26
        assert samples["kvstore_leaderless_crowded_keys_total"] == 1
        assert samples["kvstore_leaderless_damaged_rows_total"] == samples["kvstore_leaderless_recovering"] == 0


async def test_the_status_document(tmp_path: Path) -> None:
    async with staged(tmp_path, 1) as stage:
        listen = stage.config("n1").listen
        assert listen is not None
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"http://{listen.http}/api/v1/status") as response,
        ):
            assert response.content_type == "application/json"
            report = await response.json()
        assert (report["node"], report["cluster"], report["healthy"], report["problems"]) == ("n1", "stage", True, [])
        assert report["leads"] == report["replicas"] == 8 and len(report["groups"]) == 9
        assert {group["role"] for group in report["groups"]} == {"leader"}
        assert (await fetch(stage, "n1", "/"))[1].startswith("kvstore node n1: ")


async def test_somebody_who_does_not_speak_http_is_not_worth_a_line(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with staged(tmp_path, 1) as stage:
        monkeypatch.setattr(logging.getLogger("kvstore"), "propagate", True)
        listen = stage.config("n1").listen
        assert listen is not None
        host, port = listen.http.split(":")
        async with asyncio.timeout(PATIENCE_S):
            reader, writer = await asyncio.open_connection(host, int(port))
            writer.write(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(range(256)))
            await reader.read()
            writer.close()
        assert (await fetch(stage, "n1", "/healthz"))[0] == 200
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


@pytest.mark.parametrize("path", ["/nothing", "/api/v2/status"])
async def test_other_paths_are_not_found_and_nothing_can_be_changed(tmp_path: Path, path: str) -> None:
    async with staged(tmp_path, 1) as stage:
        assert (await fetch(stage, "n1", path))[0] == 404
        listen = stage.config("n1").listen
        assert listen is not None
        async with (
            asyncio.timeout(PATIENCE_S),
            aiohttp.ClientSession() as session,
            session.post(f"http://{listen.http}/api/v1/status") as response,
        ):
            assert response.status == 405


async def put_links(stage: Stage, name: str, body: bytes) -> tuple[int, str]:
    listen = stage.config(name).listen
    assert listen is not None
    url = f"http://{listen.http}/testing/links"
    async with aiohttp.ClientSession() as session, session.put(url, data=body) as response:
        return response.status, await response.text()


async def test_links_are_cut_only_on_nodes_that_were_started_for_it(tmp_path: Path) -> None:
    async with staged(tmp_path, 1) as stage:
        assert (await put_links(stage, "n1", b"[]"))[0] == 404


async def test_a_node_that_is_cut_off_hears_nobody_until_the_network_is_whole(tmp_path: Path) -> None:
    async with staged(tmp_path, 3, testing=config.TestingConfig(faults=True)) as stage:
        peers = stage.runtimes["n1"].node.liveness.peers
        assert await put_links(stage, "n1", b'["n2","n3"]') == (200, "cut off from n2, n3\n")
        await until(lambda: not any(peer.up for peer in peers.values()), "n1 still hears somebody")
        assert (await put_links(stage, "n1", b"[]"))[0] == 200
        await until(lambda: all(peer.up for peer in peers.values()), "n1 does not hear everybody again")


@pytest.mark.parametrize("body", [b"", b"n2", b'{"n2": 1}', b'["n9"]', b'["n1"]'])
async def test_links_that_cannot_be_are_refused(tmp_path: Path, body: bytes) -> None:
    async with staged(tmp_path, 3, testing=config.TestingConfig(faults=True)) as stage:
        status, text = await put_links(stage, "n1", body)
        assert status == 400 and text.strip()
