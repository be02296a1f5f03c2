"""The daemon: a device that is served, from start to clean stop."""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from tartlet_device import __version__
from tartlet_device.live_config import LiveConfig
from tartlet_device.notify import notify, watchdog_interval_s
from tartlet_device.server import Server
from tartlet_device.starting import Starting
from tartlet_shared import errors
from tartlet_shared.fingerprint import fingerprint

if TYPE_CHECKING:
    from tartlet_device.handlers import Device

_log = logging.getLogger(__name__)

_TICK_S = 1.0
_START_S = 120.0
"""To load libraries and put the parts together; some ten seconds on the smallest Pi."""
_CAMERA_SILENCE_S = 20.0
"""The camera's thread looks up every half second, but opening a camera may take a while."""
_LOOP_SILENCE_S = 45.0
"""The loop's threads do too, but one inference of a large model may take seconds on a small Pi."""


def serve(live: LiveConfig) -> None:
    """Run until SIGTERM or SIGINT. SIGHUP reads the configuration again.

    Raises:
        TartletError: it cannot start; says why.
    """
    config = live.now
    fingerprint()  # for the greetings, while there is only one thread
    hangup = threading.Event()
    pulse = _Pulse()
    with _exclusive(config.store_path):
        server = Server(config.socket_path, lambda request: starting.answer(request))
        starting = Starting(live, server.stop)

        def tick() -> None:
            pulse(starting.device)
            if starting.device is not None:
                _look_after(starting.device, hangup)

        try:
            with _signals(server, hangup):
                _log.info("tartlet-device %s listens on %s", __version__, config.socket)
                notify(f"READY=1\nSTATUS=listening on {config.socket}")
                server.serve(tick, min(_TICK_S, watchdog_interval_s() or _TICK_S))
        finally:
            notify("STOPPING=1")
            server.close()
            starting.end()
    _log.info("stopped")


def _look_after(device: Device, hangup: threading.Event) -> None:
    from tartlet_device.assembly import apply

    device.teller.announce()
    if hangup.is_set():
        hangup.clear()
        if device.live.read_again():
            logging.getLogger().setLevel(device.live.now.log_level.upper())
            apply(device)


class _Pulse:
    """Tells systemd that the daemon is alive, as long as the threads that do the work are."""

    def __init__(self) -> None:
        self._wanted = watchdog_interval_s() is not None
        self._begun_s = time.monotonic()

    def __call__(self, device: Device | None) -> None:
        """``device``: None while it is put together."""
        if self._wanted and (self._starting() if device is None else _works(device)):
            notify("WATCHDOG=1")

    def _starting(self) -> bool:
        return time.monotonic() - self._begun_s < _START_S


def _works(device: Device) -> bool:
    return (
        device.camera.alive(_CAMERA_SILENCE_S)
        and device.continuous.alive(_LOOP_SILENCE_S)
        and device.keeper.alive(_LOOP_SILENCE_S)
        and device.model.alive()
    )


@contextlib.contextmanager
def _signals(server: Server, hangup: threading.Event) -> Iterator[None]:
    def stop(number: int, _frame: object) -> None:
        server.stop()

    def hang_up(number: int, _frame: object) -> None:
        hangup.set()

    before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
    before[signal.SIGHUP] = signal.signal(signal.SIGHUP, hang_up)
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
        # Not for writing: that would keep the disk from being mounted read-only.
        descriptor = os.open(store / ".lock", os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
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
