"""The report: whole, in parts, and on its own."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import pytest

from tartlet_host.dataset.sample import Dataset, Sample
from tartlet_host.evaluate import mean_average_precision, plots, samples
from tartlet_host.evaluate.curves import Curve
from tartlet_host.evaluate.latency import Latency
from tartlet_host.evaluate.samples import TestPicture
from tartlet_host.prune.page import Part
from tartlet_host.run import report
from tartlet_host.run.report import CandidateRow, Figure, ReportData
from tartlet_shared.detections import Detections

BOX = np.array([[10, 10, 30, 40]], np.float32)
SAMPLE = Sample(Path("frame 7.png"), 64, 48, BOX, np.zeros(1, np.int64), np.zeros(1, np.bool_))
FOUND = Detections(BOX, np.array([0.87], np.float32), np.zeros(1, np.int64))
PICTURE = np.full((48, 64, 3), 90, np.uint8)


def row(name: str, p50: float, size: int = 3_000_000) -> CandidateRow:
    metrics = mean_average_precision.measure(Dataset(("person",), (SAMPLE,)), [FOUND])
    return CandidateRow(name, size, metrics, Latency(p50, p50 * 1.2, 60), validation=0.6)


@pytest.fixture
def full() -> ReportData:
    return ReportData(
        title="People <in> a street",
        candidates=[row("fp32", 12.0, 9_000_000), row("int8 & pruned", 3.0)],
        chosen="int8 & pruned",
        created="21 November 2026",
        source="a fixed camera",
        least=0.5,
        remarks=["Small ones are missed."],
        details={"the mistakes": "evaluation.html"},
        looks={"training": [(2, 0.4)]},
        cut=[Part("stem", 1, (32, 8), (20, 5), None)],
        findings=["Pictures of one colour: 2"],
        shares={"train": (10, 20, 3)},
        losses={"training": [3.0, 2.0, 1.5], "after pruning": []},
        pictures=[TestPicture("best", PICTURE, SAMPLE, samples.judge(SAMPLE, FOUND, 0.3))],
        last_prediction=PICTURE,
        device=[Figure("push", "1.3 s", "2.1 MB")],
        labels=["From motion."],
        contact_sheet=PICTURE,
        timeline={"train": 200.0, "push": 1.3},
        environment={"Python": "3.11"},
    )


class Reader(HTMLParser):
    """Collects what the tests ask about and complains about tags that do not close."""

    VOID = frozenset({"meta", "img", "br", "link", "rect", "path", "use", "line"})

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.headings: list[str] = []
        self.pictures: list[dict[str, str | None]] = []
        self.feed(page)
        assert not self.open, self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "img":
            self.pictures.append(dict(attrs))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        pass

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] in ("h1", "h2"):
            self.headings.append(data)


def test_a_full_report_has_every_part(full: ReportData) -> None:
    page = report.render(full)
    read = Reader(page)
    assert read.headings == [
        "People <in> a street",
        "What stands out",
        "The models",
        "Precision and recall",
        "Test pictures",
        "On the device",
        "Training",
        "What pruning left",
        "The pictures",
        "Where the labels come from",
        "More",
        "Where the time went",
        "Made with",
    ]
    assert "4.0×" in page  # 12 ms against 3 ms
    assert "int8 &amp; pruned" in page
    assert len(read.pictures) == 3
    assert all(picture["alt"] for picture in read.pictures)
    assert page.count('role="img" aria-label=') == 5


def test_an_empty_report_is_a_page_too() -> None:
    read = Reader(report.render(ReportData(title="Nothing yet", candidates=())))
    assert read.headings == ["Nothing yet"]


def test_a_report_without_extras_shows_the_table() -> None:
    read = Reader(report.render(ReportData(title="Table", candidates=[row("fp32", 10.0)])))
    assert read.headings == ["Table", "The models", "Precision and recall"]


def test_the_page_needs_nothing_from_elsewhere(full: ReportData) -> None:
    page = report.render(full)
    assert "<script" not in page
    assert "@import" not in page
    for address in re.findall(r'(?:src|href)="([^"]*)"', page):
        assert address.startswith(("data:image/jpeg;base64,", "#")) or (
            address in full.details.values()
        )


def test_plots_are_well_formed_and_the_same_every_time(full: ReportData) -> None:
    curves = {each.name: each.metrics.curve for each in full.candidates}
    for draw in (
        lambda: plots.front(
            {"a <b>": (3.0, 0.8), "c": (1.0, 0.5), "d": (4.0, 0.6)}, "c", least=0.4
        ),
        lambda: plots.front({}),
        lambda: plots.precision_recall(curves),
        lambda: plots.losses({"training": [3.0, 1.0]}),
        lambda: plots.looks({"a & b": [(10, 0.2), (20, 0.4)], "none": []}),
        lambda: plots.timeline({"push": 1.0}),
    ):
        drawing = draw()
        root = ET.fromstring(drawing)
        assert root.get("viewBox")
        assert root.get("width") is None
        assert draw() == drawing


def test_a_curve_without_detections_can_be_drawn() -> None:
    nothing = np.zeros(0)
    curve = Curve(nothing, nothing, nothing)
    assert "<svg" in plots.precision_recall({"blind": curve})


def test_the_file_is_written_whole(full: ReportData, tmp_path: Path) -> None:
    path = tmp_path / "run" / "report.html"
    report.write(full, path)
    assert path.read_text(encoding="utf-8") == report.render(full)
    assert [each.name for each in path.parent.iterdir()] == ["report.html"]
