"""A Pi sees what the laptop sees: both runtimes, both Pythons, both instruction sets."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tartlet_shared.bundle import Bundle
from tests.hardware.real_pi import VARIABLE, RealPi
from tests.system.pi import parity, zoo
from tests.system.pi.installed import CACHE, Installed, add, wait_for_daemon
from tests.system.pi.laptop import Laptop
from tests.system.virtual_pi import instance
from tests.system.virtual_pi.instance import VirtualPi

WORLDS = [
    # release, processor (a Pi 4 has no dot product, a Pi 5 has), its TFLite runtime
    pytest.param(("trixie", "cortex-a72", "ai-edge-litert"), id="trixie-a72"),
    pytest.param(("trixie", "cortex-a76", "ai-edge-litert"), id="trixie-a76"),
    pytest.param(("bookworm", "cortex-a72", "tflite-runtime"), id="bookworm-a72"),
]

# tflite-runtime's own kernels may round a half in another way than the reference's.
STEPS = {"litert": 1, "onnx": 0}


@pytest.fixture(scope="module")
def trained() -> dict[str, Bundle]:
    """The zoo's model for both runtimes."""
    return zoo.bundles(CACHE.parent / "zoo")


@pytest.fixture(scope="module", params=["real"] if os.environ.get(VARIABLE) else WORLDS)
def world(
    request: pytest.FixtureRequest, install: Callable[[str], Installed], instances: Path
) -> Iterator[tuple[VirtualPi | RealPi, str]]:
    """A Pi, and the TFLite runtime that it must have."""
    if request.param == "real":
        yield RealPi.at(os.environ[VARIABLE]), ""
        return
    release, cpu, library = request.param
    ready = install(release)
    name = f"{release}-{cpu}"
    with instance.running(name, ready.layers, instances, cpu=cpu, scene=ready.scene) as pi:
        wait_for_daemon(pi)
        yield pi, library


def test_it_sees_what_the_laptop_sees(
    world: tuple[VirtualPi | RealPi, str], trained: dict[str, Bundle], tmp_path: Path
) -> None:
    pi, expected = world
    laptop = Laptop(tmp_path / "laptop")
    add(laptop, pi.device)
    installed = laptop.ask("status")["runtimes"]
    assert expected in installed["litert"]
    for runtime, library in installed.items():
        assert laptop.ask("push", trained[runtime].folder, "--confirm", 0)["serves"]
        fallback = "tflite-runtime" in library
        measured = parity.measure(pi, trained[runtime], reference_kernels=fallback)
        print(f"{pi.device.name}, {library}: {measured}")
        assert measured.detections >= 5
        assert measured.unmatched == 0
        assert fallback or measured.faint == 0
        assert measured.steps <= STEPS[runtime]
        # Where two neighbouring cells have the same score, rounding decides whose box is kept.
        assert measured.close >= (0.8 if fallback else 1)


@pytest.mark.virtual
def test_the_processors_are_two(world: tuple[VirtualPi, str]) -> None:
    pi, _ = world
    has_dot_product = "asimddp" in pi.run("cat /proc/cpuinfo").stdout
    assert has_dot_product == pi.name.endswith("a76")
