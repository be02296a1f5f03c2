"""HTTP on one connection: requests in, responses out, everything with a limit."""

from __future__ import annotations

import contextlib
import http.server
import io
import logging
import socket
import time
import urllib.parse
from collections.abc import Callable, Iterator
from http import HTTPStatus

from tartlet_device import __version__
from tartlet_device.web import exchange, guard
from tartlet_device.web.exchange import FilePart, Refused, Request, Response
from tartlet_shared import errors

_log = logging.getLogger(__name__)

REQUEST_S = 30.0
"""For a request's head, and how long a connection without one stays open."""
BODY_S = 120.0
"""For a body: a photo of 8 MB over a slow link."""
SEND_S = 30.0
"""For each piece of a response: a peer that takes nothing for so long is gone."""
_PIECE = 1 << 18
_DRAIN_S, _DRAIN_BYTES = 2.0, 1 << 26

Answer = Callable[[Request], Response]
MostBody = Callable[[str, str], int]
"""Method and path to how many bytes of a body are taken."""

_HEADERS = (
    # Nothing comes from elsewhere, and nothing elsewhere may show it or read it.
    (
        "Content-Security-Policy",
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
        "media-src 'self'; connect-src 'self'; manifest-src 'self'; base-uri 'none'; "
        "form-action 'none'; frame-ancestors 'none'",
    ),
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "no-referrer"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("Cross-Origin-Opener-Policy", "same-origin"),
)


class Connection(http.server.BaseHTTPRequestHandler):
    """Serves a connection until it ends; made for each one."""

    protocol_version = "HTTP/1.1"
    server_version = f"tartlet/{__version__}"

    def __init__(self, connection: socket.socket, answer: Answer, most_body: MostBody) -> None:
        self._answer, self._most_body = answer, most_body
        self._input = _Timed(connection)
        super().__init__(connection, ("", 0), None)  # type: ignore[arg-type]  # of no server

    def version_string(self) -> str:
        """What the header Server says."""
        return self.server_version

    def setup(self) -> None:
        """As the base class; reading stops at a time, not after a time without bytes."""
        super().setup()
        self.rfile.close()
        self.rfile = io.BufferedReader(self._input)

    def handle_one_request(self) -> None:
        """As the base class."""
        self._input.give(REQUEST_S)
        with contextlib.suppress(OSError):  # the peer has gone, or takes too long
            super().handle_one_request()
            return
        self.close_connection = True

    def do_GET(self) -> None:
        """Any method: the routes decide."""
        try:
            response = self._answer(self._request())
        except Refused as error:
            response = exchange.refused(error)
        except errors.TartletError as error:
            _log.info("%s: %s", self.requestline, error)
            response = exchange.failed(error)
        except OSError:
            raise
        except Exception as error:  # noqa: BLE001  (one bad request must not end the connection)
            _log.exception("%s failed in a way nobody expected", self.requestline)
            response = exchange.failed(errors.TartletError(f"{type(error).__name__}: {error}"))
        self._send(response)

    do_HEAD = do_POST = do_PUT = do_DELETE = do_GET  # noqa: N815

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """A request that is none: JSON, and the end of the connection."""
        status = HTTPStatus(code)
        self.close_connection = True
        self._send(exchange.refused(Refused(status, "bad-request", message or status.description)))

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """At debug level: a page that is open asks many times a second."""
        _log.debug(format, *args)

    # -- inside

    def _request(self) -> Request:
        headers: dict[str, str] = {}
        for name, value in self.headers.items():
            if name.lower() in ("host", "origin", "content-length") and name.lower() in headers:
                self.close_connection = True
                raise Refused(HTTPStatus.BAD_REQUEST, "bad-request", f"two headers {name}")
            headers[name.lower()] = value
        parts = urllib.parse.urlsplit(self.path)
        body_waits = "transfer-encoding" in headers or headers.get("content-length", "0") != "0"
        self.close_connection = self.close_connection or body_waits
        guard.check(self.command, parts.path, headers)
        body = self._body(headers, self._most_body(self.command, parts.path)) if body_waits else b""
        query = urllib.parse.parse_qs(parts.query, keep_blank_values=True, max_num_fields=32)
        return Request(
            method="GET" if self.command == "HEAD" else self.command,
            path=urllib.parse.unquote(parts.path),
            query={name: values[-1] for name, values in query.items()},
            headers=headers,
            body=body,
        )

    def _body(self, headers: dict[str, str], most: int) -> bytes:
        if "transfer-encoding" in headers:
            raise Refused(
                HTTPStatus.LENGTH_REQUIRED,
                "length-required",
                "a body in pieces, without a Content-Length",
                hint="send a file, not a pipe",
            )
        text = headers["content-length"]
        if not (text.isascii() and text.isdecimal() and len(text) < 16):
            raise Refused(HTTPStatus.BAD_REQUEST, "bad-request", f"a Content-Length of {text!r}")
        length = int(text)
        if length > most:
            raise Refused(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
                errors.MessageTooLarge.code,
                f"a body of {length} bytes, {most} are taken",
                hint="send a smaller picture",
            )
        self._input.give(BODY_S)
        body = self.rfile.read(length)
        if len(body) < length:
            raise ConnectionResetError("the connection ended in the middle of a body")
        # All of it was read, so the connection may be used again.
        self.close_connection = headers.get("connection", "").lower() == "close"
        return body

    def _send(self, response: Response) -> None:
        content = response.content
        close = self.close_connection
        if self.request_version == "HTTP/0.9":  # or none was understood; it knows no headers
            self.request_version = "HTTP/1.0"
        self.send_response(response.status)
        self.send_header("Content-Type", response.content_type)
        for name, value in (*_HEADERS, *response.headers):
            self.send_header(name, value)
        if not any(name == "Cache-Control" for name, _ in response.headers):
            self.send_header("Cache-Control", "no-store")
        if isinstance(content, bytes):
            self.send_header("Content-Length", str(len(content)))
        elif isinstance(content, FilePart):
            self.send_header("Content-Length", str(content.length))
        else:
            close = True  # its end is the connection's
        if close:
            self.send_header("Connection", "close")
        self.close_connection = close
        self.connection.settimeout(SEND_S)
        self.end_headers()
        if isinstance(content, bytes):
            self._send_bytes(b"" if self.command == "HEAD" else content)
        elif isinstance(content, FilePart):
            self._send_file(content)
        else:
            self._send_pieces(content)
        if close:
            self._linger()

    def _send_bytes(self, content: bytes) -> None:
        # Each piece has its time: a whole clip over a slow link may take minutes.
        view = memoryview(content)
        for start in range(0, len(view), _PIECE):
            self.connection.sendall(view[start : start + _PIECE])

    def _send_file(self, part: FilePart) -> None:
        if self.command == "HEAD":
            return
        with part.path.open("rb") as stream:
            stream.seek(part.start)
            left = part.length
            while left > 0 and (piece := stream.read(min(left, _PIECE))):
                self.connection.sendall(piece)
                left -= len(piece)
        # A file that became shorter meanwhile: only the end of the connection can tell now.
        self.close_connection = self.close_connection or left > 0

    def _send_pieces(self, pieces: Iterator[bytes]) -> None:
        try:
            if self.command != "HEAD":
                for piece in pieces:
                    self._send_bytes(piece)
        except errors.TartletError as error:  # too late for another response
            _log.info("%s: %s", self.requestline, error)
        finally:
            close = getattr(pieces, "close", None)
            if close is not None:
                close()

    def _linger(self) -> None:
        """Take what the peer still sends, so that closing does not destroy the response."""
        deadline, taken = time.monotonic() + _DRAIN_S, 0
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_WR)
            while taken < _DRAIN_BYTES and (left := deadline - time.monotonic()) > 0:
                self.connection.settimeout(left)
                received = len(self.connection.recv(_PIECE))
                if not received:
                    return
                taken += received


class _Timed(io.RawIOBase):
    """What a connection sends, until a time."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._until_s = 0.0

    def give(self, seconds: float) -> None:
        """From now on."""
        self._until_s = time.monotonic() + seconds

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        """As `io.RawIOBase`."""
        left = self._until_s - time.monotonic()
        if left <= 0:
            raise TimeoutError("the request took too long")
        self._connection.settimeout(left)
        return self._connection.recv_into(buffer)
