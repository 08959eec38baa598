"""A progress bar for long imports, drawn by rich on standard error. Imported only where one is shown."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn

Show = Callable[[int, int], None]
"""Bytes read of the file, keys written so far."""


@contextmanager
def bar(size: int | None) -> Iterator[Show]:
    """A bar over `size` bytes; a moving dot if the size is not known."""
    columns = (
        SpinnerColumn() if size is None else BarColumn(bar_width=30),
        TextColumn("{task.fields[keys]:,} keys"),
        TextColumn("{task.fields[rate]:,} keys/s"),
        *(() if size is None else (TimeRemainingColumn(compact=True),)),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("import", total=size, keys=0, rate=0)

        def show(read: int, written: int) -> None:
            spent = progress.tasks[0].elapsed or 0.0
            rate = round(written / spent) if spent > 0.1 else 0
            progress.update(task, completed=read, keys=written, rate=rate)

        yield show
