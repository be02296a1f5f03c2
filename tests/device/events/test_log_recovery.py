"""The database breaks, or a power cut takes what was not synced."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tartlet_device.events.log import EventLog
from tartlet_shared import errors
from tests.device.events.logs import everything
from tests.device.events.made import Clock, began, ended


def breakage(kind: str, path: Path) -> None:
    content = path.read_bytes()
    if kind == "garbage":
        path.write_bytes(b"\xa5" * len(content))
    elif kind == "truncated":
        path.write_bytes(content[: len(content) // 2 + 100])
    elif kind == "page":
        # The header stays, the table's pages are lost.
        path.write_bytes(content[:4096] + b"\0" * (len(content) - 4096))
    elif kind == "header":
        path.write_bytes(b"SQLite format 4\0" + content[16:])
    elif kind == "schema":
        path.unlink()
        other = sqlite3.connect(path)
        other.execute("CREATE TABLE something(x)")
        other.close()
    elif kind == "empty":
        path.write_bytes(b"")
    elif kind == "gone":
        path.unlink()
    elif kind == "row":
        other = sqlite3.connect(path)
        other.execute("UPDATE events SET record = x'00'")
        other.commit()
        other.close()


@pytest.mark.parametrize(
    "kind", ["garbage", "truncated", "page", "header", "schema", "empty", "gone"]
)
def test_a_broken_database_is_rebuilt_from_the_side_files(tmp_path, kind):
    opened = EventLog(tmp_path)
    for number in range(1, 41):
        opened.begin(began(number))
        if number != 40:
            opened.end(ended(began(number)))
    before = everything(opened)
    opened.close()
    breakage(kind, tmp_path / "events.db")
    again = EventLog(tmp_path)
    assert everything(again)[:-1] == before[:-1]
    assert everything(again)[-1] == msgspec.structs.replace(before[-1], ended_by="restart")
    assert again.fault is None
    assert again.begin(began(50)).sequence == 41
    again.close()
    # What was broken is kept for a look, once.
    assert (tmp_path / "events.db.broken").exists() == (kind not in ("empty", "gone"))


def test_a_database_that_breaks_while_it_is_used_is_rebuilt(tmp_path):
    clock = Clock()
    opened = EventLog(tmp_path, monotonic=clock)
    opened.begin(began(1))
    clock.now += 2
    opened.keep()
    # A row that is no event, as another program could write it.
    breakage("row", tmp_path / "events.db")
    with pytest.raises(errors.DeviceError, match="no event"):
        everything(opened)
    assert opened.fault is not None
    opened.keep()
    assert opened.fault is None
    assert opened.begin(began(2)).sequence == 2
    assert [(each.sequence, each.ended_by) for each in everything(opened)] == [(1, None), (2, None)]
    opened.close()


def test_side_files_that_are_damaged_are_left_out(tmp_path):
    opened = EventLog(tmp_path)
    for number in (1, 2, 3):
        opened.begin(began(number))
    before = everything(opened)
    opened.close()
    (tmp_path / "events.db").unlink()
    (tmp_path / "records" / f"{before[1].name}.json").write_bytes(b'{"half')
    (tmp_path / "records" / "stray.json").write_bytes(b"{}")
    (tmp_path / "records" / f".{before[0].name}.json.new").write_bytes(b"half")
    again = EventLog(tmp_path)
    assert [each.sequence for each in everything(again)] == [1, 3]
    assert not list((tmp_path / "records").glob(".*"))
    again.close()


# -- power cuts


@given(data=st.data())
def test_a_power_cut_loses_only_what_was_not_synced(tmp_path_factory, data):
    """The end of the write-ahead log that was not fsynced may be missing, or be anything."""
    folder = tmp_path_factory.mktemp("log")
    clock = Clock()
    opened = EventLog(folder, monotonic=clock)
    synced = data.draw(st.integers(0, 12), label="synced")
    for number in range(1, synced + 1):
        opened.begin(began(number))
        if number % 2:
            opened.end(ended(began(number)))
    clock.now += 2
    opened.keep()
    wal = folder / "events.db-wal"
    durable = wal.stat().st_size if wal.exists() else 0
    records = {path.name for path in (folder / "records").iterdir()}
    for number in range(synced + 1, synced + 1 + data.draw(st.integers(0, 6), label="later")):
        opened.begin(began(number))
    # What the disk has after the cut: a copy, as closing the database would finish the writing.
    after = tmp_path_factory.mktemp("after")
    (after / "records").mkdir()
    for name in records:
        (after / "records" / name).write_bytes((folder / "records" / name).read_bytes())
    (after / "events.db").write_bytes((folder / "events.db").read_bytes())
    tail = wal.read_bytes()[durable:] if wal.exists() else b""
    kept = tail[: data.draw(st.integers(0, len(tail)), label="kept")]
    fate = data.draw(st.sampled_from(["lost", "zeros", "torn"]), label="fate")
    rest = len(tail) - len(kept)
    kept += {"lost": b"", "zeros": b"\0" * rest, "torn": b"\x5a" * rest}[fate]
    if wal.exists():
        (after / "events.db-wal").write_bytes(wal.read_bytes()[:durable] + kept)
    opened.close()
    again = EventLog(after)
    found = everything(again)
    assert again.fault is None
    assert [each.sequence for each in found][:synced] == list(range(1, synced + 1))
    assert all(
        each.ended_by == ("rule" if each.sequence % 2 else "restart") for each in found[:synced]
    )
    assert not (after / "events.db.broken").exists()
    again.close()


def test_a_row_that_a_power_cut_took_comes_back_from_its_side_file(tmp_path):
    opened = EventLog(tmp_path)
    opened.begin(began(1))
    opened.begin(began(2))
    opened.end(ended(began(2)))
    opened.close()
    other = sqlite3.connect(tmp_path / "events.db")
    other.execute("DELETE FROM events WHERE sequence = 2")
    other.commit()
    other.close()
    again = EventLog(tmp_path)
    assert [(each.sequence, each.ended_by) for each in everything(again)] == [
        (1, "restart"),
        (2, "rule"),
    ]
    again.close()
