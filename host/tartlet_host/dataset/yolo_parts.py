"""Which pictures and which classes a YOLO data set has, from its folders and its ``data.yaml``."""

from __future__ import annotations

import posixpath
from dataclasses import dataclass
from pathlib import Path

from tartlet_host.dataset.formats import yaml_of
from tartlet_host.dataset.header import PICTURE_SUFFIXES
from tartlet_host.dataset.listing import Listing, suffix
from tartlet_host.dataset.source import FolderSource, Source
from tartlet_host.dataset.yolo import label_names
from tartlet_host.dataset.yolo_yaml import YAML_NAMES, YoloYaml, read_yaml
from tartlet_shared import errors

_CLASS_LISTS = ("classes.txt", "obj.names", "labels/classes.txt")
_OTHER_WORDS = {"valid": "val", "validation": "val", "training": "train"}


@dataclass(frozen=True)
class YoloPart:
    """Pictures to read and the names of their classes by number."""

    source: Source
    pictures: tuple[str, ...]
    names: dict[int, str]


def find_part(source: Source, listing: Listing, part: str) -> YoloPart:
    """The pictures of a folder or an archive, or those of one part that its YAML file names.

    Raises:
        DatasetError: there are several parts and none is asked for, or there is no such part.
    """
    name = yaml_of(listing)
    if name is not None:
        content = read_yaml(source, name)
        if content.parts:
            return YoloPart(source, pictures_of(source, content, part, name), content.names)
        names = content.names
    else:
        names = _names_above(source)
    if part:
        raise _no_part(part, (), str(source.root))
    return YoloPart(source, listing.pictures, names)


def pictures_of(source: Source, content: YoloYaml, part: str, name: str) -> tuple[str, ...]:
    """The pictures of a part that the YAML file ``name`` names; of its only one where none is said.

    Raises:
        DatasetError: there are several parts and none is asked for, or there is no such part.
    """
    part = _OTHER_WORDS.get(part, part)
    if not part and len(content.parts) == 1:
        (part,) = content.parts
    if part not in content.parts:
        raise _no_part(part, tuple(content.parts), source.where(name))
    found: list[str] = []
    for entry in content.parts[part]:
        if suffix(entry) == ".txt":
            lines = source.read(entry).decode(errors="replace").splitlines()
            folder = posixpath.dirname(entry)
            found += [
                posixpath.normpath(posixpath.join(folder, line.strip()))
                for line in lines
                if line.strip()
            ]
        else:
            found += [each for each in source.files(entry) if suffix(each) in PICTURE_SUFFIXES]
    return tuple(found)


def beside_images(folder: Path) -> tuple[FolderSource, str] | None:
    """For a folder in ``images``: a source that has its ``labels`` too, and the folder's name."""
    full = folder.absolute()
    for above in (full, *full.parents):
        if above.name == "images" and (above.parent / "labels").is_dir():
            return FolderSource(above.parent), full.relative_to(above.parent).as_posix()
    return None


def has_labels(source: Source, pictures: tuple[str, ...]) -> bool:
    """Whether one of the first pictures has a text file."""
    return any(source.exists(name) for each in pictures[:100] for name in label_names(each))


def _no_part(part: str, parts: tuple[str, ...], where: str) -> errors.DatasetError:
    if part:
        return errors.DatasetNotFound(
            f"there is no part {part!r}; there are: {', '.join(parts) or 'none'}",
            where=where,
            hint="leave out what follows the #, or correct it",
        )
    return errors.DatasetError(
        f"the data set has several parts: {', '.join(parts)}",
        where=where,
        hint=f"say which one: {where}#{parts[0]}",
    )


def _names_above(source: Source) -> dict[int, str]:
    """Class names from a list in the source, or from a ``data.yaml`` there or above."""
    for name in _CLASS_LISTS:
        if source.exists(name):
            lines = source.read(name).decode(errors="replace").splitlines()
            return dict(enumerate(line.strip() for line in lines if line.strip()))
    if not isinstance(source, FolderSource):
        return {}
    top = source.root.absolute()
    for folder in (top, *list(top.parents)[:3]):
        for name in YAML_NAMES:
            if (folder / name).is_file():
                return read_yaml(FolderSource(folder), name).names
    return {}
