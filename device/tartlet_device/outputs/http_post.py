"""One HTTP POST at a time, with a limit on the whole of it, that another thread can break off.

http.client, because it leaves redirects, proxies and retries to us; none of its time-outs covers a
whole request, so a timer does.
"""

from __future__ import annotations

import contextlib
import http.client
import socket
import ssl
import threading
import time
from collections.abc import Mapping
from urllib.parse import urlsplit

import msgspec

from tartlet_device import __version__

_LARGEST_ANSWER = 1 << 16


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What a server answered.

    Attributes:
        status: such as 204.
        words: the status for people.
        retry_after, date: the headers, as they came.
    """

    status: int
    words: str
    retry_after: str | None
    date: str | None


class PostFailed(Exception):
    """It is not known to have arrived; says why, without the path of the address.

    Attributes:
        retry_after_s: how long the receiver asked to wait.
        answered: whether it answered at all.
    """

    def __init__(
        self, why: str, *, retry_after_s: float | None = None, answered: bool = False
    ) -> None:
        super().__init__(why)
        self.retry_after_s = retry_after_s
        self.answered = answered


class Poster:
    """Posts to one address."""

    def __init__(self, url: str, timeout_s: float, ca_file: str | None) -> None:
        parts = urlsplit(url)
        assert parts.hostname is not None
        self._host = parts.hostname
        self._secure = parts.scheme == "https"
        self._port = parts.port or (443 if self._secure else 80)
        self._path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        self._timeout_s = timeout_s
        self._tls = ssl.create_default_context(cafile=ca_file) if self._secure else None
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None
        self._aborted = False
        self.place = f"{parts.scheme}://{self._host}:{self._port}"
        """The address without its path, which may be a secret."""

    def post(self, body: bytes, headers: Mapping[str, str]) -> Answer:
        """Send ``body``; redirects are answers like any other.

        Raises:
            PostFailed: no complete answer came within the time.
        """
        began = time.monotonic()
        connection = self._connection()
        timer = threading.Timer(self._timeout_s, self._break_off)
        timer.daemon = True
        timer.start()
        try:
            connection.connect()
            self._hold(connection.sock)
            connection.request(
                "POST",
                self._path,
                body=body,
                headers={
                    "User-Agent": f"tartlet/{__version__}",
                    "Connection": "close",
                    **headers,
                },
            )
            response = connection.getresponse()
            # What it says does not matter, but a server may dislike being cut off.
            response.read(_LARGEST_ANSWER)
        except (OSError, http.client.HTTPException, ValueError) as error:
            took = time.monotonic() - began
            raise PostFailed(f"{self.place}: {_words(error, took, self._timeout_s)}") from error
        finally:
            timer.cancel()
            self._hold(None)
            connection.close()
        return Answer(
            status=response.status,
            words=f"{response.status} {response.reason}".strip(),
            retry_after=response.getheader("Retry-After"),
            date=response.getheader("Date"),
        )

    def abort(self) -> None:
        """Break off what is being sent, from another thread, and send nothing any more."""
        with self._lock:
            self._aborted = True
        self._break_off()

    def _connection(self) -> http.client.HTTPConnection:
        if self._tls is not None:
            return http.client.HTTPSConnection(
                self._host, self._port, timeout=self._timeout_s, context=self._tls
            )
        return http.client.HTTPConnection(self._host, self._port, timeout=self._timeout_s)

    def _hold(self, held: socket.socket | None) -> None:
        with self._lock:
            self._socket = held
            if held is not None and self._aborted:
                raise ConnectionAbortedError("stopped")

    def _break_off(self) -> None:
        with self._lock:
            if self._socket is not None:
                with contextlib.suppress(OSError):
                    self._socket.shutdown(socket.SHUT_RDWR)


def _words(error: Exception, took_s: float, timeout_s: float) -> str:
    if isinstance(error, TimeoutError) or took_s >= timeout_s:
        return f"no answer within {timeout_s:g} s"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted: {error.verify_message}"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return f"no proper answer ({type(error).__name__})"
