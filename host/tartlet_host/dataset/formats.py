"""Which label format a folder or an archive has, by a look into a few of its files."""

from __future__ import annotations

import enum
import re

import msgspec

from tartlet_host.dataset.listing import Listing, stem, without_suffix
from tartlet_host.dataset.source import Source
from tartlet_host.dataset.yolo import label_names
from tartlet_host.dataset.yolo_yaml import YAML_NAMES

_LOOKS = 20
"""Files of a kind that are looked into: label files come in numbers or alone."""


class Format(enum.Enum):
    """A format of labels, by its name for people."""

    COCO = "COCO"
    VOC = "Pascal VOC"
    YOLO = "YOLO"
    LABELME = "LabelMe"
    CVAT = "CVAT"


class _Probe(msgspec.Struct):
    """The keys that tell one JSON format from another."""

    images: msgspec.Raw = msgspec.Raw()
    annotations: msgspec.Raw = msgspec.Raw()
    shapes: msgspec.Raw = msgspec.Raw()


def recognise(source: Source, listing: Listing) -> dict[Format, tuple[str, ...]]:
    """The formats that are there, each with the files that showed it."""
    found: dict[Format, list[str]] = {}
    stems = {without_suffix(name) for name in listing.pictures}
    for name in _nearest(listing.others.get(".json", ())):
        kind = json_format(source.read(name), beside_picture=without_suffix(name) in stems)
        if kind is not None:
            found.setdefault(kind, []).append(name)
    for name in _nearest(listing.others.get(".xml", ())):
        kind = xml_format(source.read(name))
        if kind is not None:
            found.setdefault(kind, []).append(name)
    texts = frozenset(listing.others.get(".txt", ()))
    first = next((n for p in listing.pictures for n in label_names(p) if n in texts), None)
    sure = first if first is not None else yaml_of(listing)
    if sure is not None:
        found[Format.YOLO] = [sure]
    return {kind: tuple(names) for kind, names in found.items()}


def json_format(content: bytes, *, beside_picture: bool = False) -> Format | None:
    """COCO or LabelMe; None for JSON of another kind."""
    try:
        probe = msgspec.json.decode(content, type=_Probe)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        # One file for each picture is LabelMe's way; its reader says what is wrong in it.
        return Format.LABELME if beside_picture else None
    if bytes(probe.images) and bytes(probe.annotations):
        return Format.COCO
    return Format.LABELME if bytes(probe.shapes) else None


def xml_format(content: bytes) -> Format | None:
    """Pascal VOC or CVAT by the root element; None for XML of another kind."""
    root = re.search(rb"<([A-Za-z][^\s/>]*)", content[:4096])
    return {b"annotation": Format.VOC, b"annotations": Format.CVAT}.get(root[1] if root else b"")


def yaml_of(listing: Listing) -> str | None:
    """The ``data.yaml`` nearest to the top."""
    names = (*listing.others.get(".yaml", ()), *listing.others.get(".yml", ()))
    known = [name for name in _nearest(names) if name.rpartition("/")[2] in YAML_NAMES]
    return known[0] if known else None


def pick_part(names: tuple[str, ...], part: str) -> tuple[str, ...]:
    """The label files whose name or folder has ``part`` in it as a word."""
    return tuple(
        name
        for name in names
        if part in re.split(r"[/_.\-]", name) or stem(name).endswith(f"_{part}")
    )


def _nearest(names: tuple[str, ...]) -> list[str]:
    return sorted(names, key=lambda name: (name.count("/"), name))[:_LOOKS]
