"""Where Prometheus finds the figures: a port on loopback, or a file for node_exporter."""

from __future__ import annotations

import http.server
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

from tartlet_device.outputs.metrics import Counts
from tartlet_device.outputs.publisher import Fault, Item, OutputHealth
from tartlet_device.outputs.settings import MetricsSettings
from tartlet_shared import errors
from tartlet_shared.health_messages import DeviceHealth

NAME = "metrics"
LOOPBACK = "127.0.0.1"
_CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_REQUEST_S = 5.0


class Metrics:
    """The output."""

    def __init__(
        self,
        settings: MetricsSettings,
        *,
        figures: Callable[[], DeviceHealth],
    ) -> None:
        """
        Args:
            figures: called whenever somebody asks.

        Raises:
            ConfigError: the port is taken.
        """
        self.counts = Counts(figures)
        self._fault = Fault(NAME)
        self._delivered = 0
        self._stopping = threading.Event()
        self._threads: list[threading.Thread] = []
        self._server = None if settings.port is None else _listen(settings.port, self._text)
        if self._server is not None:
            self._start(self._server.serve_forever)
        if settings.textfile is not None:
            self._textfile = Path(settings.textfile)
            self._interval_s = settings.textfile_interval_s
            self._start(self._keep_textfile)

    @property
    def port(self) -> int | None:
        """Where it is served."""
        return None if self._server is None else self._server.server_address[1]

    def publish(self, item: Item) -> None:
        """Count an item."""
        self.counts.publish(item)

    def health(self) -> OutputHealth:
        """How it is; ``delivered`` counts the times that figures were given out."""
        return OutputHealth(
            name=NAME, queued=0, delivered=self._delivered, last_error=self._fault.text
        )

    def stop(self, timeout_s: float = 5.0) -> None:
        """Serve no more."""
        deadline = time.monotonic() + timeout_s
        self._stopping.set()
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))

    def _start(self, target: Callable[[], None]) -> None:
        thread = threading.Thread(target=target, name=NAME, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _text(self) -> bytes:
        self._delivered += 1
        return self.counts.exposition()

    def _keep_textfile(self) -> None:
        while True:
            try:
                _replace(self._textfile, self._text())
                self._fault.clear()
            except OSError as error:
                self._fault.set(f"{self._textfile}: {error.strerror}")
            if self._stopping.wait(self._interval_s):
                break


def _replace(path: Path, content: bytes) -> None:
    """Readers see the old file or the new one. Not fsynced: it is worth nothing after a restart."""
    temporary = path.with_name(f".{path.name}.new")
    with temporary.open("wb") as stream:
        os.fchmod(stream.fileno(), 0o644)
        stream.write(content)
    temporary.replace(path)


def _listen(port: int, text: Callable[[], bytes]) -> http.server.HTTPServer:
    class Handler(http.server.BaseHTTPRequestHandler):
        timeout = _REQUEST_S

        def do_GET(self) -> None:
            if self.path.partition("?")[0] != "/metrics":
                self.send_error(404)
                return
            content = text()
            self.send_response(200)
            self.send_header("Content-Type", _CONTENT_TYPE)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Not logged: somebody asks every few seconds."""

    try:
        # One request at a time: nobody but this machine asks.
        return http.server.HTTPServer((LOOPBACK, port), Handler)
    except OSError as error:
        raise errors.ConfigError(
            f"port {port} cannot be used: {error.strerror}", where="outputs.metrics.port"
        ) from error
