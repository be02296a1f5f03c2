"""What the computer says about itself, read from files like Linux's."""

from __future__ import annotations

from pathlib import Path

import pytest

from tartlet_host import machine
from tartlet_host.machine import Accelerator, Machine

MEMORY = "MemTotal:       16000 kB\nMemFree:  1 kB\nMemAvailable:   8000 kB\n"


@pytest.mark.parametrize(
    ("limit", "used", "expected"),
    [
        (None, None, (16000 * 1024, 8000 * 1024)),
        ("max", "5000", (16000 * 1024, 8000 * 1024)),
        ("4096000", "96000", (4096000, 4000000)),  # a container's
        ("4096000", "5000000", (4096000, 0)),
        ("99999999999", "0", (16000 * 1024, 8000 * 1024)),
    ],
)
def test_memory_is_within_the_containers_limit(
    tmp_path: Path, limit: str | None, used: str | None, expected: tuple[int, int]
) -> None:
    (tmp_path / "meminfo").write_text(MEMORY)
    if limit is not None and used is not None:
        (tmp_path / "memory.max").write_text(limit + "\n")
        (tmp_path / "memory.current").write_text(used + "\n")
    assert machine._memory(tmp_path, tmp_path) == expected


def test_without_the_file_nothing_is_known_to_be_free(tmp_path: Path) -> None:
    assert machine._memory(tmp_path, tmp_path)[1] is None


def test_this_machine_has_a_name_and_cores() -> None:
    here = machine.examine()
    assert here.processor
    assert here.cores >= 1
    assert here.threads >= 1
    assert here.processor in str(here)


def test_training_happens_on_the_accelerator() -> None:
    with_one = Machine("x", 2, 100, 50, (Accelerator("card", 30, 20),), 2, "2")
    assert with_one.training_memory == 20
    assert "card" in str(with_one)
    assert Machine("x", 2, 100, 50, (), 2, "2").training_memory == 50
