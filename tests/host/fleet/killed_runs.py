"""Kills the process that drives a rollout at every write of its state, then goes on with it.

Run as a program: it forks, which needs a process without other threads. Prints, as JSON, a list
of what happened at each point.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

from tartlet_host.fleet.engine import Limits
from tartlet_host.fleet.runner import Pushed, Runner
from tartlet_host.fleet.state import Rollouts
from tartlet_host.remote.wish import Wish

WAVES = (("a",), ("b", "c", "d"))
MOMENTS = ("before it", "before the rename", "after it")


class World:
    """Four devices as files; what is asked of them is written down."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._log = folder / "log"
        folder.mkdir(parents=True)

    def push(self, name: str) -> Pushed:
        """Give a device the bundle; a device that has it needs nothing."""
        with self._log.open("a") as log:  # one short write: whole, whoever is killed
            log.write(f"{name}\n")
        has = self._folder / name
        changed = not has.exists()
        has.touch()
        return Pushed(bytes_sent=1, changed=changed)

    def asked(self) -> dict[str, int]:
        """How often each device was pushed to."""
        lines = self._log.read_text().splitlines() if self._log.exists() else []
        return {name: lines.count(name) for wave in WAVES for name in wave}

    def having(self) -> list[str]:
        """Devices with the bundle."""
        return [name for name in self.asked() if (self._folder / name).exists()]


class KilledRollouts(Rollouts):
    """Ends this process, as `kill -9`, at the write of that index."""

    def __init__(self, folder: Path, index: int | None, moment: str) -> None:
        super().__init__(folder)
        self._index = index
        self._moment = moment
        self.writes = 0

    def save(self, rollout: Any) -> None:
        """Write, unless it is the one."""
        hit = self.writes == self._index
        self.writes += 1
        if hit and self._moment == "before the rename":
            Path.replace = _die  # type: ignore[assignment,method-assign]
        if hit and self._moment == "before it":
            _die()
        super().save(rollout)
        if hit:
            _die()


def drive(rollouts: KilledRollouts, world: World) -> None:
    """A rollout from its start to its end."""
    with rollouts.started(
        bundle=Path("bundle"),
        digest="0" * 64,
        model="m",
        wish=Wish(),
        limits=Limits(parallel=2),
        waves=WAVES,
    ) as rollout:
        Runner(rollouts, world.push).run(rollout)


def at(folder: Path, index: int, moment: str) -> dict[str, Any]:
    """Kill one there, and go on with it."""
    world = World(folder / "world")
    child = os.fork()
    if child == 0:
        drive(KilledRollouts(folder / "rollouts", index, moment), world)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    told: dict[str, Any] = {"index": index, "moment": moment, "killed": os.WIFSIGNALED(status)}
    rollouts = Rollouts(folder / "rollouts")
    numbers = rollouts.numbers()
    if not numbers:  # killed before there was one: nothing was touched
        return {**told, "begun": False, "asked": world.asked()}
    before = rollouts.load(numbers[0])
    asked = world.asked()
    with rollouts.driving(numbers[0]) as ours:
        after = Runner(rollouts, world.push).run(before)
    return {
        **told,
        "begun": True,
        "ours": ours,
        "before": {name: str(each.state) for name, each in before.devices.items()},
        "after": {name: str(each.state) for name, each in after.devices.items()},
        "asked_again": {name: world.asked()[name] - asked[name] for name in asked},
        "having": world.having(),
        "left": sorted(each.name for each in (folder / "rollouts").glob("*.json")),
        "same": rollouts.load(numbers[0]) == after,
    }


def main(folder: Path) -> None:
    """Count the writes of a whole run, then one run for each of them and each moment."""
    whole = KilledRollouts(folder / "whole", None, "")
    child = os.fork()
    if child == 0:
        drive(whole, World(folder / "world"))
        os._exit(whole.writes)
    writes = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    runs = [
        at(folder / f"{index}-{number}", index, moment)
        for index in range(writes)
        for number, moment in enumerate(MOMENTS)
    ]
    print(json.dumps({"writes": writes, "runs": runs}))


def _die(*_: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
