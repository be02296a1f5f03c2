"""Those whom the device tells: a broker with a subscriber, a receiver, a scraper, a watcher."""

from __future__ import annotations

import contextlib
import http.server
import json
import os
import shutil
import socket
import subprocess
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from tartlet_host.remote.inventory import Device
from tartlet_host.remote.session import open_session
from tartlet_shared import errors

_START_S = 20.0


class Told:
    """Which events somebody was told of, and how often. Safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._times: Counter[str] = Counter()
        self._order: list[str] = []

    def add(self, content: bytes | bytearray) -> None:
        """An event as JSON."""
        key = str(json.loads(content)["id"])
        with self._lock:
            if not self._times[key]:
                self._order.append(key)
            self._times[key] += 1

    @property
    def keys(self) -> list[str]:
        """Each event once, in the order in which they came first."""
        with self._lock:
            return list(self._order)

    @property
    def repeated(self) -> int:
        """Deliveries beyond the first."""
        with self._lock:
            return sum(self._times.values()) - len(self._times)


class Broker:
    """A mosquitto on loopback that keeps nothing, and a subscriber that notes events."""

    def __init__(self, folder: Path, port: int | None = None) -> None:
        self.port = port or free_port()
        self.told = Told()
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and subscribe.

        Raises:
            ConfigError: mosquitto is not installed, or does not start.
        """
        from paho.mqtt import client as paho
        from paho.mqtt.enums import CallbackAPIVersion

        program = shutil.which("mosquitto", path=f"{os.environ['PATH']}:/usr/sbin")
        if program is None:
            raise errors.ConfigError(
                "mosquitto is not installed", hint="sudo apt-get install mosquitto"
            )
        settings = self._folder / "mosquitto.conf"
        user = "user root\n" if os.geteuid() == 0 else ""
        settings.write_text(f"{user}listener {self.port} 127.0.0.1\nallow_anonymous true\n")
        with (self._folder / "mosquitto.log").open("ab") as log:
            self._process = subprocess.Popen([program, "-c", str(settings)], stdout=log, stderr=log)
        _wait_for_port(self.port)
        ready = threading.Event()
        self._client = paho.Client(CallbackAPIVersion.VERSION2)
        self._client.on_connect = lambda client, *_: client.subscribe("+/+/event", 1)
        self._client.on_subscribe = lambda *_: ready.set()
        self._client.on_message = lambda _client, _data, message: self.told.add(
            bytes(message.payload)
        )
        self._client.connect("127.0.0.1", self.port)
        self._client.loop_start()
        if not ready.wait(_START_S):
            raise errors.ConfigError("the broker takes no subscription")

    def stop(self) -> None:
        """Stop both; a second time does nothing."""
        if self._process is not None:
            self._client.disconnect()
            self._client.loop_stop()
            self._process.terminate()
            self._process.wait(_START_S)
            self._process = None


@contextlib.contextmanager
def receiver() -> Iterator[tuple[str, Told]]:
    """A webhook's other side: its address, and what it was told."""
    told = Told()

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            told.add(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(204)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Not logged."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/", told
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class Scraper:
    """Reads the device's metrics now and then, as Prometheus does."""

    def __init__(self, port: int, interval_s: float) -> None:
        self.scrapes = 0
        self._port, self._interval_s = port, interval_s

    def run(self, stopping: threading.Event) -> None:
        """Until it is told to stop."""
        while not stopping.wait(self._interval_s):
            # In the first moments nobody listens.
            with contextlib.suppress(OSError):
                self.values()
                self.scrapes += 1

    def values(self) -> dict[str, float]:
        """All series by their text, such as ``tartlet_dropped_total{stage="recorder"}``."""
        address = f"http://127.0.0.1:{self._port}/metrics"
        with urllib.request.urlopen(address, timeout=_START_S) as answer:
            lines = answer.read().decode().splitlines()
        pairs = (line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
        return {name: float(value) for name, value in pairs}


class Watching:
    """Somebody who runs `tartlet watch`."""

    def __init__(self, device: Device) -> None:
        self.seen = 0
        self.fault = ""
        self._device = device

    def run(self, stopping: threading.Event) -> None:
        """Until it is told to stop."""
        try:
            with open_session(self._device) as session:
                for _ in session.client.watch():
                    self.seen += 1
                    if stopping.is_set():
                        return
        except errors.TartletError as error:
            if not stopping.is_set():
                self.fault = str(error)


def free_port() -> int:
    """A port that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_for_port(port: int) -> None:
    deadline = time.monotonic() + _START_S
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError as error:
            if time.monotonic() > deadline:
                raise errors.ConfigError(f"nothing listens on port {port}") from error
            time.sleep(0.02)
        else:
            return
