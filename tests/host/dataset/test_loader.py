"""Reading pictures, keeping them, batching them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import pytest
import torch

from tartlet_host.dataset import loader
from tartlet_host.dataset.sample import Dataset
from tartlet_host.recipe import AugmentRecipe, InputRecipe, TrainRecipe
from tartlet_shared.errors import ConfigError, DatasetNotFound

CANVAS = InputRecipe(64, 96)
MakeSquares = Callable[..., Dataset]


def run(**settings: Any) -> TrainRecipe:
    """A run of pictures as they are, unless told otherwise."""
    augment = {"scale_min": 1.0, "scale_max": 1.0} | settings.pop("augment", {})
    return TrainRecipe(**{"batch_size": 2, "augment": AugmentRecipe(**augment)} | settings)


def classes(batches: Iterable[loader.Batch]) -> list[int]:
    """The class of each picture's first box."""
    return [ids for batch in batches for ids in batch.targets.class_ids[:, 0].tolist()]


def same(first: loader.Batch, second: loader.Batch) -> bool:
    """Whether two batches are equal to the bit."""
    one, two = first.targets, second.targets
    return torch.equal(first.pictures, second.pictures) and all(
        torch.equal(getattr(one, name), getattr(two, name))
        for name in ("boxes", "class_ids", "present", "ignore")
    )


def test_pictures_are_rgb_and_normalised(make_squares: MakeSquares) -> None:
    dataset = make_squares(1)
    batch = next(loader.plain_batches(dataset, loader.PictureStore(CANVAS, 0), CANVAS, 1))
    x, y = (int(v) + 5 for v in dataset.samples[0].boxes[0, :2])
    colour = batch.pictures[0, :, y, x] * 128 + 127
    assert colour.tolist() == [250, 220, 40]
    assert batch.pictures.is_contiguous(memory_format=torch.channels_last)
    assert batch.targets.boxes[0].tolist() == dataset.samples[0].boxes.tolist()
    assert batch.targets.present.tolist() == [[True]]


def test_every_picture_comes_up_before_any_again(make_squares: MakeSquares) -> None:
    dataset = make_squares(4, labels=("a", "b", "c", "d"))
    seen = classes(loader.training_batches(dataset, CANVAS, run(steps=4, seed=3)))
    assert sorted(seen[:4]) == sorted(seen[4:]) == [0, 1, 2, 3]


HEAVY = {"scale_min": 0.5, "scale_max": 2.0, "paste": 2}


def test_a_batch_needs_none_before_it(make_squares: MakeSquares) -> None:
    dataset = make_squares(3)
    settings = run(steps=5, augment=HEAVY)
    whole = list(loader.training_batches(dataset, CANVAS, settings))
    later = list(loader.training_batches(dataset, CANVAS, settings, first_step=3))
    assert len(later) == 2
    assert all(same(*pair) for pair in zip(whole[3:], later, strict=True))
    assert not same(whole[3], whole[4])


def test_processes_share_the_batch_of_one(make_squares: MakeSquares) -> None:
    dataset = make_squares(5)
    settings = run(steps=2, batch_size=4, augment=HEAVY)
    alone = list(loader.training_batches(dataset, CANVAS, settings))
    ranks = [
        list(loader.training_batches(dataset, CANVAS, settings, rank=rank, world_size=2))
        for rank in range(2)
    ]
    for step, batch in enumerate(alone):
        together = torch.cat([ranks[rank][step].pictures for rank in range(2)])
        assert torch.equal(together, batch.pictures)


def test_a_batch_that_cannot_be_shared_evenly_is_refused(make_squares: MakeSquares) -> None:
    batches = loader.training_batches(make_squares(1), CANVAS, run(batch_size=3), world_size=2)
    with pytest.raises(ConfigError, match="3 pictures"):
        next(batches)


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
    dataset = Dataset(("a",), (one, more))
    store = loader.PictureStore(CANVAS, 0)
    targets = next(loader.plain_batches(dataset, store, CANVAS, 2)).targets
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


def test_an_empty_data_set_is_refused() -> None:
    with pytest.raises(DatasetNotFound):
        next(loader.training_batches(Dataset(("a",), ()), CANVAS, run()))
