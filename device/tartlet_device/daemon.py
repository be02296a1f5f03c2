"""The daemon: everything wired together, from start to clean stop."""

from __future__ import annotations

import contextlib
import fcntl
import functools
import logging
import os
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tartlet_device import __version__, handlers, machine
from tartlet_device.camera import open_camera
from tartlet_device.camera.owner import CameraOwner
from tartlet_device.config import DeviceConfig
from tartlet_device.model import ServingModel
from tartlet_device.notify import notify, watchdog_interval_s
from tartlet_device.server import Server
from tartlet_device.store import Store
from tartlet_shared import errors

_log = logging.getLogger(__name__)

_TICK_S = 1.0
_CAMERA_SILENCE_S = 20.0
"""The camera's thread looks up every half second, but opening a camera may take a while."""


def serve(config: DeviceConfig) -> None:
    """Run until SIGTERM or SIGINT. SIGHUP is ignored: restart the service to read a new
    configuration.

    Raises:
        TartletError: it cannot start; says why.
    """
    machine.return_memory_early()
    with (
        _exclusive(config.store_path),
        ThreadPoolExecutor(max_workers=1, thread_name_prefix="encoder") as encoder,
    ):
        store = Store(config.store_path)
        model = ServingModel(store, threads=config.threads)
        model.load_committed()
        camera = CameraOwner(
            lambda: open_camera(config.camera, model.canvas()),
            fits=lambda opened: opened.fits(model.canvas()),
            frame_timeout_s=config.frame_timeout_s,
        )
        device = handlers.Device(config, store, camera, model, time.monotonic(), encoder)
        server = Server(config.socket_path, functools.partial(handlers.answer, device))
        try:
            camera.start()
            with _stopped_by_signals(server):
                _log.info("tartlet-device %s listens on %s", __version__, config.socket)
                notify(f"READY=1\nSTATUS=listening on {config.socket}")
                server.serve(_Pulse(camera), min(_TICK_S, watchdog_interval_s() or _TICK_S))
        finally:
            notify("STOPPING=1")
            camera.stop()
            server.close()
            _log.info("stopped")


class _Pulse:
    """Tells systemd that the daemon is alive, as long as the camera's thread is as well."""

    def __init__(self, camera: CameraOwner) -> None:
        self._camera = camera
        self._wanted = watchdog_interval_s() is not None

    def __call__(self) -> None:
        if self._wanted and self._camera.alive(_CAMERA_SILENCE_S):
            notify("WATCHDOG=1")


@contextlib.contextmanager
def _stopped_by_signals(server: Server) -> Iterator[None]:
    def stop(number: int, _frame: object) -> None:
        server.stop()

    before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
    before[signal.SIGHUP] = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def _exclusive(store: Path) -> Iterator[None]:
    """Hold the store for this process; the kernel lets go of it however the process ends."""
    try:
        store.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(store / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise errors.DeviceError(
            f"the store cannot be used: {error.strerror}",
            where=str(store),
            hint="setup_pi.sh makes it for the user tartlet; or set `store` to a folder of yours",
        ) from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise errors.DeviceError(
                "another tartlet daemon uses this store",
                where=str(store),
                hint="`systemctl status tartlet` shows the service",
            ) from error
        yield
    finally:
        os.close(descriptor)
