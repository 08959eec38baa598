"""Random events in a random order under the eyes of the laws, and afterwards everything heals.

python -m tests.replication.raft.test_storm 0 1000 5000     seeds from, to; steps
"""

import subprocess
import sys
from hashlib import sha256
from pathlib import Path
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kvstore.replication.raft.effects import Effects, Event
from tests.lab import Lab, Node
from tests.replication.raft.storm import Storm

SEEDS, STEPS = 300, 4_000
ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize("first", range(0, SEEDS, 25))
def test_storms(first: int) -> None:
    """No law is broken, and in the calm afterwards there is a leader, progress, and equal logs."""
    for seed in range(first, first + 25):
        live_through(seed, STEPS)


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(st.randoms(use_true_random=False), st.integers(1, 250))
def test_small_storms(rng: Random, steps: int) -> None:
    """The same with hypothesis drawing each event, so that a failure shrinks to a short story."""
    storm = Storm(0, rng)
    storm.live(steps)


def test_a_storm_is_a_storm() -> None:
    """If they stopped electing, committing, installing images and recovering, the laws would watch nothing."""
    told = "".join(story_of(seed, STEPS) for seed in range(20))
    for sign in ("committed=[Entry", "standing=<Standing.VOTER", "install=LogEnd", "truncate_from=", "TimeoutNow("):
        assert sign in told, sign
    for sign in (
        "reads_ready=[(",
        "reads_failed=[",
        "quiesced=True",
        "recovering=True",
        "needs_image=",
        "transfer=True",
    ):
        assert sign in told, sign


def test_a_seed_tells_the_same_story_in_every_interpreter() -> None:
    """Whatever the hash seed: nothing may depend on the order of a set."""
    code = "from tests.replication.raft.test_storm import print_digest; print_digest()"
    digests = {
        subprocess.run(
            [sys.executable, "-c", code],
            cwd=ROOT,
            env={"PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for hash_seed in ("1", "2")
    }
    assert len(digests) == 1 and digests.pop().strip()


def live_through(seed: int, steps: int) -> Storm:
    storm = Storm(seed)
    try:
        storm.live(steps)
        storm.calm_down()
    except AssertionError as broken:
        broken.add_note(f"python -m tests.replication.raft.test_storm {seed} {seed + 1} {steps}")
        raise
    return storm


def story_of(seed: int, steps: int) -> str:
    """Every event and every effect of one storm."""
    storm = Storm(seed)
    lines: list[str] = []
    watch = storm.laws.stepped

    def stepped(lab: Lab, node: Node, event: Event, effects: Effects) -> None:
        lines.append(f"{lab.now} {node.name} {event} {effects}")
        watch(lab, node, event, effects)

    storm.laws.stepped = stepped  # type: ignore[method-assign]
    storm.live(steps)
    return "\n".join(lines)


def print_digest() -> None:
    print(sha256("".join(story_of(seed, 1_500) for seed in range(12)).encode()).hexdigest())


if __name__ == "__main__":
    start, stop, length = (int(argument) for argument in sys.argv[1:])
    for number in range(start, stop):
        live_through(number, length)
    print(f"{stop - start} storms of {length} steps: all laws kept")
