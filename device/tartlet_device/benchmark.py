"""Timing several models in turns, each in a process of its own.

A machine gets slower and faster from one second to the next: it warms up, others use it. Models
that take turns see the same weather, so their ratio holds where their times do not. A process each
tells their memory apart, and a model that crashes takes nothing along.
"""

from __future__ import annotations

import contextlib
import queue
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import IO, Self

import msgspec
import numpy as np

from tartlet_device import child, machine
from tartlet_device.benchmark_child import BLOCK, Answer
from tartlet_shared import errors, messages
from tartlet_shared.benchmark_messages import Conditions

TIMEOUT_S = 240.0
"""For loading a model, or for a block of inferences, on the slowest board."""


@dataclass(frozen=True)
class Timing:
    """What was measured of one model.

    Attributes:
        version: of the library that runs it.
        p50_ms, p95_ms: median and 95th percentile of one inference; None if it was not timed.
        runs: inferences that count.
        peak_bytes: the most memory that its process had, the library's included.
        failure: why it could not be timed; None if it could.
    """

    version: str = ""
    p50_ms: float | None = None
    p95_ms: float | None = None
    runs: int = 0
    peak_bytes: int = 0
    failure: errors.TartletError | None = None


@dataclass
class Weather:
    """Heat and power while models are timed; None where the system does not tell.

    Attributes:
        temperature_c: at the first look.
        highest_c: at most.
        throttled: every state of power and heat that was seen, in words.
        load: what others gave each processor core to do at the first look, 1 for all its time.
    """

    temperature_c: float | None = None
    highest_c: float | None = None
    throttled: tuple[str, ...] | None = None
    load: float | None = None

    def look(self) -> None:
        """Take note of how it is now."""
        if self.load is None:
            self.load = machine.load()
        now = machine.temperature_c()
        if now is not None:
            self.temperature_c = now if self.temperature_c is None else self.temperature_c
            self.highest_c = now if self.highest_c is None else max(now, self.highest_c)
        flags = machine.throttled()
        if flags is not None:
            self.throttled = tuple(dict.fromkeys((*(self.throttled or ()), *flags)))

    def conditions(self, threads: int | None) -> Conditions:
        """What it was like, with so many threads for inference."""
        return Conditions(
            machine=machine.description(),
            threads=threads,
            temperature_c=self.temperature_c,
            highest_c=self.highest_c,
            throttled=self.throttled,
            load=self.load,
        )


def rounds(runs: int) -> int:
    """Rounds that give at least so many counted inferences of each model."""
    return -(-runs // (BLOCK - 1))


def command(model: str, runtime: str, threads: int | None) -> tuple[str, ...]:
    """The child process for a model file."""
    threading_options = () if threads is None else ("--threads", str(threads))
    # -P: a module beside the working directory must not shadow an installed one.
    module = ("-P", "-m", "tartlet_device.benchmark_child")
    return (sys.executable, *module, model, runtime, *threading_options)


class Turns:
    """Models that are timed in turns, from the start of their processes to their end.

    ::

        with Turns({"one": command(...), "other": command(...)}) as turns:
            for _ in range(rounds(60)):
                turns.take()
            timings = turns.timings()

    Args:
        commands: name -> child process.
        timeout_s: for each answer of a child.
    """

    def __init__(
        self, commands: Mapping[str, Sequence[str]], *, timeout_s: float = TIMEOUT_S
    ) -> None:
        self._commands = commands
        self._timeout_s = timeout_s
        self._children: dict[str, _Child] = {}
        self._answers: dict[str, list[Answer]] = {}
        self._failures: dict[str, errors.TartletError] = {}
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Self:
        """Start the children one after the other; one that cannot start is a failed timing."""
        with contextlib.ExitStack() as stack:
            for name, words in self._commands.items():
                started = stack.enter_context(_Child(words, name, self._timeout_s))
                try:
                    self._answers[name] = [started.read()]
                    self._children[name] = started
                except errors.TartletError as error:
                    self._failures[name] = error
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End all children."""
        self._stack.close()

    def take(self) -> None:
        """One round: a block of inferences of each model."""
        for name, started in list(self._children.items()):
            try:
                self._answers[name].append(started.block())
            except errors.TartletError as error:
                self._failures[name] = error
                del self._children[name]

    def timings(self) -> dict[str, Timing]:
        """What was measured so far, in the order of the commands."""
        return {name: self._timing(name) for name in self._commands}

    def _timing(self, name: str) -> Timing:
        if name in self._failures:
            return Timing(failure=self._failures[name])
        answers = self._answers[name]
        times = [each for answer in answers for each in answer.times_ms]
        p50, p95 = np.percentile(times, [50, 95]) if times else (None, None)
        return Timing(
            version=answers[0].version,
            p50_ms=None if p50 is None else float(p50),
            p95_ms=None if p95 is None else float(p95),
            runs=len(times),
            peak_bytes=answers[-1].peak_bytes,
        )


class _Child:
    """A child process and its answers."""

    def __init__(self, words: Sequence[str], where: str, timeout_s: float) -> None:
        self._words = words
        self._where = where
        self._timeout_s = timeout_s

    def __enter__(self) -> Self:
        self._log: IO[bytes] = tempfile.TemporaryFile()
        self._process = subprocess.Popen(
            self._words,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            env=child.environment(),
        )
        self._lines: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        self._reader = threading.Thread(target=self._listen, daemon=True)
        self._reader.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        self._reader.join()
        for pipe in (self._process.stdin, self._process.stdout, self._log):
            if pipe is not None:
                with contextlib.suppress(OSError):  # what was written to a dead child
                    pipe.close()

    def block(self) -> Answer:
        """Ask for a block and wait for it; raises as `read` does."""
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):  # it has died: `read` tells how
            self._process.stdin.write(b"block\n")
            self._process.stdin.flush()
        return self.read()

    def read(self) -> Answer:
        """The next answer.

        Raises:
            TartletError: the child cannot load its model, died, or takes too long.
        """
        try:
            line = self._lines.get(timeout=self._timeout_s)
        except queue.Empty:
            self._process.kill()
            raise errors.DeviceError(
                f"no answer within {self._timeout_s:.0f} s",
                where=self._where,
                hint="try a smaller model, or fewer models at once",
            ) from None
        try:
            answer = msgspec.json.decode(line, type=Answer)
        except msgspec.DecodeError as error:
            raise self._died() from error
        if answer.failure is not None:
            raise messages.to_error(answer.failure)
        return answer

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.put(line)
        self._lines.put(b"")  # no answer any more

    def _died(self) -> errors.TartletError:
        code = self._process.wait()
        if code < 0:
            return child.killed(code, where=self._where)
        self._log.seek(0)
        last = self._log.read().decode(errors="replace").strip().splitlines()[-1:] or ["no output"]
        return errors.DeviceError(
            f"the process that times it ended with code {code}: {last[0]}", where=self._where
        )
