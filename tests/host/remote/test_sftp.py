"""The pipelined upload against a small SFTP server in memory."""

from __future__ import annotations

import errno
import struct
from collections import deque
from pathlib import Path

import pytest

from tartlet_host.remote.sftp import Outgoing, Sftp, SftpError

OPEN, CLOSE, WRITE, REMOVE, EXTENDED = 3, 4, 6, 13, 200


def text(content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + content


class Server:
    """Answers in order, but only when somebody waits: what is asked before that did not wait.

    Attributes:
        files: name -> content.
        asked: kinds of requests, a dot for every time that the client waited.
    """

    def __init__(
        self, *, room: int = 10**9, refuse: int = 0, files: dict[str, bytes] | None = None
    ):
        self.files = {name: bytearray(content) for name, content in (files or {}).items()}
        self.asked = ""
        self.waits = 0
        self._room, self._refuse = room, refuse
        self._answers: deque[bytes] = deque()
        self._handles: list[str] = []

    def sendall(self, data: bytes, /) -> None:
        length, kind = struct.unpack(">IB", data[:5])
        assert length == len(data) - 4
        if kind == 1:
            self._answers.append(struct.pack(">IBI", 5, 2, 3))
            return
        number, body = data[5:9], data[9:]
        self.asked += {OPEN: "o", CLOSE: "c", WRITE: "w", REMOVE: "d", EXTENDED: "r"}[kind]
        answer = getattr(self, f"_{kind}")(*self._split(body, kind))
        self._answers.append(struct.pack(">I", len(answer) + 4) + answer[:1] + number + answer[1:])

    def recv(self, size: int, /) -> bytes:
        assert self._answers, "waits for an answer that never comes"
        self.asked += "."
        self.waits += 1
        answers = b"".join(self._answers)
        self._answers.clear()
        return answers

    def recv_ready(self) -> bool:
        return False

    def _split(self, body: bytes, kind: int) -> list[bytes]:
        parts = []
        for _ in range(3 if kind == EXTENDED else 1):
            length = int.from_bytes(body[:4], "big")
            parts.append(body[4 : 4 + length])
            body = body[4 + length :]
        return [*parts, body]

    def _status(self, code: int = 0) -> bytes:
        return struct.pack(">BI", 101, code) + text(b"Failure") + text(b"")

    def _3(self, name: bytes, rest: bytes) -> bytes:
        if self._refuse:
            return self._status(self._refuse)
        flags = int.from_bytes(rest[:4], "big")
        if flags & 0x10:
            self.files[name.decode()] = bytearray()
        self.files.setdefault(name.decode(), bytearray())
        self._handles.append(name.decode())
        return b"\x66" + text(bytes([len(self._handles) - 1]))

    def _6(self, handle: bytes, rest: bytes) -> bytes:
        offset = int.from_bytes(rest[:8], "big")
        content = rest[12:]
        if sum(map(len, self.files.values())) + len(content) > self._room:
            self._room = 0
            return self._status(4)
        file = self.files[self._handles[handle[0]]]
        assert offset <= len(file), "a hole"
        file[offset : offset + len(content)] = content
        return self._status()

    def _4(self, handle: bytes, rest: bytes) -> bytes:
        return self._status()

    def _13(self, name: bytes, rest: bytes) -> bytes:
        self.files.pop(name.decode(), None)
        return self._status()

    def _200(self, kind: bytes, old: bytes, new: bytes, rest: bytes) -> bytes:
        assert kind == b"posix-rename@openssh.com"
        if old.decode() not in self.files:
            return self._status(2)
        self.files[new.decode()] = self.files.pop(old.decode())
        return self._status()


def made(folder: Path, sizes: list[int]) -> list[Outgoing]:
    files = []
    for number, size in enumerate(sizes):
        path = folder / str(number)
        path.write_bytes(bytes((number + each) % 251 for each in range(size)))
        files.append(Outgoing(path, f"/in/{number}", f"/in/{number}.me.part"))
    return files


@pytest.mark.parametrize("sizes", [[], [0], [1], [100_000], [0, 1, 40_000, 0, 70_000], [10] * 50])
def test_files_arrive_whole_under_their_names(tmp_path: Path, sizes: list[int]) -> None:
    server, seen = Server(), []
    files = made(tmp_path, sizes)
    Sftp(server).send(files, progress=seen.append)
    assert server.files == {each.destination: each.source.read_bytes() for each in files}
    assert (seen or [0])[-1] == sum(sizes)
    assert seen == sorted(seen)


def test_sixteen_files_take_three_round_trips(tmp_path: Path) -> None:
    server = Server()
    Sftp(server).send(made(tmp_path, [40_000] * 16))
    assert server.waits == 3
    assert server.asked == "o" * 16 + "." + "ww" * 16 + "." + "cr" * 16 + "."


@pytest.mark.parametrize("start", [0, 1, 50_000, 99_999, 100_000])
def test_a_file_goes_on_where_it_broke_off(tmp_path: Path, start: int) -> None:
    (whole,) = made(tmp_path, [100_000])
    content = whole.source.read_bytes()
    rest = Outgoing(whole.source, whole.destination, whole.partial, start)
    server, seen = Server(files={whole.partial: content[:start]}), []
    Sftp(server).send([rest], progress=seen.append)
    assert server.files == {whole.destination: content}
    assert sum(seen[-1:]) == 100_000 - start


def test_what_was_there_is_thrown_away_by_a_new_start(tmp_path: Path) -> None:
    (whole,) = made(tmp_path, [1000])
    server = Server(files={whole.partial: b"x" * 5000})
    Sftp(server).send([whole])
    assert server.files == {whole.destination: whole.source.read_bytes()}


def test_a_full_disk_names_the_file_and_gives_no_name_to_half_of_it(tmp_path: Path) -> None:
    files = made(tmp_path, [40_000, 100_000, 10])
    server = Server(room=120_000)
    with pytest.raises(SftpError, match="Failure") as caught:
        Sftp(server).send(files)
    assert caught.value.errno == errno.EIO
    assert caught.value.filename == "/in/1"
    assert "/in/1" not in server.files
    assert "/in/1.me.part" not in server.files


def test_a_folder_that_takes_nothing_is_told(tmp_path: Path) -> None:
    with pytest.raises(SftpError) as caught:
        Sftp(Server(refuse=3)).send(made(tmp_path, [10, 10]))
    assert caught.value.errno == errno.EACCES


def test_somebody_who_was_faster_is_no_error(tmp_path: Path) -> None:
    (file,) = made(tmp_path, [10])
    server = Server()
    conversation = Sftp(server)

    def used(done: int) -> None:
        server.files.clear()  # the device has made use of it

    conversation.send([file], progress=used)
    assert server.files == {}


@pytest.mark.parametrize(
    "answer", [b"", b"HTTP/1.1 400 Bad Request", struct.pack(">IBI", 5, 9, 3), bytes(4)]
)
def test_what_is_no_sftp_server_is_a_lost_connection(tmp_path: Path, answer: bytes) -> None:
    server = Server()
    server.recv = lambda size, /: answer  # type: ignore[method-assign]
    with pytest.raises(EOFError):
        Sftp(server).send(made(tmp_path, [10]))
