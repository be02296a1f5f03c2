"""The manifest: everything a device must know about a model, as typed data.

A bundle's identity is the SHA-256 of its manifest's bytes; the manifest holds the SHA-256 of every
other file, so that one digest fixes the whole bundle.
"""

from __future__ import annotations

import hashlib
import re
from typing import Annotated, Literal

import msgspec

from tartlet_shared import errors
from tartlet_shared.decoding import (
    CellDecoding,
    ClassDecoding,
    Decoding,
    EndToEndDecoding,
    Level,
    SsdDecoding,
    YoloDecoding,
)
from tartlet_shared.preprocessing import Preprocessing
from tartlet_shared.tensor import Probability, Record, Tensor

__all__ = [
    "FORMAT",
    "MANIFEST_NAME",
    "CellDecoding",
    "ClassDecoding",
    "Decoding",
    "EndToEndDecoding",
    "Expected",
    "FileEntry",
    "Golden",
    "Level",
    "Manifest",
    "Preprocessing",
    "Probability",
    "SsdDecoding",
    "Tensor",
    "YoloDecoding",
    "decode",
    "digest",
    "encode",
]

FORMAT = 1
MANIFEST_NAME = "manifest.json"

Sha256 = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]

_PLAIN_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*(/[A-Za-z0-9_][A-Za-z0-9._-]*)?")


class FileEntry(Record, frozen=True):
    """A file of the bundle.

    Attributes:
        name: path inside the bundle, at most one folder deep, letters, digits and ``._-``.
        size: bytes.
        sha256: lower-case hex.
    """

    name: str
    size: Annotated[int, msgspec.Meta(ge=0)]
    sha256: Sha256

    def __post_init__(self) -> None:
        if not _PLAIN_NAME.fullmatch(self.name) or self.name == MANIFEST_NAME:
            raise ValueError(f"file name {self.name!r} is not allowed in a bundle")


class Expected(Record, frozen=True):
    """A detection that a golden picture must give."""

    xyxy: tuple[float, float, float, float]
    score: Probability
    class_id: Annotated[int, msgspec.Meta(ge=0)]


class Golden(Record, frozen=True):
    """A picture in the bundle and what the laptop's runtime saw in it.

    Attributes:
        picture: file name in the bundle, a lossless PNG so that both sides see the same pixels.
        detections: best score first, in pixels of the picture.
    """

    picture: str
    detections: tuple[Expected, ...]


class Manifest(Record, frozen=True):
    """A model, its files and how to use it.

    Attributes:
        name: for people.
        created: ISO 8601 time, UTC.
        runtime: which runtime the model file is for.
        model: name of the model file in the bundle.
        labels: class names; index = class id; no background class.
        input, outputs: the tensors, in the model file's order.
        golden: pictures for the self-test on the device.
        files: every file of the bundle but the manifest.
        metrics: figures measured on the laptop, such as ``map50``.
        provenance: how the model was made (tool versions, data set digest, parent).
    """

    name: str
    created: str
    runtime: Literal["litert", "onnx"]
    model: str
    labels: tuple[str, ...]
    input: Tensor
    outputs: tuple[Tensor, ...]
    preprocessing: Preprocessing
    decoding: Decoding
    golden: tuple[Golden, ...]
    files: tuple[FileEntry, ...]
    metrics: dict[str, float] = msgspec.field(default_factory=dict)
    provenance: dict[str, str] = msgspec.field(default_factory=dict)
    format: Literal[1] = 1

    def __post_init__(self) -> None:
        self._check_files()
        self._check_tensors()

    def _check_files(self) -> None:
        names = [entry.name for entry in self.files]
        if len(set(names)) != len(names):
            raise ValueError("a file is listed twice")
        for needed in (self.model, *(golden.picture for golden in self.golden)):
            if needed not in names:
                raise ValueError(f"{needed!r} is used but not listed under 'files'")

    def _check_tensors(self) -> None:
        expected = self.preprocessing.shape
        if self.input.shape != expected:
            raise ValueError(f"input shape is {self.input.shape}, preprocessing makes {expected}")
        if not self.labels or len(set(self.labels)) != len(self.labels):
            raise ValueError("labels must be there and differ from each other")
        if len(self.decoding.class_thresholds) not in (0, len(self.labels)):
            raise ValueError(
                f"{len(self.decoding.class_thresholds)} class thresholds, {len(self.labels)} labels"
            )
        canvas = (self.preprocessing.height, self.preprocessing.width)
        self.decoding.check(self.outputs, canvas, len(self.labels))
        for golden in self.golden:
            if any(found.class_id >= len(self.labels) for found in golden.detections):
                raise ValueError(f"{golden.picture!r} expects a class that has no label")


def encode(manifest: Manifest) -> bytes:
    """The manifest's bytes: JSON, keys in order of definition, indented for people to read."""
    return msgspec.json.format(msgspec.json.encode(manifest), indent=1) + b"\n"


def decode(content: bytes) -> Manifest:
    """Parse and check a manifest.

    Raises:
        BundleCorrupt: it is not a manifest, or contradicts itself; the text names the field.
    """
    try:
        return msgspec.json.decode(content, type=Manifest)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise errors.BundleCorrupt(
            f"the manifest is not valid: {error}",
            where=MANIFEST_NAME,
            hint="package the model again with `tartlet package`",
        ) from error


def digest(content: bytes) -> str:
    """A bundle's identity: SHA-256 of its manifest's bytes, lower-case hex."""
    return hashlib.sha256(content).hexdigest()
