"""The demo from end to end: a device's frames become labels, a model, and what the device sees."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path

from tartlet_host.demo import page, path, testing
from tartlet_host.demo.scene import Scene
from tartlet_host.files import write_atomically
from tartlet_host.remote.embedded import EmbeddedDevice
from tartlet_host.run import page as run_page
from tartlet_host.run import pipeline
from tartlet_host.run.data import of_footage
from tartlet_host.run.summary import Summary, to_json
from tartlet_host.run.timeline import Timeline


def run(scene: Scene, folder: Path, *, quiet: bool = False) -> Summary:
    """Run the whole path; everything it makes is in ``folder``.

    Raises:
        TartletError: whatever step failed; what earlier steps made stays in ``folder``.
    """
    started = time.monotonic()
    timeline = Timeline(quiet=quiet)
    with contextlib.ExitStack() as stack:
        with timeline.step("Starting a device"):
            device = stack.enter_context(EmbeddedDevice(path.training_camera(scene), threads=1))
        with timeline.step("Fetching frames over SSH") as report:
            frames = path.fetch(device, scene, folder / "dataset", report)
        device.stop_daemon()  # the cores are for training now
        with timeline.step("Labelling from motion") as report:
            labelled = path.label(frames, folder / "dataset", scene, report)
        test, truth = testing.make_test_set(scene, folder / "test")
        data = of_footage(labelled.dataset, "from motion", labelled.sheets, test)
        outcome = pipeline.run(scene.recipe, data, folder, timeline, truth=truth)
        with timeline.step("Pushing and activating") as report:
            device.restart_daemon(path.test_camera(scene))
            pushed, push = path.push(device, outcome.bundle, "push", report)
            _, again = path.push(
                device, outcome.bundle, "push, unchanged", lambda done, total: None
            )
        with timeline.step("Predicting on the device") as report:
            watched, predict = path.predict(device, folder / "prediction.jpg", report)
    summary = pipeline.summarise(
        outcome, timeline, time.monotonic() - started, (push, again, predict)
    )
    write_atomically(folder / "summary.json", to_json(summary))
    run_page.write(
        outcome,
        summary,
        folder,
        title=f"{scene.recipe.name}: from footage to a device",
        source=page.source(scene, truth),
        device=page.device_figures(summary.transfers, pushed, watched),
        last_prediction=watched.annotated,
    )
    return summary
