"""Splits: nothing on both sides, nothing lost, groups whole, the mix of classes kept."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tartlet_host.dataset import clips, split
from tartlet_host.dataset.sample import ArchiveMember, Dataset, PicturePlace, Sample, VideoFrame
from tartlet_host.dataset.split import Fold
from tartlet_host.recipe import DataRecipe
from tartlet_shared import errors
from tartlet_shared.detections import IntArray

COUNTS = st.integers(0, 60)
SHARES = st.floats(0.02, 0.98)
SEEDS = st.integers(0, 2**32 - 1)
CLASSES = st.lists(st.sets(st.integers(0, 5), max_size=3), min_size=2, max_size=60)


def arrays(classes: Sequence[set[int]]) -> list[IntArray]:
    return [np.array(sorted(each), np.int64) for each in classes]


def sample(
    picture: PicturePlace | str, *class_ids: int, ignore: bool = False, labelled: bool = True
) -> Sample:
    return Sample(
        Path(picture) if isinstance(picture, str) else picture,
        64,
        48,
        np.tile(np.array([1, 2, 30, 40], np.float32), (len(class_ids), 1)),
        np.array(class_ids, np.int64),
        np.full(len(class_ids), ignore),
        labelled,
    )


def check_whole(fold: Fold, count: int) -> None:
    """Both parts together are all places, each once and in order."""
    together = np.concatenate([fold.train, fold.validation])
    assert sorted(together.tolist()) == list(range(count))
    for part in (fold.train, fold.validation):
        assert (np.diff(part) > 0).all()


def same(first: Fold, second: Fold) -> bool:
    return np.array_equal(first.train, second.train) and np.array_equal(
        first.validation, second.validation
    )


@given(COUNTS, SHARES, SEEDS)
def test_holdout_has_the_size_asked_for(count: int, share: float, seed: int) -> None:
    fold = split.holdout(count, share, seed)
    check_whole(fold, count)
    assert same(fold, split.holdout(count, share, seed))
    if count >= 2:
        assert len(fold.validation) == min(max(round(share * count), 1), count - 1)
    else:
        assert len(fold.validation) == 0


@given(CLASSES, SHARES, SEEDS)
def test_stratifying_keeps_the_size(classes: list[set[int]], share: float, seed: int) -> None:
    count = len(classes)
    fold = split.holdout(count, share, seed, classes=arrays(classes))
    check_whole(fold, count)
    assert len(fold.validation) == min(max(round(share * count), 1), count - 1)


@given(st.data(), SHARES, SEEDS)
def test_groups_stay_whole(data: st.DataObject, share: float, seed: int) -> None:
    classes = data.draw(CLASSES)
    sizes = st.lists(st.integers(0, 9), min_size=len(classes), max_size=len(classes))
    groups = data.draw(sizes)
    fold = split.holdout(len(groups), share, seed, classes=arrays(classes), groups=groups)
    check_whole(fold, len(groups))
    sides = [{groups[place] for place in part} for part in (fold.train, fold.validation)]
    assert not sides[0] & sides[1]
    if len(set(groups)) > 1:
        assert all(sides)
        # At most the last group too many, or a group too few.
        largest = max(np.unique(groups, return_counts=True)[1])
        assert abs(len(fold.validation) - share * len(groups)) <= largest


@given(st.integers(2, 60), SHARES, st.none() | st.integers(0, 20))
def test_time_is_never_shuffled(count: int, share: float, gap: int | None) -> None:
    fold = split.by_time(count, share, gap=gap)
    assert len(fold.train) >= 1
    assert len(fold.validation) >= 1
    assert fold.train.tolist() == list(range(len(fold.train)))
    assert fold.validation.tolist() == list(range(count - len(fold.validation), count))
    between = fold.validation[0] - fold.train[-1] - 1
    wanted = max(1, round(0.1 * len(fold.validation))) if gap is None else gap
    assert between == min(wanted, count - len(fold.validation) - 1)


@given(st.integers(2, 40), st.integers(2, 9), SEEDS)
def test_each_picture_judges_once(count: int, folds: int, seed: int) -> None:
    if folds > count:
        with pytest.raises(ValueError, match=f"{folds} folds"):
            split.k_fold(count, folds, seed)
        return
    made = split.k_fold(count, folds, seed)
    assert len(made) == folds
    for fold in made:
        check_whole(fold, count)
    judging = np.concatenate([fold.validation for fold in made])
    assert sorted(judging.tolist()) == list(range(count))
    sizes = [len(fold.validation) for fold in made]
    assert max(sizes) - min(sizes) <= 1
    assert all(same(*pair) for pair in zip(made, split.k_fold(count, folds, seed), strict=True))


@given(st.lists(st.integers(0, 6), min_size=2, max_size=40), SEEDS)
def test_folds_keep_groups_whole(groups: list[int], seed: int) -> None:
    if len(set(groups)) < 3:
        with pytest.raises(ValueError, match="3 folds"):
            split.k_fold(len(groups), 3, seed, groups=groups)
        return
    for fold in split.k_fold(len(groups), 3, seed, groups=groups):
        check_whole(fold, len(groups))
        assert len(fold.validation)
        assert not {groups[k] for k in fold.train} & {groups[k] for k in fold.validation}


def test_each_repetition_is_shuffled_anew() -> None:
    def firsts(repetitions: int, seed: int) -> list[list[int]]:
        rounds = list(split.iterated_k_fold(50, 5, repetitions, seed))
        assert [len(folds) for folds in rounds] == [5] * repetitions
        return [folds[0].validation.tolist() for folds in rounds]

    four = firsts(4, seed=3)
    assert len({tuple(each) for each in four}) == 4
    assert firsts(4, seed=3) == four
    assert firsts(2, seed=4) != four[:2]


def test_another_seed_splits_otherwise() -> None:
    made = {tuple(split.holdout(30, 0.3, seed).validation.tolist()) for seed in range(5)}
    assert len(made) == 5


def test_both_parts_show_the_same_mix() -> None:
    rng = np.random.default_rng(5)
    # Class k is in about one of 2^k pictures, 30 % of the pictures are background.
    shown = [
        {k for k in range(6) if rng.random() < 0.5**k} if rng.random() < 0.7 else set()
        for _ in range(1000)
    ]
    fold = split.holdout(1000, 0.2, 1, classes=arrays(shown))
    for kind in range(6):
        total = sum(kind in each for each in shown)
        judged = sum(kind in shown[place] for place in fold.validation)
        assert abs(judged - 0.2 * total) <= 2
    background = sum(not shown[place] for place in fold.validation)
    assert abs(background - 0.2 * sum(not each for each in shown)) <= 3


def test_a_class_with_one_picture_is_learned_from() -> None:
    classes = [{0}] * 19 + [{1}]
    for seed in range(10):
        assert 19 in split.holdout(20, 0.2, seed, classes=arrays(classes)).train


@pytest.mark.parametrize(
    ("picture", "clip", "number", "folder"),
    [
        (VideoFrame(Path("a/b.mp4"), 7), "a/b.mp4", 7, "a/b.mp4"),
        (Path("a/frame-0012.jpg"), "a/frame-*", 12, "a"),
        (Path("a/frame-0012_left.jpg"), "a/frame-*_left", 12, "a"),
        (Path("a/12.png"), "a/*", 12, "a"),
        (Path("data/../a/12.png"), "a/*", 12, "a"),
        (Path("a/clip_4_jpg.rf." + "0a" * 16 + ".jpg"), "a/clip_*", 4, "a"),
        (ArchiveMember(Path("x.tar"), "in/9.jpg", 0, 1), "x.tar#in/*", 9, "x.tar#in"),
    ],
)
def test_frames_are_known_by_their_names(
    picture: PicturePlace, clip: str, number: int, folder: str
) -> None:
    assert clips.frame_of(sample(picture)) == clips.Frame(clip, number)
    assert clips.folder_of(sample(picture)) == folder


def test_a_name_without_a_number_is_no_frame() -> None:
    assert clips.frame_of(sample("a/dog.jpg")) is None


def test_videos_are_divided_each_by_its_own_time() -> None:
    # Frames in any order, two videos mixed, a short one, and single photos.
    frames = [VideoFrame(Path(f"{name}.mp4"), k) for name in "ab" for k in range(40)]
    order = np.random.default_rng(1).permutation(80)
    short = [VideoFrame(Path("c.mp4"), k) for k in range(3)]
    photos = [Path(f"{name}.jpg") for name in ("dog", "cat")]
    samples = [sample(each) for each in [*(frames[k] for k in order), *short, *photos]]
    fold = split.time_fold(samples, 0.25)
    pictures = [each.picture for each in samples]
    judging = {pictures[place] for place in fold.validation}
    learned = {pictures[place] for place in fold.train}
    for name in "ab":
        video = Path(f"{name}.mp4")
        assert {VideoFrame(video, k) for k in range(30, 40)} <= judging
        assert {VideoFrame(video, k) for k in range(29)} <= learned
        assert VideoFrame(video, 29) not in judging | learned  # the gap
    assert {*short, *photos} <= learned
    assert len(judging) == 20


def test_many_short_videos_are_one_behind_the_other() -> None:
    samples = [sample(VideoFrame(Path(f"{k:02}.mp4"), n)) for k in range(20) for n in range(2)]
    fold = split.time_fold(samples, 0.25, gap=0)
    assert fold.validation.tolist() == list(range(30, 40))
    assert fold.train.tolist() == list(range(30))


def test_group_keys() -> None:
    samples = [sample("x/day-1/a.jpg"), sample("x/day-1/b.jpg"), sample("x/day-22/a.jpg")]
    assert split.group_keys(samples) == ["x/day-1", "x/day-1", "x/day-22"]
    assert split.group_keys(samples, r"day-(\d+)") == ["1", "1", "22"]
    with pytest.raises(errors.DatasetError, match="does not match") as caught:
        split.group_keys(samples, r"day-(\d\d)")
    assert caught.value.where == "x/day-1/a.jpg"
    assert caught.value.hint


def names(dataset: Dataset) -> list[str]:
    return [clips.name_of(each) for each in dataset.samples]


def test_the_recipe_decides() -> None:
    samples = tuple(sample(f"day{k // 10}/{k:03}.jpg", k % 2) for k in range(60))
    data = Dataset(("a", "b"), samples)
    train, validation = split.split_dataset(data, DataRecipe(validation_share=0.25))
    assert (len(train.samples), len(validation.samples)) == (45, 15)
    assert sorted(names(train) + names(validation)) == names(data)
    assert {int(each.class_ids[0]) for each in validation.samples} == {0, 1}

    recipe = DataRecipe(split="grouped", group=r"(day\d)/", validation_share=0.34)
    train, validation = split.split_dataset(data, recipe)
    assert len(validation.samples) == 20
    assert not {name[:4] for name in names(train)} & {name[:4] for name in names(validation)}

    train, validation = split.split_dataset(data, DataRecipe(split="time", validation_share=0.5))
    assert [len(train.samples), len(validation.samples)] == [24, 30]
    for first, second in itertools.product(names(train), names(validation)):
        assert first[:4] != second[:4] or first < second


def test_what_nobody_labelled_judges_nothing() -> None:
    samples = tuple(
        sample(f"g{k % 4}/{k:02}.jpg", *([0] if k % 3 else []), labelled=bool(k % 3))
        for k in range(40)
    )
    data = Dataset(("a",), samples)
    unlabelled = {clips.name_of(each) for each in samples if not each.labelled}
    train, validation = split.split_dataset(data, DataRecipe())
    assert unlabelled <= set(names(train))
    assert not unlabelled & set(names(validation))
    assert len(names(train)) + len(names(validation)) == 40

    train, validation = split.split_dataset(data, DataRecipe(split="grouped", group="(g.)/"))
    assert not unlabelled & set(names(validation))
    judging = {name[:2] for name in names(validation)}
    assert judging
    assert not judging & {name[:2] for name in names(train)}

    train, validation = split.split_dataset(data, DataRecipe(split="time"))
    assert not unlabelled & set(names(validation))


@pytest.mark.parametrize(
    ("samples", "recipe"),
    [
        ([], DataRecipe()),
        (["a.jpg"], DataRecipe()),
        (["a.jpg"], DataRecipe(split="time")),
        (["g1/a.jpg", "g1/b.jpg"], DataRecipe(split="grouped", group="(g.)/")),
    ],
)
def test_too_little_to_divide(samples: list[str], recipe: DataRecipe) -> None:
    data = Dataset(("a",), tuple(sample(each, 0) for each in samples))
    with pytest.raises(errors.DatasetError, match="cannot be divided") as caught:
        split.split_dataset(data, recipe)
    assert "label more" in caught.value.hint
