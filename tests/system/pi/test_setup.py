"""`tartlet device setup` and setup_pi.sh on a virtual Pi: with real apt, pip, systemd and sudo."""

from __future__ import annotations

import re
import shutil
import zipfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from tartlet_host.remote import install as installing
from tartlet_host.remote import session, ssh, wheels
from tartlet_host.remote.facts import read
from tartlet_host.remote.hostkey import HostKey
from tartlet_host.remote.ssh import Connection
from tartlet_host.remote.wheels import Wheels
from tartlet_shared import errors
from tests.system.pi.installed import CACHE, Installed, add, main_process, wait_for_daemon
from tests.system.pi.laptop import Laptop
from tests.system.virtual_pi import image, instance
from tests.system.virtual_pi.instance import VirtualPi
from tests.system.virtual_pi.releases import RELEASES
from tests.tiny_model import BundleMaker

pytestmark = pytest.mark.virtual
ROOT = Path(__file__).parents[3]
OLD, NEW = "0.1.0", "0.2.0"
Install = Callable[[str], Installed]


@pytest.fixture
def pi(install: Install, instances: Path) -> Iterator[VirtualPi]:
    """A Pi of this test's own, with tartlet on it."""
    ready = install("trixie")
    with instance.running("setup-own", ready.layers, instances) as virtual:
        wait_for_daemon(virtual)
        yield virtual


@pytest.fixture
def bare(instances: Path) -> Iterator[VirtualPi]:
    """A Pi as it is delivered."""
    root = image.ensure_all(RELEASES.values(), CACHE)["trixie"]
    with instance.running("setup-bare", [root], instances) as virtual:
        yield virtual


def laptop_for(pi: VirtualPi, folder: Path) -> Laptop:
    mine = Laptop(folder / "laptop")
    add(mine, pi.device)
    return mine


def newer(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout of a later version, from which `tartlet` runs from now on."""
    for name in ("shared", "device", "host"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, folder / name, ignore=ignored)
        for path in (
            folder / name / "pyproject.toml",
            folder / name / f"tartlet_{name}/__init__.py",
        ):
            if name != "host":
                path.write_text(path.read_text().replace(OLD, NEW))
    shutil.copy(ROOT / "setup_pi.sh", folder)
    unit = folder / "device/systemd/tartlet.service"
    unit.write_text(f"# Another one.\n{unit.read_text()}")
    places = ":".join(str(folder / name) for name in ("shared", "device", "host"))
    monkeypatch.setenv("PYTHONPATH", places)
    return folder


def kill_when(laptop: Laptop, pi: VirtualPi, said: str) -> None:
    """Run the setup and kill -9 everything of it on the Pi as soon as it says something."""
    process = laptop.start("device", "setup", pi.name)
    assert process.stderr is not None
    lines = []
    for line in process.stderr:
        lines.append(line)
        if line.startswith(said):
            break
    else:
        pytest.fail(f"it never said {said!r}: {''.join(lines)}")
    pi.run("sudo pkill -9 -f '[s]etup_pi.sh'", check=False)
    process.communicate(timeout=60)
    assert process.returncode != 0


def software(laptop: Laptop) -> str:
    """The version of the daemon that answers."""
    return str(laptop.ask("status")["software"])


def environments(pi: VirtualPi) -> list[str]:
    return pi.run("ls -d /opt/tartlet-*").stdout.split()


def test_a_second_run_changes_nothing(pi: VirtualPi, tmp_path: Path) -> None:
    laptop, process = laptop_for(pi, tmp_path), main_process(pi)
    # Everything in these folders, with the time of its last change.
    listing = "sudo find /opt /etc /usr/local /var/lib/tartlet -xdev -printf '%p %C@ %s %m %u\\n'"
    before = pi.run(f"{listing} | sort").stdout
    options = ("--onnx",)  # as it was installed
    assert laptop.ask("device", "setup", pi.name, *options)["action"] == "unchanged"
    # The script comes to the same end by itself.
    with connected(pi) as connection:
        script = (ROOT / "setup_pi.sh").read_bytes()
        facts = read(connection, script)
        choices = installing.Choices(onnx=True)
        extras = installing.extras(facts, installing.check(facts, choices), choices)
        needed = wheels.prepare(facts, extras, ROOT, wheels.cache_dir(), lambda done, total: None)
        said: list[str] = []
        with installing.uploaded(connection, script, needed, lambda done, total: None) as folder:
            installing.install(
                connection, facts, folder, choices, offline=True, password=None, line=said.append
            )
    assert any(line.startswith("Nothing to do") for line in said), said
    assert pi.run(f"{listing} | sort").stdout == before
    assert main_process(pi) == process
    assert pi.run("ls -d /var/tmp/tartlet-setup.*", check=False).stdout == ""


def test_the_network_is_given_and_taken(pi: VirtualPi, tmp_path: Path) -> None:
    laptop = laptop_for(pi, tmp_path)
    asked = "systemctl show -P PrivateNetwork -P RestrictAddressFamilies tartlet"
    alone = pi.run(asked).stdout
    assert "yes" in alone
    given = laptop.ask("device", "setup", pi.name, "--onnx", "--network")
    assert given["action"] == "installed"
    assert "no\n" in pi.run(asked).stdout
    assert "AF_INET6" in pi.run(asked).stdout
    assert laptop.ask("device", "setup", pi.name, "--onnx")["action"] == "unchanged"
    assert laptop.ask("device", "setup", pi.name, "--onnx", "--no-network")["action"] == "installed"
    assert pi.run(asked).stdout == alone


def test_an_upgrade_goes_on_after_it_was_killed_while_the_old_version_served(
    pi: VirtualPi, make_bundle: BundleMaker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    laptop = laptop_for(pi, tmp_path)
    laptop.ask("push", make_bundle("kept"), "--confirm", 0)
    numpy = pi.run("dpkg-query -W python3-numpy; dpkg -V python3-numpy").stdout
    newer(tmp_path / "newer", monkeypatch)
    kill_when(laptop, pi, "Installing tartlet")
    assert software(laptop) == OLD
    # The new one is in place, and may or may not have been started.
    kill_when(laptop, pi, "Wrote /etc/systemd/system/tartlet.service")
    done = laptop.ask("device", "setup", pi.name)
    assert (done["action"], done["status"]["software"]) == ("installed", NEW)
    assert done["status"]["model"]["name"] == "kept"
    assert len(environments(pi)) == 1
    assert laptop.ask("device", "setup", pi.name)["action"] == "unchanged"
    assert pi.run("dpkg-query -W python3-numpy; dpkg -V python3-numpy").stdout == numpy
    found = pi.run("/opt/tartlet/bin/python -c 'import numpy; print(numpy.__file__)'").stdout
    assert found.startswith("/usr/lib/python3/")


def test_a_version_that_does_not_start_gives_way_to_the_old_one(
    pi: VirtualPi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    laptop, before = laptop_for(pi, tmp_path), environments(pi)
    broken = newer(tmp_path / "broken", monkeypatch) / "device/tartlet_device/cli.py"
    text = broken.read_text()
    call = "daemon.serve(LiveConfig(given.config, settings))"
    assert call in text
    broken.write_text(text.replace(call, "raise SystemExit('broken')"))
    done = laptop.run("device", "setup", pi.name)
    assert done.returncode == errors.DeviceError.exit_code
    assert "the old one serves again" in done.stderr
    assert "broken" in done.stderr  # its log
    assert software(laptop) == OLD
    assert environments(pi) == before


def test_uninstalling_leaves_nothing(pi: VirtualPi, bare: VirtualPi, tmp_path: Path) -> None:
    laptop = laptop_for(pi, tmp_path)
    done = laptop.run("device", "setup", pi.name, "--uninstall", "--keep-models")
    assert done.returncode == 0, done.stderr
    assert pi.run("sudo ls /var/lib/tartlet/incoming /etc/tartlet/device.toml").returncode == 0
    assert laptop.run("status").returncode == errors.DaemonNotRunning.exit_code
    done = laptop.run("device", "setup", pi.name, "--uninstall")
    assert done.returncode == 0, done.stderr
    assert "apt-get remove" in done.stderr or "Debian packages" not in done.stderr
    places = "/etc /opt /usr /var /srv /home /root"
    named = f"sudo find {places} -xdev -name '*tartlet*' 2>/dev/null"
    assert pi.run(named, check=False).stdout == ""
    # But in the copies that Debian keeps of the accounts before: /etc/passwd- and the like.
    assert pi.run("sudo grep -rl --exclude='*-' tartlet /etc", check=False).stdout == ""
    for accounts in ("passwd", "group"):
        listed = [set(each.run(f"getent {accounts}").stdout.split("\n")) for each in (pi, bare)]
        assert listed[0] == listed[1]


@pytest.mark.parametrize(
    ("spoil", "mend", "error", "words"),
    [
        (
            "sudo sed -i s/^ID=debian/ID=ubuntu/ /etc/os-release",
            "sudo sed -i s/^ID=ubuntu/ID=debian/ /etc/os-release",
            errors.DeviceError,
            "this is 'ubuntu'",
        ),
        (
            "sudo mount -t tmpfs -o size=10m tmpfs /opt",
            "sudo umount /opt",
            errors.StorageFull,
            "10 MB are free",
        ),
    ],
)
def test_a_system_that_cannot_be_used_is_refused_with_the_reason(
    bare: VirtualPi,
    tmp_path: Path,
    spoil: str,
    mend: str,
    error: type[errors.TartletError],
    words: str,
) -> None:
    laptop = laptop_for(bare, tmp_path)
    bare.run(spoil)
    try:
        done = laptop.run("device", "setup", bare.name)
    finally:
        bare.run(mend)
    assert done.returncode == error.exit_code, done.stderr
    assert words in done.stderr
    assert bare.run("getent passwd tartlet; ls -d /opt/tartlet*", check=False).stdout == ""


def connected(pi: VirtualPi) -> AbstractContextManager[Connection]:
    """An SSH connection, without a daemon behind it."""
    return ssh.connect(session.target_of(pi.device), HostKey.parse(pi.device.host_key))


def test_sudo_gets_its_password_and_nobody_else_does(bare: VirtualPi) -> None:
    bare.run("echo pi:raspberry | sudo chpasswd; sudo rm /etc/sudoers.d/010_pi-nopasswd")
    script = (ROOT / "setup_pi.sh").read_bytes()
    with connected(bare) as connection:
        facts = read(connection, script)
        assert not facts.sudo
        with pytest.raises(errors.AuthenticationFailed, match="nobody is here"):
            installing.root_password(connection, facts, None)
        with pytest.raises(errors.AuthenticationFailed, match="incorrect"):
            installing.root_password(connection, facts, lambda prompt: "wrong")
        password = installing.root_password(connection, facts, lambda prompt: "raspberry")
        said = uninstall(connection, script, password)
    assert any(line.startswith("tartlet is removed") for line in said), said
    assert not any("raspberry" in line for line in said)


def uninstall(connection: Connection, script: bytes, password: str | None) -> list[str]:
    said: list[str] = []
    facts = read(connection, script)
    with installing.uploaded(
        connection, script, Wheels((), ()), lambda done, total: None
    ) as folder:
        installing.uninstall(
            connection, facts, folder, keep_models=False, password=password, line=said.append
        )
    return said


def test_a_runtime_that_crashes_gives_way_to_the_other(
    install: Install, instances: Path, tmp_path: Path
) -> None:
    ready = install("bookworm")
    with instance.running("setup-old", ready.layers, instances) as pi, connected(pi) as connection:
        script = (ROOT / "setup_pi.sh").read_bytes()
        facts = read(connection, script)
        extras = ["tflite", "mqtt", "metrics", "opencv", "onnx"]
        needed = wheels.prepare(facts, extras, ROOT, wheels.cache_dir(), lambda done, total: None)
        crashing = put_crashing_litert(tmp_path)
        said: list[str] = []
        sent = Wheels(needed.ours, (*needed.libraries, crashing))
        with installing.uploaded(connection, script, sent, lambda done, total: None) as folder:
            installing.install(
                connection,
                facts,
                folder,
                installing.Choices(),
                offline=True,
                password=None,
                line=said.append,
            )
        assert any(re.match("The runtime litert does not load", line) for line in said), said
        contents = pi.run("grep contents= /opt/tartlet/share/tartlet/installed").stdout
        assert "tflite-runtime 2.14.0" in contents
        assert "ai-edge-litert" not in contents
        assert len(environments(pi)) == 1


def put_crashing_litert(folder: Path) -> Path:
    """A wheel whose import ends like one that was built for another processor."""
    path = folder / "ai_edge_litert-9.0-py3-none-any.whl"
    stem = "ai_edge_litert-9.0.dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("ai_edge_litert/__init__.py", "")
        crash = "import os, signal\nos.kill(os.getpid(), signal.SIGILL)\n"
        archive.writestr("ai_edge_litert/interpreter.py", crash)
        archive.writestr(
            f"{stem}/METADATA", "Metadata-Version: 2.1\nName: ai-edge-litert\nVersion: 9.0\n"
        )
        archive.writestr(f"{stem}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        archive.writestr(f"{stem}/RECORD", "")
    return path
