"""The commands around a rollout, without a device: state, words, exit codes."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest

from tartlet_host.cli import main
from tartlet_host.commands.fleet_options import outcome
from tartlet_host.fleet.engine import Limits, State
from tartlet_host.fleet.state import Problem, Progress, Rollout, Rollouts
from tartlet_host.remote import inventory
from tartlet_host.remote.hostkey import HostKey
from tartlet_host.remote.inventory import Device
from tartlet_host.remote.wish import Wish

KEY = str(HostKey("ssh-ed25519", b"\0\0\0\x0bssh-ed25519" + bytes(36)))


@pytest.fixture(autouse=True)
def _own_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(inventory.CONFIG_DIR_VARIABLE, str(tmp_path))


def rollout(*states: State, **fields: object) -> Rollout:
    """One wave of devices in these states."""
    devices = {
        f"d{number}": Progress(
            state=state,
            problem=Problem("unreachable", "is off\nindeed") if state is State.AWAY else None,
        )
        for number, state in enumerate(states)
    }
    made = Rollout(
        number=1,
        created="2026-01-01T00:00:00+00:00",
        bundle="/nowhere",
        digest="0" * 64,
        model="spots",
        wish=Wish(),
        limits=Limits(errors=50),
        waves=(tuple(devices),),
        devices=devices,
    )
    return msgspec.structs.replace(made, **fields)


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as stopped:
        main(words)
    said = capsys.readouterr()
    assert isinstance(stopped.value.code, int)
    return stopped.value.code, said.out, said.err


D, F, A, P, U = State.DONE, State.FAILED, State.AWAY, State.PENDING, State.PUSHING


@pytest.mark.parametrize(
    ("states", "stopped", "code", "state"),
    [
        ((D, D), False, 0, "ended"),
        ((D, F), False, 83, "ended"),
        ((D, F, F), False, 81, "stopped"),
        ((D, A), False, 82, "waiting"),
        ((F, A), False, 82, "waiting"),
        ((D, P), False, 82, "interrupted"),
        ((D, U), False, 82, "interrupted"),
        ((D, P), True, 81, "stopped"),
    ],
)
def test_what_is_shown_and_the_exit_code(
    states: tuple[State, ...],
    stopped: bool,
    code: int,
    state: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    made = rollout(*states, stopped=stopped)
    problem = outcome(made)
    assert (0 if problem is None else problem.exit_code) == code
    Rollouts().save(made)
    found, out, _ = run(capsys, "rollout", "show", "--json")
    assert found == code
    told = json.loads(out)
    assert told["state"] == state
    assert [each["state"] for each in told["devices"].values()] == list(states)
    found, out, _ = run(capsys, "rollout", "show", "1")
    assert found == code
    assert "indeed" not in out  # a line for each device
    assert len(out.splitlines()) == len(states) + 2
    found, out, _ = run(capsys, "rollout", "list")
    assert found == 0
    assert out.startswith("rollout 1: ")
    assert out.rstrip().endswith(state)


def test_one_that_another_process_drives_is_running_and_left_to_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    Rollouts().save(rollout(D, U))
    with Rollouts().driving(1):
        code, out, _ = run(capsys, "rollout", "show", "--json")
        assert (code, json.loads(out)["state"]) == (0, "running")
        assert run(capsys, "rollout", "resume")[0] == 2
        code, out, _ = run(capsys, "rollout", "stop")
        assert (code, out) == (0, "rollout 1 will stop in a moment\n")
        assert Rollouts().asked_to_stop(1)
    code, out, _ = run(capsys, "rollout", "stop")
    assert (code, out) == (0, "rollout 1 is stopped\n")
    assert Rollouts().load(1).stopped


def test_there_is_none(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "rollout", "list")[:2] == (0, "")
    for word in ("show", "resume", "stop"):
        code, _, err = run(capsys, "rollout", word)
        assert code == 2
        assert "tartlet push --group" in err
        assert run(capsys, "rollout", word, "7")[0] == 2


def test_one_whose_bundle_is_gone_is_not_gone_on_with(capsys: pytest.CaptureFixture[str]) -> None:
    Rollouts().save(rollout(D, A))
    code, _, err = run(capsys, "rollout", "resume")
    assert 30 <= code < 40
    assert "nowhere" in err


def test_groups_and_tags_are_given_and_taken(capsys: pytest.CaptureFixture[str]) -> None:
    path = inventory.default_path()
    inventory.save(path, {name: Device(name=name, address=name, host_key=KEY) for name in "ab"})
    words = ("device", "change", "a", "b", "--group", "garden", "--tag", "new")
    assert run(capsys, *words)[0] == 0
    code, out, _ = run(
        capsys, "device", "change", "a", "--no-tag", "new", "--tag", "zero2", "--json"
    )
    assert code == 0
    assert json.loads(out) == [{"name": "a", "groups": ["garden"], "tags": ["zero2"]}]
    assert inventory.load(path)["b"].tags == ("new",)
    assert "garden #zero2" in run(capsys, "device", "list")[1]
    assert run(capsys, "device", "change", "a", "--group", "no good")[0] == 2
    assert run(capsys, "device", "change", "x", "--tag", "y")[0] == 57
