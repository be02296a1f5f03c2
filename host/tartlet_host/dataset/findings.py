"""What a check of a data set says: findings as data, the same for the terminal, JSON and the page.

An error makes training fail or its scores worthless, and stops; a warning advises.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Level = Literal["error", "warning"]

KEPT = 50
"""Findings of one kind that are kept; more are counted."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of finding: how bad it is, and what it is called."""

    level: Level
    title: str


KINDS: dict[str, Kind] = {
    "empty": Kind("error", "Nothing to learn from"),
    "label-unreadable": Kind("error", "Labels that cannot be read"),
    "box-invalid": Kind("error", "Boxes that are empty, inverted or outside their picture"),
    "unknown-class": Kind("error", "Unknown classes"),
    "picture-unreadable": Kind("error", "Pictures that cannot be read"),
    "wrong-size": Kind("error", "Pictures of another size than their labels say"),
    "picture-too-small": Kind("error", "Pictures that are too small to show anything"),
    "listed-twice": Kind("error", "Pictures that are listed twice"),
    "on-both-sides": Kind("error", "Pictures that are in training and in validation"),
    "leak": Kind("warning", "The same picture in training and in validation"),
    "near-leak": Kind("warning", "Nearly the same picture in training and in validation"),
    "video-on-both-sides": Kind("warning", "Neighbouring frames of a video on both sides"),
    "video-shuffled": Kind("warning", "Frames of a video, which a random split would mix"),
    "duplicate": Kind("warning", "Pictures that are there more than once"),
    "near-duplicate": Kind("warning", "Pictures that are nearly the same"),
    "class-never-seen": Kind("warning", "Classes without a box"),
    "class-rare": Kind("warning", "Classes with few boxes"),
    "imbalance": Kind("warning", "Classes of very different frequency"),
    "unlabelled": Kind("warning", "Pictures without a label file"),
    "box-small": Kind("warning", "Boxes that are too small on the canvas"),
    "box-doubled": Kind("warning", "Boxes that are there twice"),
    "canvas-wasted": Kind("warning", "A canvas of another shape than the pictures"),
    "blank": Kind("warning", "Pictures of one colour"),
}
"""By name; in the order in which people should care."""


@dataclass(frozen=True, slots=True)
class Place:
    """A picture: which data set, and where in it."""

    part: str
    index: int


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that a person should know.

    Attributes:
        kind: a key of `KINDS`.
        where: the file, picture or class it is about; "" for the whole data set.
        text: what is the matter, with numbers.
        hint: what to do about it.
        places: pictures to look at, at most a few.
    """

    kind: str
    where: str
    text: str
    hint: str
    places: tuple[Place, ...] = ()

    @property
    def level(self) -> Level:
        """An error stops, a warning advises."""
        return KINDS[self.kind].level


class Findings:
    """Collects findings; keeps `KEPT` of each kind and counts them all."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self._kept: dict[str, list[Finding]] = {kind: [] for kind in KINDS}

    def add(self, finding: Finding) -> None:
        """Keep or count one."""
        kept = self._kept[finding.kind]
        self.counts[finding.kind] += 1
        if len(kept) < KEPT:
            kept.append(finding)

    def extend(self, findings: Sequence[Finding]) -> None:
        """`add` each."""
        for finding in findings:
            self.add(finding)

    def all(self) -> tuple[Finding, ...]:
        """Those that were kept, errors first, in the order of `KINDS`."""
        return tuple(finding for kept in self._kept.values() for finding in kept)
