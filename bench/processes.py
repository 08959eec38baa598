"""Start and stop processes by pid; read what they and the machine have spent from /proc (Linux only)."""

import os
import signal
import socket
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
STOP_GRACE_S = 5.0


class ProcessGone(Exception):
    """A process that should be running is not: a figure taken without it would be wrong."""


@dataclass(frozen=True, slots=True)
class MachineCpu:
    """Seconds of CPU since boot, or between two readings, summed over all cores."""

    busy_s: float
    stolen_s: float

    def since(self, start: "MachineCpu") -> "MachineCpu":
        return MachineCpu(self.busy_s - start.busy_s, self.stolen_s - start.stolen_s)


def cpu_seconds(pids: Iterable[int]) -> float:
    """User and system seconds of these processes, all their threads included, in steps of one tick (10 ms).

    Raises ProcessGone when one of them has ended.
    """
    ticks = 0
    for pid in pids:
        try:
            stat = Path(f"/proc/{pid}/stat").read_text()
        except (FileNotFoundError, ProcessLookupError) as error:
            raise ProcessGone(f"process {pid} ended while it was being measured") from error
        state, *numbers = stat.rpartition(")")[2].split()  # the name before it may hold blanks and brackets
        if state in "ZX":
            raise ProcessGone(f"process {pid} ended while it was being measured")
        ticks += int(numbers[10]) + int(numbers[11])  # utime and stime, fields 14 and 15 of proc(5)
    return ticks / _TICKS_PER_SECOND


def machine_cpu() -> MachineCpu:
    """What the whole machine has spent since boot; waiting for the disk is not spending."""
    with open("/proc/stat", encoding="ascii") as stat:
        user, nice, system, _idle, _iowait, irq, softirq, stolen = map(int, stat.readline().split()[1:9])
    return MachineCpu((user + nice + system + irq + softirq) / _TICKS_PER_SECOND, stolen / _TICKS_PER_SECOND)


def spawn(command: Sequence[str], log: Path, env: Mapping[str, str] | None = None) -> subprocess.Popen[bytes]:
    """Start a process that writes to `log` and reads nothing. A Ctrl-C meant for us does not reach it."""
    with log.open("ab") as out:
        return subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=env, start_new_session=True
        )


def stop(processes: Iterable[subprocess.Popen[bytes]], grace_s: float = STOP_GRACE_S) -> None:
    """Ask all to end, then wait, and kill those that have not ended within `grace_s` seconds. Safe to repeat."""
    running = [process for process in processes if process.poll() is None]
    for process in running:
        process.send_signal(signal.SIGTERM)
    for process in running:
        try:
            process.wait(grace_s)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def free_ports(count: int) -> list[int]:
    """Ports on loopback that the kernel says are free now. Another process may take one before we do."""
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    try:
        return [server.getsockname()[1] for server in held]
    finally:
        for server in held:
            server.close()


def last_lines(log: Path, count: int = 5) -> str:
    """The end of a log, for an error message. Empty if there is no log."""
    try:
        return "\n".join(log.read_text(errors="replace").splitlines()[-count:])
    except FileNotFoundError:
        return ""
