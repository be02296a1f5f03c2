"""Decides how a rollout goes on: which devices are next, whether it stops; pure.

Waves are taken in order. The next one starts when every device of the present one has an outcome
and enough of them succeeded; too many failures in any wave stop the whole.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

import msgspec

Percent = Annotated[int, msgspec.Meta(ge=0, le=100)]


class State(enum.StrEnum):
    """Of one device."""

    PENDING = "pending"
    PUSHING = "pushing"
    DONE = "done"
    FAILED = "failed"
    AWAY = "away"


class Verdict(enum.StrEnum):
    """Of a rollout.

    RUNNING: devices are to be started or in flight. WAITING: nothing to do until those that are
    away come back. STOPPED: too many failed, or too few succeeded for the next wave. ENDED: every
    device was tried; some may have failed, within the limit.
    """

    RUNNING = "running"
    WAITING = "waiting"
    STOPPED = "stopped"
    ENDED = "ended"


class Limits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """When to go on and when to stop.

    Attributes:
        success: percent of a wave's devices that must have succeeded before the next one starts.
        errors: percent of a wave's devices that may fail; above it the rollout stops.
        parallel: most devices at once.
    """

    success: Percent = 100
    errors: Percent = 0
    parallel: Annotated[int, msgspec.Meta(ge=1)] = 32


@dataclass(frozen=True)
class Decision:
    """What to do now.

    Attributes:
        verdict: see `Verdict`; devices in flight may end whatever it is.
        start: devices to start, all of one wave; none unless it is running.
        reason: why it waits or has stopped, for a person.
    """

    verdict: Verdict
    start: tuple[str, ...] = ()
    reason: str = ""


def decide(waves: Sequence[Sequence[str]], states: Mapping[str, State], limits: Limits) -> Decision:
    """What to do in these states.

    Args:
        waves: names of devices, each in one wave.
        states: of every device.
        limits: see `Limits`.
    """
    for number, wave in enumerate(waves, 1):
        failed = _count(wave, states, State.FAILED)
        if failed * 100 > limits.errors * len(wave):
            return Decision(
                Verdict.STOPPED,
                reason=f"{failed} of {len(wave)} failed in wave {number}; "
                f"{limits.errors} % may fail",
            )
    flying = [name for wave in waves for name in wave if states[name] is State.PUSHING]
    for number, wave in enumerate(waves, 1):
        pending = [name for name in wave if states[name] is State.PENDING]
        if pending or any(name in wave for name in flying):
            elsewhere = any(name not in wave for name in flying)
            room = 0 if elsewhere else max(limits.parallel - len(flying), 0)
            return Decision(Verdict.RUNNING, start=tuple(pending[:room]))
        done, away = (_count(wave, states, each) for each in (State.DONE, State.AWAY))
        needed = -(-limits.success * len(wave) // 100)
        if number < len(waves) and done < needed:
            reason = f"{done} of {len(wave)} succeeded in wave {number}, {needed} are needed"
            if done + away < needed:
                return Decision(Verdict.STOPPED, reason=reason)
            return Decision(Verdict.WAITING, reason=f"{reason}; {away} away")
    away = sum(state is State.AWAY for state in states.values())
    if away:
        return Decision(Verdict.WAITING, reason=f"{away} away")
    return Decision(Verdict.ENDED)


def plan_waves(
    groups: Sequence[Sequence[str]], *, canary: int = 0, size: int | None = None
) -> tuple[tuple[str, ...], ...]:
    """Divide devices into waves: the canaries, then group after group.

    Args:
        groups: names of devices; one that is in several counts for the first.
        canary: how many of them, from the front, make a wave of their own.
        size: most devices in a wave after that; None for whole groups.

    Returns:
        Waves with at least one device each; every device is in exactly one.
    """
    taken = list(dict.fromkeys(name for group in groups for name in group))
    waves = [tuple(taken[:canary])]
    gone = set(taken[:canary])
    for group in groups:
        left = [name for name in dict.fromkeys(group) if name not in gone]
        gone.update(left)
        step = size or max(len(left), 1)
        waves += [tuple(left[start : start + step]) for start in range(0, len(left), step)]
    return tuple(wave for wave in waves if wave)


def _count(wave: Sequence[str], states: Mapping[str, State], wanted: State) -> int:
    return sum(states[name] is wanted for name in wave)
