"""A Pi with tartlet on it: a virtual one, or the real one named by ``$TARTLET_PI``."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import pytest

from tests.hardware.real_pi import VARIABLE, RealPi
from tests.system.pi import spots
from tests.system.pi.installed import CACHE, Installed, add, wait_for_daemon
from tests.system.pi.laptop import Laptop
from tests.system.virtual_pi import image, instance, needs
from tests.system.virtual_pi.instance import VirtualPi
from tests.system.virtual_pi.releases import RELEASES
from tests.tiny_model import BundleMaker

SETUP = {
    "trixie": ("--onnx",),
    # Where ai-edge-litert would do as well: somewhere its fallback must be tested.
    "bookworm": ("--runtime", "tflite"),
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    reason = needs.missing()
    for item in items:
        if here not in item.path.parents:
            continue
        item.add_marker(pytest.mark.system)
        if os.environ.get(VARIABLE):
            if item.get_closest_marker("virtual"):
                item.add_marker(pytest.mark.skip(reason="needs a virtual Pi"))
        elif reason:
            item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(autouse=True)
def _kept_wheels(_own_home: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was fetched once serves every test, though each has a home of its own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(CACHE.parents[1]))


@pytest.fixture(scope="session")
def instances(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of the instances of this run."""
    return tmp_path_factory.mktemp("pis")


@pytest.fixture(scope="session")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of what the camera sees."""
    folder = tmp_path_factory.mktemp("scene")
    assert cv2.imwrite(str(folder / "spots.jpg"), spots.picture())
    return folder


@pytest.fixture(scope="session")
def installed(
    tmp_path_factory: pytest.TempPathFactory, instances: Path, scene: Path
) -> dict[str, Installed]:
    """Filled by `install`, one for each release that tests ask for."""
    return {}


@pytest.fixture(scope="session")
def install(
    tmp_path_factory: pytest.TempPathFactory,
    instances: Path,
    scene: Path,
    installed: dict[str, Installed],
) -> Callable[[str], Installed]:
    """Installs tartlet on a fresh virtual Pi as a user does, once for each release."""

    def from_zero(name: str) -> Installed:
        if name not in installed:
            release = RELEASES[name]
            seen = scene if release.picamera2 else None
            root = image.ensure_all(RELEASES.values(), CACHE)[name]
            pi = instance.start(f"setup-{name}", [root], instances, scene=seen)
            laptop = Laptop(tmp_path_factory.mktemp("laptop"))
            add(laptop, pi.device)
            began = time.monotonic()
            done = laptop.run("device", "setup", pi.name, *SETUP[name])
            seconds = time.monotonic() - began
            assert done.returncode == 0, done.stdout + done.stderr
            layers = instance.freeze(pi, instances / f"layer-{name}")
            installed[name] = Installed(layers, seen, seconds)
        return installed[name]

    return from_zero


@pytest.fixture(scope="module")
def pi(install: Callable[[str], Installed], instances: Path) -> Iterator[VirtualPi | RealPi]:
    """A Pi with tartlet and a camera, for all tests of a module."""
    address = os.environ.get(VARIABLE)
    if address:
        yield RealPi.at(address)
        return
    ready = install("trixie")
    with instance.running("trixie", ready.layers, instances, scene=ready.scene) as virtual:
        wait_for_daemon(virtual)
        yield virtual


@pytest.fixture
def laptop(pi: VirtualPi | RealPi, tmp_path: Path) -> Laptop:
    """A laptop that knows `pi` and nothing else."""
    mine = Laptop(tmp_path / "laptop")
    add(mine, pi.device)
    return mine


@pytest.fixture
def make_bundle(tmp_path: Path) -> BundleMaker:
    """Makes small bundles."""
    folder = tmp_path / "bundles"
    folder.mkdir()
    return BundleMaker(folder)
