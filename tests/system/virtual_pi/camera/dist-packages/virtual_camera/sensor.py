"""What a sensor does: it exposes a frame at each tick, obeys controls and reports them."""

from __future__ import annotations

import collections
import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import libcamera

_FASTEST_US, _USUAL_US = 8_333, 33_333
_PATIENCE_S = 0.1
"""Frames wait so long for a processor that is busy; later ones are lost, as on a Pi."""
STUCK = Path("/run/virtual_camera_stuck")
"""While this file is there, no frame comes: a loose cable."""
AWAY = Path("/run/virtual_camera_away")
"""While this file is there, libcamera finds no camera: a driver that loads late."""


class Sensor:
    """The one sensor of this process.

    Attributes:
        limits: least, most and default value of each control.
        values: what the metadata of the next frame says.
    """

    def __init__(self) -> None:
        self.limits = _limits()
        self.values = _values()
        self._lock = threading.Lock()
        self._waiting: collections.deque[Any] = collections.deque()
        self._exposed_ns: dict[Any, int] = {}
        self._run = 0  # each start and each stop makes a new one

    def set_control(self, control: Any, value: Any) -> None:
        """Accept a control, as a request or a start of the camera carries it."""
        modes = (libcamera.controls.ExposureTimeMode, libcamera.controls.AnalogueGainMode)
        if control in modes:
            return
        if control not in self.limits:
            raise RuntimeError(f"control {control} not supported")
        if control == libcamera.controls.FrameDurationLimits:
            self.values[libcamera.controls.FrameDuration] = max(int(value[0]), _FASTEST_US)
        elif control in self.values:
            self.values[control] = value

    def start(self, camera: Any, queue_request: Any) -> None:
        """Begin to tick."""
        with self._lock:
            self._run += 1
        arguments = (camera, queue_request, self._run)
        threading.Thread(target=self._tick, args=arguments, daemon=True).start()

    def stop(self) -> None:
        """Do not tick any more."""
        with self._lock:
            self._run += 1
            self._waiting.clear()
            self._exposed_ns.clear()

    def queue(self, request: Any) -> None:
        """Fill this request at the next tick."""
        self._waiting.append(request)

    def metadata(self, request: Any, given: dict[Any, Any]) -> dict[Any, Any]:
        """Of a filled request: libcamera's, with what a sensor would add."""
        exposed = self._exposed_ns.get(request)
        if exposed is not None:
            given = {**given, libcamera.controls.SensorTimestamp: exposed}
        return {**self.values, **given}

    def _tick(self, camera: Any, queue_request: Any, run: int) -> None:
        due = time.monotonic()
        while True:
            duration = self.values[libcamera.controls.FrameDuration] / 1e6
            due += duration
            late = time.monotonic() - due
            if late > _PATIENCE_S:
                due += late // duration * duration
            time.sleep(max(0.0, due - time.monotonic()))
            with self._lock:
                if run != self._run:
                    return
                if self._waiting and not STUCK.exists():
                    request = self._waiting.popleft()
                    # The clock that libcamera's documentation names.
                    ago = time.monotonic() - due
                    now_ns = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
                    self._exposed_ns[request] = now_ns - round(ago * 1e9)
                    queue_request(camera, request)


def install() -> None:
    """Give every camera this sensor."""
    camera, sensor = libcamera.Camera, Sensor()
    start, stop, queue = camera.start, camera.stop, camera.queue_request
    metadata = libcamera.Request.metadata

    def start_sensor(self: Any, controls: dict[Any, Any] | None = None) -> None:
        for control, value in (controls or {}).items():
            sensor.set_control(control, value)
        start(self)
        sensor.start(self, queue)

    def stop_sensor(self: Any) -> None:
        sensor.stop()
        stop(self)

    manager = libcamera.CameraManager
    look, cameras = manager.singleton, manager.cameras
    found = True

    def look_for_cameras() -> Any:
        nonlocal found
        found = not AWAY.exists()
        return look()

    manager.singleton = staticmethod(look_for_cameras)
    manager.cameras = property(lambda self: cameras.__get__(self) if found else [])
    camera.start = start_sensor
    camera.stop = stop_sensor
    camera.queue_request = lambda self, request: sensor.queue(request)
    camera.controls = property(lambda self: sensor.limits)
    libcamera.Request.set_control = lambda self, control, value: sensor.set_control(control, value)
    libcamera.Request.metadata = property(
        lambda self: sensor.metadata(self, dict(metadata.__get__(self).items()))
    )


def _limits() -> dict[Any, SimpleNamespace]:
    controls = libcamera.controls

    def limit(least: Any, most: Any, default: Any) -> SimpleNamespace:
        return SimpleNamespace(min=least, max=most, default=default)

    return {
        controls.FrameDurationLimits: limit(_FASTEST_US, 10**9, (_USUAL_US, _USUAL_US)),
        controls.ExposureTime: limit(1, 66_666, 20_000),
        controls.AnalogueGain: limit(1.0, 16.0, 1.0),
        controls.AeEnable: limit(False, True, True),
        controls.AwbEnable: limit(False, True, True),
        controls.ColourGains: limit(0.0, 32.0, None),
        controls.AfMode: limit(0, 2, 0),
        controls.LensPosition: limit(0.0, 32.0, 1.0),
        controls.Brightness: limit(-1.0, 1.0, 0.0),
        controls.Contrast: limit(0.0, 32.0, 1.0),
        controls.Saturation: limit(0.0, 32.0, 1.0),
        controls.Sharpness: limit(0.0, 16.0, 1.0),
        controls.ExposureValue: limit(-8.0, 8.0, 0.0),
        controls.draft.NoiseReductionMode: limit(0, 4, 0),
    }


def _values() -> dict[Any, Any]:
    controls = libcamera.controls
    return {
        controls.FrameDuration: _USUAL_US,
        controls.ExposureTime: 20_000,
        controls.AnalogueGain: 1.0,
        controls.DigitalGain: 1.0,
        controls.ColourGains: (2.0, 1.8),
        controls.ColourTemperature: 4500,
        controls.Lux: 300.0,
    }
