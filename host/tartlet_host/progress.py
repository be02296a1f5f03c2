"""Progress on the terminal; below the command line progress is a plain callback."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

Report = Callable[[int, int], None]
"""Called with how much is done and how much there is in all."""


def console() -> Console:
    """For people: standard error, so that results on standard output can be piped."""
    return Console(stderr=True, highlight=False)


@contextlib.contextmanager
def bar(description: str, *, quiet: bool = False) -> Iterator[Report]:
    """A progress bar with the time left, on standard error.

    Without a terminal (a log file, CI) it is one line when the work is done. Until the first
    report it is a spinner, for work that cannot tell how far it is.
    """
    started = time.monotonic()
    if quiet:
        yield _nothing
        return
    if not sys.stderr.isatty():
        yield _nothing
        print(f"{description}: {time.monotonic() - started:.1f} s", file=sys.stderr, flush=True)
        return
    columns = (
        SpinnerColumn(finished_text="[green]✓"),
        TextColumn("{task.description:<34}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console()) as progress:
        task = progress.add_task(description, total=None)

        def report(done: int, total: int) -> None:
            progress.update(task, completed=done, total=total)

        yield report
        total = progress.tasks[0].total or 1
        progress.update(task, completed=total, total=total)


def _nothing(done: int, total: int) -> None:
    pass
