"""A Pi sees what the laptop sees: both runtimes, both Pythons, both instruction sets."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tartlet_shared.bundle import Bundle
from tests.system.pi import parity, zoo
from tests.system.pi.installed import CACHE, Installed, add, wait_for_daemon
from tests.system.pi.laptop import Laptop
from tests.system.virtual_pi import instance
from tests.system.virtual_pi.instance import VirtualPi

pytestmark = pytest.mark.virtual

WORLDS = [
    # release, processor (a Pi 4 has no dot product, a Pi 5 has), its TFLite runtime
    pytest.param(("trixie", "cortex-a72", "ai-edge-litert"), id="trixie-a72"),
    pytest.param(("trixie", "cortex-a76", "ai-edge-litert"), id="trixie-a76"),
    pytest.param(("bookworm", "cortex-a72", "tflite-runtime"), id="bookworm-a72"),
]


@pytest.fixture(scope="module")
def trained() -> dict[str, Bundle]:
    """The zoo's model for both runtimes."""
    return zoo.bundles(CACHE.parent / "zoo")


@pytest.fixture(scope="module", params=WORLDS)
def world(
    request: pytest.FixtureRequest, install: Callable[[str], Installed], instances: Path
) -> Iterator[tuple[VirtualPi, str]]:
    """A Pi, and the TFLite runtime that it must have."""
    release, cpu, library = request.param
    ready = install(release)
    name = f"{release}-{cpu}"
    with instance.running(name, ready.layers, instances, cpu=cpu, scene=ready.scene) as pi:
        wait_for_daemon(pi)
        yield pi, library


@pytest.mark.parametrize("runtime", zoo.RUNTIMES)
def test_it_sees_what_the_laptop_sees(
    world: tuple[VirtualPi, str], trained: dict[str, Bundle], runtime: str, tmp_path: Path
) -> None:
    pi, library = world
    laptop = Laptop(tmp_path / "laptop")
    add(laptop, pi.device)
    assert library in laptop.ask("status")["runtimes"]["litert"]
    assert laptop.ask("push", trained[runtime].folder)["serves"]

    fallback = library == "tflite-runtime" and runtime == "litert"
    measured = parity.measure(pi, trained[runtime], reference_kernels=fallback)
    print(f"{pi.name}, {runtime}: {measured}")
    assert measured.detections >= 5
    assert measured.unmatched == 0
    assert measured.steps <= 1
    # Where two neighbouring cells have the same score, rounding decides whose box is kept.
    assert measured.close >= (0.8 if fallback else 1)


def test_the_processors_are_two(world: tuple[VirtualPi, str]) -> None:
    pi, _ = world
    has_dot_product = "asimddp" in pi.run("cat /proc/cpuinfo").stdout
    assert has_dot_product == pi.name.endswith("a76")
