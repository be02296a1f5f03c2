"""How fast ours is against YOLO11n and YOLO26n, all int8, same input size, runtime and thread."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import platformdirs

from benchmarks import models
from benchmarks.row import Row
from tartlet_device import runtime as runtimes
from tartlet_host.evaluate import latency
from tartlet_host.recipe import InputRecipe
from tartlet_host.train import checkpoint as checkpoints

ULTRALYTICS = "8.4.190"
RIVALS = ("yolo11n", "yolo26n")
GOAL = 1.5
SUFFIX = {"litert": ".tflite", "onnx": ".onnx"}
_RUNS = 120


def run() -> list[Row]:
    """A row for each runtime and rival; none where they cannot be installed or converted."""
    with models.models() as ours, tempfile.TemporaryDirectory() as work:
        height, width = _same_canvas(ours.checkpoint, Path(work))
        folder = _rivals(height, width)
        if folder is None:
            return []
        rows = []
        for runtime in ("litert", "onnx"):
            paths = {name: folder / f"{name}-int8{SUFFIX[runtime]}" for name in RIVALS}
            paths["pruned"] = Path(work) / f"pruned-int8{SUFFIX[runtime]}"
            times = latency.measure(
                {name: _call(path, runtime) for name, path in paths.items()}, runs=_RUNS
            )
            for rival in RIVALS:
                ratio = times[rival].p50 / times["pruned"].p50
                rows.append(
                    Row(
                        name=f"int8 pruned against {rival} int8, {width}x{height}, {runtime} "
                        f"({ours.origin})",
                        ours=times["pruned"].p50,
                        rival=times[rival].p50,
                        ratio=ratio,
                        goal=GOAL,
                        holds=ratio >= GOAL,
                        unit="ms",
                    )
                )
    return rows


def _same_canvas(checkpoint: Path, folder: Path) -> tuple[int, int]:
    """Convert the pruned network for a canvas that YOLO takes, too: multiples of 32."""
    loaded = checkpoints.load(checkpoint)
    height, width = (-(-side // 32) * 32 for side in msgspec.structs.astuple(loaded.recipe.input))
    recipe = msgspec.structs.replace(loaded.recipe, input=InputRecipe(height, width))
    path = folder / "pruned.safetensors"
    checkpoints.save(
        path, loaded.detector, recipe, metrics={}, pruning_history=loaded.pruning_history
    )
    models.convert(path, folder, int8=True)
    return height, width


def _call(path: Path, runtime: str) -> Callable[[], object]:
    loaded = runtimes.load(path, runtime, threads=1)
    shape, dtype = loaded.input.shape, loaded.input.dtype
    tensor = np.random.default_rng(0).integers(0, 100, shape).astype(dtype)
    return lambda: loaded.invoke(tensor)


def _rivals(height: int, width: int) -> Path | None:
    """Install and convert once; kept in the cache by version and size."""
    cache = platformdirs.user_cache_path("tartlet") / "rivals"
    packages = cache / f"ultralytics-{ULTRALYTICS}"
    if not packages.is_dir():
        print("installing ultralytics (AGPL, for this benchmark only) ...", file=sys.stderr)
        wanted = f"ultralytics=={ULTRALYTICS}"
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target"]
        if subprocess.run([*pip, str(packages), wanted], check=False).returncode:
            print("the rivals cannot be installed here: no figure against YOLO")
            return None
    folder = cache / f"{ULTRALYTICS}-{width}x{height}"
    wanted_files = [
        folder / f"{name}-int8{suffix}" for name in RIVALS for suffix in SUFFIX.values()
    ]
    if not all(path.exists() for path in wanted_files):
        folder.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-W", "ignore", "-m", "benchmarks.yolo_export"]
        arguments = [str(packages), str(folder), str(height), str(width), *RIVALS]
        done = subprocess.run([*command, *arguments], capture_output=True, text=True, check=False)
        if done.returncode:
            print(f"the rivals cannot be converted here: {done.stderr.strip().splitlines()[-1]}")
            return None
    return folder
