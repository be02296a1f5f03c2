from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from tartlet_device.config import DeviceConfig, ReplaySettings, V4l2Settings
from tartlet_device.doctor import board, daemon, disk, examine, unit
from tartlet_shared.health_messages import (
    DetectionStatus,
    DeviceHealth,
    EventsHealth,
    OutputHealth,
)
from tartlet_shared.messages import ActiveModel, Status, StatusRequest
from tartlet_shared.push_messages import ActivateRequest

HEALTHY = DeviceHealth(
    uptime_s=1,
    clock_synchronized=True,
    resident_bytes=1,
    detection=DetectionStatus(
        frames=1, still=0, rate=9.0, latency_p50_ms=None, latency_p95_ms=None
    ),
    events=EventsHealth(),
    outputs=(OutputHealth(name="mqtt", queued=0, delivered=5, connected=True),),
)


@pytest.fixture
def examined(daemon, request):
    """The findings about the daemon of the test, by name."""

    def examined():
        return {check.name: check for check in examine(daemon.device.config)}

    return examined


def test_a_device_that_works_has_no_failed_check(daemon, make_bundle, push, examined):
    daemon.device.model.activate(push(daemon, make_bundle()))
    found = examined()
    assert {check.state for check in found.values()} <= {"ok", "warning"}
    assert found["camera"].what.startswith("replay gave a frame of ")
    assert "finds its" in found["model"].what
    assert "ai-edge-litert" in found["model"].what
    assert found["configuration"].state == found["store"].state == "ok"


def test_the_self_test_of_the_doctor_changes_nothing(daemon, make_bundle, push, examined):
    first = push(daemon, make_bundle())
    second = push(daemon, make_bundle(name="other"))
    client = daemon.connect()
    for digest in (first, second):
        client.ask(ActivateRequest(request_id=1, digest=digest))
    examined()
    status = client.ask(StatusRequest(request_id=1))
    assert (status.model.digest, status.previous) == (second, first)


def test_a_model_that_was_damaged_on_the_disk_is_found(daemon, make_bundle, push, examined):
    digest = push(daemon, make_bundle())
    daemon.device.model.activate(digest)
    for path in (daemon.device.config.store_path / "bundles" / digest).glob("*.tflite"):
        path.chmod(0o644)
        path.write_bytes(b"x")
    assert examined()["model"].state == "failed"


def test_a_camera_that_fails_is_found(daemon, footage, until, examined):
    for photo in footage.iterdir():
        photo.unlink()
    # The one that is open goes on until it is asked and has nothing to give.
    until(lambda: examined()["camera"].state == "failed")


def test_without_a_daemon_the_camera_itself_is_tried(tmp_path, footage):
    config = DeviceConfig(
        socket=str(tmp_path / "none.sock"), camera=ReplaySettings(path=str(footage))
    )
    status, checks = daemon.examine_daemon(config)
    assert status is None
    assert [(check.name, check.state) for check in checks] == [
        ("daemon", "failed"),
        ("camera", "ok"),
    ]


@pytest.mark.parametrize(
    ("change", "name", "state"),
    [
        ({}, None, None),
        (
            {"detection": msgspec.structs.replace(HEALTHY.detection, fault="no model")},
            "detection",
            "failed",
        ),
        ({"events": EventsHealth(faults={"video": "no encoder"})}, "events", "failed"),
        ({"events": EventsHealth(lost=3)}, "events", "warning"),
        ({"outputs_fault": "a secret cannot be read"}, "outputs", "failed"),
        (
            {"outputs": (OutputHealth(name="mqtt", queued=9, delivered=0, connected=False),)},
            "mqtt",
            "warning",
        ),
        (
            {"outputs": (OutputHealth(name="alarm", queued=0, delivered=0, dropped_events=1),)},
            "alarm",
            "warning",
        ),
    ],
)
def test_each_fault_of_the_parts_is_found_alone(change, name, state):
    checks = daemon.check_health(msgspec.structs.replace(HEALTHY, **change))
    found = [check for check in checks if check.state != "ok"]
    assert [(check.name, check.state) for check in found] == ([(name, state)] if name else [])
    assert all(check.hint for check in found)


def status_of(**fields: object) -> Status:
    return Status(
        request_id=1,
        software="0.1.0",
        machine="",
        python="",
        previous=None,
        camera="v4l2",
        runtimes={},
        uptime_s=1,
        resident_bytes=1,
        free_bytes=1,
        temperature_c=None,
        throttled=None,
        clock_synchronized=True,
        **{"model": None, "camera_error": "", **fields},
    )


def test_a_busy_camera_names_who_holds_it(tmp_path):
    device = tmp_path / "video0"
    device.write_bytes(b"")
    config = DeviceConfig(camera=V4l2Settings(device=str(device)))
    code = "import sys; held = open(sys.argv[1]); print(flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", code, str(device)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        other.stdout.readline()
        check = daemon.check_camera(config, status_of(camera_error="it is busy"))
        other.communicate(b"\n")
    assert f"(process {other.pid})" in check.what
    assert str(other.pid) in check.hint


def test_a_configuration_that_is_not_in_use_is_found():
    check = daemon.check_configuration(status_of(config_error="line 3"))
    assert (check.state, "line 3" in check.what) == ("warning", True)


def test_no_model_and_a_broken_one_are_told_apart(tmp_path):
    assert daemon.check_model(tmp_path, status_of()).state == "warning"
    broken = status_of(
        model_error="damaged",
        model=ActiveModel(digest="a" * 64, name="old", runtime="onnx", labels=()),
    )
    assert daemon.check_model(tmp_path, broken).state == "failed"


UP = {
    "LoadState": "loaded",
    "UnitFileState": "enabled",
    "ActiveState": "active",
    "SubState": "running",
    "NRestarts": "0",
    "Result": "success",
}


@pytest.mark.parametrize(
    ("change", "state", "words"),
    [
        ({}, "ok", "running"),
        ({"LoadState": "not-found"}, "warning", "not installed"),
        ({"UnitFileState": "disabled"}, "warning", "does not start with the system"),
        ({"NRestarts": "7"}, "warning", "7 times"),
        ({"ActiveState": "failed", "Result": "watchdog"}, "failed", "watchdog"),
        ({"ActiveState": "inactive"}, "failed", "inactive"),
    ],
)
def test_the_service(change, state, words):
    check = unit.check_unit(UP | change)
    assert check.state == state
    assert words in check.what
    assert bool(check.hint) == (state != "ok")


def test_without_systemd_there_is_no_service_to_check(monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert unit.check_unit(unit.unit_properties()) is None


def disk_tree(root: Path, store: Path, **files: str) -> None:
    device = store.stat().st_dev
    folder = root / "sys/devices/mmc/block/mmcblk0/mmcblk0p2"
    folder.mkdir(parents=True)
    link = root / f"sys/dev/block/{os.major(device)}:{os.minor(device)}"
    link.parent.mkdir(parents=True)
    link.symlink_to(folder)
    places = {
        "errors_count": root / "sys/fs/ext4/mmcblk0p2",
        "lifetime_write_kbytes": root / "sys/fs/ext4/mmcblk0p2",
        "life_time": folder.parent / "device",
    }
    for name, content in files.items():
        places[name].mkdir(parents=True, exist_ok=True)
        (places[name] / name).write_text(content)


@pytest.mark.parametrize(
    ("files", "state", "words"),
    [
        ({"lifetime_write_kbytes": "2000000\n", "errors_count": "0\n"}, "ok", "2 GB written"),
        ({"errors_count": "3\n"}, "failed", "3 errors"),
        ({"life_time": "0x01 0x03\n"}, "ok", "30 %"),
        ({"life_time": "0x01 0x09\n"}, "warning", "90 %"),
        ({"life_time": "0x0B 0x01\n"}, "warning", "100 %"),
    ],
)
def test_wear(tmp_path, files, state, words):
    disk_tree(tmp_path / "root", tmp_path, **files)
    check = disk.check_wear(tmp_path, tmp_path / "root")
    assert check.state == state
    assert words in check.what


def test_wear_is_left_out_where_nothing_is_known(tmp_path):
    assert disk.check_wear(tmp_path, tmp_path) is None
    assert disk.check_wear(tmp_path / "none") is None


def test_a_read_only_disk_fails(monkeypatch, tmp_path):
    assert disk.check_read_only(tmp_path).state == "ok"
    assert disk.check_read_only(tmp_path / "none") is None
    monkeypatch.setattr(disk.files, "is_read_only", lambda _folder: True)
    check = disk.check_read_only(tmp_path)
    assert (check.state, "remount" in check.hint) == ("failed", True)


@pytest.mark.parametrize(
    ("memory", "delivers", "state"),
    [
        (None, False, "ok"),
        ((2_000_000, 64_000_000), True, "ok"),  # the camera has taken it
        ((2_000_000, 64_000_000), False, "warning"),
        ((60_000_000, 64_000_000), False, "ok"),
    ],
)
def test_memory_for_cameras(memory, delivers, state):
    assert board.check_contiguous_memory(memory, delivers=delivers).state == state


def test_what_is_over_is_told_apart_from_what_lasts():
    lasts = board.check_power(("under-voltage now", "under-voltage has occurred"))
    over = board.check_power(("under-voltage has occurred",))
    assert "it is over now" in over.hint
    assert "it is over now" not in lasts.hint
