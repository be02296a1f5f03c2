"""A rollout as people see it: a live table on a terminal, a line for each change elsewhere."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from dataclasses import dataclass

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from tartlet_host.fleet.engine import State
from tartlet_host.fleet.state import Rollout, counts
from tartlet_host.progress import console

MOST_ROWS = 40
"""Rows of the live table; a fleet may have more devices than a terminal has lines."""
_STEPS = {
    "connect": "connecting",
    "upload": "sending",
    "store": "checking every hash",
    "activate": "testing on its own runtime",
    "confirm": "on probation",
}
_STYLES = {State.DONE: "green", State.FAILED: "red", State.AWAY: "yellow", State.PUSHING: "bold"}
_FIRST = (State.PUSHING, State.FAILED, State.AWAY, State.PENDING, State.DONE)


@dataclass(frozen=True)
class _Step:
    name: str
    done: int
    total: int


class View:
    """Shows one rollout while it goes on. `step` may be called from any thread."""

    def __init__(self, *, quiet: bool, lines: bool) -> None:
        """
        Args:
            quiet: show nothing.
            lines: write a line for each change, for a log file, instead of a table.
        """
        self._quiet = quiet
        self._lines = lines
        self._steps: dict[str, _Step] = {}
        self._rollout: Rollout | None = None
        self._console = console()

    def step(self, name: str, step: str, done: int, total: int) -> None:
        """A device is at this step, with so much of so much."""
        self._steps[name] = _Step(step, done, total)

    def tell(self, rollout: Rollout, name: str) -> None:
        """A device's state changed."""
        self._rollout = rollout
        progress = rollout.devices[name]
        if self._lines and not self._quiet and progress.state is not State.PUSHING:
            note = describe(rollout, name)
            line = f"{name}: {progress.state}, {note}" if note else f"{name}: {progress.state}"
            self._console.print(line, markup=False, soft_wrap=True)

    def __rich__(self) -> Group:
        """The table as it is now."""
        rollout = self._rollout
        if rollout is None:
            return Group()
        return Group(table(rollout, self._steps, most=MOST_ROWS), summary(rollout))


@contextlib.contextmanager
def watching(*, quiet: bool) -> Iterator[View]:
    """A view for as long as the block lasts, on standard error."""
    lines = not sys.stderr.isatty()
    view = View(quiet=quiet, lines=lines)
    if quiet or lines:
        yield view
        return
    with Live(view, console=console(), refresh_per_second=4):
        yield view


def table(
    rollout: Rollout, steps: dict[str, _Step] | None = None, *, most: int | None = None
) -> Table:
    """Devices with wave, state and a note; those that need looking at first, ``most`` of them."""
    shown = Table(box=None, pad_edge=False)
    for heading in ("wave", "device", "state", ""):
        shown.add_column(heading, no_wrap=heading != "")
    rows = [(number, name) for number, wave in enumerate(rollout.waves, 1) for name in wave]
    if most is not None and len(rows) > most:
        rows.sort(key=lambda row: _FIRST.index(rollout.devices[row[1]].state))
    for number, name in rows[:most]:
        state = rollout.devices[name].state
        step = (steps or {}).get(name) if state is State.PUSHING else None
        note = _step_words(step) if step is not None else describe(rollout, name)
        shown.add_row(str(number), name, Text(state, style=_STYLES.get(state, "dim")), Text(note))
    if most is not None and len(rows) > most:
        shown.add_row("", f"and {len(rows) - most} more", "", "")
    return shown


def summary(rollout: Rollout) -> str:
    """``rollout 3: 5 done, 1 away of 6``."""
    found = ", ".join(f"{number} {state}" for state, number in counts(rollout).items())
    return f"rollout {rollout.number}: {found} of {len(rollout.devices)}"


def describe(rollout: Rollout, name: str) -> str:
    """What is to be said of a device, in a line."""
    progress = rollout.devices[name]
    if progress.problem is not None:
        return progress.problem.what.partition("\n")[0]
    if progress.state is State.DONE:
        return f"{progress.seconds:.1f} s" if progress.changed else "had it already"
    return ""


def print_table(rollout: Rollout) -> None:
    """The whole table on standard output."""
    Console(highlight=False).print(table(rollout), summary(rollout), sep="\n")


def _step_words(step: _Step) -> str:
    words = _STEPS.get(step.name, step.name)
    return f"{words} {100 * step.done // step.total} %" if step.total else words
