"""The virtual Pi itself: several at once, restarted, and gone without a trace."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system.pi.installed import CACHE
from tests.system.virtual_pi import image, instance
from tests.system.virtual_pi.instance import VirtualPi
from tests.system.virtual_pi.process import Process, wait_until
from tests.system.virtual_pi.releases import RELEASES

pytestmark = pytest.mark.virtual

STARTER = """
import sys, time
from pathlib import Path
from tests.system.virtual_pi import instance
instance.start("orphan", [Path(sys.argv[1])], Path(sys.argv[2]))
print("runs", flush=True)
time.sleep(600)
"""


@pytest.fixture(scope="module")
def root() -> Path:
    """The image of the newest release."""
    return image.ensure(RELEASES["trixie"], CACHE)


@pytest.fixture
def bare(root: Path, instances: Path) -> Iterator[VirtualPi]:
    """A Pi as it comes out of the box."""
    with instance.running("bare", [root], instances) as pi:
        yield pi


def test_it_is_a_pi_s_system(bare: VirtualPi) -> None:
    assert bare.run("uname -m").stdout.strip() == "aarch64"
    assert bare.run("systemctl is-system-running --wait").stdout.strip() == "running"
    python = bare.run("python3 -c 'import platform; print(platform.machine())'").stdout
    assert python.strip() == "aarch64"


def test_two_at_once_know_nothing_of_each_other(
    bare: VirtualPi, root: Path, instances: Path
) -> None:
    with instance.running("second", [root], instances) as second:
        bare.run("echo mine > note")
        assert second.run("cat note", check=False).returncode != 0
        assert second.run("hostname").stdout.strip() == "second"
        assert second.host_key != bare.host_key
        assert instance.names(instances) >= ["bare", "second"]
    assert bare.run("cat note").stdout == "mine\n"


def test_a_reboot_and_a_power_cut_keep_what_was_written(bare: VirtualPi) -> None:
    bare.run("echo kept > note; sync")
    boot = bare.run("systemctl show --value -p UserspaceTimestampMonotonic").stdout
    instance.reboot(bare)
    assert bare.run("systemctl show --value -p UserspaceTimestampMonotonic").stdout != boot
    instance.cut_power(bare)
    assert not bare.runs
    instance.power_on(bare)
    assert bare.run("cat note").stdout == "kept\n"


def test_nothing_stays_when_its_starter_is_killed(root: Path, tmp_path: Path) -> None:
    starter = subprocess.Popen(
        [sys.executable, "-c", STARTER, str(root), str(tmp_path)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[3],
    )
    assert starter.stdout is not None
    assert starter.stdout.readline() == "runs\n"
    inside = [Process.of(pid) for pid in processes_below(tmp_path)]
    assert len(inside) >= 2
    starter.kill()
    starter.communicate()
    wait_until(lambda: not any(each.alive() for each in inside), "processes stay")
    assert str(tmp_path) not in Path("/proc/mounts").read_text()
    instance.sweep(tmp_path)
    assert not (tmp_path / "orphan").exists()
    for hierarchy in ("/sys/fs/cgroup", "/sys/fs/cgroup/unified"):
        assert not list(Path(hierarchy).glob("virtual-pi-orphan-*"))


def processes_below(folder: Path) -> list[int]:
    """All processes whose command line names the folder."""
    found = []
    for place in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = place.read_bytes()
        except OSError:
            continue
        if str(folder).encode() in words and b"time.sleep" not in words:
            found.append(int(place.parent.name))
    return found
