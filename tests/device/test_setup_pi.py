"""What setup_pi.sh decides, and that a dry run changes nothing. Installing is tried on a system."""

from __future__ import annotations

import subprocess
import tomllib
import zipfile
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
    ("architecture", "options", "asked"),
    [
        ("arm64", [], "litert,mqtt,metrics,opencv"),
        ("arm64", ["--onnx"], "litert,mqtt,metrics,opencv,onnx"),
        # OpenCV comes from Debian; the runtime is this machine's.
        ("armhf", [], "litert,mqtt,metrics"),
    ],
)
def test_what_is_asked_for_follows_the_architecture(architecture, options, asked):
    shown = dry_run(*options, architecture=architecture)
    assert f"/device\\[{asked.replace(',', chr(92) + ',')}\\]" in shown
    assert ("python3-opencv" in shown) == (architecture == "armhf")
    extras = tomllib.loads((ROOT / "device" / "pyproject.toml").read_text())["project"]
    for extra in asked.split(","):
        assert extra in extras["optional-dependencies"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--frobnicate"], "--frobnicate"),
        (["--wheels"], "needs a folder"),
        (["--wheels", "/nowhere"], "tartlet_shared"),
        (["--offline"], "--wheels"),
        (["--keep-models"], "--uninstall"),
        (["--runtime", "torch"], "torch"),
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
    for word in ("--wheels", "--uninstall", "Bookworm", "No port is opened"):
        assert word in done.stdout


def dry_run(*arguments: str, architecture: str = "arm64") -> str:
    # The system is stood in for; everything with an effect must go through `run`.
    done = shell(
        "look_at_system() { distribution=debian codename=bookworm minor=11 free_mb=9000 "
        f"architecture={architecture}; }}; refusal() {{ :; }}; "
        "in_archive() { true; }; is_installed() { false; }; "
        "ssh_user=''; main --dry-run \"$@\"",
        *arguments,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def wheels(tmp_path):
    """Our two wheels, as far as setup_pi.sh reads them before pip does: importable archives."""
    for name in ("shared", "device"):
        target = tmp_path / f"tartlet_{name}-0.1.0-py3-none-any.whl"
        with zipfile.ZipFile(target, "w") as archive:
            for path in (ROOT / name / f"tartlet_{name}").rglob("*.py"):
                archive.write(path, path.relative_to(ROOT / name))
    return tmp_path


def test_a_dry_run_shows_every_step(wheels):
    shown = dry_run("--wheels", str(wheels), "--offline", "--runtime", "litert")
    for step in (
        "-m venv --system-site-packages --without-pip /opt/tartlet-",
        "--constraint",
        f"--find-links {wheels} --no-index",
        "usermod --append --groups video tartlet",
        "-m 2770 /var/lib/tartlet/incoming",
        "systemctl enable --quiet tartlet",
    ):
        assert step in shown, step


def test_without_wheels_it_installs_the_copy_it_lies_in():
    shown = dry_run()
    assert f"{ROOT}/shared {ROOT}/device" in shown
    assert "--no-index" not in shown


def test_the_script_alone_says_what_is_missing(tmp_path):
    alone = tmp_path / "setup_pi.sh"
    alone.write_bytes(SCRIPT.read_bytes())
    done = subprocess.run(
        ["bash", "-c", f'source "{alone}"; script="{alone}" wheels=; find_source'],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "copy the whole repository" in done.stderr


def test_two_wheels_of_one_distribution_are_refused(wheels):
    (wheels / "tartlet_device-0.2.0-py3-none-any.whl").touch()
    done = subprocess.run(
        ["bash", SCRIPT, "--wheels", wheels], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "2 files tartlet_device-*.whl" in done.stderr


def test_uninstalling_removes_models_unless_told_otherwise():
    everything = dry_run("--uninstall")
    for removed in ("/opt/tartlet", "/var/lib/tartlet /etc/tartlet", "/usr/local/bin"):
        assert removed in everything
    kept = dry_run("--uninstall", "--keep-models")
    assert "rm -rf /var/lib/tartlet" not in kept
    assert "userdel" not in kept
    assert "to remove them too" in kept


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


def test_the_network_is_given_and_taken(tmp_path):
    place = tmp_path / "tartlet.service.d" / "50-network.conf"
    parts = (
        'dry_run=no; changes=(); systemctl() { echo "systemctl $*"; }; WORK=$1 PENDING=$1/pending'
    )
    given = shell(f"{parts} NETWORK=$2; network=yes; set_network; set_network", tmp_path, place)
    assert given.returncode == 0, given.stderr
    assert given.stdout.count("daemon-reload") == 1
    assert "PrivateNetwork=no" in place.read_text()
    taken = shell(f"{parts} NETWORK=$2; network=no; set_network; set_network", tmp_path, place)
    assert taken.returncode == 0, taken.stderr
    assert taken.stdout.count("daemon-reload") == 1
    assert not place.exists()
    left = shell(f"{parts} NETWORK=$2; network=; set_network", tmp_path, place)
    assert (left.returncode, left.stdout) == (0, "")
