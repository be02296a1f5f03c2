"""The part of an SFTP server that an upload needs, for one folder and nothing beside it.

OpenSSH's own can be kept to some kinds of requests, but not to a folder: whoever may write any file
of an account owns it. Here a path is one of the names that uploads have, in the folder of uploads;
everything else is refused. Version 3 of draft-ietf-secsh-filexfer-02, with OpenSSH's
``posix-rename@openssh.com``.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import struct
from collections.abc import Callable
from pathlib import Path

from tartlet_shared.manifest import LARGEST_FILE
from tartlet_shared.push_messages import PARTIAL

_INIT, _OPEN, _CLOSE, _WRITE, _REMOVE, _EXTENDED = 1, 3, 4, 6, 13, 200
_VERSION, _STATUS, _HANDLE = 2, 101, 102
_RENAME = b"posix-rename@openssh.com"
_OK, _NO_SUCH_FILE, _PERMISSION_DENIED, _FAILURE, _BAD_MESSAGE, _UNSUPPORTED = 0, 2, 3, 4, 5, 8
_CODES = {
    errno.ENOENT: _NO_SUCH_FILE,
    errno.EACCES: _PERMISSION_DENIED,
    errno.EPERM: _PERMISSION_DENIED,
    errno.ELOOP: _PERMISSION_DENIED,
}
_WRITING, _CREATING, _TRUNCATING = 0x02, 0x08, 0x10
_FLAGS = {
    _WRITING | _CREATING: 0,
    _WRITING | _CREATING | _TRUNCATING: os.O_TRUNC,
}
_NAME = re.compile(rb"[0-9a-f]{64}(\.[A-Za-z0-9-]{1,64}\.part)?")
_LONGEST_PACKET = 1 << 18
_MOST_HANDLES = 64
_MODE = 0o640  # the daemon reads as the folder's group


class Malformed(Exception):
    """The laptop's end speaks something else than SFTP."""


class UploadServer:
    """One conversation."""

    def __init__(self, folder: Path, reading: int, writing: int) -> None:
        """
        Args:
            folder: of uploads; exists.
            reading, writing: file descriptors of the conversation.
        """
        self._folder = folder
        self._reading, self._writing = reading, writing
        self._open_files: dict[bytes, int] = {}
        self._next_handle = 0
        self._handlers: dict[int, Callable[[_Fields], bytes]] = {
            _OPEN: self._open,
            _CLOSE: self._close,
            _WRITE: self._write,
            _REMOVE: self._remove,
            _EXTENDED: self._extended,
        }

    def serve(self) -> None:
        """Answer request after request until the laptop's end is closed.

        Raises:
            Malformed: it sends what is no request.
            OSError: nobody reads the answers any more.
        """
        try:
            while (packet := self._receive()) is not None:
                kind, body = packet[0], packet[1:]
                if kind == _INIT:
                    extension = _string(_RENAME) + _string(b"1")
                    self._send(bytes([_VERSION]) + struct.pack(">I", 3) + extension)
                    continue
                number = body[:4]
                if len(number) < 4:
                    raise Malformed("a request without a number")
                self._answer(kind, number, _Fields(body[4:]))
        finally:
            for descriptor in self._open_files.values():
                with contextlib.suppress(OSError):
                    os.close(descriptor)

    def _answer(self, kind: int, number: bytes, fields: _Fields) -> None:
        handler = self._handlers.get(kind)
        handle: bytes | None = None
        try:
            if handler is None:
                code, text = _UNSUPPORTED, "only uploads are allowed here"
            else:
                handle, code, text = handler(fields), _OK, ""
        except OSError as error:
            code, text = _CODES.get(error.errno or 0, _FAILURE), error.strerror or str(error)
        except Malformed as error:
            code, text = _BAD_MESSAGE, str(error)
        if code == _OK and handle:
            self._send(bytes([_HANDLE]) + number + _string(handle))
            return
        status = struct.pack(">I", code) + _string(text.encode()) + _string(b"")
        self._send(bytes([_STATUS]) + number + status)

    # -- requests; each gives a handle, or nothing

    def _open(self, fields: _Fields) -> bytes:
        path, flags = self._path(fields.string()), _FLAGS.get(fields.number(4))
        if flags is None or path.suffix != PARTIAL:
            raise PermissionError(errno.EACCES, "only for writing, under a partial name")
        if len(self._open_files) >= _MOST_HANDLES:
            raise OSError(errno.EMFILE, "too many files at once")
        # Not followed, not waited for: somebody else may have left a link or a pipe there.
        flags |= os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        descriptor = os.open(path, flags, _MODE)
        self._next_handle += 1
        handle = self._next_handle.to_bytes(4, "big")
        self._open_files[handle] = descriptor
        return handle

    def _close(self, fields: _Fields) -> bytes:
        os.close(self._open_files.pop(self._known(fields.string())))
        return b""

    def _write(self, fields: _Fields) -> bytes:
        descriptor = self._open_files[self._known(fields.string())]
        offset, content = fields.number(8), fields.string()
        if offset + len(content) > LARGEST_FILE:
            raise OSError(errno.EFBIG, "larger than any file of a bundle")
        while content:
            written = os.pwrite(descriptor, content, offset)
            content, offset = content[written:], offset + written
        return b""

    def _remove(self, fields: _Fields) -> bytes:
        path = self._path(fields.string())
        if path.suffix != PARTIAL:
            raise PermissionError(errno.EACCES, "only what is not complete")
        path.unlink()
        return b""

    def _extended(self, fields: _Fields) -> bytes:
        if fields.string() != _RENAME:
            raise PermissionError(errno.EACCES, "only uploads are allowed here")
        source, target = self._path(fields.string()), self._path(fields.string())
        if source.suffix != PARTIAL or target.name != source.name.partition(".")[0]:
            raise PermissionError(errno.EACCES, "only to the name of the complete file")
        source.rename(target)
        return b""

    def _known(self, handle: bytes) -> bytes:
        if handle not in self._open_files:
            raise OSError(errno.EBADF, "no such handle")
        return handle

    def _path(self, path: bytes) -> Path:
        """The same in our own words, if it is one of those that uploads have."""
        folder, _, name = path.rpartition(b"/")
        if folder != os.fsencode(self._folder) or not _NAME.fullmatch(name):
            raise PermissionError(errno.EACCES, "only uploads are allowed here")
        return self._folder / name.decode()

    # -- packets

    def _receive(self) -> bytes | None:
        head = self._read(4, may_end=True)
        if head is None:
            return None
        length = int.from_bytes(head, "big")
        if not 1 <= length <= _LONGEST_PACKET:
            raise Malformed(f"a packet of {length} bytes")
        return self._read(length)

    def _read(self, count: int, *, may_end: bool = False) -> bytes | None:
        found = bytearray()
        while len(found) < count:
            chunk = os.read(self._reading, count - len(found))
            if not chunk:
                if may_end and not found:
                    return None
                raise Malformed("it ends in the middle of a packet")
            found += chunk
        return bytes(found)

    def _send(self, content: bytes) -> None:
        packet = memoryview(_string(content))
        while packet:
            packet = packet[os.write(self._writing, packet) :]


class _Fields:
    """The fields of a request, taken one after the other."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    def number(self, size: int) -> int:
        return int.from_bytes(self._take(size), "big")

    def string(self) -> bytes:
        return self._take(self.number(4))

    def _take(self, size: int) -> bytes:
        if size > len(self._body):
            raise Malformed("a request that is too short")
        found, self._body = self._body[:size], self._body[size:]
        return found


def _string(content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + content
