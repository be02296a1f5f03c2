"""The manifest: everything a device must know about a model, as typed data.

A bundle's identity is the SHA-256 of its manifest's bytes; the manifest holds the SHA-256 of every
other file, so that one digest fixes the whole bundle.
"""

from __future__ import annotations

import hashlib
import re
from typing import Annotated, Literal

import msgspec

from tartlet_shared import canonical
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
from tartlet_shared.signature import SIGNATURE_NAME
from tartlet_shared.tensor import Probability, Record, Tensor, Text

__all__ = [
    "FORMAT",
    "LIMIT",
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
    "Requirements",
    "SsdDecoding",
    "Tensor",
    "YoloDecoding",
    "decode",
    "digest",
    "encode",
]

FORMAT = 1
MANIFEST_NAME = "manifest.json"

LIMIT = 1 << 20
"""Bytes of a manifest; one is a few kB."""
MOST_FILES = 256
LARGEST_FILE = 1 << 30
"""Bytes. A model for a Pi is a few MB."""
LARGEST_BUNDLE = 2 << 30
MOST_LABELS = 10_000
MOST_OUTPUTS = 64
MOST_GOLDEN = 64
MOST_EXPECTED = 4096
MOST_ENTRIES = 256
NEWEST_RELEASE = 1 << 53
"""Numbers up to here are exact in every reader of JSON."""

Sha256 = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}\Z")]
Release = Annotated[int, msgspec.Meta(ge=1, le=NEWEST_RELEASE)]
_Words = Annotated[str, msgspec.Meta(max_length=4096)]
_Version = Annotated[str, msgspec.Meta(pattern=r"^[0-9]{1,6}(\.[0-9]{1,6}){0,3}\Z")]

_LONGEST_NAME = 100
_ENDINGS = {"litert": ".tflite", "onnx": ".onnx"}
_PLAIN_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*(/[A-Za-z0-9_][A-Za-z0-9._-]*)?")


class FileEntry(Record, frozen=True):
    """A file of the bundle.

    Attributes:
        name: path inside the bundle, at most one folder deep, letters, digits and ``._-``.
        size: bytes.
        sha256: lower-case hex.
    """

    name: Annotated[str, msgspec.Meta(max_length=_LONGEST_NAME)]
    size: Annotated[int, msgspec.Meta(ge=0, le=LARGEST_FILE)]
    sha256: Sha256

    def __post_init__(self) -> None:
        reserved = self.name.casefold() in (MANIFEST_NAME, SIGNATURE_NAME)
        if reserved or not _PLAIN_NAME.fullmatch(self.name):
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

    picture: Text
    detections: Annotated[tuple[Expected, ...], msgspec.Meta(max_length=MOST_EXPECTED)]


class Requirements(Record, frozen=True):
    """What a device must have; a device that has not refuses to let the bundle serve.

    Attributes:
        architectures: as ``uname -m`` names them, such as ``aarch64``; empty for any.
        runtimes: inference library -> its oldest version; one of them is enough; empty for any.
    """

    architectures: Annotated[tuple[Text, ...], msgspec.Meta(max_length=16)] = ()
    runtimes: Annotated[dict[Text, _Version], msgspec.Meta(max_length=16)] = msgspec.field(
        default_factory=dict
    )


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
        release: grows from bundle to bundle; see `released`.
        requires: what a device must have.
    """

    name: Text
    created: Text
    runtime: Literal["litert", "onnx"]
    model: Text
    labels: Annotated[tuple[Text, ...], msgspec.Meta(max_length=MOST_LABELS)]
    input: Tensor
    outputs: Annotated[tuple[Tensor, ...], msgspec.Meta(max_length=MOST_OUTPUTS)]
    preprocessing: Preprocessing
    decoding: Decoding
    golden: Annotated[tuple[Golden, ...], msgspec.Meta(max_length=MOST_GOLDEN)]
    files: Annotated[tuple[FileEntry, ...], msgspec.Meta(max_length=MOST_FILES)]
    metrics: Annotated[dict[Text, float], msgspec.Meta(max_length=MOST_ENTRIES)] = msgspec.field(
        default_factory=dict
    )
    provenance: Annotated[dict[Text, _Words], msgspec.Meta(max_length=MOST_ENTRIES)] = (
        msgspec.field(default_factory=dict)
    )
    format: Literal[1] = 1
    # Left out where unset: bundles made before there was such a key keep their bytes.
    release: Release | msgspec.UnsetType = msgspec.UNSET
    requires: Requirements | msgspec.UnsetType = msgspec.UNSET

    @property
    def released(self) -> int:
        """The release number; 0, older than every other, for a bundle without one."""
        return 0 if self.release is msgspec.UNSET else self.release

    @property
    def requirements(self) -> Requirements:
        """What a device must have."""
        return Requirements() if self.requires is msgspec.UNSET else self.requires

    def __post_init__(self) -> None:
        self._check_files()
        self._check_tensors()

    def _check_files(self) -> None:
        names = {entry.name for entry in self.files}
        # Some file systems do not tell capitals from small letters.
        plain = {name.casefold() for name in names}
        if len(plain) != len(self.files):
            raise ValueError("a file is listed twice")
        if clash := plain & {name.rpartition("/")[0] for name in plain}:
            raise ValueError(f"{min(clash)!r} is both a file and a folder")
        if sum(entry.size for entry in self.files) > LARGEST_BUNDLE:
            raise ValueError(f"the files have more than {LARGEST_BUNDLE >> 30} GiB together")
        if not self.model.casefold().endswith(_ENDINGS[self.runtime]):
            # Libraries choose the parser by the name's ending.
            raise ValueError(f"a model for {self.runtime} must end in {_ENDINGS[self.runtime]}")
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
    """The manifest's bytes, in the one form that `decode` takes."""
    return canonical.encode(manifest)


def decode(content: bytes) -> Manifest:
    """Parse and check a manifest whose bytes were verified.

    Raises:
        BundleCorrupt: it is not a manifest, contradicts itself or is not in its one form; the text
            names the field.
    """
    return canonical.decode(
        content,
        Manifest,
        where=MANIFEST_NAME,
        limit=LIMIT,
        hint="package the model again with `tartlet package`",
    )


def digest(content: bytes) -> str:
    """A bundle's identity: SHA-256 of its manifest's bytes, lower-case hex."""
    return hashlib.sha256(content).hexdigest()
