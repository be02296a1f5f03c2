"""What a data set's folder or archive holds, sorted by kind of file."""

from __future__ import annotations

import posixpath
from collections import Counter
from dataclasses import dataclass

from tartlet_host.dataset.header import PICTURE_SUFFIXES
from tartlet_host.dataset.source import Source
from tartlet_host.dataset.video import VIDEO_SUFFIXES

NOT_DECODED = (".heic", ".heif", ".avif", ".jp2", ".dng", ".cr2", ".nef", ".arw")
"""Pictures, but not such as are read."""


@dataclass(frozen=True)
class Listing:
    """Names of files, in order.

    Attributes:
        pictures, videos: by their suffixes.
        others: by suffix in lower case, with the dot.
    """

    pictures: tuple[str, ...]
    videos: tuple[str, ...]
    others: dict[str, tuple[str, ...]]

    def summary(self) -> str:
        """What is there, for people: ``12 .jpg, 3 .csv``."""
        names = (*self.pictures, *self.videos, *(n for each in self.others.values() for n in each))
        counts = Counter(suffix(name) or "files without a suffix" for name in names)
        return ", ".join(f"{count} {kind}" for kind, count in counts.most_common(6)) or "nothing"


def list_files(source: Source, under: str = "") -> Listing:
    """Look through a source once."""
    pictures: list[str] = []
    videos: list[str] = []
    others: dict[str, list[str]] = {}
    for name in source.files(under):
        kind = suffix(name)
        if kind in PICTURE_SUFFIXES:
            pictures.append(name)
        elif kind in VIDEO_SUFFIXES:
            videos.append(name)
        else:
            others.setdefault(kind, []).append(name)
    return Listing(
        tuple(pictures), tuple(videos), {kind: tuple(names) for kind, names in others.items()}
    )


def suffix(name: str) -> str:
    """A file name's suffix in lower case, with its dot."""
    return posixpath.splitext(name)[1].lower()


def stem(name: str) -> str:
    """A file name without folders and suffix."""
    return posixpath.splitext(posixpath.basename(name))[0]


def without_suffix(name: str) -> str:
    """A file name with its folders, without its suffix."""
    return posixpath.splitext(name)[0]
