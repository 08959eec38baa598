"""Free ports on 127.0.0.1, for nodes that will listen on them a moment later."""

import random
import socket
from contextlib import ExitStack, suppress
from pathlib import Path

HOST = "127.0.0.1"
LOWEST = 10_000
_EPHEMERAL = Path("/proc/sys/net/ipv4/ip_local_port_range")


def is_free(port: int) -> bool:
    """Whether a node could listen on that port now."""
    with socket.socket() as probe:
        return _bind(probe, port)


def free_ports(count: int) -> list[int]:
    """So many different free ports.

    They lie below the range from which the kernel draws the ports of outgoing connections: else one of those could
    sit on the port of a node that is down for a moment, and keep it from coming back. Raises OSError if there are none.
    """
    with ExitStack() as held:  # all stay bound until the last is found, so that none is found twice
        ports: list[int] = []
        for port in random.sample(range(LOWEST, _highest() + 1), _highest() - LOWEST + 1):
            if len(ports) == count:
                return ports
            probe = held.enter_context(socket.socket())
            if _bind(probe, port):
                ports.append(port)
        raise OSError(f"no {count} free ports from {LOWEST} to {_highest()}")


def _bind(probe: socket.socket, port: int) -> bool:
    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as servers do: old connections do not matter
    with suppress(OSError):
        probe.bind((HOST, port))
        return True
    return False


def _highest() -> int:
    try:
        low = int(_EPHEMERAL.read_text().split()[0])
    except (OSError, ValueError, IndexError):
        low = 32_768
    return low - 1 if low > LOWEST + 1_000 else 32_767
