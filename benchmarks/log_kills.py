"""The event log's process is killed at random moments: what is damaged, and what is lost."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from benchmarks.event_writer import MOST
from tartlet_device.events.log import EventLog
from tartlet_shared.event_record import EventQuery

_DAMAGED_EVERY = 5
_AT_START = 10  # events that the log may forget while it is opened again


@dataclass
class Outcome:
    """What the kills did.

    Attributes:
        kills: so many.
        corrupt: databases that were damaged by them.
        lost: events that the log had taken and that were gone.
        changed: events that came back with another end than they had.
        damaged: databases that were overwritten on top of the kill.
        lost_synced: events that were gone then, although they had been synced.
        worst_loss: most events that were gone then, none of them synced.
    """

    kills: int = 0
    corrupt: int = 0
    lost: int = 0
    changed: int = 0
    damaged: int = 0
    lost_synced: int = 0
    worst_loss: int = 0


def kill_log(folder: Path, count: int, seed: int) -> Outcome:
    """Kill a writer ``count`` times, each after a random number of steps, in one log's folder.

    After every fifth kill the database is overwritten as well; then what was synced must come back
    from the files beside it.
    """
    chance = random.Random(seed)
    outcome = Outcome()
    finished: dict[str, bool] = {}  # event ID -> whether it was told to have ended
    for number in range(count):
        told = _killed(folder, number * 100_000, chance.randrange(1, 40))
        outcome.kills += 1
        for word, *rest in told:
            if word in ("began", "ended"):
                finished[rest[0]] = word == "ended"
        began = [line[1] for line in told if line[0] == "began"]
        synced = [each for each, line in enumerate(told) if line == ["synced"]]
        overwritten = bool(synced) and number % _DAMAGED_EVERY == _DAMAGED_EVERY - 1
        database = folder / "events.db"
        if overwritten:
            database.write_bytes(b"\x5a" * database.stat().st_size)
        else:
            outcome.corrupt += not _intact(database)
        found = _found(folder)
        missing = {event for event in _newest(began) if event not in found}
        if overwritten:
            kept = [line[1] for line in told[: synced[-1]] if line[0] == "began"]
            outcome.damaged += 1
            outcome.lost_synced += len(missing.intersection(_newest(kept)))
            outcome.worst_loss = max(outcome.worst_loss, len(missing.difference(kept)))
        else:
            outcome.lost += len(missing)
            there = set(_newest(began)) - missing
            outcome.changed += sum(finished[each] and found[each] != "rule" for each in there)
        set_aside = folder / "events.db.broken"
        outcome.corrupt += set_aside.exists() != overwritten
        set_aside.unlink(missing_ok=True)
    return outcome


def _newest(events: list[str]) -> list[str]:
    # Only the newest are remembered: of one round, all that fit.
    return sorted(events)[-(MOST - _AT_START) :]


def _found(folder: Path) -> dict[str, str | None]:
    """The events that a new start finds, and how each ended."""
    log = EventLog(folder, most=10**6)
    found = {
        each.event_id: None if each.ended_by is None else str(each.ended_by)
        for each in log.listed(EventQuery(order="newest", limit=1000))
    }
    log.close()
    return found


def _intact(path: Path) -> bool:
    checked = sqlite3.connect(path)
    try:
        return bool(checked.execute("PRAGMA integrity_check").fetchone() == ("ok",))
    except sqlite3.DatabaseError:
        return False
    finally:
        checked.close()


def _killed(folder: Path, first: int, lines: int) -> list[list[str]]:
    """What the writer told before it was killed, after at least so many lines."""
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.event_writer", str(folder), str(first)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(["", *sys.path])},
    )
    with process:
        assert process.stdout is not None
        told = [process.stdout.readline() for _ in range(lines)]
        process.send_signal(signal.SIGKILL)
        told += process.stdout.readlines()
    # The last line may be cut; then nobody was told.
    return [line.split() for line in told if line.endswith("\n")]
