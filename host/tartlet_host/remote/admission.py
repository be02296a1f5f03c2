"""Who may use a port of this computer: whoever has the key that was made for it.

The first address that the browser opens has the key in it; it becomes a cookie, and the browser is
sent on. Programs give it as ``Authorization: Bearer``.
"""

from __future__ import annotations

import hmac
import re
import secrets
import socket
import time

_MOST_HEAD = 1 << 16
_PATIENCE_S = 10.0
_END = b"\r\n\r\n"
_REFUSAL = (
    "This page needs the key in the address that `tartlet watch --view` printed.\n"
    "Programs send it as `Authorization: Bearer KEY`.\n"
)


class Admission:
    """The key of one port."""

    def __init__(self, port: int) -> None:
        self._key = secrets.token_urlsafe(24)
        # Cookies are shared by all ports of a host.
        self._cookie = f"tartlet-{port}"

    @property
    def query(self) -> str:
        """What the first address ends with."""
        return f"key={self._key}"

    def admit(self, connection: socket.socket) -> bytes | None:
        """Look at a connection's first request.

        Returns:
            The bytes received so far, to be passed on; None if the connection was answered here.

        Raises:
            OSError: it ended, or said nothing for too long.
        """
        received = _head(connection)
        head = received.partition(_END)[0].decode("latin-1")
        line, *headers = head.split("\r\n")
        if self._is_known(headers):
            return received
        asked = re.fullmatch(r"GET /\?key=([A-Za-z0-9_-]+) HTTP/1\.[01]", line)
        if asked and hmac.compare_digest(asked[1], self._key):
            # Strict: no other site's page makes the browser send it.
            cookie = f"{self._cookie}={self._key}; HttpOnly; SameSite=Strict; Path=/"
            _answer(connection, "303 See Other", f"Location: /\r\nSet-Cookie: {cookie}\r\n", "")
        else:
            _answer(connection, "403 Forbidden", "", _REFUSAL)
        return None

    def _is_known(self, headers: list[str]) -> bool:
        for header in headers:
            name, _, value = header.partition(":")
            given = value.strip()
            if name.lower() == "authorization" and given.lower().startswith("bearer "):
                if hmac.compare_digest(given[7:].strip().encode(), self._key.encode()):
                    return True
            elif name.lower() == "cookie":
                wanted = f"{self._cookie}={self._key}".encode()
                if any(
                    hmac.compare_digest(each.strip().encode(), wanted) for each in given.split(";")
                ):
                    return True
        return False


def _head(connection: socket.socket) -> bytes:
    received = b""
    deadline = time.monotonic() + _PATIENCE_S
    while _END not in received:
        connection.settimeout(max(0.001, deadline - time.monotonic()))
        piece = connection.recv(_MOST_HEAD)
        received += piece
        if not piece or len(received) > 2 * _MOST_HEAD:
            raise ConnectionResetError("the connection ended before a request")
    connection.settimeout(None)
    return received


def _answer(connection: socket.socket, status: str, headers: str, text: str) -> None:
    content = text.encode()
    connection.sendall(
        f"HTTP/1.1 {status}\r\n{headers}Content-Type: text/plain\r\nCache-Control: no-store\r\n"
        f"Referrer-Policy: no-referrer\r\nContent-Length: {len(content)}\r\n"
        "Connection: close\r\n\r\n".encode()
        + content
    )
    connection.shutdown(socket.SHUT_WR)
