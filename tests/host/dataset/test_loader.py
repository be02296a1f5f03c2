"""Reading pictures, keeping them, batching them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from tartlet_host.dataset import loader
from tartlet_host.dataset.augment import View
from tartlet_host.dataset.sample import Dataset, Sample
from tartlet_host.recipe import AugmentRecipe, InputRecipe
from tartlet_shared.errors import DatasetNotFound, PictureUnreadable

CANVAS = InputRecipe(64, 96)
MakeSquares = Callable[..., Dataset]


def test_pictures_are_rgb_and_normalised(make_squares: MakeSquares) -> None:
    dataset = make_squares(1)
    store = loader.PictureStore(CANVAS, 0)
    batch = loader.make_batch(
        [(each, store.get(each)) for each in dataset.samples], [View()], CANVAS
    )
    x, y = (int(v) + 5 for v in dataset.samples[0].boxes[0, :2])
    colour = batch.pictures[0, :, y, x] * 128 + 127
    assert colour.tolist() == [250, 220, 40]
    assert batch.pictures.is_contiguous(memory_format=torch.channels_last)
    assert batch.targets.boxes[0].tolist() == dataset.samples[0].boxes.tolist()
    assert batch.targets.present.tolist() == [[True]]


def test_every_picture_comes_up_before_any_again(make_squares: MakeSquares) -> None:
    dataset = make_squares(4, labels=("a", "b", "c", "d"))
    recipe = AugmentRecipe(scale_min=1.0, scale_max=1.0)
    batches = loader.training_batches(
        dataset,
        loader.PictureStore(CANVAS, 2**20),
        CANVAS,
        recipe,
        batch_size=2,
        steps=4,
        rng=np.random.default_rng(3),
    )
    seen = [ids for batch in batches for ids in batch.targets.class_ids[:, 0].tolist()]
    assert sorted(seen[:4]) == sorted(seen[4:]) == [0, 1, 2, 3]


def test_plain_batches_show_all_once_in_order(make_squares: MakeSquares) -> None:
    dataset = make_squares(3, labels=("a", "b", "c"))
    batches = list(loader.plain_batches(dataset, loader.PictureStore(CANVAS, 0), CANVAS, 2))
    assert [len(batch.pictures) for batch in batches] == [2, 1]
    assert [i for b in batches for i in b.targets.class_ids[:, 0].tolist()] == [0, 1, 2]


def test_boxes_are_padded_to_the_longest(make_squares: MakeSquares) -> None:
    one, two = make_squares(2).samples
    more = dataclasses.replace(
        two,
        boxes=np.array([[0, 0, 9, 9], [5, 5, 20, 20]], np.float32),
        class_ids=np.array([0, 0], np.int64),
        ignore=np.array([False, True]),
    )
    store = loader.PictureStore(CANVAS, 0)
    targets = loader.make_batch(
        [(each, store.get(each)) for each in (one, more)], [View(), View()], CANVAS
    ).targets
    assert targets.boxes.shape == (2, 2, 4)
    assert targets.present.tolist() == [[True, False], [True, False]]
    assert targets.ignore.tolist() == [[False, False], [False, True]]


def test_the_store_keeps_what_fits(make_squares: MakeSquares) -> None:
    dataset = make_squares(2)
    first, second = dataset.samples
    store = loader.PictureStore(CANVAS, 64 * 96 * 3)  # room for one
    kept = store.get(first)
    again = store.get(second)
    assert store.get(first) is kept
    assert store.get(second) is not again
    np.testing.assert_array_equal(store.get(second), again)


def test_large_pictures_are_kept_small(make_squares: MakeSquares) -> None:
    sample = make_squares(1).samples[0]
    store = loader.PictureStore(InputRecipe(32, 32), 2**20)
    assert store.get(sample).shape == (43, 64, 3)  # twice 32 on the longer side


def damaged(sample: Sample, content: bytes) -> Sample:
    path = sample.picture.with_name("damaged.png")
    path.write_bytes(content)
    return dataclasses.replace(sample, picture=path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param(
            lambda s: dataclasses.replace(s, picture=Path("gone.png")), "cannot read", id="missing"
        ),
        pytest.param(lambda s: damaged(s, b""), "damaged", id="empty"),
        pytest.param(lambda s: damaged(s, b"not a picture"), "damaged", id="other"),
        pytest.param(
            lambda s: damaged(s, s.picture.read_bytes()[:40]), "damaged", id="cut in its header"
        ),
        pytest.param(lambda s: dataclasses.replace(s, width=97), "96x64", id="other size"),
    ],
)
def test_bad_pictures_are_named(
    make_squares: MakeSquares, change: Callable[[Sample], Sample], message: str
) -> None:
    bad = change(make_squares(1).samples[0])
    with pytest.raises(PictureUnreadable, match=message) as caught:
        loader.read_picture(bad)
    assert str(bad.picture) in caught.value.where
    assert caught.value.hint


def test_an_empty_data_set_is_refused() -> None:
    batches = loader.training_batches(
        Dataset(("a",), ()),
        loader.PictureStore(CANVAS, 0),
        CANVAS,
        AugmentRecipe(),
        batch_size=1,
        steps=1,
        rng=np.random.default_rng(0),
    )
    with pytest.raises(DatasetNotFound):
        next(batches)
