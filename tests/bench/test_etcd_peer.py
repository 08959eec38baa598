"""Three real etcd members: started, found, restarted, gone. Skipped where etcd is not installed."""

import http.client
import shutil
from pathlib import Path

import pytest

from bench.etcd_peer import EtcdCluster
from bench.stores import StoreAbsent, StoreFailed

needs_etcd = pytest.mark.skipif(shutil.which("etcd") is None, reason="etcd is not installed (Debian: etcd-server)")


@needs_etcd
@pytest.mark.cluster
def test_members_start_settle_and_leave_no_trace(tmp_path: Path) -> None:
    with EtcdCluster(folder=tmp_path) as cluster:
        assert cluster.version[0].isdigit()
        before = cluster.pids
        assert len(cluster.endpoints) == len(set(cluster.endpoints)) == len(before) == 3
        cluster.settle()
        assert not set(before) & set(cluster.pids), "all members were restarted"
        endpoints = cluster.endpoints
        assert len(list(tmp_path.iterdir())) == 1
    assert list(tmp_path.iterdir()) == []
    for endpoint in endpoints:
        with pytest.raises(ConnectionRefusedError):
            http.client.HTTPConnection(endpoint, timeout=5).request("GET", "/health")


def test_an_absent_etcd_is_named_with_its_remedy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(StoreAbsent, match="apt-get install etcd-server") as told:
        EtcdCluster()
    assert told.value.exit_code == 2


def test_a_member_that_ends_is_an_error_with_its_last_words(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    program = tmp_path / "bin" / "etcd"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\necho no disk left >&2\nexit 1\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")
    folder = tmp_path / "data"
    folder.mkdir()
    with pytest.raises(StoreFailed, match="no disk left"), EtcdCluster(folder=folder):
        raise AssertionError("it must not have started")
    assert list(folder.iterdir()) == []
