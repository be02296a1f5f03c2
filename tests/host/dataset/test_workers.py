"""Batches drawn ahead: bounded, the same from any number of processes, and no hang at the end."""

from __future__ import annotations

import dataclasses
import multiprocessing
import os
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import pytest
import torch

from tartlet_host.dataset import workers
from tartlet_host.dataset.ahead import run_ahead
from tartlet_host.dataset.loader import Batch, training_batches
from tartlet_host.dataset.sample import Dataset
from tartlet_host.recipe import AugmentRecipe, InputRecipe, TrainRecipe
from tartlet_shared.errors import DatasetError, PictureUnreadable

CANVAS = InputRecipe(64, 96)
EVERYTHING = AugmentRecipe(
    hue=30.0, blur=0.5, noise=0.5, cutout=0.5, mosaic=0.3, mixup=0.3, cutmix=0.3, paste=2
)
MakeSquares = Callable[..., Dataset]


def run(processes: int, steps: int = 3) -> TrainRecipe:
    return TrainRecipe(steps=steps, batch_size=5, workers=processes, augment=EVERYTHING)


def ahead_is_over() -> bool:
    return "pictures" not in {thread.name for thread in threading.enumerate()}


def test_one_item_waits_and_one_more_is_made() -> None:
    made: list[int] = []
    third = threading.Event()

    def count(left: threading.Event) -> Iterator[int]:
        for number in range(100):
            made.append(number)
            if number == 2:
                third.set()
            yield number

    items = run_ahead(count)
    assert next(items) == 0
    assert third.wait(10)  # one waits (1), one is finished (2), and there it stops
    assert not ahead_is_over()
    items.close()
    assert ahead_is_over()
    assert made == [0, 1, 2]


def test_an_error_comes_back_as_itself_after_what_was_good() -> None:
    def two(left: threading.Event) -> Iterator[int]:
        yield 1
        raise ZeroDivisionError("here")

    items = run_ahead(two)
    assert next(items) == 1
    with pytest.raises(ZeroDivisionError, match="here"):
        next(items)
    assert ahead_is_over()


@pytest.mark.parametrize("processes", [1, 3])
def test_processes_draw_what_a_thread_draws(make_squares: MakeSquares, processes: int) -> None:
    dataset = make_squares(7)

    def pictures(batches: Iterator[Batch]) -> torch.Tensor:
        return torch.stack([batch.pictures for batch in batches])

    here = pictures(training_batches(dataset, CANVAS, run(0)))
    there = pictures(training_batches(dataset, CANVAS, run(processes)))
    assert torch.equal(here, there)
    assert not multiprocessing.active_children()


@pytest.mark.parametrize("processes", [0, 2])
def test_a_damaged_picture_is_named(make_squares: MakeSquares, processes: int) -> None:
    dataset = make_squares(3)
    bad = dataclasses.replace(dataset.samples[1], picture=Path("gone.png"))
    broken = dataclasses.replace(dataset, samples=(dataset.samples[0], bad))
    with pytest.raises(PictureUnreadable, match="cannot read") as caught:
        list(training_batches(broken, CANVAS, run(processes)))
    assert caught.value.where == "gone.png"
    assert caught.value.hint
    assert not multiprocessing.active_children()
    assert ahead_is_over()


def test_a_killed_process_is_an_error_and_no_hang(make_squares: MakeSquares) -> None:
    batches = training_batches(make_squares(3), CANVAS, run(2, steps=1000))
    next(batches)
    first, second = multiprocessing.active_children()
    assert first.pid is not None
    os.kill(first.pid, signal.SIGKILL)
    with pytest.raises(DatasetError, match="exit code -9"):
        list(batches)
    second.join(10)
    assert not second.is_alive()


def test_leaving_early_ends_processes_and_frees_memory(make_squares: MakeSquares) -> None:
    def shared() -> set[Path]:
        return set(workers.SHARED_MEMORY.glob("psm_*"))

    before = shared()
    batches = training_batches(make_squares(3), CANVAS, run(2, steps=1000))
    next(batches)
    assert len(multiprocessing.active_children()) == 2
    if workers.SHARED_MEMORY.is_dir():
        assert shared() - before
    batches.close()
    assert not multiprocessing.active_children()
    assert not shared() - before
    assert ahead_is_over()


def test_too_little_shared_memory_is_said(
    make_squares: MakeSquares, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    usage = dataclasses.make_dataclass("Usage", ["free"])
    monkeypatch.setattr(workers, "SHARED_MEMORY", tmp_path)
    monkeypatch.setattr(workers.shutil, "disk_usage", lambda _: usage(1000))
    with pytest.raises(DatasetError, match="shared memory") as caught:
        next(training_batches(make_squares(1), CANVAS, run(1)))
    assert "train.workers = 0" in caught.value.hint


@pytest.mark.parametrize(
    ("run_settings", "kept", "recent"),
    [
        ({"cache_megabytes": 100}, 100, 0),
        ({"cache_megabytes": 0}, 0, 0),
        ({"cache_megabytes": 100, "echo": 2}, 100 - 9 * 2 * 0.9375, 9 * 2 * 0.9375),
        ({"cache_megabytes": 10, "augment": AugmentRecipe(mixup=0.1)}, 0, 4 * 8 * 0.9375),
        ({"cache_megabytes": 0, "echo": 2, "batch_size": 64}, 0, 64),
        ({"cache_megabytes": 100, "echo": 2, "batch_size": 64}, 0, 100),
    ],
)
def test_all_caches_together_stay_within_the_recipe(
    run_settings: dict[str, Any], kept: float, recent: float
) -> None:
    """In megabytes; a picture of 256x320 is kept as 512x640 pixels."""
    drawing = workers.drawing(InputRecipe(256, 320), TrainRecipe(**run_settings))
    assert (drawing.cache_bytes / 2**20, drawing.recent_bytes / 2**20) == (kept, recent)


@pytest.mark.skipif(os.name == "nt", reason="process groups")
def test_ctrl_c_ends_everything_quietly(tmp_path: Path) -> None:
    """The interrupt goes to the whole group, as from a terminal."""
    path = tmp_path / "0.png"
    cv2.imwrite(str(path), cv2.UMat(64, 96, cv2.CV_8UC3).get())
    script = tmp_path / "train.py"
    script.write_text(
        textwrap.dedent(f"""
        import time
        from pathlib import Path
        import numpy as np
        from tartlet_host.dataset import ahead, workers
        from tartlet_host.dataset.sample import Dataset, Sample
        from tartlet_host.dataset.training_plan import planner
        from tartlet_host.recipe import InputRecipe, TrainRecipe

        if __name__ == "__main__":
            none = np.zeros((0, 4), np.float32), np.zeros(0, np.int64), np.zeros(0, np.bool_)
            dataset = Dataset(("a",), (Sample(Path({str(path)!r}), 96, 64, *none),))
            run = TrainRecipe(steps=10**6, batch_size=2, workers=2)
            plan, settings = planner(dataset, run), workers.drawing(InputRecipe(64, 96), run)
            steps, slots = range(run.steps), range(2)
            for step in ahead.run_ahead(
                lambda left: workers.draw_in_processes(settings, plan, steps, slots, left)
            ):
                print("drawn", flush=True)
                time.sleep(0.01)
        """)
    )
    command = [sys.executable, str(script)]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "drawn\n", process.communicate()
    os.killpg(process.pid, signal.SIGINT)
    _, said = process.communicate(timeout=120)  # ends when the last that could write has ended
    assert process.returncode == -signal.SIGINT
    assert said.count("Traceback") == 1  # the interrupt of the script itself
    assert said.rstrip().endswith("KeyboardInterrupt")
