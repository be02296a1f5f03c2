"""Timing models on a device, over a real SSH server."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tartlet_host.remote import benchmark
from tartlet_host.remote.embedded import EmbeddedDevice
from tartlet_host.remote.session import open_session
from tartlet_shared import errors
from tartlet_shared.bundle import Bundle

pytestmark = pytest.mark.system

Run = Callable[..., tuple[int, str, str]]
BRIGHT = Path(__file__).parents[1] / "golden" / "device" / "bright_int8.tflite"


def kept(embedded: EmbeddedDevice) -> set[str]:
    """Everything in the device's store."""
    folders = (embedded.store / "bundles", embedded.store / "incoming")
    return {each.name for folder in folders for each in folder.iterdir()}


def test_models_are_timed_and_gone_again(
    steady: EmbeddedDevice, bundle: Bundle, run: Run, helpers: Any
) -> None:
    before = kept(steady)
    words = ("bench", BRIGHT, bundle.folder, "--device", "demo", "--runs", "4", "--json")
    code, out, err = run(steady.config_dir, *words)
    assert code == 0, err
    told = json.loads(out)
    assert told["device"] == "demo"
    assert [each["runs"] for each in told["models"]] == [4, 4]
    assert [each["failure"] for each in told["models"]] == [None, None]
    assert all(each["p50_ms"] > 0 for each in told["models"])
    assert kept(steady) == before
    assert helpers.active_digest(steady) == bundle.digest


def test_people_get_a_table(steady: EmbeddedDevice, run: Run) -> None:
    code, out, err = run(steady.config_dir, "bench", BRIGHT, "--device", "demo", "--runs", "1")
    assert code == 0, err
    assert "bright_int8.tflite" in out
    assert "1.00x" in out


def test_a_file_that_the_device_has_is_not_sent(steady: EmbeddedDevice, bundle: Bundle) -> None:
    model = benchmark.ModelFile(bundle.model_path, "onnx")
    sent: list[tuple[int, int]] = []
    with open_session(steady.device) as session:
        asked = benchmark.send(session, [model, model], lambda *done: sent.append(done))
        assert sent == []
        result = session.client.benchmark(asked, runs=1, threads=2)
    assert [each.failure for each in result.timings] == [None, None]
    assert result.conditions.threads == 2


def test_what_was_sent_for_nothing_is_no_obstacle(embedded: EmbeddedDevice) -> None:
    model = benchmark.ModelFile(BRIGHT, "litert")
    with open_session(embedded.device) as session:
        benchmark.send(session, [model])
    assert len(kept(embedded)) == 1
    with open_session(embedded.device) as session:
        asked = benchmark.send(session, [model])
        assert session.client.benchmark(asked, runs=1).timings[0].failure is None
    assert kept(embedded) == set()


@pytest.mark.parametrize(
    ("name", "words", "code"),
    [
        ("model.safetensors", "a checkpoint cannot run on a device", errors.UsageError.exit_code),
        ("missing.tflite", "no such file", errors.UsageError.exit_code),
    ],
)
def test_what_no_device_can_time_is_refused_here(
    shared: EmbeddedDevice, run: Run, tmp_path: Path, name: str, words: str, code: int
) -> None:
    if name.startswith("model"):
        (tmp_path / name).write_bytes(b"weights")
    given, _, err = run(shared.config_dir, "bench", tmp_path / name, "--device", "demo")
    assert given == code
    assert words in err


def test_too_many_models_are_refused(shared: EmbeddedDevice) -> None:
    models = [benchmark.ModelFile(BRIGHT, "litert")] * (benchmark.MOST_MODELS + 1)
    with (
        open_session(shared.device) as session,
        pytest.raises(errors.UsageError, match="17 models; a device times 16"),
    ):
        benchmark.send(session, models)
