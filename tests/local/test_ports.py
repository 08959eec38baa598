"""Free ports are free, different, and not where outgoing connections come from."""

import socket

import pytest

from kvstore.local import ports


def test_ports_are_different_and_can_be_listened_on() -> None:
    found = ports.free_ports(20)
    assert len(set(found)) == 20
    assert all(ports.LOWEST <= port < 60_000 and ports.is_free(port) for port in found)


def test_a_port_in_use_is_not_free() -> None:
    with socket.create_server((ports.HOST, 0)) as server:
        assert not ports.is_free(server.getsockname()[1])


def test_ports_in_use_are_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    (free,) = ports.free_ports(1)
    with socket.create_server((ports.HOST, 0)) as server:
        monkeypatch.setattr(ports.random, "sample", lambda *_: [server.getsockname()[1], free, free])
        assert ports.free_ports(1) == [free]
        with pytest.raises(OSError, match="no 2 free ports"):
            ports.free_ports(2)
