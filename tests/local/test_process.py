"""A process that was started is never lost, never mistaken for another, and ends when it is told to."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from kvstore.local.process import Allowance, Process, start, start_watching, wait_until

SLEEPER = ("/bin/sh", "-c", "echo $$ is up; exec sleep 1000")
PATIENCE_S = 60.0


def ignore(_: Process) -> None:
    return


def run(tmp_path: Path, *command: str) -> Process:
    return start(command or SLEEPER, tmp_path / "log", dict(os.environ), ignore)


def test_time_for_which_we_were_stopped_is_not_time_that_we_waited() -> None:
    moments = iter([100.0, 120.0, 145.0, 545.0, 560.0, 561.0])  # stopped between the second look and the third
    allowance = Allowance(60.0, lambda: next(moments))
    assert [allowance.is_used_up for _ in range(5)] == [False, False, False, False, True]


def test_output_goes_to_the_log(tmp_path: Path) -> None:
    process = run(tmp_path, "/bin/sh", "-c", "echo out; echo err >&2; cat; echo $SHELL_WORD")
    assert process.wait(PATIENCE_S)
    assert (tmp_path / "log").read_text() == "out\nerr\n\n"


def test_arguments_arrive_as_they_are(tmp_path: Path) -> None:
    assert run(tmp_path, "/bin/echo", "a  b", "$HOME", "*", "").wait(PATIENCE_S)
    assert (tmp_path / "log").read_text() == "a  b $HOME * \n"


def test_a_process_is_paused_resumed_and_killed(tmp_path: Path) -> None:
    process = run(tmp_path)
    assert process.is_alive
    assert process.signal(signal.SIGSTOP)
    assert wait_until(lambda: process.state == "T", PATIENCE_S)
    assert process.signal(signal.SIGCONT)
    assert wait_until(lambda: process.state in ("R", "S", "D"), PATIENCE_S)
    assert process.signal(signal.SIGKILL)
    assert process.wait(PATIENCE_S)
    assert process.signal(signal.SIGKILL) is False


def test_another_process_with_the_same_id_is_left_alone(tmp_path: Path) -> None:
    process = run(tmp_path)
    impostor = Process(pid=process.pid, began=process.began + 1)
    assert impostor.signal(signal.SIGKILL) is False
    assert not impostor.is_alive
    assert process.is_alive
    process.signal(signal.SIGKILL)
    assert process.wait(PATIENCE_S)


def test_a_process_that_cannot_be_written_down_never_runs(tmp_path: Path) -> None:
    seen: list[Process] = []

    def full_disk(process: Process) -> None:
        seen.append(process)
        raise OSError("no space left")

    with pytest.raises(OSError, match="no space"):
        start(("/bin/sh", "-c", f"touch {tmp_path}/ran"), tmp_path / "log", {}, full_disk)
    assert seen[0].wait(PATIENCE_S)
    assert not (tmp_path / "ran").exists()


def test_a_command_that_does_not_exist_ends_and_says_so(tmp_path: Path) -> None:
    assert run(tmp_path, "/no/such/program").wait(PATIENCE_S)
    assert "/no/such/program" in (tmp_path / "log").read_text()


def test_a_watcher_sees_its_stdin_end(tmp_path: Path) -> None:
    process, ours = start_watching(("/bin/cat",), tmp_path / "log", {})
    try:
        os.write(ours, b"still here\n")
        assert wait_until(lambda: (tmp_path / "log").read_text() == "still here\n", PATIENCE_S)
        assert process.is_alive
    finally:
        os.close(ours)
    assert process.wait(PATIENCE_S)


def test_other_children_do_not_keep_the_pipe_open(tmp_path: Path) -> None:
    process, ours = start_watching(("/bin/cat",), tmp_path / "log", {})
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        os.close(ours)
        assert process.wait(PATIENCE_S)
        assert other.poll() is None
        other.communicate(b"\n")


MANY_THREADS = """
import sys, threading, time
for _ in range(3):
    threading.Thread(target=time.sleep, args=(1000,), daemon=True).start()
sys.stdout.write("up"); sys.stdout.flush()
threading.Thread(target=print).start()
import ctypes
ctypes.CDLL(None).pthread_exit(None)
"""


def test_a_process_is_there_until_its_last_thread_is_gone(tmp_path: Path) -> None:
    """Its first thread has ended, so the kernel calls it a zombie; but it goes on, and holds what it held."""
    process = run(tmp_path, sys.executable, "-c", MANY_THREADS)
    assert wait_until(lambda: process.state == "Z", PATIENCE_S)
    assert process.is_alive
    process.signal(signal.SIGKILL)
    assert process.wait(PATIENCE_S)
    with pytest.raises(ChildProcessError):
        os.waitpid(process.pid, os.WNOHANG)


def test_a_zombie_that_its_parent_forgot_is_gone(tmp_path: Path) -> None:
    parent = run(tmp_path, "/bin/sh", "-c", "sleep 0 & echo $!; exec sleep 1000")
    assert wait_until(lambda: (tmp_path / "log").read_text().endswith("\n"), PATIENCE_S)
    pid = (tmp_path / "log").read_text().strip()
    stat = Path("/proc", pid, "stat")
    assert wait_until(lambda: stat.read_text().rpartition(")")[2].split()[0] == "Z", PATIENCE_S)
    began = int(stat.read_text().rpartition(")")[2].split()[19])
    assert not Process(pid=int(pid), began=began).is_alive
    parent.signal(signal.SIGKILL)
    assert parent.wait(PATIENCE_S)
