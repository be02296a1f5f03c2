"""Bundles: they prove themselves, stay whole, and are replaced in one step or not at all."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner

from tartlet_device import health
from tartlet_device.detector import Detector
from tartlet_host import cli, package
from tartlet_host.dataset import coco
from tartlet_host.dataset.sample import Dataset, Sample
from tartlet_host.evaluate import mean_average_precision as precision
from tartlet_shared import bundle, errors, manifest
from tartlet_shared.bundle import Bundle
from tartlet_shared.detections import Detections
from tests.host.bright import BRIGHT, dataset, model, picture


def build(folder: Path, **changes: object) -> Bundle:
    options = {"name": "bright", "golden": [picture()], **changes}
    return package.build_bundle(model(), folder, **options)  # type: ignore[arg-type]


def test_a_bundle_passes_the_devices_self_test(tmp_path: Path) -> None:
    built = build(tmp_path / "bundle", metrics={"map50": 0.9}, provenance={"parent": "f00"})
    opened = bundle.open_bundle(tmp_path / "bundle", expected_digest=built.digest)
    assert opened.manifest == built.manifest
    found = health.self_test(Detector.open(opened), opened)
    assert found.pictures == 1
    assert found.detections > 0
    assert found.box_difference_px < 0.01
    assert opened.model_path.read_bytes() == BRIGHT.read_bytes()
    assert opened.manifest.metrics == {"map50": 0.9}
    assert opened.manifest.provenance == {"parent": "f00"}
    assert opened.manifest.labels == ("bright",)
    assert opened.manifest.decoding.score_threshold == 0.5
    assert list(tmp_path.iterdir()) == [tmp_path / "bundle"]


def test_golden_pictures_are_lossless(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (96, 128, 3), np.uint8)
    noise[32:64, 32:64] = 250
    built = build(tmp_path / "bundle", golden=[noise])
    stored = cv2.imread(str(built.folder / built.manifest.golden[0].picture))
    assert stored is not None
    np.testing.assert_array_equal(cv2.cvtColor(stored, cv2.COLOR_BGR2RGB), noise)


def test_the_same_bundle_again_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = build(tmp_path / "bundle")
    written = (tmp_path / "bundle" / "manifest.json").stat().st_mtime_ns
    later = manifest.decode((tmp_path / "bundle" / "manifest.json").read_bytes()).created
    monkeypatch.setattr(package, "write_atomically", _write_but_no_manifest(package))
    second = build(tmp_path / "bundle")
    assert (second.digest, second.manifest.created) == (first.digest, later)
    assert (tmp_path / "bundle" / "manifest.json").stat().st_mtime_ns == written


def _write_but_no_manifest(module: object) -> Callable[[Path, bytes], None]:
    original: Callable[[Path, bytes], None] = package.write_atomically

    def write(path: Path, content: bytes) -> None:
        assert path.name != "manifest.json"
        original(path, content)

    return write


def test_another_bundle_takes_its_place_whole(tmp_path: Path) -> None:
    first = build(tmp_path / "bundle", golden=[picture(), picture(left=64)])
    second = build(tmp_path / "bundle", name="brighter")
    assert first.digest != second.digest
    opened = bundle.open_bundle(tmp_path / "bundle", expected_digest=second.digest)
    stored = sorted(
        path.relative_to(opened.folder).as_posix()
        for path in opened.folder.rglob("*")
        if path.is_file()
    )
    assert stored == ["golden/0.png", "manifest.json", "model.tflite"]
    assert list(tmp_path.iterdir()) == [tmp_path / "bundle"]


@pytest.mark.parametrize("step", ["write_atomically", "health.self_test", "_put_in_place"])
@pytest.mark.parametrize("before", [False, True])
def test_what_is_interrupted_changes_nothing(
    step: str, before: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = build(tmp_path / "bundle") if before else None

    def interrupt(*arguments: object, **options: object) -> None:
        raise KeyboardInterrupt

    owner, _, name = f"package.{step}".rpartition(".")
    monkeypatch.setattr(package if owner == "package" else health, name, interrupt)
    with pytest.raises(KeyboardInterrupt):
        build(tmp_path / "bundle", name="other")
    assert list(tmp_path.iterdir()) == ([tmp_path / "bundle"] if before else [])
    if old is not None:
        bundle.open_bundle(tmp_path / "bundle", expected_digest=old.digest)


def test_a_failed_rename_brings_the_old_bundle_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = build(tmp_path / "bundle")
    rename = Path.replace

    def fail_once(source: Path, target: Path) -> Path:
        if source.parent != tmp_path and source.name == "bundle":
            raise OSError("no")
        return rename(source, target)

    monkeypatch.setattr(Path, "replace", fail_once)
    with pytest.raises(OSError, match="no"):
        build(tmp_path / "bundle", name="other")
    bundle.open_bundle(tmp_path / "bundle", expected_digest=old.digest)


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "dog.jpg").write_bytes(b"dog")
    with pytest.raises(errors.BundleError, match="something else than a bundle"):
        build(tmp_path / "photos")
    assert (tmp_path / "photos" / "dog.jpg").read_bytes() == b"dog"
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(errors.BundleError, match="something else than a bundle"):
        build(tmp_path / "file")
    (tmp_path / "empty").mkdir()
    build(tmp_path / "empty")


def test_a_model_that_sees_nothing_is_not_packaged(tmp_path: Path) -> None:
    with pytest.raises(errors.BundleError, match="sees nothing"):
        build(tmp_path / "bundle", golden=[picture(20)])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("victim", "damage"),
    [
        ("model.tflite", lambda content: content[:-1]),
        ("model.tflite", lambda content: b"x" + content[1:]),
        ("golden/0.png", lambda content: content + b"x"),
        ("golden/0.png", None),
        ("model.tflite", None),
        ("manifest.json", lambda content: content[:-3]),
        ("manifest.json", lambda content: content.replace(b'"bright"', b'"blight"', 1)),
        ("manifest.json", None),
    ],
)
def test_a_corrupt_bundle_is_noticed(
    victim: str, damage: Callable[[bytes], bytes] | None, tmp_path: Path
) -> None:
    built = build(tmp_path / "bundle")
    path = tmp_path / "bundle" / victim
    if damage is None:
        path.unlink()
    else:
        path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(errors.BundleCorrupt):
        bundle.open_bundle(tmp_path / "bundle", expected_digest=built.digest)
    if victim != "manifest.json":
        # Packaging again mends it.
        assert build(tmp_path / "bundle").manifest.files == built.manifest.files


def test_the_command_packages_and_sets_the_best_threshold(tmp_path: Path) -> None:
    labels = tmp_path / "labels.json"
    coco.write(dataset(tmp_path, picture(235), picture(160), picture(20)), labels)
    arguments = ["package", str(BRIGHT), "--data", str(labels), "-o", str(tmp_path / "bundle")]
    runner = CliRunner()
    result = runner.invoke(cli.cli, [*arguments, "--json"])
    assert result.exception is None, result.output
    made = json.loads(result.stdout)
    opened = bundle.open_bundle(tmp_path / "bundle", expected_digest=made["digest"])
    assert opened.manifest.decoding.score_threshold == made["threshold"] == 0.3
    assert opened.manifest.provenance["file"] == "bright_int8.tflite"

    result = runner.invoke(cli.cli, [*arguments, "--validation", str(labels), "--json"])
    assert result.exception is None, result.output
    made = json.loads(result.stdout)
    opened = bundle.open_bundle(tmp_path / "bundle")
    assert opened.manifest.metrics["best_threshold"] > 0.7
    assert opened.manifest.decoding.score_threshold == made["threshold"] == 0.7


def test_each_class_gets_the_threshold_that_suits_it() -> None:
    """Cats are seen with high scores and dogs with low ones; of cows there are too few to tell."""
    samples, found = [], []
    for kind, score, count in ((0, 0.65, 20), (1, 0.25, 20), (2, 0.5, 19)):
        for _ in range(count):
            box = np.array([[10, 10, 50, 50]], np.float32)
            samples.append(
                Sample(Path("none.png"), 100, 100, box, np.array([kind]), np.array([False]))
            )
            wrong = np.array([[60, 60, 90, 90]], np.float32)
            found.append(
                Detections(
                    np.concatenate([box, wrong]),
                    np.array([score, score - 0.1], np.float32),
                    np.array([kind, kind]),
                )
            )
    metrics = precision.measure(Dataset(("cat", "dog", "cow"), tuple(samples)), found)
    cat, dog, cow = package.score_thresholds(metrics)
    assert (cat, dog) == (0.6, 0.2)
    assert cow == round(package.score_threshold(metrics), 2)
