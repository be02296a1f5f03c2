"""Uploading files by SFTP: no request waits for the answer to the one before.

The protocol is version 3 of draft-ietf-secsh-filexfer-02, as OpenSSH's server speaks it, with its
``posix-rename@openssh.com``. paramiko's own client waits a round trip for each open, close and
rename, and cuts every write into two SSH packets.
"""

from __future__ import annotations

import errno
import struct
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from tartlet_host.remote.pace import Pace
from tartlet_shared.push_messages import PARTIAL

_VERSION = 3
_INIT, _OPEN, _CLOSE, _WRITE, _REMOVE, _EXTENDED = 1, 3, 4, 6, 13, 200
_VERSION_ANSWER, _STATUS, _HANDLE = 2, 101, 102
_WRITING, _CREATING, _TRUNCATING = 0x02, 0x08, 0x10
_RENAME = b"posix-rename@openssh.com"
_OK, _NO_SUCH_FILE, _PERMISSION_DENIED = 0, 2, 3
_ERRNO = {_NO_SUCH_FILE: errno.ENOENT, _PERMISSION_DENIED: errno.EACCES}

_CHUNK = (32 << 10) - 128
"""Bytes of a write: with both headers it fills one SSH packet of OpenSSH's server."""
_OPEN_AHEAD = 16  # files whose handles are asked for before they are needed
_LONGEST_ANSWER = 1 << 18


class Channel(Protocol):
    """A two-way stream to an SFTP server; paramiko's channels are."""

    def sendall(self, data: bytes, /) -> object: ...

    def recv(self, size: int, /) -> bytes: ...

    def recv_ready(self) -> bool: ...


@dataclass(frozen=True)
class Outgoing:
    """A file to send.

    Attributes:
        source: the file here.
        destination: absolute path there, once it is complete.
        partial: absolute path there until then; stays where the sending breaks off.
        start: bytes of it that are there already, to go on after.
    """

    source: Path
    destination: str
    partial: str
    start: int = 0

    @classmethod
    def whole(cls, source: Path, destination: str) -> Outgoing:
        """All of a file, through the usual temporary name."""
        return cls(source, destination, destination + PARTIAL)


@dataclass
class _Sending:
    """How far a file is."""

    file: Outgoing
    handle: bytes | None = None
    unanswered: int = 0  # writes
    written: bool = False  # all writes are under way
    closing: bool = False
    done: bool = False


class SftpError(OSError):
    """The server could not do something; ``filename`` is the destination of the file."""


class Sftp:
    """An SFTP conversation on an open channel. Use from one thread."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._received = bytearray()
        self._next_id = 0
        self._waiting: dict[int, Callable[[int, bytes], None]] = {}
        self._greeted = False
        self._failure: SftpError | None = None
        # The server reads requests in order, so nothing has to wait for its greeting.
        self._channel.sendall(_packet(_INIT, struct.pack(">I", _VERSION)))

    def send(
        self,
        files: Sequence[Outgoing],
        *,
        pace: Pace | None = None,
        progress: Callable[[int], None] | None = None,
    ) -> None:
        """Upload files, each to its partial name; renamed once all of it was written.

        There is no look back at what arrived: whoever uses a file checks its hash. Whatever stops
        the sending, what was written so far stays under the partial name.

        Args:
            files: in this order.
            pace: how fast at most.
            progress: called with the bytes that the server wrote in this call.

        Raises:
            SftpError: the server could not write (disk full, no permission); the partial file of
                the first that failed is removed. The conversation is of no use afterwards.
            EOFError, OSError, paramiko's SSHException: the connection is gone.
        """
        self._failure = None
        written = 0

        def wrote(count: int) -> None:
            nonlocal written
            written += count
            if progress is not None:
                progress(written)

        ahead = deque(_Sending(each) for each in files)
        opened: deque[_Sending] = deque()
        sent: list[_Sending] = []
        while ahead or opened:
            while ahead and len(opened) < _OPEN_AHEAD:
                self._open(ahead[0])
                opened.append(ahead.popleft())
            current = opened.popleft()
            while current.handle is None:
                self._receive()
            for offset, chunk in _chunks(current.file, pace):
                self._write(current, offset, chunk, wrote)
                while self._channel.recv_ready():
                    self._receive()
            current.written = True
            self._close_if_written(current)
            sent.append(current)
        while not all(each.done for each in sent):
            self._receive()

    # -- requests

    def _open(self, sending: _Sending) -> None:
        flags = _WRITING | _CREATING | (0 if sending.file.start else _TRUNCATING)

        def answered(kind: int, body: bytes) -> None:
            if kind == _HANDLE:
                sending.handle = _string_at(body, 0)
            else:
                self._check(sending, body)

        name = _string(sending.file.partial.encode())
        self._ask(_OPEN, name + struct.pack(">II", flags, 0), answered)

    def _write(
        self, sending: _Sending, offset: int, chunk: bytes, wrote: Callable[[int], None]
    ) -> None:
        def answered(kind: int, body: bytes) -> None:
            if self._check(sending, body):
                wrote(len(chunk))
            sending.unanswered -= 1
            self._close_if_written(sending)

        assert sending.handle is not None
        sending.unanswered += 1
        head = _string(sending.handle) + struct.pack(">QI", offset, len(chunk))
        self._ask(_WRITE, head + chunk, answered)

    def _close_if_written(self, sending: _Sending) -> None:
        """Once the server has written all of it: a complete name is never a lie."""
        if not sending.written or sending.unanswered or sending.closing or self._failure:
            return
        sending.closing = True
        assert sending.handle is not None

        def closed(kind: int, body: bytes) -> None:
            self._check(sending, body)

        self._ask(_CLOSE, _string(sending.handle), closed)

        def renamed(kind: int, body: bytes) -> None:
            # Gone: somebody sent the same file at the same time and it was used already.
            sending.done = _code(body) == _NO_SUCH_FILE or self._check(sending, body)

        names = _string(sending.file.partial.encode()) + _string(sending.file.destination.encode())
        self._ask(_EXTENDED, _string(_RENAME) + names, renamed)

    def _check(self, sending: _Sending, body: bytes) -> bool:
        """Whether a status is good; the first bad one is remembered."""
        code = _code(body)
        if code == _OK:
            return True
        if self._failure is None:
            text = _string_at(body, 4).decode(errors="replace")
            self._failure = SftpError(_ERRNO.get(code, errno.EIO), text, sending.file.destination)
            self._ask(_REMOVE, _string(sending.file.partial.encode()), lambda kind, body: None)
        return False

    def _ask(self, kind: int, body: bytes, answered: Callable[[int, bytes], None]) -> None:
        self._next_id += 1
        self._waiting[self._next_id] = answered
        self._channel.sendall(_packet(kind, struct.pack(">I", self._next_id) + body))

    # -- answers

    def _receive(self) -> None:
        """Wait for answers and deal with them; raises the failure that one of them tells."""
        self._answer()
        if self._failure is not None:
            while self._waiting:  # the removal of the partial file among them
                self._answer()
            raise self._failure

    def _answer(self) -> None:
        data = self._channel.recv(_LONGEST_ANSWER)
        if not data:
            raise EOFError("the SFTP server hung up")
        self._received += data
        for kind, body in self._answers():
            if not self._greeted:
                if kind != _VERSION_ANSWER:
                    raise EOFError("this is no SFTP server")
                self._greeted = True
                continue
            number = int.from_bytes(body[:4], "big")
            answered = self._waiting.pop(number, None)
            if answered is None or kind not in (_STATUS, _HANDLE):
                raise EOFError("the SFTP server answers what was not asked")
            answered(kind, body[4:])

    def _answers(self) -> Iterator[tuple[int, bytes]]:
        while len(self._received) >= 4:
            length = int.from_bytes(self._received[:4], "big")
            if not 5 <= length <= _LONGEST_ANSWER:
                raise EOFError("this is no SFTP server")
            if len(self._received) < 4 + length:
                return
            packet = bytes(self._received[4 : 4 + length])
            del self._received[: 4 + length]
            yield packet[0], packet[1:]


def _chunks(file: Outgoing, pace: Pace | None) -> Iterator[tuple[int, bytes]]:
    """Offset and content, from where to go on."""
    size = _CHUNK if pace is None else pace.piece(_CHUNK)
    with file.source.open("rb", buffering=0) as stream:
        offset = stream.seek(file.start)
        while chunk := stream.read(size):
            if pace is not None:
                pace.wait(len(chunk))
            yield offset, chunk
            offset += len(chunk)


def _packet(kind: int, body: bytes) -> bytes:
    return struct.pack(">IB", 1 + len(body), kind) + body


def _string(content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + content


def _string_at(body: bytes, place: int) -> bytes:
    length = int.from_bytes(body[place : place + 4], "big")
    return body[place + 4 : place + 4 + length]


def _code(body: bytes) -> int:
    return int.from_bytes(body[:4], "big")
