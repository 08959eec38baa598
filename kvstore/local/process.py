"""One process on this machine: started so that it cannot be lost, recognised again, signalled, waited for.

A process is known by its id *and* the moment it began, as the kernel counts it: the id alone may belong to somebody
else by now. Linux only (reads /proc).
"""

import os
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import msgspec

POLL_S = 0.005
STOPPED_S = 30.0
"""Between two looks passes less than this, unless machine or process was stopped (SIGSTOP, a laptop that slept)."""
_CLOSED, _STATE, _THREADS, _BEGAN = ")", 0, 17, 19  # fields of /proc/PID/stat behind the name, which may hold anything

# The child waits for one line before it becomes what it shall be. If we die before we wrote down its id, the line
# never comes, `read` fails, and nobody is left behind.
_GATE = ("/bin/sh", "-c", 'read -r go && exec "$@" </dev/null', "kvstore-gate")


class Process(msgspec.Struct, frozen=True):
    """A process that was started here, as it is written down."""

    pid: int
    began: int
    """Clock ticks since the machine started."""

    @property
    def state(self) -> str | None:
        """R, S, T (stopped by SIGSTOP) …, or None if it is gone. A child of ours that ended is reaped on the way.

        Gone means that its last thread is: before that its ports are still taken, although it is a zombie already.
        """
        facts = _stat(self.pid)
        if facts is None or int(facts[_BEGAN]) != self.began:
            return None
        return None if facts[_STATE] in "ZX" and _has_ended(self.pid) else facts[_STATE]

    @property
    def is_alive(self) -> bool:
        return self.state is not None

    def signal(self, number: signal.Signals) -> bool:
        """Send a signal, if it is still the process we started. False if it is gone."""
        if not self.is_alive:
            return False
        with suppress(ProcessLookupError):
            os.kill(self.pid, number)
            return True
        return False

    def wait(self, seconds: float) -> bool:
        """Whether it was gone within that time."""
        return wait_until(lambda: not self.is_alive, seconds)


def start(
    command: Sequence[str], log: Path, environment: Mapping[str, str], record: Callable[[Process], None]
) -> Process:
    """Start a program in a session of its own, stdout and stderr appended to `log`, stdin empty.

    `record` is called with the process before the program runs in it; if it raises, or this process dies meanwhile, the
    program never runs. Executed afresh, never a fork of this interpreter: gRPC does not survive forks.
    """
    gate, ours = os.pipe()
    try:
        process = _spawn((*_GATE, *command), gate, log, environment)
        record(process)
        with suppress(BrokenPipeError):  # it was killed already; whoever waits for it will notice
            os.write(ours, b"go\n")
        return process
    finally:
        os.close(gate)
        os.close(ours)


def start_watching(command: Sequence[str], log: Path, environment: Mapping[str, str]) -> tuple[Process, int]:
    """Start a program whose stdin ends when this process ends, however it ends. Returns the end we hold, too."""
    theirs, ours = os.pipe()
    try:
        return _spawn(command, theirs, log, environment), ours
    except BaseException:
        os.close(ours)
        raise
    finally:
        os.close(theirs)


def _spawn(command: Sequence[str], stdin: int, log: Path, environment: Mapping[str, str]) -> Process:
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
    pid = os.posix_spawn(
        command[0],
        list(command),
        dict(environment),
        file_actions=[
            (os.POSIX_SPAWN_DUP2, stdin, 0),
            (os.POSIX_SPAWN_OPEN, 1, str(log), flags, 0o600),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ],
        setsid=True,  # Ctrl-C at our terminal is not for it
        setsigmask=[],
        setsigdef=[signal.SIGINT, signal.SIGPIPE, signal.SIGTERM],
    )
    facts = _stat(pid)
    assert facts is not None, "a child that nobody has waited for is there, even if it ended"
    return Process(pid=pid, began=int(facts[_BEGAN]))


def _has_ended(zombie: int) -> bool:
    """Whether a zombie has no thread left. The kernel lets a child be reaped only then."""
    try:
        return os.waitpid(zombie, os.WNOHANG) != (0, 0)
    except ChildProcessError:  # somebody else's child: its parent may take its time
        facts = _stat(zombie)
        return facts is None or int(facts[_THREADS]) <= 1


def _stat(pid: int) -> list[str] | None:
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    return text.rpartition(_CLOSED)[2].split()


def wait_until(holds: Callable[[], bool], seconds: float) -> bool:
    """Look again and again; whether it held before the time was over."""
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() >= deadline:
            return False
        time.sleep(POLL_S)
    return True


class Allowance:
    """So many seconds of waiting, in which time does not count that we were stopped: so were those we wait for."""

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._seen = clock()
        self._end = self._seen + seconds

    @property
    def is_used_up(self) -> bool:
        """To be asked again and again, at least every STOPPED_S."""
        now = self._clock()
        if now - self._seen > STOPPED_S:
            self._end += now - self._seen
        self._seen = now
        return now > self._end
