"""Kills of the event log's process, and of the whole daemon at work: corrupt and lost, of 0."""

from __future__ import annotations

import contextlib
import logging
import os
import random
import signal
import sqlite3
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks import footage
from benchmarks.log_kills import kill_log
from benchmarks.models import litert_bundle
from benchmarks.row import Row
from benchmarks.soak.processes import family
from tartlet_device.config import DeviceConfig, ReplaySettings
from tartlet_device.continuous.settings import DetectionSettings
from tartlet_device.events.log import SYNC_INTERVAL_S
from tartlet_device.events.settings import EventSettings, StorageSettings
from tartlet_device.tracking.settings import Rule, TrackingSettings
from tartlet_host.remote import rollout
from tartlet_host.remote.embedded import EmbeddedDevice
from tartlet_host.remote.inventory import Device
from tartlet_host.remote.session import open_session
from tartlet_shared import errors
from tartlet_shared.bundle import Bundle
from tartlet_shared.observation import EventBegan

KILLS = 500
DAEMON_KILLS = 20
_SEED = 6
_EVENTS_S = (0.2, 2.0)  # so long after its first event a daemon is killed
_PATIENCE_S = 60.0


def run() -> list[Row]:
    """Rows whose goal is 0, and one with the worst loss in seconds against what is promised."""
    # Each destroyed database would be told of.
    logging.getLogger("tartlet_device.events").setLevel(logging.CRITICAL)
    with tempfile.TemporaryDirectory() as name:
        log = kill_log(Path(name), KILLS, _SEED)
    print(
        f"the log: {log.kills} kills, corrupt={log.corrupt}, lost={log.lost}; {log.damaged} "
        f"databases destroyed as well: lost of what was synced={log.lost_synced}, worst loss of "
        f"what was not={log.worst_loss} events",
        file=sys.stderr,
    )
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        bundle = litert_bundle(folder)
        daemon = kill_daemon(
            folder / "events",
            bundle,
            footage.coming_and_going(folder / "footage.avi", bundle),
            DAEMON_KILLS,
        )
    return [
        _none(f"the event log, {log.kills} kills: damaged", log.corrupt),
        _none("the event log: events lost of those it had taken", log.lost + log.changed),
        _none(f"the same, {log.damaged} databases destroyed: synced events lost", log.lost_synced),
        _none(f"the whole daemon, {daemon.kills} kills: damaged", daemon.corrupt),
        _none("the whole daemon: processes left behind", daemon.orphans),
        Row(
            name="the whole daemon: age of the oldest lost event at the kill",
            ours=daemon.worst_loss_s,
            rival=SYNC_INTERVAL_S,
            ratio=daemon.worst_loss_s / SYNC_INTERVAL_S,
            goal=1.0,
            holds=daemon.worst_loss_s <= SYNC_INTERVAL_S,
            unit="s",
        ),
    ]


@dataclass
class DaemonKills:
    """What kills of the whole daemon did.

    Attributes:
        kills, corrupt: so many, and how many databases they damaged.
        told, lost: events that somebody who watched was told of, and those of them that the log
            did not have at the next start.
        worst_loss_s: age at the kill of the oldest of them.
        orphans: processes that the daemon had started and that outlived it.
    """

    kills: int = 0
    corrupt: int = 0
    told: int = 0
    lost: int = 0
    worst_loss_s: float = 0.0
    orphans: int = 0


def kill_daemon(folder: Path, bundle: Bundle, video: Path, count: int) -> DaemonKills:
    """Kill a daemon that keeps events in ``folder`` while they begin and end."""
    chance = random.Random(_SEED)
    found = DaemonKills()
    rule = Rule(name="seen", frames=1, end_after_s=0.05, cooldown_s=0.0, per="track")
    settings = DeviceConfig(
        detection=DetectionSettings(enabled=True),
        tracking=TrackingSettings(rules=(rule,)),
        events=EventSettings(
            enabled=True, folder=str(folder), storage=StorageSettings(keep_free_mb=1)
        ),
    )
    camera = ReplaySettings(path=str(video), rate=0)
    with EmbeddedDevice(camera, settings=settings) as embedded:
        with open_session(embedded.device) as session:
            plan = rollout.plan(bundle, *rollout.facts(session.client, bundle))
            rollout.apply(plan, session.client, session.connection)
        for _ in range(count):
            told = _Told()
            watching = threading.Thread(target=told.watch, args=(embedded.device,))
            watching.start()
            told.first.wait(_PATIENCE_S)
            time.sleep(chance.uniform(*_EVENTS_S))
            pid = embedded.daemon_pid
            assert pid is not None
            children = [each for each in family(pid) if each != pid]
            os.kill(pid, signal.SIGKILL)
            killed_s = time.monotonic()
            watching.join(_PATIENCE_S)
            embedded.stop_daemon()
            found.kills += 1
            found.orphans += _left(children)
            kept = _kept(folder / "events.db")
            if kept is None:
                found.corrupt += 1
            lost = {} if kept is None else {e: s for e, s in told.events.items() if e not in kept}
            found.told += len(told.events)
            found.lost += len(lost)
            found.worst_loss_s = max([found.worst_loss_s, *(killed_s - s for s in lost.values())])
            embedded.restart_daemon()
    print(
        f"the daemon: {found.kills} kills, corrupt={found.corrupt}, {found.told} events told, "
        f"{found.lost} of them not in the log, the oldest told {found.worst_loss_s:.3f} s before",
        file=sys.stderr,
    )
    return found


@dataclass
class _Told:
    """Events that somebody who watches is told of.

    Attributes:
        events: ID -> when it was told, monotonic seconds.
        first: set with the first.
    """

    events: dict[str, float] = field(default_factory=dict)
    first: threading.Event = field(default_factory=threading.Event)

    def watch(self, device: Device) -> None:
        """Until the daemon is gone."""
        with contextlib.suppress(errors.TartletError), open_session(device) as session:
            for watched in session.client.watch():
                for event in watched.events:
                    if isinstance(event, EventBegan):
                        self.events[event.event_id] = time.monotonic()
                        self.first.set()


def _kept(path: Path) -> set[str] | None:
    """IDs of all events in a log; None if it is damaged."""
    try:
        with contextlib.closing(sqlite3.connect(path)) as log:
            if log.execute("PRAGMA integrity_check").fetchone() != ("ok",):
                return None
            return {row[0] for row in log.execute("SELECT event_id FROM events")}
    except sqlite3.DatabaseError:
        return None


def _left(processes: list[int]) -> int:
    """How many of them still run after some seconds."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        left = [each for each in processes if Path(f"/proc/{each}/statm").exists() and family(each)]
        if not left:
            return 0
        time.sleep(0.05)
    return len(left)


def _none(name: str, count: int) -> Row:
    return Row(name=name, ours=count, rival=0, ratio=count, goal=0, holds=count == 0)
