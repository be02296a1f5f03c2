"""Processes that we started: known by number and start time, ended for certain."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO


@dataclass(frozen=True)
class Process:
    """A process that we started; its start time tells it from a later one of the same number."""

    pid: int
    started: int

    @classmethod
    def of(cls, pid: int) -> Process:
        """The process of that number now."""
        return cls(pid, _started(pid))

    def alive(self) -> bool:
        """Whether it still runs."""
        return _started(self.pid) == self.started

    def kill(self) -> None:
        """End it and its children at once, and wait until it is gone."""
        if not self.alive():
            return
        for pid in (child(self.pid), self.pid):
            with contextlib.suppress(ProcessLookupError):
                if pid:
                    os.kill(pid, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(self.pid, 0)
        wait_until(lambda: not self.alive(), f"process {self.pid} does not end")


def spawn(words: Sequence[str], log: IO[bytes]) -> Process:
    """Start a program that outlives the caller's interest in it; what it says goes to ``log``."""
    started = subprocess.Popen(
        words, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
    )
    process = Process.of(started.pid)
    # It is ended by its number later on; else Python warns that nobody waits for it.
    started.returncode = 0
    return process


def child(pid: int) -> int:
    """Its first child process; 0 while there is none."""
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return 0
    return int(children[0]) if children else 0


def _started(pid: int) -> int:
    """When a process started, in the kernel's ticks; -1 if it is gone or a zombie."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return -1
    return -1 if fields[0] in "ZX" else int(fields[19])


def wait_until(condition: Callable[[], bool], what: str, timeout_s: float = 10.0) -> None:
    """Look again and again; ``TimeoutError(what)`` if it does not become true."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(what)
        time.sleep(0.05)
