"""A rollout's state: one file, replaced whole after every change, so that a kill loses nothing."""

from __future__ import annotations

import contextlib
import datetime
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from tartlet_host.files import write_atomically
from tartlet_host.fleet import engine, lock
from tartlet_host.fleet.engine import Decision, Limits, State
from tartlet_host.remote import inventory
from tartlet_host.remote.wish import Wish
from tartlet_shared import errors

_Natural = Annotated[int, msgspec.Meta(ge=0)]


class Problem(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Why a device failed or is away; the fields of a `TartletError`."""

    code: str
    what: str
    hint: str = ""

    @classmethod
    def of(cls, error: errors.TartletError) -> Problem:
        """What an error says."""
        return cls(error.code, str(error), error.hint)


class Progress(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How far one device is.

    Attributes:
        state: see `State`; "pushing" in the file of a rollout that nobody drives means that its
            process was killed there.
        attempts: pushes begun.
        bytes_sent: of all attempts that ended.
        seconds: duration of the last attempt.
        changed: whether the last attempt had to change anything on the device.
        problem: why it failed or is away.
    """

    state: State = State.PENDING
    attempts: _Natural = 0
    bytes_sent: _Natural = 0
    seconds: float = 0.0
    changed: bool = False
    problem: Problem | None = None


class Rollout(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One bundle on its way to many devices.

    Attributes:
        format: of the file.
        number: what the user calls it.
        created: UTC, ISO 8601.
        bundle: absolute folder of the bundle.
        digest, model: which bundle that was.
        wish: what every device is to end in.
        limits: when to go on and when to stop.
        waves: names of devices.
        devices: name -> how far it is; the same names.
        stopped: whether the user stopped it.
    """

    format: Literal[1] = 1
    number: Annotated[int, msgspec.Meta(ge=1)]
    created: str
    bundle: str
    digest: str
    model: str
    wish: Wish
    limits: Limits
    waves: tuple[tuple[str, ...], ...]
    devices: dict[str, Progress]
    stopped: bool = False

    def __post_init__(self) -> None:
        names = [name for wave in self.waves for name in wave]
        if sorted(names) != sorted(self.devices) or not all(self.waves):
            raise ValueError("the waves and the devices do not have the same names")

    def decide(self) -> Decision:
        """What to do now; a rollout that the user stopped does not go on."""
        if self.stopped:
            return Decision(engine.Verdict.STOPPED, reason="you stopped it")
        states = {name: each.state for name, each in self.devices.items()}
        return engine.decide(self.waves, states, self.limits)

    def count(self, state: State) -> int:
        """How many devices are in this state."""
        return sum(each.state is state for each in self.devices.values())

    def with_device(self, name: str, progress: Progress) -> Rollout:
        """The same with one device further on."""
        return msgspec.structs.replace(self, devices={**self.devices, name: progress})

    def again(self, *states: State) -> Rollout:
        """The same with the devices of these states to be tried (again)."""
        return msgspec.structs.replace(
            self,
            devices={
                name: msgspec.structs.replace(each, state=State.PENDING)
                if each.state in states
                else each
                for name, each in self.devices.items()
            },
        )


class Rollouts:
    """The rollouts of this user: a folder with a file for each."""

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder or inventory.config_dir() / "rollouts"

    def numbers(self) -> list[int]:
        """The oldest first."""
        with contextlib.suppress(OSError):
            stems = (each.stem for each in self._folder.glob("*.json"))
            return sorted(int(stem) for stem in stems if stem.isdecimal())
        return []

    def load(self, number: int) -> Rollout:
        """Read one.

        Raises:
            UsageError: there is none of that number.
            ConfigError: its file cannot be read.
        """
        path = self._path(number)
        try:
            return msgspec.json.decode(path.read_bytes(), type=Rollout)
        except FileNotFoundError:
            raise errors.UsageError(
                f"there is no rollout {number}", hint="tartlet rollout list"
            ) from None
        except (OSError, msgspec.DecodeError, ValueError) as error:
            raise errors.ConfigError(
                f"cannot be read: {error}", where=str(path), hint="push to the devices again"
            ) from error

    def save(self, rollout: Rollout) -> None:
        """Write one: the old state or the new one survives a crash, never half of it.

        Raises:
            ConfigError: it cannot be written.
        """
        path = self._path(rollout.number)
        content = msgspec.json.format(msgspec.json.encode(rollout), indent=1)
        try:
            write_atomically(path, content)
        except OSError as error:
            raise errors.ConfigError(
                f"cannot be written: {error.strerror}", where=str(path)
            ) from error

    def latest(self) -> int:
        """The newest one's number.

        Raises:
            UsageError: there is none.
        """
        numbers = self.numbers()
        if not numbers:
            raise errors.UsageError(
                "there was no rollout yet", hint="tartlet push --group NAME starts one"
            )
        return numbers[-1]

    @contextlib.contextmanager
    def driving(self, number: int) -> Iterator[bool]:
        """Whether this process may go on with a rollout, while the block lasts; one may."""
        with lock.held(self._path(number).with_suffix(".lock")) as ours:
            yield ours

    @contextlib.contextmanager
    def started(
        self,
        *,
        bundle: Path,
        digest: str,
        model: str,
        wish: Wish,
        limits: Limits,
        waves: tuple[tuple[str, ...], ...],
    ) -> Iterator[Rollout]:
        """A new rollout, on disk, which this process alone drives while the block lasts."""
        number = max(self.numbers(), default=0)
        while True:
            number += 1
            with self.driving(number) as ours:
                if not ours or self._path(number).exists():
                    continue
                rollout = Rollout(
                    number=number,
                    created=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
                    bundle=str(bundle.resolve()),
                    digest=digest,
                    model=model,
                    wish=wish,
                    limits=limits,
                    waves=waves,
                    devices={name: Progress() for wave in waves for name in wave},
                )
                self.save(rollout)
                yield rollout
                return

    def ask_to_stop(self, number: int) -> None:
        """Have the process that drives a rollout stop it, once it looks."""
        self._stop_path(number).touch()

    def asked_to_stop(self, number: int) -> bool:
        """Whether somebody asked for it."""
        return self._stop_path(number).exists()

    def forget_asking(self, number: int) -> None:
        """It has stopped, or goes on."""
        self._stop_path(number).unlink(missing_ok=True)

    def _path(self, number: int) -> Path:
        return self._folder / f"{number}.json"

    def _stop_path(self, number: int) -> Path:
        return self._folder / f"{number}.stop"


def counts(rollout: Rollout) -> Mapping[State, int]:
    """How many devices are in each state, those that occur."""
    return {state: number for state in State if (number := rollout.count(state))}
