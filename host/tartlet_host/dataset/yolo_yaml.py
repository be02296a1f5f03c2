"""YOLO's ``data.yaml``: the classes, and which folders are training, validation and test.

The keys are those of Ultralytics' documentation: ``path``, ``train``, ``val``, ``test``, ``names``
(a list, or a table of numbers), ``nc``.
"""

from __future__ import annotations

import posixpath
from dataclasses import dataclass

import yaml

from tartlet_host.dataset.source import Source
from tartlet_shared import errors

YAML_NAMES = ("data.yaml", "data.yml", "dataset.yaml", "dataset.yml")
PARTS = ("train", "val", "test")


@dataclass(frozen=True)
class YoloYaml:
    """The file's content.

    Attributes:
        names: the classes by number.
        parts: by name, folders of pictures or lists of them, as names in the source.
    """

    names: dict[int, str]
    parts: dict[str, tuple[str, ...]]


def read_yaml(source: Source, name: str) -> YoloYaml:
    """Read a ``data.yaml``.

    Raises:
        DatasetError: it is not YAML, or its classes are missing or not as they should be.
    """
    where = source.where(name)
    try:
        content = yaml.safe_load(source.read(name))
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        raise errors.DatasetError(
            f"not YAML: {getattr(error, 'problem', None) or error}",
            where=where if mark is None else f"{where}, line {mark.line + 1}",
            hint="a data.yaml has `names:` and the folders `train:` and `val:`",
        ) from error
    if not isinstance(content, dict):
        raise _wrong("it has no `names`", where)
    names = _names(content.get("names"), where)
    count = content.get("nc")
    if isinstance(count, int) and count != len(names):
        raise _wrong(f"`nc` says {count} classes, `names` has {len(names)}", where)
    folder = posixpath.dirname(name)
    bases = (posixpath.join(folder, str(content.get("path") or "")), folder)
    parts: dict[str, tuple[str, ...]] = {}
    for part in PARTS:
        entries = content.get(part)
        if entries:
            listed = entries if isinstance(entries, list) else [entries]
            parts[part] = tuple(_place(source, bases, str(entry)) for entry in listed)
    return YoloYaml(names, parts)


def _names(names: object, where: str) -> dict[int, str]:
    if isinstance(names, list):
        names = dict(enumerate(names))
    if not isinstance(names, dict) or not names:
        raise _wrong("it has no `names`", where)
    if not all(isinstance(number, int) and number >= 0 for number in names):
        raise _wrong("the classes in `names` are not numbered", where)
    found = {number: str(name).strip() for number, name in names.items()}
    if len(set(found.values())) < len(found):
        raise _wrong("two classes in `names` have the same name", where)
    return found


def _place(source: Source, bases: tuple[str, ...], entry: str) -> str:
    """A part's folder or list. Exports often say ``../train/images`` and mean ``train/images``."""
    entry = entry.replace("\\", "/").removeprefix("./")
    names = [posixpath.normpath(posixpath.join(base, entry)) for base in bases]
    if entry.startswith("../"):
        names += [posixpath.normpath(posixpath.join(base, entry[3:])) for base in bases]
    return next((name for name in names if _there(source, name)), names[0])


def _there(source: Source, name: str) -> bool:
    try:
        return source.exists(name) or next(source.files(name), None) is not None
    except errors.DatasetNotFound:
        return False


def _wrong(what: str, where: str) -> errors.DatasetError:
    return errors.DatasetError(
        what, where=where, hint="write `names: [cat, dog]`, in the order of the class numbers"
    )
