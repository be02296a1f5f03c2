"""The page of augmented pictures: whole, on its own, and about this recipe."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner

from tartlet_host.commands.data.augment import command
from tartlet_host.dataset import coco
from tartlet_host.dataset.augment_page import EXAMPLES, KINDS, SUBJECTS, VIEWS, augment_page
from tartlet_host.dataset.sample import Dataset
from tartlet_host.recipe import AugmentRecipe, InputRecipe, Recipe, TrainRecipe

MakeSquares = Callable[..., Dataset]
NOTHING = AugmentRecipe(
    scale_min=1.0, scale_max=1.0, flip=0.0, brightness=0.0, contrast=0.0, saturation=0.0
)
EVERYTHING = AugmentRecipe(
    flip_vertical=0.5,
    turn=0.5,
    hue=10.0,
    blur=0.5,
    noise=0.5,
    cutout=0.5,
    mosaic=0.3,
    mixup=0.3,
    cutmix=0.3,
    paste=2,
)


def recipe(augment: AugmentRecipe) -> Recipe:
    return Recipe(
        name="x",
        labels=("square",),
        input=InputRecipe(64, 96),
        train=TrainRecipe(batch_size=3, augment=augment),
    )


def test_every_key_is_in_one_kind() -> None:
    keys = [key for _, keys, _ in KINDS for key in keys]
    assert sorted(keys) == sorted(AugmentRecipe.__struct_fields__)


@pytest.mark.parametrize(
    ("augment", "kinds"),
    [
        pytest.param(NOTHING, [], id="nothing"),
        pytest.param(AugmentRecipe(), ["zoom", "flip", "light"], id="the default"),
        pytest.param(EVERYTHING, [name.replace("_", " ") for name, _, _ in KINDS], id="everything"),
    ],
)
def test_it_shows_what_the_recipe_changes(
    make_squares: MakeSquares, augment: AugmentRecipe, kinds: list[str]
) -> None:
    done: list[tuple[int, int]] = []
    page = augment_page(
        make_squares(5), recipe(augment), "my <photos>", progress=lambda *at: done.append(at)
    )
    assert re.findall(r"<h3>(.*?)</h3>", page) == kinds
    pictures = 5 + SUBJECTS * (VIEWS + 1) + EXAMPLES * len(kinds)
    assert page.count("data:image/jpeg") == page.count("<img ") == pictures
    assert done == [(number, pictures) for number in range(1, pictures + 1)]
    assert not re.search(r'(src|href)="(?!data:)', page)  # nothing from elsewhere
    assert "my &lt;photos&gt;" in page
    assert "<title>square</title>" in page  # a box says what it is


def test_each_change_is_alone_and_certain(make_squares: MakeSquares) -> None:
    rare = msgspec.structs.replace(NOTHING, cutmix=0.01)
    page = augment_page(make_squares(30), recipe(rare), "x")
    assert len(re.findall(r"<figcaption>cutmix of ", page)) >= EXAMPLES
    assert "mosaic of" not in page


def test_the_command_writes_the_page(make_squares: MakeSquares, tmp_path: Path) -> None:
    coco.write(make_squares(2), tmp_path / "labels.json", "squares")
    output = tmp_path / "page.html"
    done = CliRunner().invoke(
        command,
        [str(tmp_path / "labels.json"), "-o", str(output), "--json"],
        catch_exceptions=False,
    )
    said = json.loads(done.stdout)
    assert said["page"] == str(output)
    assert said["pictures"] == 2
    assert said["augment"]["scale_max"] == AugmentRecipe().scale_max
    assert output.read_text().startswith("<!doctype html>")
