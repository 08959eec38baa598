"""The fence: while a universe runs, clocks, dice, threads and sockets of the outside raise instead of answering."""

import os
import random
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any, NoReturn

FENCED: tuple[tuple[ModuleType | type, str], ...] = (
    *((time, name) for name in ("time", "time_ns", "monotonic", "monotonic_ns", "perf_counter", "sleep")),
    *((random, name) for name in ("random", "randrange", "randint", "choice", "choices", "shuffle", "sample", "seed")),
    *((random, name) for name in ("uniform", "getrandbits", "expovariate", "gauss")),
    (os, "urandom"),
    (os, "getrandom"),
    (uuid, "uuid1"),
    (uuid, "uuid4"),
    (threading.Thread, "start"),
    (socket, "socket"),
)


class OutOfBounds(RuntimeError):
    """Somebody in the universe looked outside: the run would not be the same again."""


def _forbidden(name: str) -> Callable[..., NoReturn]:
    def refuse(*args: Any, **kwargs: Any) -> NoReturn:
        raise OutOfBounds(f"{name} is out of bounds in a simulation: time and chance are handed in")

    return refuse


@contextmanager
def fence() -> Iterator[None]:
    """Nothing inside sees the time, rolls unseeded dice, starts a thread or opens a socket."""
    kept = [(owner, name, getattr(owner, name)) for owner, name in FENCED]
    for owner, name, _ in kept:
        setattr(owner, name, _forbidden(f"{owner.__name__}.{name}"))
    try:
        yield
    finally:
        for owner, name, thing in kept:
            setattr(owner, name, thing)
