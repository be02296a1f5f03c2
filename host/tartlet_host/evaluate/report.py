"""A run as one HTML page that stands alone: no script, no font or picture from elsewhere."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import jinja2
import markupsafe

from tartlet_device.pictures import encode_jpeg
from tartlet_device.preprocess import Picture
from tartlet_host.dataset.sample import Sample
from tartlet_host.evaluate import plots
from tartlet_host.evaluate.latency import Latency
from tartlet_host.evaluate.mean_average_precision import Metrics
from tartlet_host.evaluate.samples import Finding
from tartlet_host.files import write_atomically

JPEG_QUALITY = 82
LONGEST_SIDE = 960  # pixels; more than a page shows


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
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("tartlet_host.evaluate"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(picture=data_uri, size=_size, percent=_percent)
    curves = {each.name: each.metrics.curve for each in data.candidates}
    points = {
        each.name: (each.latency.p50, each.metrics.map50, each.size) for each in data.candidates
    }
    by_name = {each.name: each for each in data.candidates}
    page: str = environment.get_template("report.html").render(
        data=data,
        reference=data.candidates[0] if data.candidates else None,
        chosen=by_name.get(data.chosen),
        trade_off=_svg(plots.trade_off(points, data.chosen)) if points else "",
        curves=_svg(plots.precision_recall(curves)) if curves else "",
        losses=_svg(plots.losses(data.losses)) if any(data.losses.values()) else "",
        timeline=_svg(plots.timeline(data.timeline)) if data.timeline else "",
    )
    return page


def data_uri(rgb: Picture) -> str:
    """A picture as JPEG inside a ``data:`` address, scaled down if it is large."""
    scale = LONGEST_SIDE / max(rgb.shape[:2])
    if scale < 1:
        size = (max(1, round(rgb.shape[1] * scale)), max(1, round(rgb.shape[0] * scale)))
        rgb = cv2.resize(rgb, size, interpolation=cv2.INTER_AREA).astype("uint8", copy=False)
    jpeg = encode_jpeg(rgb, JPEG_QUALITY)
    return "data:image/jpeg;base64," + base64.b64encode(jpeg).decode()


def _svg(drawing: str) -> markupsafe.Markup:
    return markupsafe.Markup(drawing)


def _size(count: float) -> str:
    return f"{count / 1e6:.1f} MB" if count >= 1e5 else f"{count / 1e3:.1f} kB"


def _percent(part: float) -> str:
    return f"{part:.0%}"
