"""Progress on the terminal; below the command line progress is a plain callback."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.status import Status

Report = Callable[[int, int], None]
"""Called with how much is done and how much there is in all."""

Tell = Callable[[int, int, float, float | None], None]
"""Called with the steps done and in all, the loss, and the mAP50 where it was measured."""


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


@contextlib.contextmanager
def transfer_bar(description: str, *, quiet: bool = False) -> Iterator[Report]:
    """A bar for bytes on their way, with rate and time left, on standard error.

    Without a terminal it is one line when all is sent.
    """
    if quiet:
        yield _nothing
        return
    if not sys.stderr.isatty():
        started, first, last = time.monotonic(), -1, 0

        def remember(done: int, total: int) -> None:
            nonlocal first, last
            first, last = (done if first < 0 else first), done

        yield remember
        seconds = max(time.monotonic() - started, 1e-3)
        rate = (last - max(first, 0)) / seconds / 1e6
        print(f"{description}: {seconds:.1f} s, {rate:.1f} MB/s", file=sys.stderr, flush=True)
        return
    columns = (
        SpinnerColumn(finished_text="[green]✓"),
        TextColumn("{task.description:<34}"),
        BarColumn(bar_width=24),
        DownloadColumn(),
        TransferSpeedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console()) as progress:
        task = progress.add_task(description, total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)


@contextlib.contextmanager
def live_line(text: str, *, quiet: bool = False) -> Iterator[Callable[[str], None]]:
    """A line on standard error that is replaced as things go on; without a terminal, none.

    Args:
        text: what it says at first.
        quiet: none at all.
    """
    if quiet or not sys.stderr.isatty():
        yield lambda text: None
        return
    with Status(text, console=console()) as status:
        yield status.update


@contextlib.contextmanager
def training_bar(description: str, *, quiet: bool = False) -> Iterator[Tell]:
    """A progress bar for a training: loss, mAP50 and the time left, on standard error.

    Without a terminal it writes a line at every tenth of the steps.
    """
    if quiet:
        yield lambda done, total, loss, map50: None
        return
    if not sys.stderr.isatty():
        started = time.monotonic()

        def write(done: int, total: int, loss: float, map50: float | None) -> None:
            if done == total or done * 10 // total > (done - 1) * 10 // total:
                seconds = time.monotonic() - started
                note = _training_note(loss, map50)
                text = f"{description}: {done}/{total}  {note}  {seconds:.1f} s"
                print(text, file=sys.stderr, flush=True)

        yield write
        return
    columns = (
        SpinnerColumn(finished_text="[green]✓"),
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TextColumn("{task.fields[note]}"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(elapsed_when_finished=False),
    )
    with Progress(*columns, console=console(), speed_estimate_period=120) as progress:
        task = progress.add_task(description, total=None, note="")

        def report(done: int, total: int, loss: float, map50: float | None) -> None:
            note = _training_note(loss, map50)
            progress.update(task, completed=done, total=total, note=note)

        yield report


def _training_note(loss: float, map50: float | None) -> str:
    return f"loss {loss:.3f}" + ("" if map50 is None else f"  mAP50 {map50:.3f}")


def _nothing(done: int, total: int) -> None:
    pass
