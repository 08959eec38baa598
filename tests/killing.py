"""A program that says numbers, one a line, until it is killed with SIGKILL."""

import subprocess
import sys
from pathlib import Path
from textwrap import dedent

ROOT = Path(__file__).parents[1]


def last_said(program: str, *args: str, lines: int, before: int) -> int:
    """Run Python text until it has said so many lines, kill it, and return the last number it said whole.

    What it still said before it died counts. `before`: what earlier runs said last.
    """
    said = before
    command = [sys.executable, "-c", dedent(program), *args]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT, text=True) as process:
        assert process.stdout is not None
        try:
            for _ in range(lines):
                said = int(process.stdout.readline())
        finally:
            process.kill()
        for line in process.stdout:
            if line.endswith("\n"):
                said = int(line)
    return said
