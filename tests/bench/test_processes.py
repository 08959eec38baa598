"""CPU meters and processes, with real ones."""

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from bench.processes import ProcessGone, cpu_seconds, free_ports, last_lines, machine_cpu, spawn, stop

DEAF = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); signal.pause()"


def burn(seconds: float) -> None:
    """Until this thread has used so much more CPU: how long that takes is the machine's affair."""
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        sum(range(10_000))


def test_all_threads_of_a_process_count() -> None:
    before = cpu_seconds([os.getpid()])
    thread = threading.Thread(target=burn, args=(0.2,))
    thread.start()
    thread.join()
    assert cpu_seconds([os.getpid()]) - before >= 0.15, "an ended thread still counts"


def test_the_machine_is_at_least_as_busy_as_we_are() -> None:
    before, ours = machine_cpu(), cpu_seconds([os.getpid()])
    burn(0.3)
    spent = machine_cpu().since(before)
    assert spent.busy_s + spent.stolen_s >= cpu_seconds([os.getpid()]) - ours - 0.1, "ticks are 10 ms, per core"


def test_a_process_that_is_gone_is_an_error() -> None:
    process = subprocess.Popen([sys.executable, "-c", ""])
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # ended, not yet buried
    with pytest.raises(ProcessGone):
        cpu_seconds([process.pid])
    process.wait()
    with pytest.raises(ProcessGone):
        cpu_seconds([process.pid])


def test_a_deaf_process_is_killed(tmp_path: Path) -> None:
    log = tmp_path / "log"
    process = spawn([sys.executable, "-c", DEAF], log)
    while "deaf" not in last_lines(log):
        assert process.poll() is None, last_lines(log)
    stop([process], grace_s=0.1)
    assert process.returncode == -9
    stop([process])


def test_ports_are_distinct() -> None:
    ports = free_ports(20)
    assert len(set(ports)) == 20
    assert all(1_024 <= port < 65_536 for port in ports)


def test_the_end_of_a_log(tmp_path: Path) -> None:
    (tmp_path / "log").write_text("a\nb\nc\n")
    assert last_lines(tmp_path / "log", count=2) == "b\nc"
    assert last_lines(tmp_path / "none") == ""
