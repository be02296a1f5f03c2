"""What setup_pi.sh decides, and that a dry run changes nothing. Installing is tried on a system."""

from __future__ import annotations

import subprocess
import tomllib
from pathlib import Path

import msgspec
import pytest

from tartlet_device.config import DeviceConfig

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "setup_pi.sh"
UNIT = ROOT / "device" / "systemd" / "tartlet.service"


def shell(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-c", f'source "{SCRIPT}"; {code}', "bash", *arguments],
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    ("system", "words"),
    [
        (("debian", "bookworm", "arm64", "11"), ""),
        (("debian", "trixie", "arm64", "13"), ""),
        (("debian", "trixie", "amd64", "13"), ""),
        (("raspbian", "bookworm", "armhf", "11"), ""),
        (("raspbian", "trixie", "armhf", "13"), "64-bit Raspberry Pi OS"),
        (("debian", "bullseye", "arm64", "9"), "bullseye"),
        (("ubuntu", "noble", "arm64", "12"), "ubuntu"),
        (("debian", "trixie", "arm64", "15"), "Python 3.15"),
        (("debian", "trixie", "riscv64", "13"), "riscv64"),
    ],
)
def test_systems_are_refused_with_the_reason(system, words):
    done = shell('unsupported_reason "$@"', *system)
    assert done.returncode == 0
    assert bool(done.stdout.strip()) == bool(words)
    assert words in done.stdout


@pytest.mark.parametrize(
    ("architecture", "onnx", "asked"),
    [
        ("arm64", "no", "tartlet-device[litert]"),
        ("arm64", "yes", "tartlet-device[litert,onnx]"),
        ("armhf", "no", "tartlet-device[tflite]"),
    ],
)
def test_the_runtime_follows_the_architecture(architecture, onnx, asked):
    assert shell('requirement "$@"', architecture, onnx).stdout.strip() == asked
    extras = tomllib.loads((ROOT / "device" / "pyproject.toml").read_text())["project"]
    for extra in asked.partition("[")[2].rstrip("]").split(","):
        assert extra in extras["optional-dependencies"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--frobnicate"], "--frobnicate"),
        (["--wheels"], "needs a folder"),
        (["--wheels", "/nowhere"], "tartlet_shared"),
        (["--offline"], "--wheels"),
        (["--purge"], "--uninstall"),
    ],
)
def test_wrong_options_are_refused(arguments, words):
    done = subprocess.run(["bash", SCRIPT, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert words in done.stderr
    assert done.stdout == ""


def test_help_explains_what_happens():
    done = subprocess.run(["bash", SCRIPT, "--help"], capture_output=True, text=True, check=False)
    assert done.returncode == 0
    for word in ("--wheels", "--uninstall", "Bookworm", "No network port"):
        assert word in done.stdout


def dry_run(*arguments: str) -> str:
    # The system is stood in for; everything with an effect must go through `run`.
    done = shell(
        "check_system() { architecture=arm64 minor=13; }; in_archive() { true; }; "
        "hostname() { echo pi; }; ssh_user=''; main --dry-run \"$@\"",
        *arguments,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_dry_run_shows_every_step(tmp_path):
    for name in ("tartlet_shared", "tartlet_device"):
        (tmp_path / f"{name}-0.1.0-py3-none-any.whl").touch()
    shown = dry_run("--wheels", str(tmp_path), "--offline")
    for step in (
        "-m venv --system-site-packages /opt/tartlet",
        "--constraint",
        f"--find-links {tmp_path} --no-index",
        "usermod --append --groups video tartlet",
        "-m 2770 /var/lib/tartlet/incoming",
        "/opt/tartlet/share/tartlet/tartlet.service /etc/systemd/system/tartlet.service",
        "systemctl restart tartlet",
    ):
        assert step in shown, step


def test_without_wheels_it_builds_them_from_the_copy_it_lies_in():
    shown = dry_run()
    assert f"{ROOT}/shared {ROOT}/device" in shown
    assert "--force-reinstall" in shown


def test_the_script_alone_says_what_is_missing(tmp_path):
    alone = tmp_path / "setup_pi.sh"
    alone.write_bytes(SCRIPT.read_bytes())
    done = subprocess.run(
        ["bash", "-c", f'source "{alone}"; wheels=; work=/nowhere; build_wheels'],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "copy the whole repository" in done.stderr


def test_uninstalling_keeps_models_unless_told_otherwise():
    kept = dry_run("--uninstall")
    assert "rm -rf /opt/tartlet" in kept
    assert "rm -rf /var/lib/tartlet" not in kept
    assert "rm -rf /var/lib/tartlet /etc/tartlet" in dry_run("--uninstall", "--purge")


def test_the_configuration_that_is_written_is_valid():
    written = shell("default_config").stdout
    config = msgspec.toml.decode(written.encode(), type=DeviceConfig)
    assert config.camera.width == 1280


def test_the_unit_fits_the_daemon():
    unit = UNIT.read_text()
    settings = dict(
        line.split("=", 1) for line in unit.splitlines() if "=" in line and line[0] != "#"
    )
    assert settings["ExecStart"] == "/opt/tartlet/bin/tartlet-device serve"
    assert settings["Type"] == "notify"
    assert int(settings["WatchdogSec"]) >= 30
    assert settings["Restart"] == "always"
    # Where the defaults of the configuration point to.
    assert DeviceConfig().socket.startswith(f"/run/{settings['RuntimeDirectory']}/")
    assert f"/var/lib/{settings['StateDirectory']}" == DeviceConfig().store
    assert "AF_NETLINK" in settings["RestrictAddressFamilies"]
