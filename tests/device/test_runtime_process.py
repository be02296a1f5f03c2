"""A model in a process of its own, which may die."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tartlet_device import runtime
from tartlet_device.benchmark_child import noise
from tartlet_device.child import process as children
from tartlet_device.child.patience import Patience
from tartlet_device.runtime.process import ProcessRuntime
from tartlet_shared import errors
from tests.device.camera_faults.injection import left_behind

Until = Callable[[Callable[[], object]], None]
PROBE_S = 0.3


@pytest.fixture
def started(kit: Any) -> Iterator[Callable[..., ProcessRuntime]]:
    """Load the tiny model in a process."""
    made: list[ProcessRuntime] = []

    def started(**options: Any) -> ProcessRuntime:
        made.append(ProcessRuntime(kit.model, "litert", threads=1, **options))
        return made[-1]

    yield started
    for each in made:
        each.close()


def in_child(tmp_path: Path, code: str) -> tuple[str, ...]:
    """A model's process that runs this first."""
    script = tmp_path / "model_process.py"
    end = "from tartlet_device.runtime import process_main\nsys.exit(process_main.main(sys.argv))"
    script.write_text(f"import sys\n{code}\n{end}\n")
    return (sys.executable, "-P", str(script))


def gone(pid: int) -> bool:
    """Whether a process is dead, buried or not."""
    try:
        return " Z " in Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return True


@pytest.mark.parametrize("name", ["litert", "onnx"])
def test_it_gives_what_the_runtime_gives_here(name: str, kit: Any, bright_onnx: Path) -> None:
    path = kit.model if name == "litert" else bright_onnx
    here = runtime.load(path, name, threads=1)
    there = ProcessRuntime(path, name, threads=1)
    assert (there.name, there.version) == (here.name, here.version)
    assert (there.input, there.outputs) == (here.input, here.outputs)
    for seed in range(3):
        tensor = np.roll(noise(here.input), seed)
        for ours, theirs in zip(there.invoke(tensor), here.invoke(tensor), strict=True):
            np.testing.assert_array_equal(ours, theirs)
    there.close()


def test_a_tensor_of_another_kind_is_refused(started: Callable[..., ProcessRuntime]) -> None:
    there = started()
    there.keep()
    tensor = noise(there.input)
    for wrong in (tensor[0, 1:], tensor.astype(np.float64)):
        with pytest.raises((ValueError, TypeError)):
            there.invoke(wrong)
    there.invoke(tensor)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV, signal.SIGABRT])
def test_a_process_that_dies_is_a_temporary_error(
    started: Callable[..., ProcessRuntime], until: Until, number: signal.Signals
) -> None:
    there = started(back_off_s=(0.5,))
    there.keep()
    tensor = noise(there.input)
    expected = [each.copy() for each in there.invoke(tensor)]
    for _ in range(2):
        pid = there.pid
        assert pid is not None
        os.kill(pid, number)
        until(lambda pid=pid: gone(pid))
        with pytest.raises(errors.DeviceError, match="failed") as caught:
            there.invoke(tensor)
        assert "try again" in caught.value.hint
        until(lambda pid=pid: there.pid not in (None, pid))
        for ours, theirs in zip(there.invoke(tensor), expected, strict=True):
            np.testing.assert_array_equal(ours, theirs)


def test_two_inferences_under_way_do_not_mix(started: Callable[..., ProcessRuntime]) -> None:
    there = started()
    tensors = [np.roll(noise(there.input), seed) for seed in range(7)]
    expected = [there.invoke(each) for each in tensors]
    first = there.submit(tensors[0])
    for number in range(1, 7):
        second = there.submit(tensors[number])
        for ours, theirs in zip(first.outputs(), expected[number - 1], strict=True):
            np.testing.assert_array_equal(ours, theirs)
        assert first.took_s > 0
        first = second
    second = there.submit(tensors[3])
    second.drop()  # answers come in order, whoever asks first
    for ours, theirs in zip(first.outputs(), expected[6], strict=True):
        np.testing.assert_array_equal(ours, theirs)
    for _ in range(5):
        there.submit(tensors[0]).drop()


def test_a_process_that_hangs_tells_everybody_who_waits(
    started: Callable[..., ProcessRuntime], until: Until
) -> None:
    there = started(invoke_s=PROBE_S)
    there.keep()
    pid = there.pid
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    tensor = noise(there.input)
    under_way = [there.submit(tensor), there.submit(tensor)]
    for each in under_way:
        with pytest.raises(errors.DeviceError, match="no answer within"):
            each.outputs()
    until(lambda: there.pid not in (None, pid))
    there.invoke(tensor)


def test_one_that_dies_while_nobody_asks_is_back_before_somebody_does(
    started: Callable[..., ProcessRuntime], until: Until
) -> None:
    there = started()
    there.keep()
    pid = there.pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    until(lambda: there.pid not in (None, pid))
    there.invoke(noise(there.input))


def test_one_that_hangs_is_ended_and_started_again(
    started: Callable[..., ProcessRuntime], until: Until
) -> None:
    there = started(invoke_s=PROBE_S)
    there.keep()
    pid = there.pid
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    with pytest.raises(errors.DeviceError, match="no answer within") as caught:
        there.invoke(noise(there.input))
    assert "try again" in caught.value.hint
    until(lambda: there.pid not in (None, pid))
    assert gone(pid)


def test_one_that_always_dies_is_started_less_and_less_often(
    started: Callable[..., ProcessRuntime], tmp_path: Path, until: Until
) -> None:
    starts, dead = tmp_path / "starts", tmp_path / "dead"
    code = f"""
from pathlib import Path
with open({str(starts)!r}, "a") as file:
    file.write("x")
if Path({str(dead)!r}).exists():
    sys.exit(9)"""
    there = started(command=in_child(tmp_path, code), back_off_s=(0.0, 0.0, 3600.0))
    there.keep()
    dead.touch()
    assert there.pid is not None
    os.kill(there.pid, signal.SIGKILL)
    until(lambda: len(starts.read_text()) == 3)
    with pytest.raises(errors.DeviceError, match="failed") as caught:
        there.invoke(noise(there.input))
    assert "try again" in caught.value.hint
    there.close()  # does not wait for an hour


@pytest.mark.parametrize(
    ("code", "kind", "words"),
    [
        ("import os; os.abort()", errors.BundleCorrupt, "SIGABRT"),
        ("import os, signal; os.kill(os.getpid(), 9)", errors.SelfTestFailed, "memory"),
        ("import time; time.sleep(60)", errors.SelfTestFailed, "no answer within"),
    ],
)
def test_a_model_on_trial_is_not_tried_twice(
    started: Callable[..., ProcessRuntime],
    tmp_path: Path,
    code: str,
    kind: type[errors.TartletError],
    words: str,
) -> None:
    with pytest.raises(kind, match=words):
        started(command=in_child(tmp_path, code), load_s=PROBE_S * 4)


def test_nothing_is_left_behind(kit: Any, until: Until) -> None:
    before = left_behind()
    there = ProcessRuntime(kit.model, "litert", threads=1)
    there.invoke(noise(there.input))
    assert there.supervised
    there.close()
    assert not there.supervised
    with pytest.raises(errors.TartletError):
        there.invoke(noise(there.input))
    del there
    until(lambda: left_behind() == before)
    dropped = ProcessRuntime(kit.model, "litert", threads=1)
    dropped.keep()
    del dropped
    gc.collect()
    until(lambda: left_behind() == before)


def test_it_ends_with_the_daemon_even_while_it_hangs(kit: Any, until: Until) -> None:
    code = f"""
import os, signal, sys
from pathlib import Path
from tartlet_device.runtime.process import ProcessRuntime
there = ProcessRuntime(Path({str(kit.model)!r}), "litert", threads=1)
os.kill(there.pid, signal.SIGSTOP)
print(there.pid, flush=True)
sys.stdin.read()
"""
    parent = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert not gone(pid)
        parent.kill()
    until(lambda: gone(pid))


def test_signals_to_everybody_are_left_to_the_daemon(
    started: Callable[..., ProcessRuntime],
) -> None:
    there = started()
    assert there.pid is not None
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        os.kill(there.pid, number)
    there.invoke(noise(there.input))


def test_without_a_free_descriptor_it_is_an_error(
    started: Callable[..., ProcessRuntime], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(children.socket, "socketpair", refuse)
    with pytest.raises(errors.DeviceError, match="Too many open files"):
        started()


def test_patience_follows_what_was_seen() -> None:
    patience = Patience(4.0, least_s=1.0, most_s=30.0, times=3.0)
    assert patience.limit_s == 4.0
    patience.ran_out()
    patience.ran_out()
    assert patience.limit_s == 16.0
    for _ in range(20):
        patience.ran_out()
    assert patience.limit_s == 30.0
    patience.took(2.0)
    assert patience.limit_s == 6.0
    for _ in range(1000):
        patience.took(0.01)
    assert patience.limit_s == 1.0
