"""Events over a connection: lists, and files that lead nowhere else."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tartlet_device.events.settings import EventSettings
from tartlet_shared import messages, wire
from tartlet_shared.event_messages import (
    PART_BYTES,
    EventFilePart,
    EventFileRequest,
    Events,
    EventsRequest,
)
from tartlet_shared.event_record import EventQuery
from tartlet_shared.messages import Failure
from tests.device.events.made import began, ended

NAME = "0000000001-a.jpg"


@pytest.fixture
def folder(daemon: Any, tmp_path: Path) -> Path:
    """Where the daemon keeps events from now on."""
    daemon.device.keeper.apply(EventSettings(enabled=True, folder=str(tmp_path / "events")))
    return tmp_path / "events"


def enter(daemon: Any, *numbers: int, **fields: object) -> None:
    for number in numbers:
        daemon.device.keeper.recorder.log.begin(began(number, **fields))


def ask(daemon: Any, **fields: object) -> list[int]:
    answer = daemon.connect().ask(EventsRequest(request_id=1, query=EventQuery(**fields)))  # type: ignore[arg-type]
    assert isinstance(answer, Events), answer
    return [each.record.sequence for each in answer.events]


def fetch(daemon: Any, name: str, folder: str = "pictures", offset: int = 0) -> list[EventFilePart]:
    client = daemon.connect()
    client.send(EventFileRequest(request_id=1, folder=folder, name=name, offset=offset))  # type: ignore[arg-type]
    parts: list[EventFilePart] = []
    while not parts or parts[-1].sha256 is None:
        part = client.receive()
        assert isinstance(part, EventFilePart), part
        parts.append(part)
    client.close()
    return parts


@pytest.mark.parametrize(
    "request_",
    [
        EventsRequest(request_id=1),
        EventFileRequest(request_id=1, folder="clips", name="0000000001-a.mp4"),
    ],
)
def test_where_no_events_are_kept_it_says_how(daemon: Any, request_: Any) -> None:
    answer = daemon.connect().ask(request_)
    assert isinstance(answer, Failure)
    assert answer.code == "device"
    assert "[events]" in answer.hint


def test_lists_are_what_was_asked_for(daemon: Any, folder: Path) -> None:
    enter(daemon, 1, 2, 3)
    enter(daemon, 4, label="cat", rule="lawn", zone="grass")
    assert ask(daemon) == [1, 2, 3, 4]
    assert ask(daemon, order="newest", limit=2) == [4, 3]
    assert ask(daemon, order="newest", limit=2, after=3) == [2, 1]
    assert ask(daemon, label="cat") == ask(daemon, rule="lawn") == ask(daemon, zone="grass") == [4]
    assert ask(daemon, since_s=1002.0, until_s=1004.0) == [2, 3]
    assert ask(daemon, label="dog") == []


def test_a_list_tells_the_files_that_are_there(daemon: Any, folder: Path) -> None:
    log = daemon.device.keeper.recorder.log
    record = log.begin(began(1))
    log.attach(record.event_id, "picture", record.name)
    log.attach(record.event_id, "clip", record.name)
    (folder / "pictures" / f"{record.name}.jpg").write_bytes(b"1234")
    (folder / "pictures" / f"{record.name}.json").write_bytes(b"{}")
    (folder / "clips" / f"{record.name}.mp4.part").write_bytes(b"being written")
    log.end(ended(began(1)))
    answer = daemon.connect().ask(EventsRequest(request_id=1))
    (event,) = answer.events
    assert event.record.ended_by == "rule"
    assert [(file.folder, file.name, file.size) for file in event.files] == [
        ("pictures", f"{record.name}.jpg", 4),
        ("pictures", f"{record.name}.json", 2),
    ]


@pytest.mark.parametrize("size", [0, 1, PART_BYTES, 2 * PART_BYTES + 5])
@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_a_file_comes_in_parts_from_anywhere(
    daemon: Any, folder: Path, size: int, share: float
) -> None:
    content = os.urandom(size)
    (folder / "clips" / "0000000001-a.mp4").write_bytes(content)
    offset = round(size * share)
    parts = fetch(daemon, "0000000001-a.mp4", "clips", offset)
    assert parts[0].offset == offset
    assert b"".join(part.content for part in parts) == content[offset:]
    assert all(len(part.content) <= PART_BYTES and part.size == size for part in parts)
    assert parts[-1].sha256 == hashlib.sha256(content).hexdigest()


def test_a_file_that_is_shorter_than_what_is_there_comes_from_its_start(
    daemon: Any, folder: Path
) -> None:
    (folder / "pictures" / "0000000001-a.jpg").write_bytes(b"new")
    (part,) = fetch(daemon, "0000000001-a.jpg", offset=100)
    assert (part.offset, part.content) == (0, b"new")


def test_only_whole_files_of_that_folder_are_given(daemon: Any, folder: Path) -> None:
    secret = folder.parent / "secret"
    secret.write_bytes(b"secret")
    pictures = folder / "pictures"
    (pictures / "0000000001-link.jpg").symlink_to(secret)
    os.mkfifo(pictures / "0000000001-pipe.jpg")
    (pictures / "0000000001-dir.jpg").mkdir()
    client = daemon.connect()
    for name in ("missing", "link", "pipe", "dir"):
        request = EventFileRequest(request_id=1, folder="pictures", name=f"0000000001-{name}.jpg")
        answer = client.ask(request)
        assert isinstance(answer, Failure), name
        assert "no such file" in answer.what


@pytest.mark.parametrize(
    "name",
    [
        "../events.db",
        "../../secret",
        "/etc/passwd",
        "0000000001-a.jpg/../../../secret",
        "0000000001-a.jpg\n",
        "0000000001-a.mp4.part",
        "0000000001-.jpg",
        ".probe",
        "",
        "0000000001-a\x00.jpg",
        "0000000001-ä.jpg",
    ],
)
def test_a_name_that_leads_elsewhere_is_no_message(daemon: Any, folder: Path, name: str) -> None:
    """Not even parsed, on either side."""
    client = daemon.connect()
    content = msgspec.msgpack.encode(
        {"type": "EventFileRequest", "request_id": 1, "folder": "pictures", "name": name}
    )
    client.socket.sendall(len(content).to_bytes(4, "big") + content)
    answer = client.receive()
    assert isinstance(answer, Failure)
    assert answer.code == "message-malformed"
    with pytest.raises(messages.errors.MessageMalformed):
        wire.Decoder().feed(len(content).to_bytes(4, "big") + content)


def test_another_folder_is_no_message() -> None:
    for folder in ("continuous", "records", "..", "/"):
        content = msgspec.msgpack.encode(
            {
                "type": "EventFileRequest",
                "request_id": 1,
                "folder": folder,
                "name": "0000000001-a.jpg",
            }
        )
        with pytest.raises(messages.errors.MessageMalformed):
            wire.Decoder().feed(len(content).to_bytes(4, "big") + content)
