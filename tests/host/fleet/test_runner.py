from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from tartlet_host.fleet.engine import Limits, State, Verdict
from tartlet_host.fleet.runner import Push, Pushed, Runner
from tartlet_host.fleet.state import Rollout, Rollouts
from tartlet_host.remote.lasting import Clock
from tartlet_host.remote.wish import Wish
from tartlet_shared import errors
from tests.host.fleet import killed_runs

WAVES = (("a",), ("b", "c", "d"))


class Devices:
    """Pushes that do what a test says; notes who was asked, and how many at once."""

    def __init__(self, **answers: object) -> None:
        self.answers = answers
        self.asked: list[str] = []
        self.most = self._now = 0
        self._lock = threading.Lock()

    def push(self, name: str) -> Pushed:
        with self._lock:
            self.asked.append(name)
            self._now += 1
            self.most = max(self.most, self._now)
        try:
            answer = self.answers.get(name)
            if isinstance(answer, list):
                answer = answer.pop(0) if answer else None
            if isinstance(answer, Exception):
                raise answer
            return Pushed(bytes_sent=7, changed=True)
        finally:
            with self._lock:
                self._now -= 1


class StillClock:
    """Time passes by sleeping only."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.clock = Clock(now_s=lambda: self.now_s, sleep=self.sleep)

    def sleep(self, seconds: float) -> None:
        self.now_s += seconds


Begin = Callable[..., Rollout]


@pytest.fixture
def rollouts(tmp_path: Path) -> Rollouts:
    return Rollouts(tmp_path / "rollouts")


@pytest.fixture
def begin(rollouts: Rollouts, tmp_path: Path) -> Begin:
    """Starts a rollout and drives it to where it comes."""

    def start(push: Push, wait_s: float = 0.0, **limits: int) -> Rollout:
        with rollouts.started(
            bundle=tmp_path,
            digest="0" * 64,
            model="m",
            wish=Wish(),
            limits=Limits(**limits),
            waves=WAVES,
        ) as rollout:
            clock = StillClock().clock
            done = Runner(rollouts, push, wait_s=wait_s, clock=clock).run(rollout)
        assert rollouts.load(done.number) == done
        return done

    return start


def states(rollout: Rollout) -> str:
    return " ".join(f"{name}:{each.state}" for name, each in sorted(rollout.devices.items()))


AWAY = errors.Unreachable("is off")
BROKEN = errors.SelfTestFailed("other boxes")


def test_every_device_gets_it_once(begin: Begin) -> None:
    devices = Devices()
    done = begin(devices.push, parallel=2)
    assert states(done) == "a:done b:done c:done d:done"
    assert devices.asked[0] == "a"
    assert sorted(devices.asked) == ["a", "b", "c", "d"]
    assert devices.most <= 2
    assert done.decide().verdict is Verdict.ENDED
    assert {each.bytes_sent for each in done.devices.values()} == {7}


def test_a_canary_that_fails_keeps_it_from_the_others(begin: Begin) -> None:
    devices = Devices(a=BROKEN)
    done = begin(devices.push)
    assert states(done) == "a:failed b:pending c:pending d:pending"
    assert devices.asked == ["a"]
    problem = done.devices["a"].problem
    assert problem is not None
    assert problem.code == "self-test-failed"


def test_after_too_many_errors_nothing_is_started(begin: Begin) -> None:
    devices = Devices(b=BROKEN)
    done = begin(devices.push, parallel=1, errors=30)
    assert states(done) == "a:done b:failed c:pending d:pending"
    assert begin(Devices(b=BROKEN).push, parallel=1, errors=34).decide().verdict is Verdict.ENDED


def test_a_device_that_is_away_is_tried_again_for_as_long_as_asked(begin: Begin) -> None:
    assert states(begin(Devices(a=[AWAY]).push)) == "a:away b:pending c:pending d:pending"
    patient = Devices(a=[AWAY, AWAY], c=[errors.ConnectionLost("cut")])
    done = begin(patient.push, wait_s=60)
    assert states(done) == "a:done b:done c:done d:done"
    assert patient.asked.count("a") == 3
    assert done.devices["a"].attempts == 3
    never = Devices(a=[AWAY] * 1000)
    assert states(begin(never.push, wait_s=600)).startswith("a:away b:pending")
    assert len(never.asked) == 13  # at 0, 5, 15, 45, then every minute


def test_going_on_tries_those_that_were_away_and_no_others(
    begin: Begin, rollouts: Rollouts
) -> None:
    done = begin(Devices(b=AWAY).push)
    assert states(done) == "a:done b:away c:done d:done"
    devices = Devices()
    done = Runner(rollouts, devices.push).run(done.again(State.AWAY))
    assert devices.asked == ["b"]
    assert states(done) == "a:done b:done c:done d:done"


def test_it_stops_when_asked_to(begin: Begin, rollouts: Rollouts) -> None:
    class Asking(Devices):
        def push(self, name: str) -> Pushed:
            rollouts.ask_to_stop(rollouts.latest())
            return super().push(name)

    done = begin(Asking().push)
    assert states(done) == "a:done b:pending c:pending d:pending"
    assert done.stopped
    assert not rollouts.asked_to_stop(done.number)


def test_only_one_process_drives_a_rollout(begin: Begin, rollouts: Rollouts) -> None:
    number = begin(Devices().push).number
    with rollouts.driving(number) as first, rollouts.driving(number) as second:
        assert (first, second) == (True, False)
    with rollouts.driving(number) as again:
        assert again


def test_a_number_is_never_given_twice(begin: Begin, rollouts: Rollouts) -> None:
    with rollouts.driving(1):  # somebody else is about to write it
        assert begin(Devices().push).number == 2
    assert begin(Devices().push).number == 3
    assert rollouts.numbers() == [2, 3]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{}",
        b"[[[",
        b'{"format": 2}',
        b"\xff",
    ],
)
def test_a_damaged_state_says_where(rollouts: Rollouts, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "rollouts").mkdir()
    (tmp_path / "rollouts" / "4.json").write_bytes(content)
    with pytest.raises(errors.ConfigError, match=r"4\.json"):
        rollouts.load(4)


def test_a_state_whose_waves_are_of_other_devices_is_refused(
    begin: Begin, rollouts: Rollouts, tmp_path: Path
) -> None:
    number = begin(Devices().push).number
    path = tmp_path / "rollouts" / f"{number}.json"
    path.write_text(path.read_text().replace('"a"', '"x"', 1))
    with pytest.raises(errors.ConfigError, match="same names"):
        rollouts.load(number)


def test_a_state_that_cannot_be_written_ends_it(
    begin: Begin, rollouts: Rollouts, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    devices = Devices()
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(errors.ConfigError, match="No space"):
        begin(devices.push)
    assert devices.asked == []


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork and SIGKILL")
def test_a_kill_at_any_write_of_the_state_loses_nothing(tmp_path: Path) -> None:
    """27 points: each of the 9 writes, at three moments."""
    done = subprocess.run(
        [sys.executable, killed_runs.__file__, str(tmp_path)],
        capture_output=True,
        text=True,
        check=True,
    )
    told = json.loads(done.stdout)
    assert told["writes"] == 1 + 2 * 4
    assert len(told["runs"]) == 27
    for run in told["runs"]:
        assert run["killed"], run
        if not run["begun"]:
            assert run["index"] == 0
            assert set(run["asked"].values()) == {0}
            continue
        assert run["ours"], run
        assert run["left"] == ["1.json"], run
        assert run["same"], run
        assert set(run["after"].values()) == {"done"}, run
        assert run["having"] == ["a", "b", "c", "d"], run
        # Only a device in flight is pushed to a second time.
        for name, before in run["before"].items():
            assert run["asked_again"][name] == (0 if before == "done" else 1), run
