"""Checkpoints: bit-equal networks back, clear errors for damaged files."""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
import safetensors.torch
import torch

from tartlet_host.model.detector import Detector, build_detector
from tartlet_host.prune.pruner import prune
from tartlet_host.recipe import InputRecipe, ModelRecipe, PruneRecipe, Recipe, default_recipe
from tartlet_host.train import checkpoint
from tartlet_shared.errors import CheckpointCorrupt


def small_recipe() -> Recipe:
    return msgspec.structs.replace(
        default_recipe(("a", "b")),
        input=InputRecipe(64, 96),
        model=ModelRecipe(neck_channels=16, pretrained=False),
        prune=PruneRecipe(strides=(8, 16), keep_multiplies=0.4),
    )


def used_detector() -> Detector:
    """A network whose norms have seen something."""
    detector = build_detector(small_recipe()).train()
    with torch.no_grad():
        detector(torch.randn(2, 3, 64, 96))
    return detector.eval()


PICTURES = torch.randn(1, 3, 64, 96, generator=torch.Generator().manual_seed(5))


def test_a_network_comes_back_bit_for_bit(
    tmp_path: Path, same_outputs: Callable[..., bool]
) -> None:
    detector, path = used_detector(), tmp_path / "new" / "a.safetensors"
    digest = checkpoint.save(path, detector, small_recipe(), metrics={"loss": 0.5}, parent="f00")
    loaded = checkpoint.load(path)
    assert same_outputs(detector, loaded.detector, PICTURES)
    assert not loaded.detector.training
    assert loaded.recipe == small_recipe()
    assert loaded.metrics == {"loss": 0.5}
    assert loaded.parent == "f00"
    assert loaded.pruning_history == ()
    assert loaded.digest == digest == hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_pruned_network_comes_back_bit_for_bit(
    tmp_path: Path, same_outputs: Callable[..., bool]
) -> None:
    detector = used_detector()
    report = prune(detector, small_recipe())
    path = tmp_path / "p.safetensors"
    checkpoint.save(path, detector, small_recipe(), metrics={}, pruning_history=(report.step,))
    loaded = checkpoint.load(path)
    assert same_outputs(detector, loaded.detector, PICTURES)
    assert loaded.detector.strides == (8, 16)
    assert loaded.pruning_history == (report.step,)


def test_the_comparison_sees_a_changed_bit(same_outputs: Callable[..., bool]) -> None:
    detector = used_detector()
    other = copy.deepcopy(detector)
    head = other.heads[0].state_dict()
    head["score.bias"] += 1e-6
    assert not same_outputs(detector, other, PICTURES)


def replaced(change: Callable[[dict[str, Any]], object]) -> Callable[[bytes], bytes]:
    """A damage that changes the file's description and keeps its tensors."""

    def damage(content: bytes) -> bytes:
        length = int.from_bytes(content[:8], "little")
        metadata = json.loads(content[8 : 8 + length])["__metadata__"]
        description = json.loads(metadata["tartlet"])
        change(description)
        metadata["tartlet"] = json.dumps(description)
        return safetensors.torch.save(safetensors.torch.load(content), metadata=metadata)

    return damage


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda content: b"", id="empty"),
        pytest.param(lambda content: content[:4], id="cut in the length"),
        pytest.param(lambda content: content[:300], id="cut in the header"),
        pytest.param(lambda content: content[:-1], id="cut at the end"),
        pytest.param(lambda content: b"\xff" * 8 + content[8:], id="absurd length"),
        pytest.param(lambda content: b"PK\x03\x04 a zip file of some kind", id="another format"),
        pytest.param(
            lambda content: safetensors.torch.save({"x": torch.zeros(2)}), id="other safetensors"
        ),
        pytest.param(replaced(lambda d: d.pop("recipe")), id="no recipe"),
        pytest.param(replaced(lambda d: d.update(recipe={"name": "x"})), id="bad recipe"),
        pytest.param(replaced(lambda d: d.update(strides=[8])), id="other levels"),
        pytest.param(replaced(lambda d: d.update(channels={})), id="no channels"),
        pytest.param(
            replaced(lambda d: d["channels"].update({"backbone.stem.conv": [3, 0]})),
            id="no channel left",
        ),
        pytest.param(
            replaced(lambda d: d["channels"].update({"backbone.stem.conv": [3, 8]})),
            id="channels unlike the tensors",
        ),
        pytest.param(replaced(lambda d: d.update(metrics="good")), id="metrics not numbers"),
    ],
)
def test_a_damaged_file_is_refused(tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    path = tmp_path / "a.safetensors"
    checkpoint.save(path, used_detector(), small_recipe(), metrics={})
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(CheckpointCorrupt) as caught:
        checkpoint.load(path)
    assert str(path) in caught.value.where
    assert caught.value.hint


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointCorrupt, match="cannot read"):
        checkpoint.load(tmp_path / "none.safetensors")


def test_saving_over_an_old_checkpoint_leaves_no_other_file(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    for loss in (2.0, 1.0):
        checkpoint.save(path, used_detector(), small_recipe(), metrics={"loss": loss})
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.safetensors"]
    assert checkpoint.load(path).metrics == {"loss": 1.0}
