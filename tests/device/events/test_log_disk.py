"""The disk does not take it."""

from __future__ import annotations

import sqlite3

import pytest

from tartlet_device.events import database, log
from tartlet_device.events.log import EventLog
from tartlet_shared import errors
from tests.device.events.logs import everything
from tests.device.events.made import Clock, began, ended


def failing(*_: object) -> None:
    raise sqlite3.OperationalError("database or disk is full")


def test_events_wait_for_a_disk_that_takes_nothing(tmp_path, monkeypatch):
    opened = EventLog(tmp_path)
    with monkeypatch.context() as broken:
        broken.setattr(database, "put", failing)
        for number in (1, 2):
            assert opened.begin(began(number)).sequence == number
        opened.end(ended(began(1)))
        assert "full" in opened.fault
        assert everything(opened) == []
    opened.keep()
    assert opened.fault is None
    assert [each.ended_by for each in everything(opened)] == ["rule", None]
    assert opened.lost == 0
    opened.close()


def test_reading_does_not_hide_that_nothing_can_be_written(tmp_path, monkeypatch, caplog):
    opened = EventLog(tmp_path)
    opened.begin(began(1))
    with monkeypatch.context() as broken:
        broken.setattr(database, "put", failing)
        broken.setattr(database, "probe", failing)
        for number in range(2, 8):
            opened.begin(began(number))
            assert len(everything(opened)) == 1
            opened.keep()
            assert "full" in opened.fault
    assert [each.levelname for each in caplog.records] == ["WARNING"]
    opened.keep()
    assert opened.fault is None
    opened.close()


def test_side_files_that_cannot_be_written_are_a_fault_of_their_own(tmp_path, monkeypatch):
    clock = Clock()
    opened = EventLog(tmp_path, monotonic=clock)

    def refuse(*_: object) -> None:
        raise OSError(30, "Read-only file system")

    with monkeypatch.context() as broken:
        broken.setattr(log.side_files, "write", refuse)
        opened.begin(began(1))
        opened.keep()
        opened.begin(began(2))
        assert "Read-only" in opened.fault
    clock.now += 2
    opened.keep()
    assert opened.fault is None
    assert len(list((tmp_path / "records").iterdir())) == 2
    opened.close()


def test_not_more_than_so_many_events_wait(tmp_path, monkeypatch):
    monkeypatch.setattr(log, "MOST_WAITING", 10)
    opened = EventLog(tmp_path)
    with monkeypatch.context() as broken:
        broken.setattr(database, "put", failing)
        for number in range(1, 26):
            opened.begin(began(number))
    opened.keep()
    assert [each.sequence for each in everything(opened)] == list(range(16, 26))
    assert opened.lost == 15
    opened.close()


def test_a_log_that_cannot_be_opened_is_a_fault_until_it_can(tmp_path):
    clock = Clock()
    blocked = tmp_path / "events"
    blocked.write_text("a file where the folder should be")
    opened = EventLog(blocked, monotonic=clock)
    assert opened.fault
    assert opened.begin(began(1)) is None
    assert opened.lost == 1
    with pytest.raises(errors.DeviceError, match="cannot be read"):
        everything(opened)
    opened.keep()
    blocked.unlink()
    clock.now += 10
    assert opened.begin(began(2)).sequence == 1
    assert opened.fault is None
    opened.close()


def test_nothing_is_written_after_it_was_closed(tmp_path):
    opened = EventLog(tmp_path)
    opened.begin(began(1))
    opened.close()
    opened.begin(began(2))
    opened.keep()
    opened.close()
    again = EventLog(tmp_path)
    assert [each.sequence for each in everything(again)] == [1]
    again.close()
