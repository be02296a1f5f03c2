"""``tartlet watch --view``: the device's page on this computer, over a real SSH connection."""

from __future__ import annotations

import contextlib
import http.client
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tartlet_device.config import DeviceConfig
from tartlet_device.web.settings import WebSettings
from tartlet_host.remote import inventory
from tartlet_host.remote.embedded import EmbeddedDevice
from tartlet_host.remote.forward import Forwarder
from tartlet_host.remote.view import view
from tartlet_shared import errors
from tests import browser as browsers

pytestmark = pytest.mark.system

Start = Callable[..., EmbeddedDevice]
Run = Callable[..., tuple[int, str, str]]


class Stopped(Exception):
    """Ends a view, as Ctrl-C does."""


class View:
    """`view` in a thread; `go_on` lets it look whether the device still answers."""

    def __init__(self, embedded: EmbeddedDevice) -> None:
        self.said: list[str] = []
        self.address = ""
        self._shown = threading.Event()
        self._turn = threading.Semaphore(0)
        self._stop = False
        self._device = embedded.device
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        assert self._shown.wait(60)

    @property
    def port(self) -> int:
        return int(re.findall(r":(\d+)/", self.address)[0])

    @property
    def key(self) -> str:
        return self.address.rpartition("=")[2]

    def ask(self, path: str, *, key: str | None = None, **headers: str) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        with contextlib.closing(connection):
            key = self.key if key is None else key
            connection.request("GET", path, headers={"Authorization": f"Bearer {key}", **headers})
            response = connection.getresponse()
            return response.status, response.read()

    def go_on(self) -> None:
        self._turn.release()

    def stop(self) -> None:
        self._stop = True
        self._turn.release()
        self._thread.join(30)
        assert not self._thread.is_alive()

    def _run(self) -> None:
        def shown(address: str) -> None:
            self.address = address
            self._shown.set()

        def wait(seconds: float) -> None:
            self._turn.acquire()
            if self._stop:
                raise Stopped

        with contextlib.suppress(Stopped):
            view(self._device, 0, shown=shown, say=self.said.append, wait=wait)


@pytest.fixture
def viewing() -> Iterator[Callable[[EmbeddedDevice], View]]:
    """Starts views; ended after the test."""
    with contextlib.ExitStack() as stack:

        def begin(embedded: EmbeddedDevice) -> View:
            started = View(embedded)
            stack.callback(started.stop)
            return started

        yield begin


@pytest.fixture
def stack() -> Iterator[contextlib.ExitStack]:
    """What is to be done after the test."""
    with contextlib.ExitStack() as opened:
        yield opened


@pytest.mark.parametrize("options", [[], ["AllowStreamLocalForwarding no"]])
def test_the_page_comes_over_the_ssh_connection(
    start: Start, viewing: Callable[..., View], options: list[str]
) -> None:
    shown = viewing(start(sshd_options=options))
    status, page = shown.ask("/")
    assert (status, b"<title>tartlet</title>" in page) == (200, True)
    assert b'"camera":"replay"' in shown.ask("/status")[1]
    # Several at once, as a browser asks; and a picture.
    results: list[bytes] = []
    threads = [
        threading.Thread(target=lambda: results.append(shown.ask("/snapshot.jpg")[1]))
        for _ in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [each[:2] for each in results] == [b"\xff\xd8"] * 6


def test_only_who_has_the_key_gets_in(shared: EmbeddedDevice, viewing: Callable[..., View]) -> None:
    shown = viewing(shared)
    assert shown.ask("/", key="wrong")[0] == 403
    assert shown.ask("/?key=wrong", key="")[0] == 403
    connection = http.client.HTTPConnection("127.0.0.1", shown.port, timeout=30)
    with contextlib.closing(connection):
        connection.request("GET", shown.address.partition(f":{shown.port}")[2])
        answer = connection.getresponse()
        answer.read()
        assert (answer.status, answer.getheader("location")) == (303, "/")
        cookie = answer.getheader("set-cookie") or ""
    assert {"HttpOnly", "SameSite=Strict"} <= set(cookie.split("; "))
    assert shown.ask("/status", key="", Cookie=f"a=b; {cookie.partition(';')[0]}")[0] == 200
    assert shown.ask("/status", Host="evil.example")[0] == 421


def test_a_daemon_that_comes_back_is_shown_again(
    embedded: EmbeddedDevice, viewing: Callable[..., View]
) -> None:
    shown = viewing(embedded)
    address = shown.address
    embedded.stop_daemon()
    shown.go_on()  # notices
    while not shown.said:
        pass
    assert "trying until it comes back" in shown.said[0]
    with pytest.raises((OSError, http.client.HTTPException)):
        shown.ask("/status")
    shown.go_on()  # in vain
    embedded.restart_daemon()
    while "connected again" not in shown.said:
        shown.go_on()
    assert shown.said.count(shown.said[0]) == 1
    assert shown.address == address
    assert shown.ask("/status")[0] == 200


def test_a_device_without_the_page_says_so(start: Start, run: Run) -> None:
    embedded = start(settings=DeviceConfig(web=WebSettings(enabled=False)))
    code, out, err = run(embedded.config_dir, "watch", "--view", "--no-browser")
    assert code == errors.DeviceError.exit_code
    assert "[web]" in err
    assert out == ""


def test_what_does_not_go_together_is_refused(shared: EmbeddedDevice, run: Run) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        for words, says in (
            (("--view", "--json"), "--view"),
            (("--port", "8080"), "--view"),
            (("--view", "--port", port), str(port)),
        ):
            code, _, err = run(shared.config_dir, "watch", *words)
            assert code == errors.UsageError.exit_code
            assert says in err


def test_ctrl_c_ends_it_and_leaves_nothing(
    shared: EmbeddedDevice, stack: contextlib.ExitStack
) -> None:
    # Whoever runs the tests in the background has them ignore Ctrl-C, and this process too.
    script = (
        "import signal\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from tartlet_host.cli import main\n"
        "main(['watch', '--view', '--no-browser'])\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, inventory.CONFIG_DIR_VARIABLE: str(shared.config_dir)},
    )
    stack.callback(process.wait)
    stack.callback(process.kill)
    assert process.stdout is not None
    port = int(re.findall(r"127\.0\.0\.1:(\d+)/\?key=", process.stdout.readline())[0])
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert "Traceback" not in err
    with pytest.raises(OSError):
        socket.create_connection(("127.0.0.1", port), timeout=1)


def test_connections_end_with_the_forwarder() -> None:
    before = threading.active_count()
    with Forwarder() as forwarder:
        idle = socket.create_connection(("127.0.0.1", forwarder.port))
        idle.settimeout(30)
        with socket.create_connection(("127.0.0.1", forwarder.port)) as asking:
            key = forwarder.address.rpartition("=")[2]
            asking.settimeout(30)
            asking.sendall(f"GET / HTTP/1.1\r\nAuthorization: Bearer {key}\r\n\r\n".encode())
            assert asking.recv(10) == b""  # it leads nowhere yet
    assert idle.recv(10) == b""
    idle.close()
    assert threading.active_count() == before


class _Gone:
    """A channel of an SSH connection that has ended."""

    def settimeout(self, _seconds: float | None) -> None:
        pass

    def fail(self, *_: object) -> bytes:
        raise EOFError

    sendall = recv = close = fail


def test_a_connection_ends_with_the_ssh_connection() -> None:
    before = threading.active_count()
    with Forwarder() as forwarder:
        forwarder.lead_to(_Gone)  # type: ignore[arg-type]
        with socket.create_connection(("127.0.0.1", forwarder.port)) as asking:
            key = forwarder.address.rpartition("=")[2]
            asking.settimeout(30)
            asking.sendall(f"GET / HTTP/1.1\r\nAuthorization: Bearer {key}\r\n\r\n".encode())
            assert asking.recv(10) == b""
    assert threading.active_count() == before


@pytest.mark.skipif(browsers.PROGRAM is None, reason="chromium is not installed")
def test_a_browser_shows_the_live_picture(
    steady: EmbeddedDevice, viewing: Callable[..., View], tmp_path: Path, bundle: Any
) -> None:
    shown = viewing(steady)
    with browsers.opened(tmp_path / "profile") as browser:
        browser.look_like(1280, 800)
        browser.open(shown.address)
        browser.until("document.querySelector('#state').textContent === 'live'")
        browser.until("document.querySelector('#now').innerText.includes('bright spot')")
        assert "key=" not in browser.evaluate("location.href")
        assert browser.complaints == []
