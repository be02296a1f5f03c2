from __future__ import annotations

import hashlib
import shutil
import signal
import sys
import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tartlet_device import benchmark, benchmark_child, machine
from tartlet_device.benchmark import Turns, Weather, command, rounds
from tartlet_device.store import Store
from tartlet_shared import errors
from tartlet_shared.affine import Affine
from tartlet_shared.benchmark_messages import (
    BenchmarkModel,
    BenchmarkOfferRequest,
    BenchmarkRequest,
    BenchmarkResult,
    BenchmarkRound,
    BenchmarkWanted,
)
from tartlet_shared.manifest import FileEntry, Tensor
from tartlet_shared.messages import Failure, Status, StatusRequest


def scripted(code: str) -> tuple[str, ...]:
    """A child that does something else than time a model."""
    return (sys.executable, "-c", "import json, os, sys, time\n" + code)


READY = "print(json.dumps({'version': 'x 1', 'peak_bytes': 5}), flush=True)\n"


def talking(name: str, log: str) -> tuple[str, ...]:
    """A child that writes its name to a log for each block, and says how long it took."""
    return scripted(
        READY
        + "for block in sys.stdin:\n"
        + f"    open({log!r}, 'a').write({name!r})\n"
        + "    print(json.dumps({'version': 'x 1', 'times_ms': [1, 2, 3, 10], 'peak_bytes': 7}),"
        + " flush=True)\n"
    )


def test_models_take_turns(tmp_path):
    log = str(tmp_path / "log")
    with Turns({name: talking(name, log) for name in "abc"}) as turns:
        for _ in range(rounds(9)):
            turns.take()
        timings = turns.timings()
    assert (tmp_path / "log").read_text() == "abc" * 3
    assert list(timings) == ["a", "b", "c"]
    for timing in timings.values():
        assert timing.runs == 12
        assert timing.p50_ms == pytest.approx(2.5)
        assert timing.p95_ms == pytest.approx(10)
        assert (timing.version, timing.peak_bytes, timing.failure) == ("x 1", 7, None)


@pytest.mark.parametrize(("runs", "expected"), [(1, 1), (4, 1), (5, 2), (60, 15)])
def test_rounds_give_at_least_the_runs(runs, expected):
    assert rounds(runs) == expected


FAILURE = "{'type': 'Failure', 'request_id': 0, 'code': 'bundle-corrupt', 'what': 'odd'}"
DIES = "os.kill(os.getpid(), {})"


@pytest.mark.parametrize(
    ("code", "kind", "words"),
    [
        ("sys.exit('no module named numpy')", errors.DeviceError, "code 1: no module named numpy"),
        ("print('what?')", errors.DeviceError, "code 0: no output"),
        (f"print(json.dumps({{'failure': {FAILURE}}}))", errors.BundleCorrupt, "odd"),
        (DIES.format(int(signal.SIGSEGV)), errors.BundleCorrupt, "SIGSEGV"),
        (DIES.format(int(signal.SIGILL)), errors.RuntimeUnavailable, "processor"),
        (DIES.format(int(signal.SIGKILL)), errors.SelfTestFailed, "memory"),
        (READY + "next(iter(sys.stdin))\nsys.exit('enough')", errors.DeviceError, "enough"),
        (
            READY + "next(iter(sys.stdin))\n" + DIES.format(int(signal.SIGSEGV)),
            errors.BundleCorrupt,
            "SIGSEGV",
        ),
    ],
)
def test_a_model_that_fails_spoils_nothing_for_the_others(tmp_path, code, kind, words):
    commands = {"bad": scripted(code), "good": talking("g", str(tmp_path / "log"))}
    with Turns(commands) as turns:
        turns.take()
        turns.take()
        timings = turns.timings()
    assert isinstance(timings["bad"].failure, kind)
    assert words in timings["bad"].failure.what
    assert timings["bad"].p50_ms is None
    assert (timings["good"].failure, timings["good"].runs) == (None, 8)


@pytest.mark.parametrize("code", ["time.sleep(60)", READY + "time.sleep(60)"])
def test_a_child_that_hangs_is_killed(code):
    with Turns({"slow": scripted(code)}, timeout_s=0.3) as turns:
        turns.take()
        (timing,) = turns.timings().values()
    assert "no answer" in timing.failure.what


def test_no_child_is_left(tmp_path):
    log = str(tmp_path / "log")
    with Turns({"a": talking("a", log)}) as turns:
        process = turns._children["a"]._process
        assert process.poll() is None
    assert process.returncode == -signal.SIGKILL


def test_a_real_model_is_timed_and_its_memory_told(kit):
    words = command(str(kit.model), "litert", 1)
    with Turns({"bright": words, "again": words}) as turns:
        turns.take()
        timings = turns.timings()
    for timing in timings.values():
        assert timing.failure is None
        assert 0 < timing.p50_ms <= timing.p95_ms
        assert timing.version.startswith(("ai-edge-litert", "tflite-runtime"))
        assert timing.peak_bytes > 10_000_000


def test_a_file_that_is_no_model_is_refused(tmp_path):
    path = tmp_path / "model.tflite"
    path.write_bytes(b"no model")
    with Turns({"bad": command(str(path), "litert", None)}) as turns:
        (timing,) = turns.timings().values()
    assert isinstance(timing.failure, errors.BundleCorrupt)


@given(
    st.tuples(st.integers(1, 4), st.integers(1, 4)), st.sampled_from(["float32", "int8", "uint8"])
)
def test_the_input_has_the_models_shape_and_type(sides, dtype):
    affine = None if dtype == "float32" else Affine(0.1, 0)
    made = benchmark_child.noise(
        Tensor(name="in", shape=(1, *sides, 3), dtype=dtype, affine=affine)
    )
    assert (made.shape, made.dtype) == ((1, *sides, 3), np.dtype(dtype))


def test_heat_and_power_are_remembered(monkeypatch):
    temperatures = iter([50.0, 61.0, 58.0])
    flags = iter([("clock capped now",), (), ("throttled now", "clock capped now")])
    monkeypatch.setattr(machine, "temperature_c", lambda: next(temperatures))
    monkeypatch.setattr(machine, "throttled", lambda: next(flags))
    weather = Weather()
    weather.look()
    assert (weather.temperature_c, weather.highest_c) == (50.0, 50.0)
    weather.look()
    weather.look()
    assert (weather.temperature_c, weather.highest_c) == (50.0, 61.0)
    assert weather.throttled == ("clock capped now", "throttled now")
    monkeypatch.setattr(machine, "temperature_c", lambda: None)
    monkeypatch.setattr(machine, "throttled", lambda: None)
    weather.look()
    assert (weather.highest_c, len(weather.throttled)) == (61.0, 2)


# -- on the device


def model_file(path, name="0.tflite", runtime="litert") -> BenchmarkModel:
    content = path.read_bytes()
    entry = FileEntry(name=name, size=len(content), sha256=hashlib.sha256(content).hexdigest())
    return BenchmarkModel(file=entry, runtime=runtime)


def upload(client, path, *models) -> None:
    wanted = client.ask(BenchmarkOfferRequest(request_id=1, models=models))
    assert isinstance(wanted, BenchmarkWanted), wanted
    for digest in wanted.files:
        shutil.copy(path, f"{wanted.folder}/{digest}")


def until_result(client):
    seen = []
    while not isinstance(reply := client.receive(), BenchmarkResult):
        assert isinstance(reply, BenchmarkRound), reply
        seen.append((reply.done, reply.total))
    return seen, reply


def left(store: Store) -> list[str]:
    bundles = store.incoming.with_name("bundles")
    return [path.name for folder in (store.incoming, bundles) for path in folder.iterdir()]


def test_a_benchmark_leaves_nothing_and_changes_nothing(daemon, kit):
    client = daemon.connect()
    model = model_file(kit.model)
    upload(client, kit.model, model)
    assert left(daemon.device.store) == [model.file.sha256]
    client.send(BenchmarkRequest(request_id=2, models=(model,), runs=5))
    seen, result = until_result(client)
    assert seen == [(1, 2), (2, 2)]
    (timing,) = result.timings
    assert (timing.name, timing.runs, timing.failure) == ("0.tflite", 8, None)
    assert result.conditions.threads == 1  # as the daemon's configuration has it
    assert left(daemon.device.store) == []
    status = client.ask(StatusRequest(request_id=3))
    assert isinstance(status, Status)
    assert status.model is None


def test_a_file_of_a_stored_bundle_need_not_be_sent(daemon, kit, make_bundle, push):
    digest = push(daemon, make_bundle())
    client = daemon.connect()
    model = model_file(kit.model)
    wanted = client.ask(BenchmarkOfferRequest(request_id=1, models=(model,)))
    assert wanted.files == ()
    client.send(BenchmarkRequest(request_id=2, models=(model,), runs=1))
    _, result = until_result(client)
    assert result.timings[0].failure is None
    assert left(daemon.device.store) == [digest]
    assert daemon.device.store.has(digest)


def test_good_and_bad_models_side_by_side(daemon, kit, tmp_path):
    rubbish = tmp_path / "rubbish"
    rubbish.write_bytes(b"rubbish")
    models = (
        model_file(kit.model),
        model_file(rubbish, "1.tflite"),
        model_file(kit.model, "2.onnx", "onnx"),
        model_file(kit.model, "3.bin", "telepathy"),
    )
    client = daemon.connect()
    upload(client, kit.model, models[0])
    upload(client, rubbish, models[1])
    client.send(BenchmarkRequest(request_id=2, models=models, runs=1))
    _, result = until_result(client)
    codes = [each.failure and each.failure.code for each in result.timings]
    assert codes == [None, "bundle-corrupt", "bundle-corrupt", "runtime-unavailable"]


@pytest.mark.parametrize("damage", ["missing", "other"])
def test_a_file_that_is_not_what_was_said_is_not_loaded(daemon, kit, damage):
    model = model_file(kit.model)
    client = daemon.connect()
    if damage == "other":
        (daemon.device.store.incoming / model.file.sha256).write_bytes(b"something else")
    answer = client.ask(BenchmarkRequest(request_id=2, models=(model,), runs=1))
    assert isinstance(answer, Failure)
    assert answer.code == "bundle-corrupt"
    assert left(daemon.device.store) == []


def test_one_benchmark_at_a_time(daemon, kit):
    client = daemon.connect()
    upload(client, kit.model, model_file(kit.model))
    with daemon.device.timing:
        refused = client.ask(
            BenchmarkRequest(request_id=2, models=(model_file(kit.model),), runs=1)
        )
    assert isinstance(refused, Failure)
    assert "another benchmark" in refused.what
    client.send(BenchmarkRequest(request_id=3, models=(model_file(kit.model),), runs=1))
    assert until_result(client)[1].timings[0].failure is None


def test_a_laptop_that_goes_away_ends_the_benchmark(daemon, kit, until, monkeypatch):
    closed = threading.Event()
    leave = Turns.__exit__

    def noticed(self, *what):
        leave(self, *what)
        closed.set()

    monkeypatch.setattr(benchmark.Turns, "__exit__", noticed)
    client = daemon.connect()
    upload(client, kit.model, model_file(kit.model))
    client.send(BenchmarkRequest(request_id=2, models=(model_file(kit.model),), runs=100_000))
    assert isinstance(client.receive(), BenchmarkRound)
    client.close()
    assert closed.wait(20)
    until(lambda: not daemon.device.timing.locked())
    until(lambda: left(daemon.device.store) == [])


def test_peak_memory(tmp_path):
    assert machine.peak_bytes() >= machine.resident_bytes() > 0
    status = tmp_path / "proc" / "self"
    status.mkdir(parents=True)
    (status / "status").write_text("Name:\tx\nVmHWM:\t    2048 kB\n")
    assert machine.peak_bytes(tmp_path) == 2048 * 1024
