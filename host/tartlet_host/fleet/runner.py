"""Does what the engine decides: a thread for each device in flight, one writer of the state."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import msgspec

from tartlet_host.fleet.engine import State, Verdict
from tartlet_host.fleet.state import Problem, Progress, Rollout, Rollouts
from tartlet_host.remote.lasting import LOST, Clock
from tartlet_shared import errors

RETRY_S = (5.0, 10.0, 30.0, 60.0)
"""Waits before devices that are away are tried for the second, third, ... time."""
_LOOK_S = 0.5  # how often to look whether somebody asks it to stop, and to let Ctrl-C through


@dataclass(frozen=True)
class Pushed:
    """What a push to one device did.

    Attributes:
        bytes_sent: everything that left this machine for it.
        changed: whether anything had to be changed on the device.
    """

    bytes_sent: int
    changed: bool


Push = Callable[[str], Pushed]
"""Pushes to the device of that name; raises `TartletError`. Called from several threads."""


class Runner:
    """Drives one rollout to its end, or to where it has to wait."""

    def __init__(
        self,
        rollouts: Rollouts,
        push: Push,
        *,
        tell: Callable[[Rollout, str], None] = lambda rollout, name: None,
        wait_s: float = 0.0,
        clock: Clock | None = None,
        retry_s: Sequence[float] = RETRY_S,
    ) -> None:
        """
        Args:
            rollouts: where the state is kept.
            push: see `Push`.
            tell: called after every change with the state and the device that changed.
            wait_s: how long to try devices again that are away.
            clock: for tests.
            retry_s: see `RETRY_S`.
        """
        self._rollouts = rollouts
        self._push = push
        self._tell = tell
        self._clock = clock or Clock()
        self._wait_s = wait_s
        self._retry_s = retry_s
        self._ended: queue.SimpleQueue[tuple[str, Progress]] = queue.SimpleQueue()

    def run(self, rollout: Rollout) -> Rollout:
        """Push until the engine has no more to start; gives the state at the end, which is saved.

        Only the process that drives the rollout (see `Rollouts.driving`) may call it. Whatever
        ends it, a kill included, leaves a state from which it can be called again.

        Raises:
            ConfigError: the state cannot be written; pushes in flight are left to themselves.
        """
        # What was in flight when an earlier process was killed is tried again: a device that has
        # the bundle by now says so, and gets nothing.
        rollout = rollout.again(State.PUSHING)
        deadline_s = self._clock.now_s() + self._wait_s
        flying = rounds = 0
        while True:
            if not rollout.stopped and self._rollouts.asked_to_stop(rollout.number):
                rollout = msgspec.structs.replace(rollout, stopped=True)
                self._rollouts.save(rollout)
                self._rollouts.forget_asking(rollout.number)
            decision = rollout.decide()
            for name in decision.start:
                rollout = self._start(rollout, name)
                flying += 1
            if flying:
                try:
                    name, progress = self._ended.get(timeout=_LOOK_S)
                except queue.Empty:
                    continue
                rollout = self._keep(rollout, name, progress)
                flying -= 1
                continue
            if decision.verdict is not Verdict.WAITING:
                return rollout
            pause_s = self._retry_s[min(rounds, len(self._retry_s) - 1)]
            if self._clock.now_s() + pause_s > deadline_s:
                return rollout
            self._pause(rollout, pause_s)
            rounds += 1
            rollout = rollout.again(State.AWAY)

    def _start(self, rollout: Rollout, name: str) -> Rollout:
        before = rollout.devices[name]
        progress = msgspec.structs.replace(
            before, state=State.PUSHING, attempts=before.attempts + 1, problem=None
        )
        rollout = self._keep(rollout, name, progress)
        # A daemon thread: Ctrl-C need not wait for a device that hangs. What it leaves there is
        # what any broken connection leaves.
        threading.Thread(
            target=self._work, args=(name, progress), name=f"push {name}", daemon=True
        ).start()
        return rollout

    def _work(self, name: str, begun: Progress) -> None:
        started = time.monotonic()
        state, sent, changed = State.FAILED, 0, False
        problem: Problem | None = Problem("internal", "ended unexpectedly")
        try:
            pushed = self._push(name)
            state, sent, changed, problem = State.DONE, pushed.bytes_sent, pushed.changed, None
        except LOST as error:
            state, problem = State.AWAY, Problem.of(error)
        except errors.TartletError as error:
            problem = Problem.of(error)
        except OSError as error:
            problem = Problem("internal", str(error))
        finally:
            progress = msgspec.structs.replace(
                begun,
                state=state,
                bytes_sent=begun.bytes_sent + sent,
                seconds=round(time.monotonic() - started, 3),
                changed=changed,
                problem=problem,
            )
            self._ended.put((name, progress))

    def _keep(self, rollout: Rollout, name: str, progress: Progress) -> Rollout:
        rollout = rollout.with_device(name, progress)
        self._rollouts.save(rollout)
        self._tell(rollout, name)
        return rollout

    def _pause(self, rollout: Rollout, seconds: float) -> None:
        until_s = self._clock.now_s() + seconds
        while (left_s := until_s - self._clock.now_s()) > 0:
            if self._rollouts.asked_to_stop(rollout.number):
                return
            self._clock.sleep(min(left_s, _LOOK_S))
