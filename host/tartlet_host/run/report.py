"""A run as one HTML page that stands alone: no script, no font or picture from elsewhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tartlet_device.preprocess import Picture
from tartlet_host import page
from tartlet_host.evaluate import plots
from tartlet_host.evaluate.latency import Latency
from tartlet_host.evaluate.mean_average_precision import Metrics
from tartlet_host.evaluate.samples import TestPicture
from tartlet_host.files import write_atomically
from tartlet_host.prune.page import Part
from tartlet_host.train.early_stopping import Look


@dataclass(frozen=True, eq=False)
class CandidateRow:
    """A model of the run.

    Attributes:
        name: as the table shows it, such as "pruned int8 TFLite".
        size: bytes of the model file.
        metrics: on the test pictures.
        latency: of the inference on this machine, in milliseconds.
        validation: mAP50 on the validation pictures; None where the gate was not asked.
        refusal: why the gate stopped it; "" where it did not.
    """

    name: str
    size: int
    metrics: Metrics
    latency: Latency
    validation: float | None = None
    refusal: str = ""


@dataclass(frozen=True)
class Figure:
    """One number with its name and, if need be, what it means."""

    name: str
    value: str
    note: str = ""


@dataclass(frozen=True, eq=False)
class ReportData:
    """All that a report shows; parts left empty are left out of the page.

    Attributes:
        title: of the page.
        candidates: the models, the float parent first: the others are compared with it.
        chosen: name of the candidate in the bundle.
        created: local time, as people write it.
        source: one line on where the pictures come from.
        least: mAP50 on the validation pictures that the gate asked for.
        remarks: what stands out in the chosen model's mistakes.
        details: pages that say more: what they are about -> file beside this page.
        losses: training loss by name of the run ("training", "after pruning").
        looks: (step, mAP50 on the validation pictures) by name of the run.
        cut: what pruning left, by part of the network.
        findings: what a person should know of the pictures.
        shares: pictures, boxes and regions to ignore by part of the data: "train" and so on.
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
    source: str = ""
    least: float | None = None
    remarks: Sequence[str] = ()
    details: Mapping[str, str] = field(default_factory=dict)
    losses: Mapping[str, Sequence[float]] = field(default_factory=dict)
    looks: Mapping[str, Sequence[Look]] = field(default_factory=dict)
    cut: Sequence[Part] = ()
    findings: Sequence[str] = ()
    shares: Mapping[str, tuple[int, int, int]] = field(default_factory=dict)
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
    # A dozen curves on one plot say nothing: where it starts from, and what came out.
    named = {each.name for each in data.candidates[:1]} | {data.chosen}
    curves = {each.name: each.metrics.curve for each in data.candidates if each.name in named}
    points = {each.name: (each.latency.p50, each.metrics.map50) for each in data.candidates}
    by_name = {each.name: each for each in data.candidates}
    return page.render(
        "report.html",
        data=data,
        reference=data.candidates[0] if data.candidates else None,
        chosen=by_name.get(data.chosen),
        front=plots.front(points, data.chosen) if points else "",
        curves=plots.precision_recall(curves) if curves else "",
        losses=plots.losses(data.losses) if any(data.losses.values()) else "",
        looks=plots.looks(data.looks) if any(data.looks.values()) else "",
        timeline=plots.timeline(data.timeline) if data.timeline else "",
    )
