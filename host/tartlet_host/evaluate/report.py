"""A run as one HTML page that stands alone: no script, no font or picture from elsewhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tartlet_device.preprocess import Picture
from tartlet_host import page
from tartlet_host.dataset.sample import Sample
from tartlet_host.evaluate import plots
from tartlet_host.evaluate.latency import Latency
from tartlet_host.evaluate.mean_average_precision import Metrics
from tartlet_host.evaluate.samples import Finding
from tartlet_host.files import write_atomically


@dataclass(frozen=True, eq=False)
class CandidateRow:
    """A model of the run.

    Attributes:
        name: as the table shows it, such as "pruned, int8 TFLite".
        size: bytes of the model file.
        metrics: on the test pictures.
        latency: of the inference on this machine, in milliseconds.
    """

    name: str
    size: int
    metrics: Metrics
    latency: Latency


@dataclass(frozen=True)
class Figure:
    """One number with its name and, if need be, what it means."""

    name: str
    value: str
    note: str = ""


@dataclass(frozen=True, eq=False)
class TestPicture:
    """A test picture with what is there and what was found.

    Attributes:
        caption: why it is shown, such as "typical".
        rgb: the picture.
        sample: the truth.
        finding: the detections at the model's score threshold, matched to the truth.
    """

    __test__ = False  # not a test, whatever its name says to pytest

    caption: str
    rgb: Picture
    sample: Sample
    finding: Finding


@dataclass(frozen=True, eq=False)
class ReportData:
    """All that a report shows; parts left empty are left out of the page.

    Attributes:
        title: of the page.
        candidates: the models, the float parent first: the others are compared with it.
        chosen: name of the candidate that was sent to the device.
        created: local time, as people write it.
        footage: one line on where the pictures come from.
        losses: training loss by name of the run ("training", "after pruning").
        pictures: test pictures.
        last_prediction: the last picture that the device sent, boxes drawn in.
        device: figures of push and predict.
        labels: paragraphs on how the training labels came about.
        contact_sheet: a picture of some labels.
        timeline: seconds of each step of the run, in order.
        environment: what it ran on: name -> value.
    """

    title: str
    candidates: Sequence[CandidateRow]
    chosen: str = ""
    created: str = ""
    footage: str = ""
    losses: Mapping[str, Sequence[float]] = field(default_factory=dict)
    pictures: Sequence[TestPicture] = ()
    last_prediction: Picture | None = None
    device: Sequence[Figure] = ()
    labels: Sequence[str] = ()
    contact_sheet: Picture | None = None
    timeline: Mapping[str, float] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)


def write(data: ReportData, path: Path) -> None:
    """Render the page and write it aside, then rename it to ``path``."""
    write_atomically(path, render(data))


def render(data: ReportData) -> str:
    """The page as HTML."""
    curves = {each.name: each.metrics.curve for each in data.candidates}
    points = {
        each.name: (each.latency.p50, each.metrics.map50, each.size) for each in data.candidates
    }
    by_name = {each.name: each for each in data.candidates}
    return page.render(
        "report.html",
        data=data,
        reference=data.candidates[0] if data.candidates else None,
        chosen=by_name.get(data.chosen),
        trade_off=plots.trade_off(points, data.chosen) if points else "",
        curves=plots.precision_recall(curves) if curves else "",
        losses=plots.losses(data.losses) if any(data.losses.values()) else "",
        timeline=plots.timeline(data.timeline) if data.timeline else "",
    )
