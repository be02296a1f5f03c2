"""Fetching files of events over a connection that breaks."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tartlet_host import event_files
from tartlet_host.event_files import Pulled
from tartlet_shared import errors
from tartlet_shared.event_messages import EventFile, EventFilePart, ListedEvent
from tartlet_shared.event_record import EventQuery, EventRecord, Moment
from tests.host.away import World

PART = 10


def record(number: int, **fields: Any) -> EventRecord:
    moment = Moment(time_s=1000.0 + number, clock_synchronized=True, monotonic_ns=number)
    values: dict[str, Any] = {
        "sequence": number,
        "event_id": f"id-{number}",
        "rule": "door",
        "label": "cat",
        "zone": None,
        "track_id": 1,
        "boot_id": "b",
        "began": moment,
        "ended": moment,
        "ended_by": "rule",
    }
    return EventRecord(**(values | fields))


@dataclass
class Kept:
    """A device's events, and a connection that is cut once so many bytes came.

    Attributes:
        cuts: bytes after which it is cut, one after the other.
        damaged: names of files that arrive damaged the first time.
    """

    files: dict[tuple[str, str], bytes] = field(default_factory=dict)
    records: list[EventRecord] = field(default_factory=list)
    cuts: list[int] = field(default_factory=list)
    damaged: set[str] = field(default_factory=set)
    sent: int = 0
    asked: list[tuple[str, int]] = field(default_factory=list)

    def add(self, number: int, content: bytes, **fields: Any) -> str:
        entered = record(number, picture=record(number).name, **fields)
        self.records.append(entered)
        self.files["pictures", f"{entered.name}.jpg"] = content
        return f"{entered.name}.jpg"

    def listed(self) -> list[ListedEvent]:
        return [
            ListedEvent(
                record=each,
                files=tuple(
                    EventFile(folder=folder, name=name, size=len(content))  # type: ignore[arg-type]
                    for (folder, name), content in self.files.items()
                    if name.split(".")[0] in (each.picture, each.clip)
                ),
            )
            for each in self.records
        ]

    def events(self, query: EventQuery) -> tuple[ListedEvent, ...]:
        assert query.order == "newest"
        below = [
            each
            for each in reversed(self.listed())
            if query.after is None or each.record.sequence < query.after
        ]
        found = [each for each in below if query.rule in (None, each.record.rule)]
        return tuple(found[: query.limit])

    def event_file(self, folder: str, name: str, *, offset: int = 0) -> Iterator[EventFilePart]:
        self.asked.append((name, offset))
        content = self.files.get((folder, name))
        if content is None:
            raise errors.DeviceError("there is no such file any more")
        offset = offset if offset <= len(content) else 0
        digest = hashlib.sha256(content).hexdigest()
        if name in self.damaged:
            self.damaged.discard(name)
            digest = "0" * 64
        while True:
            part = content[offset : offset + PART]
            if self.cuts and self.sent + len(part) > self.cuts[0]:
                self.cuts.pop(0)
                raise errors.ConnectionLost("cut")
            self.sent += len(part)
            last = offset + len(part) >= len(content)
            yield EventFilePart(
                request_id=1,
                content=part,
                offset=offset,
                size=len(content),
                sha256=digest if last else None,
            )
            offset += len(part)
            if last:
                return


def pull(kept: Kept, folder: Path, world: World | None = None) -> Pulled:
    world = world or World()
    world.client = kept
    with world.session() as lasting:
        return event_files.pull(lasting, kept.listed(), folder, clock=world.clock)


def content(folder: Path) -> dict[str, bytes]:
    return {
        path.name: path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.parent.name != "records"
    }


def test_all_is_there_and_the_second_time_nothing_is_asked(tmp_path: Path) -> None:
    kept = Kept()
    for number in range(1, 4):
        kept.add(number, bytes([number]) * 25)
    pulled = pull(kept, tmp_path)
    assert (pulled.done, pulled.fetched, pulled.size, pulled.present) == (3, 75, 75, 0)
    assert content(tmp_path) == {name: data for (_, name), data in kept.files.items()}
    records = sorted((tmp_path / "records").iterdir())
    assert [json.loads(path.read_bytes())["sequence"] for path in records] == [1, 2, 3]
    kept.asked.clear()
    again = pull(kept, tmp_path)
    assert (again.done, again.fetched, again.present, kept.asked) == (0, 0, 3, [])


@settings(max_examples=60, deadline=None)
@given(
    sizes=st.lists(st.integers(0, 60), min_size=1, max_size=4),
    cuts=st.lists(st.integers(0, 150), max_size=5),
)
def test_however_often_it_is_cut_every_byte_comes_once(
    tmp_path_factory: Any, sizes: list[int], cuts: list[int]
) -> None:
    kept = Kept(cuts=sorted(cuts))
    for number, size in enumerate(sizes, start=1):
        kept.add(number, bytes(range(number, number + size)))
    folder = tmp_path_factory.mktemp("pulled")
    world = World()
    pulled = pull(kept, folder, world)
    assert content(folder) == {name: data for (_, name), data in kept.files.items()}
    assert pulled.done == len(sizes)
    assert kept.sent == sum(sizes)


def test_a_run_that_was_ended_is_gone_on_with_by_the_next(tmp_path: Path) -> None:
    kept = Kept(cuts=[20])
    name = kept.add(1, bytes(range(100)))
    world = World((1.0, 1e9))

    def tell(pulled: Pulled) -> None:
        world.now = 2.0  # from here on it stays away

    world.client = kept
    with world.session() as lasting, pytest.raises(errors.Unreachable):
        event_files.pull(lasting, kept.listed(), tmp_path, progress=tell, clock=world.clock)
    assert [path.name for path in (tmp_path / "pictures").iterdir()] == [f".{name}.part"]
    kept.asked.clear()
    assert pull(kept, tmp_path).fetched == 80
    assert kept.asked == [(name, 20)]
    assert content(tmp_path) == {name: bytes(range(100))}


def test_another_file_than_the_one_that_was_begun_comes_whole(tmp_path: Path) -> None:
    """A picture that was replaced by a better one meanwhile."""
    kept = Kept()
    name = kept.add(1, b"a new picture")
    aside = tmp_path / "pictures" / f".{name}.part"
    for begun in (b"an old picture that was longer", b"old"):
        aside.parent.mkdir(exist_ok=True)
        aside.write_bytes(begun)
        pull(kept, tmp_path)
        assert content(tmp_path) == {name: b"a new picture"}
        (tmp_path / "pictures" / name).unlink()


def test_a_large_file_may_be_cut_for_longer_than_patience_lasts(tmp_path: Path) -> None:
    kept = Kept(cuts=list(range(15, 4000, 15)))
    name = kept.add(1, bytes(4000))
    world = World()
    assert pull(kept, tmp_path, world).done == 1
    assert world.now > event_files.PATIENCE_S
    assert content(tmp_path) == {name: bytes(4000)}


def test_what_arrives_damaged_is_not_kept(tmp_path: Path) -> None:
    kept = Kept()
    name = kept.add(1, bytes(50))
    kept.damaged = {name}
    pulled = pull(kept, tmp_path)
    assert kept.asked == [(name, 0), (name, 0)]
    assert content(tmp_path) == {name: bytes(50)}
    assert pulled.done == 1


def test_what_the_device_deleted_meanwhile_is_told(tmp_path: Path) -> None:
    kept = Kept()
    gone, there = kept.add(1, b"1"), kept.add(2, b"2")
    listed = kept.listed()
    del kept.files["pictures", gone]
    world = World()
    world.client = kept
    with world.session() as lasting:
        pulled = event_files.pull(lasting, listed, tmp_path, clock=world.clock)
    assert pulled.gone == [gone]
    assert content(tmp_path) == {there: b"2"}


def test_an_event_that_goes_on_gets_its_better_picture(tmp_path: Path) -> None:
    kept = Kept()
    name = kept.add(1, b"first", ended=None, ended_by=None)
    assert pull(kept, tmp_path).going_on == 1
    kept.files["pictures", name] = b"later"  # of the same size
    pull(kept, tmp_path)
    assert content(tmp_path) == {name: b"later"}
    kept.records[0] = record(1, picture=record(1).name)
    assert pull(kept, tmp_path).going_on == 0
    records = list((tmp_path / "records").iterdir())
    assert [json.loads(path.read_bytes())["ended_by"] for path in records] == ["rule"]


def test_events_that_share_a_clip_fetch_it_once(tmp_path: Path) -> None:
    clip = record(1).name
    kept = Kept(records=[record(number, clip=clip) for number in (1, 2, 3)])
    assert pull(kept, tmp_path).going_on == 3  # it is still being written
    kept.files["clips", f"{clip}.mp4"] = bytes(30)
    kept.files["clips", f"{clip}.jsonl"] = b"{}\n"
    pulled = pull(kept, tmp_path)
    assert (pulled.files, pulled.done, pulled.going_on) == (2, 2, 0)
    assert len(kept.asked) == 2
    assert pull(kept, tmp_path).present == 2


@pytest.mark.parametrize(
    ("limit", "first"), [(None, 1), (1200, 1), (1199, 2), (3, 1198), (1, 1200)]
)
def test_lists_of_any_length_come_page_by_page(limit: int | None, first: int) -> None:
    world = World()
    world.client = Kept(records=[record(number) for number in range(1, 1201)])
    with world.session() as lasting:
        events = event_files.listed(lasting, {"rule": "door"}, limit=limit, clock=world.clock)
        assert event_files.listed(lasting, {"rule": "no"}, clock=world.clock) == []
    assert [each.record.sequence for each in events] == list(range(first, 1201))
