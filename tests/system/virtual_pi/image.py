"""The image of a virtual Pi: built once, kept by the hash of its recipe."""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import hashlib
import json
import os
import shutil
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.system.virtual_pi import build, emulator
from tests.system.virtual_pi.releases import Release

_UNUSED_S = 14 * 24 * 3600


def default_cache() -> Path:
    """Where images are kept: outside of the repository, and of a test's own home."""
    base = os.environ.get("XDG_CACHE_HOME") or Path(os.environ.get("HOME", "/root")) / ".cache"
    return Path(base) / "tartlet" / "virtual-pi"


def recipe_hash(release: Release) -> str:
    """Changes whenever the image would."""
    digest = hashlib.sha256(json.dumps(dataclasses.asdict(release), sort_keys=True).encode())
    digest.update(Path(build.__file__).read_bytes())
    return digest.hexdigest()[:16]


def place(release: Release, cache: Path) -> Path:
    """Where a release's image is, or will be."""
    return cache / f"{release.name}-{recipe_hash(release)}"


def ensure_all(releases: Iterable[Release], cache: Path) -> dict[str, Path]:
    """The root folders of several releases' images by name, built side by side; see `ensure`."""
    emulator.register(emulator.fetch(cache))
    with ThreadPoolExecutor() as pool:
        pending = {release.name: pool.submit(ensure, release, cache) for release in releases}
        return {name: each.result() for name, each in pending.items()}


def ensure(release: Release, cache: Path) -> Path:
    """The root folder of a release's image, never to be written to; built unless it is there.

    Two processes that want the same image wait for each other. Images of older recipes are removed
    when nobody has used them for two weeks: instances may still run on them.

    Raises:
        subprocess.CalledProcessError: a step of the build failed; what it said is on stderr.
    """
    emulator.register(emulator.fetch(cache))
    root = place(release, cache)
    with _locked(cache / f"{release.name}.lock"):
        if root.exists():
            os.utime(root)
            return root
        building = cache / f"{release.name}-building"
        shutil.rmtree(building, ignore_errors=True)
        build.build(release, building)
        building.rename(root)
        os.utime(root)
        for old in cache.glob(f"{release.name}-*"):
            if time.time() - old.stat().st_mtime > _UNUSED_S:
                shutil.rmtree(old)
    return root


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield
