"""The server as programs and attackers meet it."""

from __future__ import annotations

import socket
import stat
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tartlet_device.web import connection, server
from tartlet_device.web.exchange import Request, Response
from tartlet_device.web.server import WebServer
from tartlet_shared import errors
from tests.unix_http import UnixHttp, once, raw

Until = Callable[[Callable[[], Any]], None]


@pytest.fixture
def small(socket_folder: Path) -> Any:
    """A server that answers with what it was asked."""
    started = WebServer(
        socket_folder / "w.sock",
        None,
        lambda asked: Response(content=asked.path.encode()),
        lambda *_: 9,
    )
    started.start()
    yield started
    started.stop()
    assert not started.path.exists()


def test_only_the_group_may_connect(web: Path) -> None:
    assert stat.S_IMODE(web.stat().st_mode) == 0o660


def test_the_page_and_its_files_are_there_and_ask_nobody_else(http: UnixHttp) -> None:
    page = http.ask("GET", "/")
    assert page.status == 200
    assert page.headers["content-type"].startswith("text/html")
    assert "default-src 'none'" in page.headers["content-security-policy"]
    folder = Path(connection.__file__).parent / "page"
    files = sorted(path.name for path in folder.iterdir())
    assert {"index.html", "style.css", "main.js", "icon.svg"} <= set(files)
    for name in files:
        if name == "index.html":
            continue
        found = http.ask("GET", f"/{name}")
        assert found.status == 200
        assert found.content == (folder / name).read_bytes()
        text = found.content.decode()
        assert "innerHTML" not in text
        assert "https://" not in text
        # Only the namespace of SVG, which is a name and nothing that is loaded.
        assert text.count("http://") == text.count("http://www.w3.org/2000/svg")


def test_one_connection_serves_many_requests(http: UnixHttp) -> None:
    for _ in range(3):
        assert http.ask("GET", "/status").data["camera"] == "replay"
        assert http.ask("GET", "/nowhere").code == "not-found"
        wrong = http.ask("DELETE", "/zones")
        assert (wrong.status, wrong.headers["allow"]) == (405, "GET, PUT")
        head = http.ask("HEAD", "/status")
        assert head.status == 200
        assert head.content == b""


def test_no_path_leads_out_of_the_page(http: UnixHttp) -> None:
    for path in (
        "/../config.py",
        "/%2e%2e/routes.py",
        "/page/main.js",
        "//etc/passwd",
        "/.css",
        "/a.js",
    ):
        assert http.ask("GET", path).status == 404, path


BAD = [
    (b"GARBAGE\r\n\r\n", 400),
    (b"GET /status HTTP/9.9\r\nHost: localhost\r\n\r\n", 505),
    (b"GET /status HTTP/1.1\r\n\r\n", 421),
    (b"GET /status HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n", 400),
    (b"BREW / HTTP/1.1\r\nHost: localhost\r\n\r\n", 501),
    (b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: -5\r\n\r\n", 400),
    (b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1_0\r\n\r\n", 400),
    (b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999999\r\n\r\n", 413),
    (b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\n0123456789", 413),
    (
        b"POST /predict HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        411,
    ),
    (b"GET /" + b"a" * 70000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n", 414),
    (b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * 70000 + b"\r\n\r\n", 431),
    (b"GET / HTTP/1.1\r\nHost: localhost\r\n" + b"X: 1\r\n" * 200 + b"\r\n", 431),
]


@pytest.mark.parametrize(("sent", "status"), BAD)
def test_what_is_no_request_is_refused_in_json(small: WebServer, sent: bytes, status: int) -> None:
    head, _, content = raw(small.path, sent).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 %d" % status)
    assert content.startswith(b'{"error":{"code":')
    assert once(small.path, "GET", "/").status == 200


def test_a_body_that_ends_early_gets_no_answer(small: WebServer) -> None:
    request = b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n123"
    assert raw(small.path, request) == b""


def test_a_refused_body_does_not_destroy_the_answer(small: WebServer) -> None:
    with UnixHttp(small.path) as client:
        client.putrequest("POST", "/predict")
        client.putheader("Content-Length", str(40_000_000))
        client.endheaders()
        sent = threading.Thread(target=_send_much, args=(client.sock,))
        sent.start()
        assert client.getresponse().status == 413
        sent.join()


def _send_much(to: socket.socket) -> None:
    try:
        for _ in range(400):
            to.sendall(bytes(100_000))
    except OSError:
        pass


def test_only_so_many_connections_at_a_time(small: WebServer, until: Until) -> None:
    open_ = [UnixHttp(small.path) for _ in range(server.MOST_CONNECTIONS)]
    for each in open_:
        assert each.ask("GET", "/hello").content == b"/hello"
    with socket.socket(socket.AF_UNIX) as refused:
        refused.settimeout(20)
        refused.connect(str(small.path))
        assert b" 503 " in (said := refused.recv(1000))
        assert b"Retry-After: 2" in said
    open_.pop().close()
    until(lambda: len(small._connections) < server.MOST_CONNECTIONS)
    assert once(small.path, "GET", "/hello").status == 200
    for each in open_:
        each.close()


def test_who_sends_a_request_too_slowly_is_let_go(
    small: WebServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "REQUEST_S", 0.3)
    with socket.socket(socket.AF_UNIX) as slow:
        slow.settimeout(20)
        slow.connect(str(small.path))
        # Each byte alone comes in time; all of them together do not.
        ended = threading.Event()

        def drip() -> None:
            while not ended.wait(0.05):
                try:
                    slow.send(b"G")
                except OSError:
                    return

        dripping = threading.Thread(target=drip)
        dripping.start()
        try:
            assert slow.recv(100) == b""
        finally:
            ended.set()
            dripping.join()


def test_a_failing_answer_is_told_and_the_connection_goes_on(socket_folder: Path) -> None:
    def answer(asked: Request) -> Response:
        if asked.path == "/camera":
            raise errors.CameraTimeout("no frame", where="camera", hint="look at the cable")
        if asked.path == "/odd":
            raise ZeroDivisionError("odd")
        return Response()

    started = WebServer(socket_folder / "w.sock", None, answer, lambda *_: 0)
    started.start()
    with UnixHttp(started.path) as client:
        camera = client.ask("GET", "/camera")
        assert (camera.status, camera.code) == (503, "camera-timeout")
        assert camera.headers["retry-after"]
        assert camera.data["error"]["hint"] == "look at the cable"
        odd = client.ask("GET", "/odd")
        assert (odd.status, odd.code) == (500, "internal")
        assert client.ask("GET", "/good").status == 200
    started.stop()


def test_a_port_of_loopback_beside_the_socket(socket_folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(errors.ConfigError, match=f"port {port}"):
            WebServer(socket_folder / "w.sock", port, lambda _: Response(), lambda *_: 0)
        assert list(socket_folder.iterdir()) == []
    started = WebServer(socket_folder / "w.sock", port, lambda _: Response(), lambda *_: 0)
    started.start()
    import http.client

    client = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    client.request("GET", "/")
    assert client.getresponse().status == 200
    client.close()
    started.stop()
    with pytest.raises(OSError):
        socket.create_connection(("127.0.0.1", port), timeout=1)


def test_stopping_ends_connections_that_wait(socket_folder: Path) -> None:
    started = WebServer(socket_folder / "w.sock", None, lambda _: Response(), lambda *_: 0)
    started.start()
    with socket.socket(socket.AF_UNIX) as idle:
        idle.settimeout(20)
        idle.connect(str(started.path))
        once(started.path, "GET", "/")
        started.stop()
        assert idle.recv(10) == b""
    assert list(socket_folder.iterdir()) == []
