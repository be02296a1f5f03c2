"""The real Pi named by ``$TARTLET_PI``; without it these tests are skipped."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tartlet_host.remote import inventory
from tests.hardware.real_pi import VARIABLE, RealPi
from tests.system.pi.laptop import Laptop


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents and not os.environ.get(VARIABLE):
            item.add_marker(pytest.mark.skip(reason=f"needs a real Pi: {VARIABLE}=pi@host"))


@pytest.fixture(scope="session")
def pi() -> RealPi:
    """The Pi."""
    return RealPi.at(os.environ[VARIABLE])


@pytest.fixture(scope="session")
def laptop(pi: RealPi) -> Laptop:
    """This machine, with the devices that its user added."""
    return Laptop(inventory.default_path().parent)
