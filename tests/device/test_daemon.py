"""The daemon as it runs: a process of its own."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from tartlet_device import daemon as daemons
from tartlet_device import local
from tartlet_device.events.log import EventLog
from tartlet_shared import errors, manifest
from tartlet_shared.event_record import EventQuery
from tartlet_shared.messages import StatusRequest
from tartlet_shared.picture_messages import CaptureRequest, Photo, PredictRequest
from tartlet_shared.push_messages import AcceptRequest, Activated, ActivateRequest, OfferRequest

pytestmark = pytest.mark.system

STATUS = StatusRequest(request_id=1)


class Process:
    """A `tartlet-device serve` with its configuration."""

    def __init__(self, folder: Path, camera: str) -> None:
        self.socket = folder / "d.sock"
        self.store = folder / "store"
        self.config = folder / "device.toml"
        self.config.write_text(
            f'socket = "{self.socket}"\nstore = "{self.store}"\nthreads = 1\n[camera]\n{camera}\n'
        )
        self.process: subprocess.Popen[bytes] | None = None
        self.notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.notify.bind(str(folder / "notify"))
        self.notify.settimeout(30)

    def command(self, *arguments: str) -> list[str]:
        name, *rest = arguments
        return [sys.executable, "-m", "tartlet_device.cli", name, "--config", self.config, *rest]

    def start(self, **environment: str) -> None:
        """Start and wait until it is ready."""
        self.process = subprocess.Popen(
            self.command("serve"),
            stderr=subprocess.PIPE,
            env={**os.environ, "NOTIFY_SOCKET": self.notify.getsockname(), **environment},
        )
        assert self.notify.recv(1000).startswith(b"READY=1")

    def end(self, number: signal.Signals) -> tuple[int, str]:
        self.process.send_signal(number)
        _, log = self.process.communicate(timeout=20)
        code, self.process = self.process.returncode, None
        return code, log.decode()

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(*arguments), capture_output=True, text=True, timeout=60, check=False
        )


@pytest.fixture
def process(socket_folder, footage):
    started = Process(socket_folder, f'kind = "replay"\npath = "{footage}"\nrate = 0')
    yield started
    if started.process is not None:
        started.process.kill()
        started.process.communicate()
    started.notify.close()


def push_and_activate(process: Process, folder: Path) -> str:
    content = (folder / manifest.MANIFEST_NAME).read_bytes()
    wanted = local.ask(process.socket, OfferRequest(request_id=1, manifest=content))
    for entry in wanted.files:
        (Path(wanted.folder) / entry.sha256).write_bytes((folder / entry.name).read_bytes())
    local.ask(process.socket, AcceptRequest(request_id=1, digest=wanted.digest))
    done = local.ask(process.socket, ActivateRequest(request_id=1, digest=wanted.digest))
    assert isinstance(done, Activated)
    return wanted.digest


def test_the_committed_model_serves_after_kill_9(process, make_bundle):
    process.start()
    digest = push_and_activate(process, make_bundle())
    code, _ = process.end(signal.SIGKILL)
    assert code == -signal.SIGKILL
    assert process.socket.exists()  # left behind, to be replaced
    with pytest.raises(errors.DaemonNotRunning):
        local.ask(process.socket, STATUS)
    process.start()
    status = local.ask(process.socket, STATUS)
    assert status.model.digest == digest
    assert isinstance(local.ask(process.socket, CaptureRequest(request_id=1)), Photo)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_cleanly(process, number):
    process.start()
    code, log = process.end(number)
    assert code == 0, log
    assert process.notify.recv(100) == b"STOPPING=1"
    assert not process.socket.exists()
    assert "Traceback" not in log


def test_a_signal_ends_it_cleanly_in_the_middle_of_its_work(process, make_bundle, kit):
    from tartlet_shared import wire

    process.start()
    push_and_activate(process, make_bundle())
    with local.connect(process.socket) as photos, local.connect(process.socket) as predictions:
        photos.sendall(
            wire.encode(kit.hello()) + wire.encode(CaptureRequest(request_id=1, count=100_000))
        )
        predictions.sendall(
            wire.encode(kit.hello()) + wire.encode(PredictRequest(request_id=1)) * 500
        )
        assert photos.recv(10)
        assert predictions.recv(10)
        code, log = process.end(signal.SIGTERM)
    assert code == 0, log
    assert "Traceback" not in log


def until(condition):
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_sighup_reads_the_configuration_again(process, make_bundle):
    process.start()
    push_and_activate(process, make_bundle())
    before = process.config.read_text()
    assert local.ask(process.socket, STATUS).detection is None

    def read(text):
        process.config.write_text(text)
        process.process.send_signal(signal.SIGHUP)

    read(before + "[detection]\nenabled = true\n")
    until(lambda: getattr(local.ask(process.socket, STATUS).detection, "frames", 0) > 5)
    read(before + "[detection]\nenabled = perhaps\n")
    until(lambda: local.ask(process.socket, STATUS).config_error)
    broken = local.ask(process.socket, STATUS)
    assert "line" in broken.config_error
    assert broken.detection is not None  # as before
    read(before.replace("/store", "/store2"))
    until(lambda: "restart" in local.ask(process.socket, STATUS).config_error)
    assert local.ask(process.socket, STATUS).detection is None
    read(before)
    until(lambda: local.ask(process.socket, STATUS).config_error == "")
    code, log = process.end(signal.SIGTERM)
    assert code == 0, log
    assert "Traceback" not in log


RULE = """
[detection]
enabled = true
rate = 20
[[tracking.rules]]
name = "bright spot"
frames = 2
score = 0.3
end_after_s = 0
cooldown_s = 0
"""


def test_what_rules_find_is_kept_and_told(process, make_bundle, socket_folder):
    events, lines = socket_folder / "events", socket_folder / "lines"
    process.start()
    push_and_activate(process, make_bundle())
    before = process.config.read_text()
    process.config.write_text(
        f"{before}{RULE}"
        f'[events]\nenabled = true\nfolder = "{events}"\n[events.video]\nclips = true\n'
        f'[outputs.json_lines]\nwhat = "events"\nfolder = "{lines}"\n'
    )
    process.process.send_signal(signal.SIGHUP)
    until(lambda: list(events.glob("pictures/*.jpg")) and list(lines.glob("*")))
    process.config.write_text(before)  # off again: what goes on is ended and written down
    process.process.send_signal(signal.SIGHUP)
    until(lambda: local.ask(process.socket, STATUS).detection is None)
    code, log = process.end(signal.SIGTERM)
    assert code == 0, log
    assert "Traceback" not in log
    kept = EventLog(events)
    found = kept.listed(EventQuery())
    kept.close()
    assert {(each.rule, each.ended_by) for each in found} == {("bright spot", "rule")}
    told = [json.loads(line) for file in lines.glob("*") for line in file.read_text().splitlines()]
    assert {each["event_id"] for each in told} == {each.event_id for each in found}
    assert sorted(events.glob("clips/*.mp4"))
    assert not list(events.glob("clips/*.part"))


def test_sighup_opens_another_camera(process, footage):
    process.start()
    assert local.ask(process.socket, CaptureRequest(request_id=1)).frame.number >= 1
    text = process.config.read_text()
    process.config.write_text(text.replace(str(footage), "/no/such/footage"))
    process.process.send_signal(signal.SIGHUP)
    until(lambda: "/no/such/footage" in local.ask(process.socket, STATUS).camera_error)
    process.config.write_text(text)
    process.process.send_signal(signal.SIGHUP)
    until(lambda: local.ask(process.socket, STATUS).camera_error == "")
    assert process.end(signal.SIGTERM)[0] == 0


def test_the_watchdog_is_fed(process):
    process.start(WATCHDOG_USEC="200000")
    assert [process.notify.recv(100) for _ in range(3)] == [b"WATCHDOG=1"] * 3


def test_the_watchdog_starves_when_one_of_the_threads_hangs(monkeypatch):
    sent = []
    monkeypatch.setattr(daemons, "notify", sent.append)
    monkeypatch.setattr(daemons, "watchdog_interval_s", lambda: 1.0)

    class Worker:
        alive_now = True

        def alive(self, within_s=20):
            assert 15 < within_s < 60
            return self.alive_now

    workers = SimpleNamespace(camera=Worker(), continuous=Worker(), keeper=Worker(), model=Worker())
    pulse = daemons._Pulse()
    pulse(workers)
    for hung in vars(workers).values():
        hung.alive_now = False
        pulse(workers)
        hung.alive_now = True
    assert sent == ["WATCHDOG=1"]


def test_the_watchdog_has_patience_with_a_start_and_not_for_ever(monkeypatch):
    sent = []
    now = iter([100.0, 150.0, 300.0])
    monkeypatch.setattr(daemons, "notify", sent.append)
    monkeypatch.setattr(daemons, "watchdog_interval_s", lambda: 1.0)
    monkeypatch.setattr(daemons.time, "monotonic", lambda: next(now))
    pulse = daemons._Pulse()
    pulse(None)
    pulse(None)
    monkeypatch.undo()
    assert sent == ["WATCHDOG=1"]


def test_two_daemons_cannot_share_a_store_or_a_socket(process, socket_folder):
    process.start()
    second = process.run("serve")
    assert second.returncode == errors.DeviceError.exit_code
    assert "another tartlet daemon uses this store" in second.stderr
    process.config.write_text(process.config.read_text().replace("/store", "/store2"))
    second = process.run("serve")
    assert second.returncode == errors.DeviceError.exit_code
    assert "another tartlet daemon answers" in second.stderr
    assert local.ask(process.socket, STATUS).model is None


def test_the_commands_speak_to_the_daemon(process, make_bundle):
    process.start()
    first = push_and_activate(process, make_bundle("first"))
    push_and_activate(process, make_bundle("second"))
    shown = process.run("status")
    assert shown.returncode == 0, shown.stderr
    assert "second" in shown.stdout
    assert "replay, works" in shown.stdout
    back = process.run("rollback", "--json")
    assert json.loads(back.stdout)["digest"] == first
    assert json.loads(process.run("status", "--json").stdout)["model"]["name"] == "first"
    doctor = process.run("doctor", "--json")
    checks = {check["name"]: check for check in json.loads(doctor.stdout)}
    assert doctor.returncode == 0, checks
    assert "first" in checks["model"]["what"]


def test_the_bridge_passes_a_conversation_on(process, kit):
    from tartlet_shared import wire

    process.start()
    sent = wire.encode(kit.hello()) + wire.encode(CaptureRequest(request_id=6, count=3))
    done = subprocess.run(
        process.command("bridge"), input=sent, capture_output=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    received = wire.Decoder().feed(done.stdout)
    assert [type(message).__name__ for message in received] == ["Hello", *["Photo"] * 3]


def test_without_a_daemon_every_command_says_so(process):
    for command in ("status", "rollback", "bridge"):
        done = process.run(command)
        assert done.returncode == errors.DaemonNotRunning.exit_code
        assert str(process.socket) in done.stderr
        assert "systemctl" in done.stderr
        assert done.stdout == ""


def test_a_camera_that_is_not_there_does_not_keep_it_from_serving(socket_folder):
    process = Process(socket_folder, 'kind = "v4l2"\ndevice = "/dev/video99"')
    process.start()
    try:
        with pytest.raises(errors.CameraAbsent, match="no such camera"):
            local.ask(process.socket, CaptureRequest(request_id=1))
        assert "/dev/video99" in local.ask(process.socket, STATUS).camera_error
        doctor = process.run("doctor")
        assert doctor.returncode == 1
        assert "/dev/video99" in doctor.stdout
    finally:
        assert process.end(signal.SIGTERM)[0] == 0
        process.notify.close()


@pytest.mark.parametrize(
    ("text", "code", "words"),
    [
        ("cammera = 1", errors.ConfigError.exit_code, "cammera"),
        ('store = "/proc/nowhere"', errors.DeviceError.exit_code, "/proc/nowhere"),
    ],
)
def test_a_daemon_that_cannot_start_says_why(process, text, code, words):
    process.config.write_text(text)
    done = process.run("serve")
    assert done.returncode == code
    assert words in done.stderr
    assert "Traceback" not in done.stderr
