"""A model of people, trained for as long as a test can wait, for both runtimes.

Made by the commands that a user runs; kept outside of the repository by the hash of everything that
it is made from.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from tartlet_host import footage
from tartlet_shared.bundle import Bundle, open_bundle

RECIPE = """
name = "people"
labels = ["person"]
[input] # not a whole part of the footage's 768x576
height = 256
width = 320
[train]
steps = 60 # the network and its int8 conversion are what is compared; its accuracy is not
frozen_stages = 3
[train.augment]
paste = 4
"""
RUNTIMES = ("litert", "onnx")
_ROOT = Path(__file__).parents[3]
_MADE_BY = (
    "host/tartlet_host/dataset",
    "host/tartlet_host/model",
    "host/tartlet_host/quantize",
    "host/tartlet_host/train",
    "host/tartlet_host/golden_pictures.py",
    "host/tartlet_host/package.py",
    "shared/tartlet_shared",
)


def bundles(cache: Path) -> dict[str, Bundle]:
    """By runtime; trained unless they are in ``cache``."""
    kept = cache / _hash()
    if not kept.exists():
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache) as folder:
            _make(Path(folder), footage.fetch(cache))
            (Path(folder) / "bundles").rename(kept)
    return {runtime: open_bundle(kept / runtime) for runtime in RUNTIMES}


def _hash() -> str:
    digest = hashlib.sha256(RECIPE.encode())
    for name in _MADE_BY:
        place = _ROOT / name
        for source in [place] if place.is_file() else sorted(place.rglob("*.py")):
            digest.update(source.name.encode() + b"\0" + source.read_bytes())
    return digest.hexdigest()[:16]


def _make(folder: Path, video: Path) -> None:
    recipe = folder / "recipe.toml"
    recipe.write_text(RECIPE)
    run = _runner(folder)
    run("label", "--from-motion", video, "--frames", "1-300", "--output", "data")
    run("train", "data", "--recipe", recipe, "--output", "made/people.safetensors")
    run("quantize", "made/people.safetensors", "--data", "data")
    (folder / "bundles").mkdir()
    for runtime, suffix in zip(RUNTIMES, ("tflite", "onnx"), strict=True):
        model = f"made/people-int8.{suffix}"
        run("package", model, "--data", "data", "--output", f"bundles/{runtime}")
    shutil.rmtree(folder / "data")


def _runner(folder: Path) -> Callable[..., None]:
    def run(*words: object) -> None:
        subprocess.run(
            [sys.executable, "-m", "tartlet_host.cli", *map(str, words)],
            cwd=folder,
            check=True,
            stdout=subprocess.DEVNULL,
            env={**os.environ, "OMP_WAIT_POLICY": "PASSIVE"},
        )

    return run
