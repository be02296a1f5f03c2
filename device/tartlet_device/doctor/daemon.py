"""What the running daemon says: camera, model, detection, events and outputs."""

from __future__ import annotations

import time
from pathlib import Path

from tartlet_device.camera import holder, open_camera
from tartlet_device.config import DeviceConfig, V4l2Settings
from tartlet_device.doctor.check import Check, State
from tartlet_device.local import ask
from tartlet_shared import errors
from tartlet_shared.health_messages import DeviceHealth, OutputHealth
from tartlet_shared.messages import Status, StatusRequest
from tartlet_shared.picture_messages import CaptureRequest, Photo
from tartlet_shared.push_messages import Activated, ActivateRequest

_LOG = "see the log: `journalctl -u tartlet`"
_ANSWER_S = 10.0
_SELF_TEST_S = 180.0


def examine_daemon(config: DeviceConfig) -> tuple[Status | None, list[Check]]:
    """What it says, and what is wrong with it; without a daemon, whether the camera opens."""
    try:
        status = ask(config.socket_path, StatusRequest(request_id=1), timeout_s=_ANSWER_S)
    except errors.DaemonNotRunning as error:
        failed = Check(name="daemon", state="failed", what=str(error), hint=error.hint)
        return None, [failed, check_camera_opens(config)]
    except errors.TartletError as error:
        return None, [Check(name="daemon", state="failed", what=str(error), hint=error.hint)]
    if not isinstance(status, Status):
        what = f"answers a {type(status).__name__}"
        return None, [Check(name="daemon", state="failed", what=what)]
    checks = [
        check_configuration(status),
        check_camera(config, status),
        check_model(config.socket_path, status),
    ]
    if status.health is not None:
        checks += check_health(status.health)
    return status, checks


def check_configuration(status: Status) -> Check:
    """Whether the daemon uses its configuration file as it is."""
    if status.config_error:
        return Check(
            name="configuration",
            state="warning",
            what=f"the one before is used: {status.config_error}",
            hint="mend the file, then `sudo systemctl reload tartlet`",
        )
    return Check(name="configuration", state="ok", what="in use")


def check_camera_opens(config: DeviceConfig) -> Check:
    """Whether the configured camera opens. Only while no daemon holds it."""
    try:
        open_camera(config.camera).close()
    except errors.TartletError as error:
        return Check(name="camera", state="failed", what=str(error), hint=error.hint)
    return Check(name="camera", state="ok", what="opens")


def check_camera(config: DeviceConfig, status: Status) -> Check:
    """Whether the daemon's camera gives a frame now."""
    if status.camera_error:
        what, hint = status.camera_error, _LOG
        if isinstance(config.camera, V4l2Settings):
            held = holder.holders([config.camera.device_file])
            found = [each for each in held if not each.service.startswith("tartlet")]
            if found:
                what = f"{what}; used by {', '.join(str(each) for each in found)}"
                hint = found[0].hint
        return Check(name="camera", state="failed", what=what, hint=hint)
    began = time.monotonic()
    try:
        photo = ask(config.socket_path, CaptureRequest(request_id=1), timeout_s=2 * _ANSWER_S)
    except errors.TartletError as error:
        return Check(name="camera", state="failed", what=str(error), hint=error.hint or _LOG)
    if not isinstance(photo, Photo):
        return Check(name="camera", state="failed", what=f"gives a {type(photo).__name__}")
    what = (
        f"{status.camera} gave a frame of {photo.width}x{photo.height} within "
        f"{time.monotonic() - began:.2f} s"
    )
    restarts = 0 if status.health is None else status.health.camera_restarts
    if restarts:
        return Check(
            name="camera",
            state="warning",
            what=f"{what}; opened again {restarts} times after a fault",
            hint=f"a loose cable, or too little power? {_LOG}",
        )
    return Check(name="camera", state="ok", what=what)


def check_model(socket: Path, status: Status) -> Check:
    """Whether the model that serves still sees what it should in its golden pictures."""
    if status.model_error:
        return Check(
            name="model",
            state="failed",
            what=status.model_error,
            hint="push the model again with `tartlet push`",
        )
    model = status.model
    if model is None:
        return Check(
            name="model", state="warning", what="none serves", hint="push one: `tartlet push`"
        )
    try:
        # The one that serves, once more: that changes nothing but proves it.
        request = ActivateRequest(request_id=1, digest=model.digest)
        tested = ask(socket, request, timeout_s=_SELF_TEST_S)
    except errors.TartletError as error:
        return Check(name="model", state="failed", what=str(error), hint=error.hint)
    if not isinstance(tested, Activated):
        return Check(name="model", state="failed", what=f"answers a {type(tested).__name__}")
    test = tested.self_test
    version = status.runtimes.get(model.runtime, model.runtime)
    return Check(
        name="model",
        state="ok",
        what=f"{model.name} on {version} finds its {test.detections} objects in {test.pictures} "
        f"pictures, {test.inference_ms:.1f} ms each",
    )


def check_health(health: DeviceHealth) -> list[Check]:
    """Continuous detection, events and outputs, as far as they are on."""
    checks = []
    detection = health.detection
    if detection is not None:
        state: State = "failed" if detection.fault else "ok"
        what = detection.fault or f"{detection.rate:.1f} frames/s"
        hint = _LOG if detection.fault else ""
        checks.append(Check(name="detection", state=state, what=what, hint=hint))
    if health.events is not None:
        checks.append(_events(health.events.faults, health.events.lost))
    if health.outputs_fault:
        checks.append(
            Check(
                name="outputs",
                state="failed",
                what=health.outputs_fault,
                hint="mend [outputs], then `sudo systemctl reload tartlet`",
            )
        )
    return checks + [_output(each) for each in health.outputs]


def _events(faults: dict[str, str], lost: int) -> Check:
    said = [f"{part}: {why}" for part, why in faults.items()]
    if lost:
        said.append(f"{lost} events were lost")
    if not said:
        return Check(name="events", state="ok", what="kept")
    return Check(
        name="events",
        state="failed" if faults else "warning",
        what="; ".join(said),
        hint="is the disk full, read-only or slow? Events wait in memory until it takes them",
    )


def _output(output: OutputHealth) -> Check:
    what = f"{output.delivered} told, {output.queued} waiting"
    if output.dropped_events:
        what += f", {output.dropped_events} events left out"
    if output.last_error or output.connected is False:
        return Check(
            name=output.name,
            state="warning",
            what=f"{output.last_error or 'not connected'}; {what}",
            hint="what waits is told once it works; is the other side there, and may the service "
            "reach it? See docs/outputs.md",
        )
    if output.dropped_events:
        return Check(
            name=output.name, state="warning", what=what, hint="is the other side long away?"
        )
    return Check(name=output.name, state="ok", what=what)
