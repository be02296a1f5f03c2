"""Processes that draw training pictures into memory they share with the training.

Started afresh rather than forked (forking a process with torch's threads in it can hang, and other
systems than Linux do not fork), they import no torch. A picture goes to the process that keeps its
data set's number in memory, so that none is kept twice. The thread that runs `draw_in_processes`
only hands out work and collects it: a process gets its next task when it has answered the last, so
that neither side ever waits for the other to read.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import pickle
import shutil
import signal
import threading
import time
import traceback
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from multiprocessing.shared_memory import SharedMemory
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from tartlet_host.dataset.disk_cache import DiskCache, default_folder
from tartlet_host.dataset.picture_cache import PictureStore, largest_kept
from tartlet_host.dataset.placed_boxes import PlacedBoxes
from tartlet_host.dataset.training_picture import draw
from tartlet_host.dataset.training_plan import Plan, Planner, reads_in_use
from tartlet_host.recipe import AugmentRecipe, InputRecipe, TrainRecipe
from tartlet_shared.errors import DatasetError

Canvases = NDArray[np.uint8]

LEAST_RECENT_BYTES = 64 * 2**20
"""Allowed to pictures that are wanted again in a moment where the cache is smaller than this."""
STEPS_AT_ONCE = 2  # so that no process waits for the slowest one of a step
PAUSE = 0.1  # seconds between two looks at whether the reader has left
SHARED_MEMORY = Path("/dev/shm")
PATIENCE = 2.0  # seconds for a process to end by itself


@dataclass(frozen=True)
class DrawnStep:
    """The pictures of a step.

    Attributes:
        canvases: (B, H, W, 3) RGB uint8.
        boxes: one for each canvas.
    """

    canvases: Canvases
    boxes: list[PlacedBoxes]


@dataclass(frozen=True)
class Drawing:
    """What it takes to draw plans, in any process.

    Attributes:
        canvas: size of the canvas.
        augment: limits of the views.
        cache_bytes: of decoded pictures that stay in memory, of all processes together.
        recent_bytes: of those kept for a moment: echoes, partners of a mix, donors; likewise.
        disk_bytes: of decoded pictures on disk.
        processes: how many share these.
        started: time of the run's start, seconds since the epoch.
    """

    canvas: InputRecipe
    augment: AugmentRecipe
    cache_bytes: int
    recent_bytes: int
    disk_bytes: int
    processes: int
    started: float

    def open_store(self) -> PictureStore:
        """One process's part of the caches."""
        disk = None
        if self.disk_bytes:
            disk = DiskCache(
                default_folder(),
                self.disk_bytes,
                run_started=self.started,
                processes=self.processes,
            )
        return PictureStore(
            self.canvas,
            self.cache_bytes // self.processes,
            recent_bytes=self.recent_bytes // self.processes,
            disk=disk,
        )


def drawing(canvas: InputRecipe, run: TrainRecipe) -> Drawing:
    """The settings of a run."""
    limit = run.cache_megabytes * 2**20
    recent = min(reads_in_use(run) * largest_kept(canvas), max(limit, LEAST_RECENT_BYTES))
    return Drawing(
        canvas,
        run.augment,
        cache_bytes=max(0, limit - recent),
        recent_bytes=recent,
        disk_bytes=run.disk_cache_megabytes * 2**20,
        processes=max(1, run.workers),
        started=time.time(),
    )


def draw_here(settings: Drawing, plan: Planner, steps: range, slots: range) -> Iterator[DrawnStep]:
    """Draw all plans of the given steps and slots in this thread.

    Raises:
        PictureUnreadable: see `read_picture`.
    """
    store = settings.open_store()
    for step in steps:
        drawn = [
            draw(plan(step, slot), store.get, settings.canvas, settings.augment) for slot in slots
        ]
        yield DrawnStep(np.stack([each for each, _ in drawn]), [boxes for _, boxes in drawn])


def draw_in_processes(
    settings: Drawing, plan: Planner, steps: range, slots: range, left: threading.Event
) -> Iterator[DrawnStep]:
    """The same from `settings.processes` processes, which end with the iterator.

    Args:
        left: when set, the iterator ends within a moment.

    Raises:
        PictureUnreadable: see `read_picture`; like any error of a process it comes back as itself.
        DatasetError: a process was ended from outside, or there is too little shared memory.
    """
    shape = (STEPS_AT_ONCE, len(slots), settings.canvas.height, settings.canvas.width, 3)
    with _shared_memory(shape) as memory, _processes(settings, memory.name, shape) as workers:
        waiting = iter(steps)
        open_steps: deque[_OpenStep] = deque()
        while not left.is_set():
            while len(open_steps) < STEPS_AT_ONCE and (step := next(waiting, None)) is not None:
                open_steps.append(_open(step, slots, plan, workers))
            if not open_steps:
                return
            while open_steps[0].missing and not left.is_set():
                _hand_out(workers)
                _collect(workers)
            done = open_steps.popleft()
            if not done.missing:
                boxes = [done.boxes[row] for row in range(len(slots))]
                # A copy, so that the memory can be used, and given back, whoever holds the result.
                yield DrawnStep(_buffers(memory, shape)[done.buffer].copy(), boxes)


def _buffers(memory: SharedMemory, shape: tuple[int, ...]) -> Canvases:
    return np.ndarray(shape, np.uint8, memory.buf)


@dataclass
class _OpenStep:
    """A step that is being drawn: where, its boxes by row of the batch, how many are missing."""

    buffer: int
    missing: int
    boxes: dict[int, PlacedBoxes] = field(default_factory=dict)


_Rows = list[tuple[int, Plan]]


@dataclass
class _Worker:
    """A process, its end of the line, and its tasks: the first is being done if it is busy."""

    process: BaseProcess
    line: Connection
    tasks: deque[tuple[_OpenStep, _Rows]] = field(default_factory=deque)
    busy: bool = False


def _open(step: int, slots: range, plan: Planner, workers: list[_Worker]) -> _OpenStep:
    opened = _OpenStep(step % STEPS_AT_ONCE, len(slots))
    shares: list[_Rows] = [[] for _ in workers]
    for row, slot in enumerate(slots):
        chosen = plan(step, slot)
        shares[chosen.place % len(workers)].append((row, chosen))
    for worker, share in zip(workers, shares, strict=True):
        if share:
            worker.tasks.append((opened, share))
    return opened


def _hand_out(workers: list[_Worker]) -> None:
    for worker in workers:
        if worker.tasks and not worker.busy:
            opened, rows = worker.tasks[0]
            with _loss_explained(worker):
                worker.line.send((opened.buffer, rows))
            worker.busy = True


def _collect(workers: list[_Worker]) -> None:
    answered = wait([worker.line for worker in workers], timeout=PAUSE)
    for worker in workers:
        if worker.line not in answered:
            continue
        with _loss_explained(worker):
            answer = worker.line.recv()
        if isinstance(answer, BaseException):
            raise answer
        opened, _ = worker.tasks.popleft()
        worker.busy = False
        opened.boxes.update(answer)
        opened.missing -= len(answer)


@contextlib.contextmanager
def _loss_explained(worker: _Worker) -> Iterator[None]:
    try:
        yield
    except (EOFError, OSError) as error:
        worker.process.join(PATIENCE)
        raise DatasetError(
            f"a process that prepares pictures ended (exit code {worker.process.exitcode})",
            where="train.workers",
            hint="if memory ran out: fewer train.workers or less train.cache_megabytes",
        ) from error


@contextlib.contextmanager
def _shared_memory(shape: tuple[int, ...]) -> Iterator[SharedMemory]:
    size = int(np.prod(shape))
    if SHARED_MEMORY.is_dir():
        # Linux gives what is not there, and ends the process that writes to it.
        free = shutil.disk_usage(SHARED_MEMORY).free
        if free < size:
            raise DatasetError(
                f"{size / 2**20:.0f} MiB of shared memory are needed, {free / 2**20:.0f} are free",
                where=str(SHARED_MEMORY),
                hint="set train.workers = 0, or give the container more (docker: --shm-size)",
            )
    memory = SharedMemory(create=True, size=size)
    try:
        yield memory
    finally:
        memory.close()
        memory.unlink()


@contextlib.contextmanager
def _processes(settings: Drawing, memory: str, shape: tuple[int, ...]) -> Iterator[list[_Worker]]:
    context = multiprocessing.get_context("spawn")
    workers: list[_Worker] = []
    try:
        with _interrupts_held_back():
            for number in range(settings.processes):
                here, there = context.Pipe()
                process = context.Process(
                    target=_serve,
                    args=(there, settings, memory, shape),
                    name=f"pictures-{number}",
                    daemon=True,
                )
                process.start()
                there.close()  # so that the line ends when the process does
                workers.append(_Worker(process, here))
        yield workers
    finally:
        for worker in workers:
            worker.line.close()  # ends a process that waits for work
        for worker in workers:
            worker.process.join(PATIENCE)
            if worker.process.is_alive():
                worker.process.kill()
                worker.process.join()


@contextlib.contextmanager
def _interrupts_held_back() -> Iterator[None]:
    """Processes started here inherit that Ctrl-C waits; they ignore it, the training answers it."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _serve(line: Connection, settings: Drawing, memory_name: str, shape: tuple[int, ...]) -> None:
    """A process's life: draw what comes along the line until it is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    cv2.setNumThreads(1)
    memory = SharedMemory(memory_name)
    try:
        # The line closes when the training has left.
        with contextlib.suppress(EOFError, BrokenPipeError, ConnectionResetError):
            store: PictureStore | None = None
            while True:
                buffer, rows = line.recv()
                answer: dict[int, PlacedBoxes] | BaseException
                try:
                    store = store or settings.open_store()
                    answer = _draw_rows(rows, settings, store, _buffers(memory, shape)[buffer])
                except Exception as error:  # noqa: BLE001 - raised again in the training
                    answer = _sendable(error)
                line.send(answer)
    finally:
        memory.close()


def _draw_rows(
    rows: _Rows, settings: Drawing, store: PictureStore, canvases: Canvases
) -> dict[int, PlacedBoxes]:
    answer = {}
    for row, plan in rows:
        canvases[row], answer[row] = draw(plan, store.get, settings.canvas, settings.augment)
    return answer


def _sendable(error: Exception) -> Exception:
    """The error itself if it survives the journey, else one that says the same."""
    report = "in a process that prepares pictures:\n" + traceback.format_exc()
    try:
        returned: Exception = pickle.loads(pickle.dumps(error))
    except Exception:  # noqa: BLE001 - whatever its class does when it is copied
        returned = RuntimeError(str(error))
    returned.add_note(report)
    return returned
