"""The demo from end to end: the steps of `tartlet_host.demo.path`, timed, and their summary."""

from __future__ import annotations

import contextlib
import os
import platform
import time
from collections.abc import Iterator
from pathlib import Path

from tartlet_host.demo import page, path, testing
from tartlet_host.demo.path import Measured
from tartlet_host.demo.scene import Scene
from tartlet_host.demo.summary import Candidate, Summary, to_json
from tartlet_host.evaluate import report as report_page
from tartlet_host.files import write_atomically
from tartlet_host.progress import Report, bar
from tartlet_host.remote.embedded import EmbeddedDevice


class _Steps:
    """Shows a bar for each step and keeps its seconds."""

    def __init__(self, quiet: bool) -> None:
        self.seconds: dict[str, float] = {}
        self._quiet = quiet

    @contextlib.contextmanager
    def step(self, name: str) -> Iterator[Report]:
        started = time.monotonic()
        with bar(name, quiet=self._quiet) as report:
            yield report
        self.seconds[name] = round(time.monotonic() - started, 2)


def run(scene: Scene, folder: Path, *, quiet: bool = False) -> Summary:
    """Run the whole path; everything it makes is in ``folder``.

    Raises:
        TartletError: whatever step failed; what earlier steps made stays in ``folder``.
    """
    started = time.monotonic()
    steps = _Steps(quiet)
    losses: dict[str, tuple[float, ...]] = {}
    data = folder / "dataset"
    parent, pruned = folder / "parent.safetensors", folder / "pruned.safetensors"
    with contextlib.ExitStack() as stack:
        with steps.step("Starting a device"):
            device = stack.enter_context(EmbeddedDevice(path.training_camera(scene), threads=1))
        with steps.step("Fetching frames over SSH") as report:
            frames = path.fetch(device, scene, data, report)
        device.stop_daemon()  # the cores are for training now
        with steps.step("Labelling from motion") as report:
            labelled = path.label(frames, data, scene, report)
        with steps.step("Training") as report:
            losses["training"] = path.train(labelled.dataset, scene, parent, report)
        with steps.step("Pruning and fine-tuning") as report:
            losses["after pruning"] = path.prune(parent, labelled.dataset, pruned, report)
        with steps.step("Converting to int8"):
            models = path.convert(parent, pruned, labelled.dataset, folder)
        with steps.step("Checking int8 against float") as report:
            parities = path.check_parity(models, labelled.dataset, report)
        with steps.step("Choosing what to push") as report:
            model, threshold, metrics = path.choose(models, labelled.dataset, report)
        with steps.step("Packaging"):
            bundle = path.seal(model, threshold, metrics, labelled, scene, folder / "bundle")
        with steps.step("Measuring on test pictures") as report:
            test, origin = testing.make_test_set(scene, folder / "test")
            measured = path.measure(models, test, threshold, report)
        with steps.step("Pushing and activating") as report:
            device.restart_daemon(path.test_camera(scene))
            pushed, push = path.push(device, bundle, "push", report)
            _, again = path.push(device, bundle, "push, unchanged", lambda done, total: None)
        with steps.step("Predicting on the device") as report:
            watched, predict = path.predict(device, folder / "prediction.jpg", report)
    summary = Summary(
        truth=origin,
        test_pictures=measured[0].metrics.pictures,
        test_boxes=measured[0].metrics.boxes,
        candidates=_candidates(measured, model),
        transfers=(push, again, predict),
        steps=steps.seconds,
        seconds=round(time.monotonic() - started, 1),
        machine=machine(),
        bundle=bundle.digest,
    )
    write_atomically(folder / "summary.json", to_json(summary))
    data_of_page = page.report_data(
        scene,
        summary,
        labelled=labelled,
        test=test,
        measured=measured,
        parities=parities,
        losses=losses,
        pushed=pushed,
        watched=watched,
    )
    report_page.write(data_of_page, folder / "report.html")
    return summary


def machine() -> dict[str, str]:
    """What this machine is, for whoever compares figures."""
    name = platform.processor() or platform.machine()
    with contextlib.suppress(OSError, StopIteration):
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        model = next(line for line in lines if line.startswith("model name"))
        name = model.partition(":")[2].strip()
    return {
        "processor": name,
        "cores": str(os.cpu_count()),
        "system": platform.platform(),
        "python": platform.python_version(),
    }


def _candidates(measured: list[Measured], packaged: Path) -> tuple[Candidate, ...]:
    reference = measured[0].latency.p50
    return tuple(
        Candidate(
            name=each.name,
            map50=each.metrics.map50,
            map50_95=each.metrics.map50_95,
            file_bytes=each.predictor.size,
            latency_p50_ms=each.latency.p50,
            latency_p95_ms=each.latency.p95,
            speedup=reference / each.latency.p50,
            packaged=each.predictor.model_path == packaged,
        )
        for each in measured
    )
