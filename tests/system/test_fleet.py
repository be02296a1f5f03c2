"""Real devices, several of them, and the real command."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from tartlet_device.config import ReplaySettings
from tartlet_host.remote import inventory, probe
from tartlet_host.remote.embedded import EmbeddedDevice
from tartlet_shared.bundle import Bundle

pytestmark = pytest.mark.system

NAMES = ("bed1", "bed2", "shed")

KILLED = """
import os, signal, sys
from tartlet_host.cli import main
from tartlet_host.fleet.state import Rollouts
left, save = int(sys.argv[1]), Rollouts.save
def killed(self, rollout):
    global left
    save(self, rollout)
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    left -= 1
Rollouts.save = killed
main(sys.argv[2:])
"""


@pytest.fixture(scope="module")
def fleet(footage: ReplaySettings) -> Iterator[dict[str, EmbeddedDevice]]:
    with contextlib.ExitStack() as stack:
        yield {
            name: stack.enter_context(EmbeddedDevice(footage, name=name, threads=1))
            for name in NAMES
        }


@pytest.fixture
def config(fleet: dict[str, EmbeddedDevice], tmp_path: Path) -> Path:
    """An inventory of all of them, two in the garden."""
    folder = tmp_path / "config"
    garden = {"groups": ("garden",), "tags": ("small",)}
    devices = {
        name: replace(each.device, **garden if name != "shed" else {})
        for name, each in fleet.items()
    }
    inventory.save(folder / "devices.toml", devices)
    return folder


@pytest.fixture
def fresh(tmp_path: Path) -> Callable[[str], Bundle]:
    """A bundle that no device has, nor its largest file."""

    def make(name: str) -> Bundle:
        unique = f"{tmp_path.name}-{name}"
        size = 1000 + zlib.crc32(unique.encode()) % 100_000
        return probe.write_bundle(tmp_path / name, name=unique, filler_bytes=size)

    return make


@dataclass(frozen=True)
class Garden:
    """The devices, and what one does with them."""

    devices: dict[str, EmbeddedDevice]
    config: Path
    fresh: Callable[[str], Bundle]
    _run: Callable[..., tuple[int, str, str]]
    _helpers: Any

    def run(self, *words: object) -> tuple[int, str, str]:
        """Exit code, output and errors of a command."""
        return self._run(self.config, *words)

    def serves(self, bundle: Bundle) -> set[str]:
        """Devices on which it serves."""
        return {
            name
            for name, each in self.devices.items()
            if self._helpers.active_digest(each) == bundle.digest
        }


@pytest.fixture
def garden(
    fleet: dict[str, EmbeddedDevice],
    config: Path,
    fresh: Callable[[str], Bundle],
    run: Callable[..., tuple[int, str, str]],
    helpers: Any,
) -> Garden:
    return Garden(fleet, config, fresh, run, helpers)


def test_a_group_gets_a_bundle_and_the_others_do_not(garden: Garden) -> None:
    bundle = garden.fresh("one")
    words = ("push", bundle.folder, "--group", "garden", "--canary", 1, "--confirm", 1)
    code, out, _ = garden.run(*words, "--dry-run", "--json")
    assert code == 0
    told = json.loads(out)
    assert told["waves"] == [["bed1"], ["bed2"]]
    # Other tests may have sent the other files.
    assert {each["device"]: len(each["uploads"]) > 0 for each in told["devices"]} == {
        "bed1": True,
        "bed2": True,
    }
    assert garden.serves(bundle) == set()
    code, out, err = garden.run(*words)
    assert code == 0
    assert "2 done of 2" in out
    assert err.index("bed1: done") < err.index("bed2: done")
    assert garden.serves(bundle) == {"bed1", "bed2"}
    code, out, _ = garden.run("push", bundle.folder, *NAMES, "--json", "--confirm", 1)
    assert code == 0
    told = json.loads(out)
    assert told["state"] == "ended"
    assert {name: each["changed"] for name, each in told["devices"].items()} == {
        "bed1": False,
        "bed2": False,
        "shed": True,
    }
    assert garden.serves(bundle) == set(NAMES)


def test_a_device_that_is_away_gets_it_later(garden: Garden) -> None:
    bundle = garden.fresh("two")
    garden.devices["bed2"].stop_daemon()
    try:
        code, out, err = garden.run("push", bundle.folder, "--all", "--confirm", 1)
        assert code == 82
        assert "2 done, 1 away of 3" in out
        assert "tartlet rollout resume 1" in err
        code, out, _ = garden.run("fleet", "status", "--json")
        assert code == 82
        told = {each["device"]: each for each in json.loads(out)}
        assert [name for name in NAMES if told[name]["answers"]] == ["bed1", "shed"]
        assert told["bed1"]["model"]["digest"] == bundle.digest
        assert told["bed2"]["problem"]
    finally:
        garden.devices["bed2"].restart_daemon()
    code, out, _ = garden.run("rollout", "resume", "--json")
    assert code == 0
    told = json.loads(out)["devices"]
    assert {name: each["attempts"] for name, each in told.items()} == {
        "bed1": 1,
        "bed2": 2,
        "shed": 1,
    }
    assert garden.serves(bundle) == set(NAMES)
    code, out, _ = garden.run("fleet", "status", "--tag", "small")
    assert code == 0
    assert "2 of 2 answer" in out
    assert garden.run("rollout", "show")[0] == 0


@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGKILL")
def test_a_rollout_killed_at_any_write_of_its_state_is_gone_on_with(garden: Garden) -> None:
    """Seven writes with three devices: the start, and the start and end of each."""
    for index in range(7):
        bundle = garden.fresh(f"killed-{index}")
        words = ["push", str(bundle.folder), *NAMES, "--canary", "1", "--confirm", "1", "--json"]
        done = subprocess.run(
            [sys.executable, "-c", KILLED, str(index), *words],
            env={**os.environ, inventory.CONFIG_DIR_VARIABLE: str(garden.config)},
            capture_output=True,
        )
        assert done.returncode == -9, done.stderr
        _, out, _ = garden.run("rollout", "show", "--json")
        before = json.loads(out)
        assert before["digest"] == bundle.digest
        assert before["state"] == ("ended" if index == 6 else "interrupted")
        had = garden.serves(bundle)
        code, out, err = garden.run("rollout", "resume", "--json")
        assert code == 0, err
        after = json.loads(out)["devices"]
        assert garden.serves(bundle) == set(NAMES)
        for name, each in before["devices"].items():
            assert after[name]["state"] == "done"
            again = after[name]["attempts"] - each["attempts"]
            assert again == (0 if each["state"] == "done" else 1)
            if name in had and each["state"] != "done":  # only asked, given nothing
                assert not after[name]["changed"]
