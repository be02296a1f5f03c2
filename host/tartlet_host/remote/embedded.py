"""A whole device on this machine: a real OpenSSH server and the real daemon behind it."""

from __future__ import annotations

import contextlib
import getpass
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import msgspec

from tartlet_device.config import CameraSettings, DeviceConfig
from tartlet_host.remote import inventory, sshd
from tartlet_host.remote.inventory import Device
from tartlet_host.remote.sshd import Sshd
from tartlet_shared import errors

_START_TIMEOUT_S = 60.0
_LOG_TAIL = 2000  # characters


class EmbeddedDevice:
    """A device that lives as long as the ``with`` block; nothing of it is left afterwards.

    ::

        with EmbeddedDevice(ReplaySettings(path="footage.avi")) as embedded:
            with open_session(embedded.device) as session:
                session.client.status()

    Args:
        camera: what its camera is.
        name: what it is called in its inventory.
        store: folder for its models; by default one of its own.
        threads: for inference; None for the daemon's own choice.
        settings: what else its configuration says.
        sshd_options: further lines of the SSH server's configuration.

    Attributes:
        config_dir: has a ``devices.toml`` that knows the device; give it to commands as
            ``$TARTLET_CONFIG_DIR``.
        known_hosts: the same key for OpenSSH's own client.
    """

    def __init__(
        self,
        camera: CameraSettings,
        *,
        name: str = "demo",
        store: Path | None = None,
        threads: int | None = None,
        settings: DeviceConfig | None = None,
        sshd_options: Sequence[str] = (),
    ) -> None:
        self._camera = camera
        self._name = name
        self._given_store = store
        self._threads = threads
        self._settings = settings or DeviceConfig()
        self._sshd_options = tuple(sshd_options)
        self._cleanup = contextlib.ExitStack()
        self._daemon: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        """Start both servers.

        Raises:
            ConfigError: the SSH server or the daemon does not start; the text has what it said.
        """
        with contextlib.ExitStack() as stack:
            # A Unix socket's address has room for about 100 bytes: a short folder, on purpose.
            self._folder = Path(tempfile.mkdtemp(prefix="tartlet-"))
            stack.callback(shutil.rmtree, self._folder, ignore_errors=True)
            ssh_folder = self._folder / "ssh"
            ssh_folder.mkdir(mode=0o700)
            self.ssh = sshd.start(ssh_folder, options=self._sshd_options)
            stack.callback(self.ssh.stop)
            stack.callback(self.stop_daemon)
            self.config_dir = self._folder / "config"
            self.known_hosts = self._folder / "known_hosts"
            self._write_inventory(self.ssh)
            self._start_daemon()
            self._cleanup = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop both servers and remove everything."""
        self._cleanup.close()

    @property
    def device(self) -> Device:
        """How to reach it."""
        return inventory.load(self.config_dir / "devices.toml")[self._name]

    @property
    def socket_path(self) -> Path:
        """Where its daemon listens."""
        return self._folder / "d.sock"

    @property
    def store(self) -> Path:
        """Where its models are."""
        return self._given_store or self._folder / "store"

    @property
    def daemon_pid(self) -> int | None:
        """The daemon's process, None while it is stopped."""
        return self._daemon.pid if self._daemon is not None else None

    @property
    def _config(self) -> Path:
        return self._folder / "device.toml"

    def restart_daemon(self, camera: CameraSettings | None = None) -> None:
        """Stop the daemon and start it again, with another camera if one is given."""
        self.stop_daemon()
        self._camera = camera or self._camera
        self._start_daemon()

    def reconfigure(self, settings: DeviceConfig) -> None:
        """Give the running daemon other sections of configuration, as `systemctl reload` does."""
        self._settings = settings
        self._write_config()
        if self._daemon is not None:
            self._daemon.send_signal(signal.SIGHUP)

    def stop_daemon(self) -> None:
        """Stop the daemon; the SSH server stays."""
        if self._daemon is not None:
            sshd.stop_process(self._daemon)
            self._daemon = None

    def log(self) -> str:
        """The end of what both servers logged."""
        parts = []
        for path in (self._folder / "ssh" / "sshd.log", self._folder / "daemon.log"):
            with contextlib.suppress(OSError):
                parts.append(f"{path.name}:\n{path.read_text(errors='replace')[-_LOG_TAIL:]}")
        return "\n".join(parts)

    def _write_inventory(self, server: Sshd) -> None:
        device = Device(
            name=self._name,
            address="127.0.0.1",
            user=getpass.getuser(),
            port=server.port,
            host_key=str(server.host_key),
            identity=str(server.identity),
            socket=str(self.socket_path),
            bridge=shlex.join([*_same_path(), *_DAEMON, "bridge", "--config", str(self._config)]),
        )
        inventory.save(self.config_dir / "devices.toml", {self._name: device})
        self.known_hosts.write_text(f"[127.0.0.1]:{server.port} {server.host_key}\n")

    def _write_config(self) -> None:
        config = msgspec.structs.replace(
            self._settings,
            socket=str(self.socket_path),
            store=str(self.store),
            camera=self._camera,
            threads=self._threads,
        )
        content = msgspec.toml.encode(_without_none(msgspec.to_builtins(config)))
        aside = self._config.with_suffix(".new")
        aside.write_bytes(content)
        aside.replace(self._config)

    def _start_daemon(self) -> None:
        self._write_config()
        with (self._folder / "daemon.log").open("ab") as log:
            self._daemon = subprocess.Popen(
                [*_DAEMON, "serve", "--config", str(self._config)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, "PYTHONUNBUFFERED": "1"},
                start_new_session=True,  # Ctrl-C is ours to handle: it is stopped in order
            )
        if not self._answers(self._daemon):
            raise errors.ConfigError(
                f"the daemon does not start:\n{self.log()}", where=shlex.join(_DAEMON)
            )

    def _answers(self, daemon: subprocess.Popen[bytes]) -> bool:
        deadline = time.monotonic() + _START_TIMEOUT_S
        while daemon.poll() is None and time.monotonic() < deadline:
            with socket.socket(socket.AF_UNIX) as probe:
                try:
                    probe.connect(str(self.socket_path))
                except OSError:
                    time.sleep(0.02)
                else:
                    return True
        return False


_DAEMON = (sys.executable, "-m", "tartlet_device.cli")


def _same_path() -> tuple[str, ...]:
    """The daemon inherits where Python looks for code; a command over SSH does not."""
    path = os.environ.get("PYTHONPATH")
    return ("env", f"PYTHONPATH={path}") if path else ()


def _without_none(value: Any) -> Any:
    """TOML has no null: a key that is None is left out."""
    if isinstance(value, list | tuple):
        return [_without_none(each) for each in value]
    if not isinstance(value, dict):
        return value
    return {key: _without_none(each) for key, each in value.items() if each is not None}
