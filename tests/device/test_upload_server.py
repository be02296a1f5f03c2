"""The part of an SFTP server that restricted keys get: uploads, and nothing beside them."""

from __future__ import annotations

import contextlib
import hashlib
import os
import socket
import stat
import struct
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tartlet_device.upload_server import Malformed, UploadServer
from tartlet_shared.manifest import LARGEST_FILE

SHA256 = hashlib.sha256(b"model").hexdigest()
PART = f"{SHA256}.laptop-1.part"
INIT, OPEN, CLOSE, READ, WRITE, STAT, REMOVE, RENAME, EXTENDED = 1, 3, 4, 5, 6, 17, 13, 18, 200
STATUS, HANDLE = 101, 102
OK, NO_SUCH_FILE, DENIED, FAILURE, BAD, UNSUPPORTED = 0, 2, 3, 4, 5, 8
FOR_WRITING, ANEW = 0x02 | 0x08, 0x02 | 0x08 | 0x10


def text(content: str | bytes) -> bytes:
    encoded = content.encode() if isinstance(content, str) else content
    return struct.pack(">I", len(encoded)) + encoded


class Laptop:
    """Speaks to a server in a thread."""

    def __init__(self, folder: Path) -> None:
        self._socket, self._theirs = socket.socketpair()
        self._socket.settimeout(20)
        self.failure: BaseException | None = None
        self._thread = threading.Thread(target=self._serve, args=(folder,))
        self._thread.start()

    def _serve(self, folder: Path) -> None:
        descriptor = self._theirs.fileno()
        try:
            UploadServer(folder, descriptor, descriptor).serve()
        except (Malformed, OSError) as error:
            self.failure = error
        finally:
            self._theirs.close()

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_WR)
        self._thread.join(20)
        assert not self._thread.is_alive()
        self._socket.close()

    def raw(self, content: bytes) -> None:
        self._socket.sendall(content)

    def ask(self, kind: int, *fields: bytes) -> tuple[int, bytes]:
        """Kind and body of the answer, without the number."""
        self.raw(text(bytes([kind]) + struct.pack(">I", 7) + b"".join(fields)))
        answer = self.answer()
        assert answer[1:5] == struct.pack(">I", 7)
        return answer[0], answer[5:]

    def answer(self) -> bytes:
        head = self._exactly(4)
        return self._exactly(int.from_bytes(head, "big"))

    def code(self, kind: int, *fields: bytes) -> int:
        found, body = self.ask(kind, *fields)
        assert found == STATUS
        return int.from_bytes(body[:4], "big")

    def handle(self, path: str, flags: int = ANEW) -> bytes:
        kind, body = self.ask(OPEN, text(path), struct.pack(">II", flags, 0))
        assert kind == HANDLE, body
        return body[4:]

    def _exactly(self, count: int) -> bytes:
        found = b""
        while len(found) < count:
            chunk = self._socket.recv(count - len(found))
            assert chunk, "the server hung up"
            found += chunk
        return found


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "incoming"
    made.mkdir()
    return made


@pytest.fixture
def laptop(folder: Path) -> Iterator[Laptop]:
    made = Laptop(folder)
    yield made
    made.close()


def test_a_file_arrives_in_pieces_and_gets_its_name(laptop: Laptop, folder: Path) -> None:
    laptop.raw(text(bytes([INIT]) + struct.pack(">I", 3)))
    greeting = laptop.answer()
    assert greeting[:5] == b"\x02\x00\x00\x00\x03"
    assert b"posix-rename@openssh.com" in greeting
    handle = laptop.handle(f"{folder}/{PART}")
    assert laptop.code(WRITE, text(handle), struct.pack(">Q", 2), text("del")) == OK
    assert laptop.code(WRITE, text(handle), struct.pack(">Q", 0), text("mo")) == OK
    assert laptop.code(CLOSE, text(handle)) == OK
    assert stat.S_IMODE((folder / PART).stat().st_mode) & 0o007 == 0
    names = text(f"{folder}/{PART}") + text(f"{folder}/{SHA256}")
    assert laptop.code(EXTENDED, text("posix-rename@openssh.com"), names) == OK
    assert [each.name for each in folder.iterdir()] == [SHA256]
    assert (folder / SHA256).read_bytes() == b"model"


def test_what_broke_off_goes_on_and_can_be_removed(laptop: Laptop, folder: Path) -> None:
    (folder / PART).write_bytes(b"mo")
    handle = laptop.handle(f"{folder}/{PART}", FOR_WRITING)
    assert laptop.code(WRITE, text(handle), struct.pack(">Q", 2), text("del")) == OK
    assert (folder / PART).read_bytes() == b"model"
    assert laptop.code(REMOVE, text(f"{folder}/{PART}")) == OK
    assert laptop.code(REMOVE, text(f"{folder}/{PART}")) == NO_SUCH_FILE
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize(
    "path",
    [
        "/etc/passwd",
        "{folder}",
        "{folder}/",
        "{folder}/.ssh",
        "{folder}/../secret",
        "{folder}/../incoming/{part}",
        "{folder}//{part}",
        "{folder}/./{part}",
        "{part}",
        "{folder}/{part}/x",
        "{folder}/{sha256}",
        "{folder}/{sha256}.part",
        "{folder}/{sha256}..part",
        "{folder}/{sha256}.a/../b.part",
        "{folder}/{upper}.laptop.part",
        "{folder}/{part}\n",
        "{folder}/{part}\0",
        "",
    ],
)
def test_no_other_path_is_written(path: str, laptop: Laptop, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"secret")
    named = path.format(folder=folder, part=PART, sha256=SHA256, upper=SHA256.upper())
    for flags in (FOR_WRITING, ANEW):
        assert laptop.code(OPEN, text(named), struct.pack(">II", flags, 0)) == DENIED
    assert laptop.code(REMOVE, text(named)) == DENIED
    rename = text("posix-rename@openssh.com")
    (folder / PART).write_bytes(b"model")
    assert laptop.code(EXTENDED, rename, text(f"{folder}/{PART}"), text(named + "x")) == DENIED
    if not named.endswith(f"/{SHA256}"):
        assert laptop.code(EXTENDED, rename, text(f"{folder}/{PART}"), text(named)) == DENIED
    assert laptop.code(EXTENDED, rename, text(named), text(f"{folder}/{SHA256}")) == DENIED
    assert (tmp_path / "secret").read_bytes() == b"secret"
    assert [each.name for each in folder.iterdir()] == [PART]


@pytest.mark.parametrize("flags", [0x01, 0x03, 0x02, 0x06, 0x2A, 0])
def test_files_are_opened_for_writing_only(flags: int, laptop: Laptop, folder: Path) -> None:
    (folder / PART).write_bytes(b"model")
    opening = text(f"{folder}/{PART}") + struct.pack(">II", flags, 0)
    assert laptop.code(OPEN, opening) == DENIED
    assert (folder / PART).read_bytes() == b"model"


@pytest.mark.parametrize("kind", [READ, STAT, RENAME, *range(7, 13), *range(14, 21), 0, 255])
def test_nothing_else_is_answered(kind: int, laptop: Laptop, folder: Path) -> None:
    assert laptop.code(kind, text(str(folder))) == UNSUPPORTED


def test_links_and_pipes_are_not_followed(laptop: Laptop, folder: Path, tmp_path: Path) -> None:
    target = tmp_path / "secret"
    target.write_bytes(b"secret")
    (folder / PART).symlink_to(target)
    for flags in (FOR_WRITING, ANEW):
        opening = text(f"{folder}/{PART}") + struct.pack(">II", flags, 0)
        assert laptop.code(OPEN, opening) == DENIED
    (folder / PART).unlink()
    os.mkfifo(folder / PART)
    opening = text(f"{folder}/{PART}") + struct.pack(">II", FOR_WRITING, 0)
    assert laptop.code(OPEN, opening) == FAILURE
    assert target.read_bytes() == b"secret"


def test_there_are_limits(laptop: Laptop, folder: Path) -> None:
    handles = [laptop.handle(f"{folder}/{PART}", FOR_WRITING) for _ in range(64)]
    opening = text(f"{folder}/{PART}") + struct.pack(">II", FOR_WRITING, 0)
    assert laptop.code(OPEN, opening) == FAILURE
    for offset in (LARGEST_FILE, (1 << 64) - 1):
        writing = text(handles[0]) + struct.pack(">Q", offset) + text("x")
        assert laptop.code(WRITE, writing) == FAILURE
    assert laptop.code(WRITE, text("nothing"), struct.pack(">Q", 0), text("x")) == FAILURE
    assert laptop.code(CLOSE, text("nothing")) == FAILURE
    assert (folder / PART).stat().st_size == 0


@pytest.mark.parametrize("body", [b"", b"\xff\xff\xff\xff", text("x" * 5)[:-1]])
def test_a_request_that_is_too_short_is_said(body: bytes, laptop: Laptop) -> None:
    assert laptop.code(OPEN, body) == BAD


@pytest.mark.parametrize(
    "content", [b"\0\0\0\0", b"\xff" * 8, b"\0\0\0\x02\x03\0", b"\0\0\0\x09\x03"]
)
def test_what_is_no_packet_ends_the_conversation(content: bytes, folder: Path) -> None:
    laptop = Laptop(folder)
    laptop.raw(content)
    laptop.close()
    assert isinstance(laptop.failure, Malformed)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    requests=st.lists(
        st.tuples(
            st.sampled_from([OPEN, CLOSE, WRITE, REMOVE, EXTENDED, STAT, INIT]),
            st.lists(
                st.one_of(
                    st.binary(max_size=40).map(text),
                    st.sampled_from(["{f}/" + PART, "{f}/" + SHA256, "{f}/../x", "/etc/passwd"]),
                    st.integers(0, 1 << 32).map(lambda each: struct.pack(">Q", each)),
                    st.just(text("posix-rename@openssh.com")),
                ),
                max_size=4,
            ),
        ),
        max_size=12,
    )
)
def test_whatever_is_asked_nothing_but_uploads_appears(
    requests: list[tuple[int, list[str | bytes]]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    root = tmp_path_factory.mktemp("root")
    folder = root / "incoming"
    folder.mkdir()
    laptop = Laptop(folder)
    with contextlib.suppress(OSError):
        for kind, fields in requests:
            content = [
                text(each.format(f=folder)) if isinstance(each, str) else each for each in fields
            ]
            laptop.raw(text(bytes([kind]) + struct.pack(">I", 1) + b"".join(content)))
    laptop.close()
    assert [each.name for each in root.iterdir()] == ["incoming"]
    assert {each.name for each in folder.iterdir()} <= {PART, SHA256}
