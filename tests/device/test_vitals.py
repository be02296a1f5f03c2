from __future__ import annotations

import subprocess
import sys

import pytest

from tartlet_device import machine
from tartlet_device.power import PowerWatch
from tartlet_shared import throttling
from tartlet_shared.messages import Status, StatusRequest
from tartlet_shared.picture_messages import PredictRequest
from tartlet_shared.watch_messages import WatchRequest


def test_every_flag_has_words_of_its_own():
    assert throttling.words(0) == ()
    assert throttling.words(0xF000F) == throttling.WORDS
    assert len(set(throttling.WORDS)) == 8
    assert throttling.now(throttling.WORDS) == throttling.WORDS[:4]


@pytest.mark.parametrize(
    ("flags", "sticky"), [(0, 0), (0x5, 0x50000), (0x10000, 0x10000), (0x20001, 0x30000)]
)
def test_what_lasts_is_remembered(flags, sticky):
    assert throttling.remembered(flags) == sticky


def test_power_is_read_once_a_second_and_remembers_what_was_wrong():
    now, flags, read = [0.0], [0x5], []

    def temperature() -> float:
        read.append(now[0])
        return 50.0

    watch = PowerWatch(flags=lambda: flags[0], temperature_c=temperature, clock_s=lambda: now[0])
    assert throttling.now(watch.now().throttled) == ("under-voltage now", "throttled now")
    flags[0] = 0  # somebody cleared the firmware's own memory
    now[0] = 0.9
    assert "throttled now" in watch.now().throttled
    now[0] = 1.0
    assert watch.now().throttled == ("under-voltage has occurred", "throttling has occurred")
    assert read == [0.0, 1.0]


def test_power_is_unknown_on_other_machines():
    watch = PowerWatch(flags=lambda: None, temperature_c=lambda: None)
    assert watch.now().throttled is None
    assert watch.now().temperature_c is None


@pytest.mark.parametrize(("alarm", "words"), [("0\n", ()), ("1\n", ("under-voltage now",))])
def test_without_the_firmware_the_voltage_sensor_is_read(tmp_path, alarm, words):
    for number, name in enumerate(("cpu_thermal", "rpi_volt")):
        sensor = tmp_path / f"sys/class/hwmon/hwmon{number}"
        sensor.mkdir(parents=True)
        (sensor / "name").write_text(f"{name}\n")
        (sensor / "in0_lcrit_alarm").write_text(alarm)
    assert machine.throttled(tmp_path) == words


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("CmaTotal:  65536 kB\nCmaFree:  1024 kB\n", (1024 * 1024, 65536 * 1024)),
        ("CmaTotal:  0 kB\nCmaFree:  0 kB\n", None),
        ("MemTotal:  5 kB\n", None),
    ],
)
def test_contiguous_memory(tmp_path, text, expected):
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/meminfo").write_text(text)
    assert machine.contiguous_memory(tmp_path) == expected


def test_contiguous_memory_is_unknown_without_proc(tmp_path):
    assert machine.contiguous_memory(tmp_path) is None


def test_children_are_found_down_to_the_last():
    code = (
        "import subprocess, sys; "
        "p = subprocess.Popen([sys.executable, '-c', 'input()'], stdin=subprocess.PIPE); "
        "print(p.pid, flush=True); input(); p.stdin.close(); p.wait()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        grandchild = int(child.stdout.readline())
        found = {each.pid: each for each in machine.children()}
        child.communicate("\n")
    assert {child.pid, grandchild} <= found.keys()
    assert found[child.pid].resident_bytes > 1_000_000
    assert found[child.pid].name.startswith("python")
    assert child.pid not in {each.pid for each in machine.children()}


def test_a_system_without_proc_tells_of_no_children(tmp_path):
    assert machine.children(tmp_path) == ()


def test_a_process_with_any_name_is_no_child(tmp_path):
    folder = tmp_path / "proc/12"
    folder.mkdir(parents=True)
    (folder / "stat").write_text("12 (a) 1 (b) S 1 12 12\n")
    assert machine.children(tmp_path) == ()


@pytest.mark.parametrize(
    ("command", "name"),
    [
        ("python3\0-P\0-m\0tartlet_device.camera.process_main\0", "camera"),
        ("/usr/bin/python3\0-m\0tartlet_device.cli\0serve\0", "cli"),
        ("", "slee"),
    ],
)
def test_a_process_is_named_after_what_it_does(tmp_path, command, name):
    (tmp_path / "cmdline").write_text(command)
    (tmp_path / "comm").write_text("slee\n")
    assert machine.process_name(tmp_path) == name


def test_status_has_the_figures_of_all_parts(daemon):
    status = daemon.connect().ask(StatusRequest(request_id=1))
    assert isinstance(status, Status)
    health = status.health
    assert health.resident_bytes == status.resident_bytes > 10_000_000
    assert not health.read_only
    assert health.free_bytes == status.free_bytes > 0
    assert [stage.name for stage in health.stages] == ["watchers"]
    assert health.detection is health.events is None
    assert health.outputs == ()


def test_status_tells_of_the_loop_while_somebody_watches(daemon, make_bundle, push, until):
    daemon.device.model.activate(push(daemon, make_bundle()))
    watching = daemon.connect()
    watching.send(WatchRequest(request_id=1, seconds=60))
    watching.receive()
    asking = daemon.connect()

    def health():
        return asking.ask(StatusRequest(request_id=1)).health

    until(lambda: health().detection.frames >= 3)
    found = health()
    assert 0 < found.detection.inference_p50_ms <= found.detection.inference_p95_ms
    assert found.detection.inference_p50_ms < found.detection.latency_p95_ms
    assert found.camera_frames >= found.detection.frames
    assert [stage.name for stage in found.stages] == ["inference", "tracking", "watchers"]
    assert all(0 <= stage.waiting <= stage.most for stage in found.stages)


def test_a_prediction_says_what_it_was_taken_under(daemon, make_bundle, push):
    daemon.device.model.activate(push(daemon, make_bundle()))
    prediction = daemon.connect().ask(PredictRequest(request_id=1))
    assert prediction.conditions == daemon.device.vitals.power.now()
