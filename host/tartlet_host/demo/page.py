"""What a demo run shows a person: the data of its report page."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from tartlet_device.pictures import decode_picture
from tartlet_device.preprocess import Picture
from tartlet_host.dataset.from_motion import Labelled
from tartlet_host.dataset.pictures import read_picture
from tartlet_host.dataset.sample import Dataset, count
from tartlet_host.demo.path import Measured, Watched
from tartlet_host.demo.scene import Scene
from tartlet_host.demo.summary import Summary, Transfer
from tartlet_host.evaluate import samples
from tartlet_host.evaluate.parity import Parity
from tartlet_host.evaluate.report import CandidateRow, Figure, ReportData, TestPicture
from tartlet_host.remote.rollout import PushReport


def report_data(
    scene: Scene,
    summary: Summary,
    *,
    labelled: Labelled,
    test: Dataset,
    measured: Sequence[Measured],
    parities: Mapping[Path, Parity],
    losses: Mapping[str, Sequence[float]],
    pushed: PushReport,
    watched: Watched,
) -> ReportData:
    """Everything the report shows, from what the steps of the demo gave."""
    chosen = next(each.name for each in summary.candidates if each.packaged)
    return ReportData(
        title=f"{scene.recipe.name}: from footage to a device",
        candidates=[
            CandidateRow(each.name, each.predictor.size, each.metrics, each.latency)
            for each in measured
        ],
        chosen=chosen,
        created=time.strftime("%Y-%m-%d %H:%M"),
        footage=f"{scene.footage.name}: frames {_range(scene.train)} teach, "
        f"{_range(scene.test)} test ({summary.truth})",
        losses=losses,
        pictures=_pictures(test, next(each for each in measured if each.name == chosen)),
        last_prediction=watched.annotated,
        device=_device(summary.transfers, pushed, watched, parities),
        labels=_labels(labelled),
        contact_sheet=_read(labelled.sheets[0]) if labelled.sheets else None,
        timeline=summary.steps,
        environment=summary.machine,
    )


def _range(frames: tuple[int, int]) -> str:
    return f"{frames[0]}-{frames[1]}"


def _pictures(test: Dataset, model: Measured) -> list[TestPicture]:
    threshold = model.metrics.at_threshold.threshold
    return [
        TestPicture(caption, read_picture(test.samples[place]), test.samples[place], finding)
        for caption, place, finding in samples.choose(test, model.found, threshold)
    ]


def _device(
    transfers: Sequence[Transfer],
    pushed: PushReport,
    watched: Watched,
    parities: Mapping[Path, Parity],
) -> list[Figure]:
    figures = [
        Figure(
            each.name,
            f"{each.seconds:.2f} s",
            f"{each.bytes_sent / 1e3:.1f} KB sent, {each.bytes_received / 1e3:.1f} KB received",
        )
        for each in transfers
    ]
    figures.append(
        Figure(
            "on top of the device's own time",
            f"{watched.added_ms:.1f} ms",
            "of a prediction, for the way there and back, median",
        )
    )
    if pushed.self_test is not None:
        test = pushed.self_test
        figures.append(
            Figure(
                "self-test on the device",
                f"{test.detections} of {test.detections}",
                f"golden detections within {test.box_difference_px:.2f} px and "
                f"{test.score_difference:.3f} of score",
            )
        )
    for path, parity in parities.items():
        figures.append(
            Figure(
                f"parity of {path.name}",
                f"{parity.agreement:.0%}",
                f"of {parity.reference} detections agree with float, scores "
                f"{parity.score_difference:.3f} apart",
            )
        )
    return figures


def _labels(labelled: Labelled) -> list[str]:
    pictures = len(labelled.dataset.samples)
    boxes, ignored = count(labelled.dataset)
    return [
        f"{boxes} boxes on {pictures} frames came from motion alone; nobody drew one. What differs "
        "from the empty scene and has the size that a person has at that place became a box.",
        f"{ignored} regions moved but could not be told (people behind posts or each other); they "
        "were taught neither as people nor as background.",
    ]


def _read(path: Path) -> Picture:
    return decode_picture(path.read_bytes(), where=str(path))
