from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tartlet_host import doctor
from tartlet_host.remote import inventory
from tartlet_shared.fingerprint import fingerprint
from tartlet_shared.messages import ActiveModel, Hello, Status

MODEL = ActiveModel(digest="a" * 64, name="cats", runtime="onnx", labels=("cat",))
HEALTHY = Status(
    request_id=1,
    software="0.1.0",
    machine="Raspberry Pi 5",
    python="3.13",
    model=MODEL,
    previous=None,
    camera="picamera",
    camera_error="",
    runtimes={"litert": "ai-edge-litert 2.3.0"},
    uptime_s=1.0,
    resident_bytes=1,
    free_bytes=10**10,
    temperature_c=50.0,
    throttled=(),
    clock_synchronized=True,
)
GREETING = Hello(protocol=1, fingerprint=fingerprint(), software="0.1.0")


def test_a_healthy_device_has_nothing_to_mend() -> None:
    checks = doctor.status_checks("pi", GREETING, HEALTHY)
    assert {check.state for check in checks} == {"ok"}
    assert {check.subject for check in checks} == {"pi"}


@pytest.mark.parametrize(
    ("change", "name", "state"),
    [
        ({"camera_error": "no camera"}, "camera", "failed"),
        ({"runtimes": {}}, "runtimes", "failed"),
        ({"model": None}, "model", "warning"),
        ({"throttled": ("under-voltage",)}, "power", "warning"),
        ({"temperature_c": 84.0}, "heat", "warning"),
        ({"free_bytes": 10}, "disk", "warning"),
        ({"clock_synchronized": False}, "clock", "warning"),
    ],
)
def test_each_fault_is_found_alone(change: dict[str, Any], name: str, state: str) -> None:
    checks = doctor.status_checks("pi", GREETING, msgspec.structs.replace(HEALTHY, **change))
    assert [(check.name, check.state) for check in checks if check.state != "ok"] == [(name, state)]


def test_other_code_on_the_device_is_found() -> None:
    other = msgspec.structs.replace(GREETING, fingerprint="other")
    checks = doctor.status_checks("pi", other, HEALTHY)
    assert [check.name for check in checks if check.state != "ok"] == ["version"]


@pytest.mark.parametrize(
    ("version", "state"), [((3, 10), "failed"), ((3, 11), "ok"), ((3, 14), "ok")]
)
def test_python_is_checked(version: tuple[int, int], state: str) -> None:
    assert doctor.check_python(version).state == state


@pytest.mark.parametrize(
    ("system", "machine", "says"),
    [("win32", "AMD64", "no TFLite converter"), ("linux", "aarch64", "no TFLite converter")],
)
def test_a_platform_without_converter_is_a_warning(system: str, machine: str, says: str) -> None:
    check = doctor.check_converter(system, machine)
    assert check.state == "warning"
    assert says in check.what


@pytest.mark.parametrize(("needed", "state"), [(True, "failed"), (False, "warning")])
def test_a_library_that_does_not_import_is_found(needed: bool, state: str) -> None:
    check = doctor.check_import("no_such_library_here", needed, "tests")
    assert check.state == state
    assert "no_such_library_here" in check.what


def test_a_library_that_imports_is_well() -> None:
    assert doctor.check_import("json", True, "tests").state == "ok"


def test_a_list_of_devices_that_others_may_change_is_a_warning(tmp_path: Path) -> None:
    path = tmp_path / "devices.toml"
    inventory.save(path, {})
    path.chmod(0o644)
    assert doctor.check_inventory(path).state == "ok"
    path.chmod(0o666)
    assert doctor.check_inventory(path).state == "warning"
    path.write_text("[")
    assert doctor.check_inventory(path).state == "failed"


def test_without_keys_and_agent_the_warning_says_how_to_make_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    check = doctor.check_keys()
    assert check.state == "warning"
    assert "ssh-keygen" in check.hint
    (tmp_path / ".ssh").mkdir()
    (tmp_path / ".ssh" / "id_ed25519.pub").touch()
    assert doctor.check_keys().state == "ok"


def test_a_device_that_is_not_there_is_one_failed_check() -> None:
    key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
    device = inventory.Device(name="pi", address="127.0.0.1", port=1, user="x", host_key=key)
    checks = doctor.examine_device(device, None)
    assert [(check.name, check.state) for check in checks] == [("connection", "failed")]
    assert replace(checks[0], what="", hint="").subject == "pi"
