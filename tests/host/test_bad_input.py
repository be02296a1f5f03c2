"""Bad input at the command line: each kind has its own exit code and says what, where, what to do.

What goes wrong on the way to a device, or on it, is in tests/system and tests/device.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from tartlet_host import cli
from tartlet_shared import errors


def write_labels(folder: Path, **changes: Any) -> None:
    annotation = {"id": 1, "image_id": 1, "category_id": 1, "bbox": [5, 5, 20, 20], **changes}
    content = {
        "images": [{"id": 1, "file_name": "a.jpg", "width": 64, "height": 64}],
        "annotations": [annotation],
        "categories": [{"id": 1, "name": "square"}],
    }
    (folder / "labels.json").write_text(json.dumps(content))
    picture = np.random.default_rng(1).integers(0, 255, (64, 64, 3)).astype(np.uint8)
    cv2.imwrite(str(folder / "a.jpg"), picture)


def nothing(folder: Path) -> None:
    pass


def good(folder: Path) -> None:
    write_labels(folder)


def not_json(folder: Path) -> None:
    (folder / "labels.json").write_text("{")


def box_outside(folder: Path) -> None:
    write_labels(folder, bbox=[50, 50, 40, 40])


def unknown_class(folder: Path) -> None:
    write_labels(folder, category_id=7)


def truncated_picture(folder: Path) -> None:
    write_labels(folder)
    path = folder / "a.jpg"
    path.write_bytes(path.read_bytes()[:200])


def missing_picture(folder: Path) -> None:
    write_labels(folder)
    (folder / "a.jpg").unlink()


def unknown_key(folder: Path) -> None:
    write_labels(folder)
    (folder / "recipe.toml").write_text('name = "x"\nlabels = ["square"]\nstepz = 3\n')


def other_labels(folder: Path) -> None:
    write_labels(folder)
    (folder / "recipe.toml").write_text('name = "x"\nlabels = ["circle"]\n')


def rubbish_checkpoint(folder: Path) -> None:
    write_labels(folder)
    (folder / "c.safetensors").write_bytes(b"not weights" * 20)


def rubbish_model(folder: Path) -> None:
    write_labels(folder)
    (folder / "m.tflite").write_bytes(b"not a model" * 20)


def corrupt_bundle(folder: Path) -> None:
    (folder / "bundle").mkdir()
    (folder / "bundle" / "manifest.json").write_text("{}")


TRAIN = ["train", "labels.json", "-o", "out.safetensors"]
TRAIN_RECIPE = [*TRAIN, "--recipe", "recipe.toml"]


@pytest.mark.parametrize(
    ("prepare", "command", "error", "said"),
    [
        (nothing, TRAIN, errors.DatasetNotFound, "labels.json"),
        (not_json, TRAIN, errors.DatasetError, "not a COCO"),
        (box_outside, TRAIN, errors.BoxInvalid, "outside a.jpg"),
        (unknown_class, TRAIN, errors.UnknownClass, "class 7"),
        (truncated_picture, TRAIN, errors.PictureUnreadable, "a.jpg"),
        (missing_picture, TRAIN, errors.PictureUnreadable, "a.jpg"),
        (good, TRAIN_RECIPE, errors.ConfigError, "recipe.toml"),
        (unknown_key, TRAIN_RECIPE, errors.ConfigError, "stepz"),
        (other_labels, TRAIN_RECIPE, errors.DatasetError, "circle"),
        (nothing, ["label", "--from-motion", "gone.avi"], errors.FootageUnreadable, "gone.avi"),
        (good, ["prune", "--data", "."], errors.UsageError, "parent.safetensors"),
        (
            rubbish_checkpoint,
            ["prune", "c.safetensors", "--data", "."],
            errors.CheckpointCorrupt,
            "c.safetensors",
        ),
        (
            rubbish_checkpoint,
            ["evaluate", "c.safetensors", "--data", "."],
            errors.CheckpointCorrupt,
            "c.safetensors",
        ),
        (rubbish_model, ["evaluate", "m.tflite", "--data", "."], errors.BundleCorrupt, "m.tflite"),
        (corrupt_bundle, ["evaluate", "bundle", "--data", "."], errors.TartletError, "."),
        (nothing, ["demo", "--video", "gone.avi"], errors.FootageUnreadable, "gone.avi"),
        (nothing, ["status"], errors.DeviceUnknown, "no device"),
        (nothing, ["predict", "pi@nowhere.invalid"], errors.RemoteError, "nowhere.invalid"),
    ],
)
def test_bad_input_has_its_exit_code_and_leaves_nothing(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    prepare: Callable[[Path], None],
    command: list[str],
    error: type[errors.TartletError],
    said: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TARTLET_CONFIG_DIR", str(tmp_path / "config"))
    prepare(tmp_path)
    before = sorted(os.listdir(tmp_path))  # noqa: PTH208 - names are compared
    with pytest.raises(SystemExit) as stopped:
        cli.main(command)
    complaint = capsys.readouterr().err
    family = {each.exit_code for each in errors.all_errors() if issubclass(each, error)}
    assert stopped.value.code in family
    assert said in complaint
    assert "Traceback" not in complaint
    assert f"exit code {stopped.value.code}" in complaint
    after = set(os.listdir(tmp_path)) - {"runs"}  # noqa: PTH208
    assert sorted(after) == before
