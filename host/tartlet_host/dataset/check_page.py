"""The page of a check: figures, findings with their pictures, contact sheets, box sizes."""

from __future__ import annotations

import base64
import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, zip_longest

import markupsafe
import numpy as np

from tartlet_host.annotate import PALETTE
from tartlet_host.dataset import check_plots
from tartlet_host.dataset.check import CheckReport, Part, boxes_by_class
from tartlet_host.dataset.findings import KINDS, Finding, Place
from tartlet_host.dataset.look import make_thumbnail
from tartlet_host.dataset.pictures import read_picture
from tartlet_host.dataset.sample import count, count_pictures, file_name
from tartlet_host.page import Box, render
from tartlet_shared import errors

THUMBNAILS = 96
"""Pictures of each data set on the contact sheets, evenly spread; some megabytes of HTML."""
_SHEET = 24  # pictures
_FINDINGS_SHOWN = 12  # of a kind, in words
_PICTURES_SHOWN = 8  # of a kind
_EXTREMES = 4  # darkest, brightest
_PAIRED = {
    "leak",
    "near-leak",
    "video-on-both-sides",
    "video-shuffled",
    "listed-twice",
    "duplicate",
    "near-duplicate",
}
_MOST_BOXES = 200  # drawn on one thumbnail

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Shown:
    """A picture on the page.

    Attributes:
        uri: a JPEG.
        width, height: of the picture itself.
        name: its file.
        caption: why it is shown.
        contents: the classes of its boxes, "" where there is only one class.
        boxes: what the labels say.
    """

    uri: str
    width: int
    height: int
    name: str
    caption: str
    contents: str
    boxes: Sequence[Box]


@dataclass(frozen=True)
class Group:
    """The findings of one kind.

    Attributes:
        level, title: see `KINDS`.
        count: how many there are; `findings` has at most `_FINDINGS_SHOWN`.
        hints: what to do, each once.
        pictures: single pictures to look at; pairs of them where two are compared.
    """

    level: str
    title: str
    count: int
    findings: Sequence[Finding]
    hints: Sequence[str]
    pictures: Sequence[Sequence[Shown]]


def check_page(report: CheckReport, title: str) -> str:
    """The page as HTML; pictures that findings show and no sheet does are decoded once more."""
    thumbnails = _Thumbnails(report)
    parts = {name: _part(name, part, thumbnails) for name, part in report.parts.items()}
    return render(
        "data_check.html",
        title=title,
        report=report,
        errors=report.number_of("error"),
        warnings=report.number_of("warning"),
        groups=list(_groups(report, thumbnails)),
        parts=parts,
        several=len(parts) > 1,
        legend=_legend(next(iter(report.parts.values())).dataset.labels),
        classes=check_plots.class_histogram(
            {
                name: dict(zip(part.dataset.labels, boxes_by_class(part), strict=True))
                for name, part in report.parts.items()
            }
        ),
        sizes=check_plots.box_sizes(
            {name: part.boxes.size for name, part in report.parts.items()},
            report.canvas,
            report.strides,
        ),
        shapes=check_plots.picture_shapes(
            {
                name: [(each.width, each.height) for each in part.dataset.samples]
                for name, part in report.parts.items()
            },
            report.canvas,
        ),
    )


def _part(name: str, part: Part, thumbnails: _Thumbnails) -> dict[str, object]:
    boxes, ignored = count(part.dataset)
    table = part.pictures
    order = np.flatnonzero(table.readable)
    order = order[np.argsort(table.brightness[order], kind="stable")].tolist()
    few = min(_EXTREMES, len(order) // 2)

    def extremes(places: Sequence[int]) -> list[Shown]:
        return thumbnails.each(
            (Place(name, place), f"brightness {table.brightness[place]:.0f} of 255")
            for place in places
        )

    sheet = thumbnails.each((Place(name, place), "") for place in sorted(part.thumbnails))
    return {
        "pictures": len(part.dataset.samples),
        "kinds": count_pictures(part.dataset),
        "boxes": boxes,
        "ignored": ignored,
        "sheets": [sheet[start : start + _SHEET] for start in range(0, len(sheet), _SHEET)],
        "darkest": extremes(order[:few]),
        "brightest": extremes(order[len(order) - few :][::-1]),
    }


def _groups(report: CheckReport, thumbnails: _Thumbnails) -> Iterator[Group]:
    for kind, each in groupby(report.findings, key=lambda finding: finding.kind):
        findings = list(each)
        paired = kind in _PAIRED
        if paired:
            pictures = [
                thumbnails.each((place, place.part) for place in finding.places)
                for finding in findings[:_PICTURES_SHOWN]
            ]
        else:
            # The first picture of each finding, then the second of each, and so on.
            turns = zip_longest(*(finding.places for finding in findings[:_FINDINGS_SHOWN]))
            places = [place for turn in turns for place in turn if place is not None]
            shown = thumbnails.each((place, place.part) for place in places[:_PICTURES_SHOWN])
            pictures = [[one] for one in shown]
        yield Group(
            level=KINDS[kind].level,
            title=KINDS[kind].title,
            count=report.counts[kind],
            findings=findings[:_FINDINGS_SHOWN],
            hints=list(dict.fromkeys(finding.hint for finding in findings if finding.hint)),
            pictures=[row for row in pictures if row],
        )


class _Thumbnails:
    """Small pictures of the report's places, decoded again where the check kept none."""

    def __init__(self, report: CheckReport) -> None:
        self._parts = report.parts
        self._made: dict[Place, bytes | None] = {}

    def each(self, places: Iterable[tuple[Place, str]]) -> list[Shown]:
        """Pictures with a caption each; those that cannot be read are left out."""
        shown = (self._shown(place, caption) for place, caption in places)
        return [one for one in shown if one is not None]

    def _shown(self, place: Place, caption: str) -> Shown | None:
        part = self._parts[place.part]
        sample = part.dataset.samples[place.index]
        jpeg = part.thumbnails.get(place.index) or self._read(place)
        if jpeg is None:
            return None
        words = [caption] if caption else []
        if not sample.labelled:
            words.append("no label file")
        elif not len(sample.boxes):
            words.append("background")
        return Shown(
            uri="data:image/jpeg;base64," + base64.b64encode(jpeg).decode(),
            width=sample.width,
            height=sample.height,
            name=file_name(sample.picture),
            caption=", ".join(words),
            contents=_contents(part, place.index),
            boxes=list(_boxes(part, place.index)),
        )

    def _read(self, place: Place) -> bytes | None:
        if place not in self._made:
            part = self._parts[place.part]
            jpeg = None
            if part.pictures.readable[place.index]:
                try:
                    jpeg = make_thumbnail(read_picture(part.dataset.samples[place.index]))
                except errors.DatasetError as error:  # it was there a moment ago
                    _log.warning("%s", error)
            self._made[place] = jpeg
        return self._made[place]


def _contents(part: Part, index: int) -> str:
    """``king, ten ×3``."""
    sample, labels = part.dataset.samples[index], part.dataset.labels
    if len(labels) < 2:
        return ""
    real = sample.class_ids[~sample.ignore].tolist()
    counted = Counter(labels[each] if 0 <= each < len(labels) else f"class {each}" for each in real)
    return ", ".join(f"{name} ×{times}" if times > 1 else name for name, times in counted.items())


def _boxes(part: Part, index: int) -> Iterator[Box]:
    sample, labels = part.dataset.samples[index], part.dataset.labels
    rows = zip(sample.boxes, sample.class_ids, sample.ignore, strict=True)
    for row, (corners, class_id, ignore) in enumerate(rows):
        if row == _MOST_BOXES:
            return
        known = 0 <= class_id < len(labels)
        left, top, right, bottom = (float(value) for value in np.nan_to_num(corners))
        yield Box(
            (left, top, max(left, right), max(top, bottom)),  # an inverted one as a line
            "ignored" if ignore else "",
            "to ignore" if ignore else labels[class_id] if known else f"class {class_id}",
            "" if ignore else _colour(int(class_id)),
        )


def _legend(labels: Sequence[str]) -> list[tuple[str, str]]:
    return [(label, _colour(class_id)) for class_id, label in enumerate(labels)]


def _colour(class_id: int) -> str:
    red, green, blue = PALETTE[class_id % len(PALETTE)]
    return str(markupsafe.Markup(f"#{red:02x}{green:02x}{blue:02x}"))
