"""Faults at every system call of a step on a device's store, by ``strace``'s fault injection.

A step runs once to list its calls that touch the store, then once more for each of them: killed as
the call is entered, or told that it failed. Then the store is opened again and looked at.
"""

from __future__ import annotations

import multiprocessing
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

from benchmarks import push_steps
from benchmarks.push_steps import BALLAST, FREE, OFFERED, PERIOD_S
from tartlet_device.serving import Probation, Serving
from tartlet_device.store import Store
from tartlet_shared import bundle as bundles
from tartlet_shared import errors
from tartlet_shared.bundle import Bundle

STEPS = ("receive", "activate", "start", "confirm", "leave", "roll_back")
_CALL = re.compile(r"^(?:\d+ +)?(\w+)\((.*)")
_WRITING = frozenset(
    (
        *("write", "pwrite64", "fsync", "fdatasync", "ftruncate", "mkdir", "mkdirat", "rmdir"),
        *("rename", "renameat", "renameat2", "link", "linkat", "unlink", "unlinkat"),
        *("chmod", "fchmod", "fchmodat"),
    )
)
_PATIENCE_S = 120.0
_ATTACHED = b" attached\n"
_FAILED = 3  # how a step ends that says what went wrong
# A fork of whoever measures would take along the threads of the libraries that it has loaded.
_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload([__name__])


@dataclass(frozen=True)
class Point:
    """A system call of a step: the ``number``-th of its name in the process, from 1."""

    name: str
    number: int
    writes: bool


@dataclass(frozen=True)
class Done:
    """How a step ended: its exit code, negative for a signal, and what it said."""

    code: int | None
    output: bytes


@dataclass(frozen=True)
class Case:
    """A store just before a step.

    Attributes:
        folder: has the store and the bundle that is pushed.
        step: what is to be done.
        old, new: the bundle that serves, and the one that is pushed.
        before, after: the record, before the step and after it.
    """

    folder: Path
    step: str
    old: Bundle
    new: Bundle
    before: Serving
    after: Serving

    @property
    def store(self) -> Path:
        """The device's folder for models."""
        return self.folder / "store"


def prepare(folder: Path, step: str, old: Bundle, new: Bundle) -> Case:
    """A store in which the next thing to happen is this step.

    Args:
        folder: missing; everything is put there.
        step: one of `STEPS`.
        old: stored, and confirmed.
        new: to be received; for later steps stored and active.
    """
    folder.mkdir()
    shutil.copytree(new.folder, folder / OFFERED)
    store = Store(folder / "store")
    _push(store, old)
    before = store.activate(old.digest)
    if step == "receive":
        return Case(folder, step, old, new, before, before)
    _push(store, new)
    probation = Probation(period_s=PERIOD_S)
    if step != "activate":
        before = store.activate(new.digest, probation)
    after = {
        "activate": lambda: before.activated(new.digest, probation),
        "start": before.started,
        "confirm": lambda: before.confirmed(new.digest),
        "leave": lambda: before.left(new.digest, "it was not healthy"),
        "roll_back": before.rolled_back,
    }[step]()
    return Case(folder, step, old, new, before, after)


def may_trace() -> bool:
    """Whether ``strace`` is installed, and may attach to processes."""
    program = shutil.which("strace")
    if program is None:
        return False
    with subprocess.Popen(["sleep", "60"]) as other:
        words = [program, "-o", os.devnull, "-p", str(other.pid)]
        with subprocess.Popen(words, stderr=subprocess.PIPE) as tracer:
            assert tracer.stderr is not None
            attached = tracer.stderr.readline().endswith(_ATTACHED)
            other.kill()
    return attached


def points(case: Case, scratch: Path) -> list[Point]:
    """Every system call of a step that touches the store."""
    copy = _copied(case, scratch)
    log = scratch / "calls"
    _run(copy, ["-y", "-o", str(log)])
    counts: Counter[str] = Counter()
    found = []
    for line in log.read_text(errors="replace").splitlines():
        match = _CALL.match(line)
        if match is None:
            continue
        name, rest = match.groups()
        counts[name] += 1
        if str(copy.store) in rest:
            writes = name in _WRITING or (name == "openat" and "O_CREAT" in rest)
            found.append(Point(name, counts[name], writes))
    return found


def killed(case: Case, point: Point, scratch: Path) -> list[str]:
    """Kill the step as it enters a call; returns what is wrong with the store then."""
    copy = _copied(case, scratch)
    done = _run(copy, _injecting(point, "signal=KILL"))
    if done.code != -signal.SIGKILL:
        return [f"{point}: it was not killed but ended with {done.code}: {done.output!r}"]
    return [f"{point}: {each}" for each in examine(copy, done=b"done" in done.output)]


def failing(case: Case, point: Point, error: str, scratch: Path) -> list[str]:
    """Let a call fail with an error such as ``ENOSPC``; returns what is wrong then."""
    copy = _copied(case, scratch)
    done = _run(copy, _injecting(point, f"error={error}"))
    return [f"{point} {error}: {each}" for each in _failed(copy, done)]


def short_write(case: Case, most: int, scratch: Path) -> list[str]:
    """Let no file grow beyond ``most`` bytes, so that writes are cut; returns what is wrong."""
    copy = _copied(case, scratch)
    done = _run(copy, None, most)
    return [f"files of {most} bytes: {each}" for each in _failed(copy, done)]


def full_disk(case: Case, free: int, disk: Path) -> tuple[bool, list[str]]:
    """Do the step on a disk that fills up before its last part.

    Args:
        case: to be copied there.
        free: bytes that are left.
        disk: a small one, empty.

    Returns:
        Whether the step went through all the same, and what is wrong once there is room again.
    """
    copy = _copied(case, disk)
    (copy.folder / FREE).write_text(str(free))
    done = _run(copy, None)
    for name in (FREE, BALLAST):
        (copy.folder / name).unlink()
    return done.code == 0, _failed(copy, done)


def examine(case: Case, *, done: bool) -> list[str]:
    """What is wrong with a store after a step that may have been cut short.

    Args:
        case: with the folder to look at.
        done: whether the step said that it was.
    """
    try:
        store = Store(case.store)
        serving = store.serving()
        wrong = []
        if serving not in ((case.after,) if done else (case.before, case.after)):
            wrong.append(f"the record is {serving}")
        for digest in filter(None, (serving.current, serving.previous)):
            store.open(digest)
        if serving.current is None:
            wrong.append("nothing serves")
        known = (case.old.digest, case.new.digest)
        kept = [each.name for each in (case.store / "bundles").iterdir()]
        wrong += [f"{name} was left behind" for name in kept if name not in known]
        for folder in (case.store / "bundles").iterdir():
            bundles.open_bundle(folder, expected_digest=folder.name)
        _again(store, case, serving)
        if store.serving() != case.after:
            wrong.append(f"done again, the record is {store.serving()}")
        store.open(case.new.digest)
    except (errors.TartletError, OSError) as error:
        return [f"{type(error).__name__}: {error}"]
    return wrong


def _again(store: Store, case: Case, serving: Serving) -> None:
    """Every step can be done again: what is done already changes nothing."""
    if case.step == "receive":
        _push(store, case.new)
    elif case.step == "activate":
        store.activate(case.new.digest, Probation(period_s=PERIOD_S))
    elif case.step == "confirm":
        store.confirm(case.new.digest)
    elif case.step == "leave":
        store.leave(case.new.digest, "it was not healthy")
    elif serving == case.before:  # counting and swapping are no such steps
        (store.count_start if case.step == "start" else store.roll_back)()


def _failed(case: Case, done: Done) -> list[str]:
    if done.code not in (0, _FAILED):
        return [f"it ended with {done.code}: {done.output[-300:]!r}"]
    return examine(case, done=done.code == 0)


def _injecting(point: Point, what: str) -> list[str]:
    inject = f"inject={point.name}:{what}:when={point.number}"
    return ["-e", f"trace={point.name}", "-e", inject, "-o", os.devnull]


def _run(case: Case, strace: Sequence[str] | None, largest: int | None = None) -> Done:
    """The step in a process of its own, forked from one that has loaded all it needs.

    Args:
        case: with the store.
        strace: its options, or None to run without.
        largest: bytes that no file grows beyond.
    """
    going, go = _FORKS.Pipe(duplex=False)
    said, saying = _FORKS.Pipe(duplex=False)
    child = _FORKS.Process(
        target=_step, args=(case.store, case.step, case.new.digest, largest, going, saying)
    )
    child.start()
    going.close()
    saying.close()
    said.recv_bytes()
    tracer = None
    if strace is not None:
        words = ["strace", "-p", str(child.pid), *strace]
        tracer = subprocess.Popen(words, stderr=subprocess.PIPE)
        assert tracer.stderr is not None
        # It says so when every call from now on is seen.
        if not tracer.stderr.readline().endswith(_ATTACHED):
            raise RuntimeError("strace does not attach; is it allowed to?")
    go.send_bytes(b"g")
    with said, open(said.fileno(), "rb", closefd=False) as stream:
        output = stream.read()
    child.join(_PATIENCE_S)
    if tracer is not None:
        tracer.communicate(timeout=_PATIENCE_S)
    go.close()
    return Done(child.exitcode, output)


def _step(
    store: Path,
    step: str,
    digest: str,
    largest: int | None,
    going: Connection,
    saying: Connection,
) -> None:
    for descriptor in (1, 2):
        os.dup2(saying.fileno(), descriptor)
    if largest is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (largest, largest))
    saying.send_bytes(b"")
    going.poll(None)  # not by a call that is counted: the tracer comes in the middle of it
    going.recv_bytes()
    sys.exit(push_steps.main(store, step, digest))


def _copied(case: Case, scratch: Path) -> Case:
    """A fresh copy of the store, at the same place each time."""
    folder = scratch / "case"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(case.folder, folder, symlinks=True)
    return Case(folder, case.step, case.old, case.new, case.before, case.after)


def _push(store: Store, bundle: Bundle) -> None:
    _, wanted = store.offer(bundles.read_manifest(bundle.folder))
    for entry in wanted:
        shutil.copy(bundle.folder / entry.name, store.incoming / entry.sha256)
    store.accept(bundle.digest)
