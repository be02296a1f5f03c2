"""Class names: from a file, or from inside the model where its exporter left them."""

from __future__ import annotations

import ast
import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tartlet_shared import errors

_BACKGROUND = {"???", "background", "__background__", "n/a", "none", ""}
_HINT = "give a text file with one class a line: --labels labels.txt"


@dataclass(frozen=True)
class Labels:
    """Names by class id.

    Attributes:
        names: of real classes.
        background: the list began with a name for nothing, which is left out of `names`.
    """

    names: tuple[str, ...]
    background: bool


def read_labels(path: Path) -> Labels:
    """Read a text file with one name a line; lines like "0 person" or "0: person" lose the number.

    Raises:
        ConfigError: it cannot be read or names no class.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise errors.ConfigError(
            f"cannot read the labels: {error}", where=str(path), hint=_HINT
        ) from error
    lines = text.strip("\n\r").splitlines()
    while lines and not lines[-1].strip():
        lines.pop()
    return from_names(_without_numbers([line.strip() for line in lines]), where=str(path))


def labels_inside(path: Path) -> Labels | None:
    """Names that the exporter wrote into the model file; None if there are none.

    ONNX files have a metadata entry "names", a dictionary in Python's or JSON's spelling; TFLite
    files may have a zip archive behind them with a text file of names or a metadata.json.
    """
    names = _inside_onnx(path) if path.suffix == ".onnx" else _inside_tflite(path)
    return None if names is None else from_names(names, where=str(path))


def from_names(names: list[str], *, where: str) -> Labels:
    """Set the name of the background aside, and tell unnamed or equal classes apart.

    Lists of published models have gaps ("???"), and sometimes two classes of one name; ids must
    keep their places.

    Raises:
        ConfigError: no class is named.
    """
    background = bool(names) and names[0].lower() in _BACKGROUND
    rest = names[1:] if background else names
    seen: set[str] = set()
    unique = []
    for number, name in enumerate(rest):
        plain = f"unused-{number}" if name.lower() in _BACKGROUND else name
        plain = f"{plain}-{number}" if plain in seen else plain
        seen.add(plain)
        unique.append(plain)
    if not unique:
        raise errors.ConfigError("no class is named", where=where, hint=_HINT)
    return Labels(tuple(unique), background)


def _without_numbers(lines: list[str]) -> list[str]:
    """Lines that count through, "0 person", lose their number; others stay as they are."""
    stripped = []
    for number, line in enumerate(lines):
        first, _, rest = line.partition(" ")
        if first.rstrip(":,") != str(number) or not rest.strip():
            return lines
        stripped.append(rest.strip())
    return stripped


def _inside_onnx(path: Path) -> list[str] | None:
    import onnx
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

    try:
        model = onnx.load(path, load_external_data=False)
    except (OSError, DecodeError):  # whoever loads it next says so
        return None
    for entry in model.metadata_props:
        if entry.key == "names":
            return _from_mapping(entry.value)
    return None


def _inside_tflite(path: Path) -> list[str] | None:
    try:
        with zipfile.ZipFile(path) as archive:
            texts = {
                info.filename: archive.read(info).decode("utf-8", "replace")
                for info in archive.infolist()
                if info.file_size < 1 << 20
            }
    except (OSError, zipfile.BadZipFile):
        return None
    for name, text in texts.items():
        if name.endswith((".json", ".txt")) and text.lstrip().startswith("{"):
            return _names_key(text)
    for name, text in texts.items():
        if name.endswith(".txt"):
            return _without_numbers([line.strip() for line in text.strip().splitlines()])
    return None


def _names_key(text: str) -> list[str] | None:
    value = _parsed(text)
    names = value.get("names") if isinstance(value, dict) else None
    return _from_mapping(repr(names)) if names else None


def _from_mapping(text: str) -> list[str] | None:
    """ "{0: 'person', 1: 'dog'}" or a list."""
    value = _parsed(text)
    if isinstance(value, Mapping):
        try:
            return [str(value[key]) for key in sorted(value, key=int)]
        except (TypeError, ValueError):
            return None
    return [str(each) for each in value] if isinstance(value, list | tuple) else None


def _parsed(text: str) -> object:
    try:
        return json.loads(text)
    except ValueError:
        pass
    try:
        return ast.literal_eval(text)  # literals only, nothing is run
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return None
