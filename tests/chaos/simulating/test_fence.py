"""The fence: nothing in a simulated universe sees the outside, and the outside is whole again afterwards."""

import os
import random
import socket
import threading
import time
import uuid

import pytest

from chaos.simulating.fence import FENCED, OutOfBounds, fence
from chaos.simulating.run import run_seed


def test_clocks_dice_threads_and_sockets_are_out_of_bounds() -> None:
    with fence():
        for look in (time.time, time.monotonic, time.time_ns, random.random, uuid.uuid4, socket.socket):
            with pytest.raises(OutOfBounds):
                look()
        with pytest.raises(OutOfBounds):
            os.urandom(8)
        with pytest.raises(OutOfBounds):
            random.choice([1, 2])
        with pytest.raises(OutOfBounds):
            threading.Thread(target=print).start()


def test_everything_is_back_in_its_place_afterwards() -> None:
    before = [getattr(owner, name) for owner, name in FENCED]
    with pytest.raises(ZeroDivisionError), fence():
        raise ZeroDivisionError
    assert [getattr(owner, name) for owner, name in FENCED] == before
    assert time.time() > 0


def test_seeded_dice_work_inside() -> None:
    with fence():
        assert random.Random("7").random() == random.Random("7").random()


def test_a_whole_run_never_looks_over_the_fence() -> None:
    with fence():
        assert run_seed(3, seconds=3).check != "the simulator does not break"
