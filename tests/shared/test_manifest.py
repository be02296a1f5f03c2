"""Manifests and bundles: what is sealed opens, anything else is refused with the field's name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tartlet_shared import bundle, errors, manifest
from tartlet_shared.affine import Affine
from tartlet_shared.manifest import CellDecoding, Golden, Level, Manifest, Preprocessing, Tensor

SCORES = Affine(scale=0.1, zero_point=0)


def make_bundle(folder: Path) -> Manifest:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "golden").mkdir(exist_ok=True)
    (folder / "model.tflite").write_bytes(b"not really a model")
    (folder / "golden" / "0.png").write_bytes(b"not really a picture")
    made = Manifest(
        name="people",
        created="2026-11-21T10:00:00Z",
        runtime="litert",
        model="model.tflite",
        labels=("person",),
        input=Tensor(name="in", shape=(1, 256, 320, 3), dtype="int8", affine=SCORES),
        outputs=(
            Tensor(name="s", shape=(1, 32, 40, 1), dtype="int8", affine=SCORES),
            Tensor(name="b", shape=(1, 32, 40, 4), dtype="int8", affine=SCORES),
        ),
        preprocessing=Preprocessing(width=320, height=256),
        decoding=CellDecoding(levels=(Level(stride=8, scores=0, boxes=1),)),
        golden=(
            Golden(
                picture="golden/0.png",
                detections=(manifest.Expected(xyxy=(1.0, 2.0, 3.0, 4.0), score=0.9, class_id=0),),
            ),
        ),
        files=tuple(bundle.file_entry(folder, name) for name in ("model.tflite", "golden/0.png")),
    )
    (folder / manifest.MANIFEST_NAME).write_bytes(manifest.encode(made))
    return made


def test_a_sealed_bundle_opens(tmp_path: Path) -> None:
    made = make_bundle(tmp_path)
    opened = bundle.open_bundle(tmp_path)
    assert opened.manifest == made
    assert opened.digest == manifest.digest((tmp_path / "manifest.json").read_bytes())
    assert bundle.open_bundle(tmp_path, expected_digest=opened.digest).digest == opened.digest


def remove_model(folder: Path) -> None:
    (folder / "model.tflite").unlink()


def truncate_model(folder: Path) -> None:
    (folder / "model.tflite").write_bytes(b"not really")


def flip_a_bit(folder: Path) -> None:
    (folder / "golden/0.png").write_bytes(b"not really a picturf")


def remove_manifest(folder: Path) -> None:
    (folder / "manifest.json").unlink()


def truncate_manifest(folder: Path) -> None:
    path = folder / "manifest.json"
    path.write_bytes(path.read_bytes()[:-40])


def huge_manifest(folder: Path) -> None:
    (folder / "manifest.json").write_bytes(b" " * (1 << 20) + b"{}")


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (remove_model, "model.tflite"),
        (truncate_model, "10 bytes"),
        (flip_a_bit, "golden"),
        (remove_manifest, "no manifest"),
        (truncate_manifest, "not valid"),
        (huge_manifest, "larger than"),
    ],
)
def test_a_damaged_bundle_is_refused(
    tmp_path: Path, damage: Callable[[Path], None], said: str
) -> None:
    make_bundle(tmp_path)
    damage(tmp_path)
    with pytest.raises(errors.BundleCorrupt, match=said):
        bundle.open_bundle(tmp_path)


def test_another_bundle_than_the_expected_one_is_refused(tmp_path: Path) -> None:
    make_bundle(tmp_path)
    with pytest.raises(errors.BundleCorrupt, match="not 000000000000"):
        bundle.open_bundle(tmp_path, expected_digest="0" * 64)


def change(content: dict[str, Any], path: str, value: Any) -> None:
    *parents, last = (int(key) if key.isdigit() else key for key in path.split("."))
    for key in parents:
        content = content[key]  # type: ignore[index]
    content[last] = value  # type: ignore[index]


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ("format", 2, "format"),
        ("runtime", "pickle", "runtime"),
        ("surprise", 1, "surprise"),
        ("labels", [], "labels"),
        ("labels", ["person", "person"], "labels"),
        ("labels", ["person", "dog"], "2 labels"),
        ("input.shape", [1, 255, 320, 3], "input shape"),
        ("input.shape", [1, 0, 320, 3], "shape"),
        ("input.affine", None, "affine"),
        ("input.affine.scale", 0.0, "scale"),
        ("outputs.0.dtype", "float32", "affine"),
        ("outputs.1.shape", [1, 32, 40, 5], "output 1"),
        ("decoding.levels.0.boxes", 9, "stride 8"),
        ("decoding.levels.0.stride", 16, "stride 16"),
        ("decoding.score_threshold", 1.5, "score_threshold"),
        ("decoding.class_thresholds", [0.5, 0.5], "2 class thresholds, 1 labels"),
        ("decoding.class_thresholds", [-0.1], "class_thresholds"),
        ("preprocessing.std", 0.0, "std"),
        ("files.0.name", "../../etc/passwd", "not allowed"),
        ("files.0.name", "/etc/passwd", "not allowed"),
        ("files.0.name", "manifest.json", "not allowed"),
        ("files.0.sha256", "abc", "sha256"),
        ("files.0.size", -1, "size"),
        ("model", "other.tflite", "other.tflite"),
        ("golden.0.picture", "golden/9.png", "golden/9.png"),
        ("golden.0.detections.0.class_id", 1, "no label"),
        ("golden.0.detections.0.score", 2.0, "score"),
    ],
)
def test_a_manifest_that_contradicts_itself_is_refused(
    tmp_path: Path, path: str, value: Any, said: str
) -> None:
    content = msgspec.to_builtins(make_bundle(tmp_path))
    change(content, path, value)
    with pytest.raises(errors.BundleCorrupt, match=said):
        manifest.decode(msgspec.json.encode(content))


@given(st.binary(max_size=300))
def test_rubbish_is_no_manifest(rubbish: bytes) -> None:
    with pytest.raises(errors.BundleCorrupt):
        manifest.decode(rubbish)


def test_the_encoding_is_stable(tmp_path: Path) -> None:
    made = make_bundle(tmp_path)
    assert manifest.encode(manifest.decode(manifest.encode(made))) == manifest.encode(made)
