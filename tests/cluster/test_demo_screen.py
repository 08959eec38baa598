"""What the demo says fits a terminal and a log file."""

import io

import pytest

from cluster.demo_screen import Screen, milliseconds, quantile


def test_a_story_in_lines() -> None:
    stream = io.StringIO()
    screen = Screen(stream)
    screen.step("first")
    screen.say("one fact\nand another")
    screen.verdict("OK: done")
    lines = stream.getvalue().splitlines()
    assert lines[1].endswith("s] first")
    assert lines[2:] == ["            one fact", "            and another", "", "OK: done"]
    assert not screen.is_terminal


@pytest.mark.parametrize(("steps", "told"), [([1] * 8, 4), ([8], 1), ([3, 3, 2], 3), ([5, 1, 1, 1], 3)])
def test_progress_without_a_terminal_is_a_few_lines(steps: list[int], told: int) -> None:
    stream = io.StringIO()
    with Screen(stream).progress("imported", sum(steps)) as advance:
        for step in steps:
            advance(step)
    lines = stream.getvalue().splitlines()
    assert len(lines) == told
    assert lines[-1].strip() == "imported 8 of 8"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_progress_on_a_terminal_is_a_bar() -> None:
    stream = Terminal()
    with Screen(stream).progress("imported", 8) as advance:
        advance(8)
    assert "8/8" in stream.getvalue()


def test_numbers_for_people() -> None:
    assert (milliseconds(0.000618), milliseconds(0.0123)) == ("0.62 ms", "12 ms")
    values = [float(i) for i in range(100)]
    assert (quantile(values, 0.5), quantile(values, 0.99), quantile([7.0], 0.99)) == (50.0, 99.0, 7.0)
