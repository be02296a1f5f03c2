"""Dividing a data set into pictures to learn from and pictures to judge by.

All functions but the last two are pure: numbers in, places out. The same seed gives the same
split on every machine. Which one fits:

- `holdout`: single pictures that have nothing to do with each other.
- `grouped`: pictures that belong together (one object, one day, one camera) stay together.
- `by_time`: video. Its frames are never shuffled, for neighbours show the same and would be on
  both sides; the last part is for validation, behind a gap.
- `k_fold`: few pictures; each is in the validation part once.
- `iterated_k_fold`: very few; shuffled before each repetition (F. Chollet, "Deep Learning with
  Python", 2nd edition 2021, section 5.2). The score is the mean over all folds.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tartlet_host.dataset import clips
from tartlet_host.dataset.sample import Dataset, Sample
from tartlet_host.dataset.stratify import Classes, deal, merge_groups
from tartlet_host.recipe import DataRecipe
from tartlet_shared import errors
from tartlet_shared.detections import IntArray

GAP_SHARE = 0.1
"""Frames left out between the two parts of a video, as a part of the validation frames."""


MakeFolds = Callable[[int, Classes, Sequence[Hashable] | None], "list[Fold]"]


@dataclass(frozen=True, eq=False)
class Fold:
    """One division; the places of pictures, rising, none in both.

    Attributes:
        train: ``(n,)`` int64, to learn from.
        validation: ``(m,)`` int64, to judge by.
    """

    train: IntArray
    validation: IntArray


def holdout(
    count: int,
    share: float,
    seed: int,
    *,
    classes: Classes | None = None,
    groups: Sequence[Hashable] | None = None,
) -> Fold:
    """One random part for validation.

    Args:
        count: of pictures.
        share: part for validation, above 0 and below 1.
        seed: of the shuffling.
        classes: classes in each picture; both parts then show the same mix, as far as pictures
            with several classes allow (see `stratify.deal`).
        groups: key of each picture; pictures with the same key stay on one side.

    Returns:
        Validation has ``round(share * count)`` pictures, but at least one, and leaves at least
        one for training; with groups, about so many. A single picture or group is for training.
    """
    for_validation = min(max(round(share * count), 1), max(count - 1, 0))
    parts = _parts(count, (count - for_validation, for_validation), seed, classes, groups)
    return _fold(parts == 1)


def by_time(count: int, share: float, *, gap: int | None = None) -> Fold:
    """The last pictures for validation, some before them left out.

    Args:
        count: of pictures, in the order of time.
        share: part for validation, above 0 and below 1.
        gap: pictures left out between the parts, as far as one is left to learn from; None
            leaves out a tenth of the validation part, at least one.
    """
    for_validation = min(max(round(share * count), 1), max(count - 1, 0))
    if gap is None:
        gap = max(1, round(GAP_SHARE * for_validation))
    for_training = max(count - for_validation - gap, min(count, 1))
    return Fold(np.arange(for_training), np.arange(count - for_validation, count))


def k_fold(
    count: int,
    folds: int,
    seed: int,
    *,
    classes: Classes | None = None,
    groups: Sequence[Hashable] | None = None,
) -> list[Fold]:
    """As many divisions as folds; each picture is for validation in exactly one of them.

    Args:
        count, seed, classes, groups: see `holdout`.
        folds: at least 2, at most as many as pictures (or groups). Without groups the
            validation parts differ by one picture at most.

    Raises:
        ValueError: too few or too many folds.
    """
    units = count if groups is None else len(set(groups))
    if not 2 <= folds <= units:
        raise ValueError(f"{folds} folds of {units} pictures or groups")
    sizes = [count // folds + (place < count % folds) for place in range(folds)]
    parts = _parts(count, sizes, seed, classes, groups)
    return [_fold(parts == part) for part in range(folds)]


def iterated_k_fold(
    count: int,
    folds: int,
    repetitions: int,
    seed: int,
    *,
    classes: Classes | None = None,
    groups: Sequence[Hashable] | None = None,
) -> Iterator[list[Fold]]:
    """`k_fold` so many times, shuffled anew before each; yields the folds of one repetition."""
    for state in np.random.SeedSequence(seed).generate_state(repetitions):
        yield k_fold(count, folds, int(state), classes=classes, groups=groups)


def classes_of(dataset: Dataset) -> list[IntArray]:
    """The classes that each picture shows, each once; regions to ignore do not count."""
    return [np.unique(each.class_ids[~each.ignore]) for each in dataset.samples]


def group_keys(samples: Sequence[Sample], pattern: str = "") -> list[str]:
    """What each picture belongs to.

    Args:
        samples: the pictures.
        pattern: a regular expression, searched in the picture's name with its folders; its first
            group is the key. Empty: the folder, archive folder or video that it is in.

    Raises:
        DatasetError: a picture's name does not match.
    """
    if not pattern:
        return [clips.folder_of(sample) for sample in samples]
    expression = re.compile(pattern)
    keys = []
    for sample in samples:
        name = clips.name_of(sample)
        match = expression.search(name)
        if match is None or match[1] is None:
            raise errors.DatasetError(
                f"the group's pattern {pattern!r} does not match this picture",
                where=name,
                hint="a pattern such as 'day-([0-9]+)' must match every picture's path",
            )
        keys.append(match[1])
    return keys


def time_fold(samples: Sequence[Sample], share: float, *, gap: int | None = None) -> Fold:
    """`by_time` of each video apart; pictures that are no video are one in the order given.

    A video too short to be divided (``share`` of it is less than a frame) is learned from as a
    whole. Where all are too short they are one behind the other: the later judge the earlier.
    """
    videos: dict[str, list[int]] = {}
    frames = clips.frames_of(samples)
    for place, frame in enumerate(frames):
        videos.setdefault(frame.clip if frame else "", []).append(place)
    numbers = [frame.number if frame else 0 for frame in frames]
    for places in videos.values():
        places.sort(key=numbers.__getitem__)
    whole = [places for places in videos.values() if len(places) * share < 1]
    divided = [places for places in videos.values() if len(places) * share >= 1]
    if not divided:
        whole, divided = [], [[place for places in whole for place in places]]
    train = [np.array(places, np.int64) for places in whole]
    validation = []
    for places in divided:
        fold = by_time(len(places), share, gap=gap)
        train.append(np.array(places, np.int64)[fold.train])
        validation.append(np.array(places, np.int64)[fold.validation])
    return Fold(np.sort(np.concatenate(train)), np.sort(np.concatenate(validation)))


def take(dataset: Dataset, places: IntArray) -> Dataset:
    """The part of a data set with these places, in the order given."""
    return Dataset(dataset.labels, tuple(dataset.samples[place] for place in places))


def split_dataset(dataset: Dataset, data: DataRecipe) -> tuple[Dataset, Dataset]:
    """Pictures for training and for validation, as ``data.split`` says; see `divide`.

    Raises:
        DatasetError: one part would be empty, or ``data.group`` does not match a picture.
    """
    share, seed = data.validation_share, data.seed
    if data.split == "time":
        return divide_by_time(dataset, share)

    def make(count: int, classes: Classes, groups: Sequence[Hashable] | None) -> list[Fold]:
        return [holdout(count, share, seed, classes=classes, groups=groups)]

    keys = group_keys(dataset.samples, data.group) if data.split == "grouped" else None
    ((train, validation),) = divide(dataset, make, keys)
    return train, validation


def divide(
    dataset: Dataset, make: MakeFolds, keys: Sequence[Hashable] | None = None
) -> list[tuple[Dataset, Dataset]]:
    """Data sets for training and for validation, one pair for each fold.

    Pictures that nobody labelled cannot judge anything: they go to training, unless their group
    is for validation; then they are left out.

    Args:
        dataset: what to divide.
        make: `holdout`, `k_fold` or the like, called with the number of labelled pictures, their
            classes and groups.
        keys: group of each picture.

    Raises:
        DatasetError: one part would be empty.
    """
    labelled = np.array([each.labelled for each in dataset.samples], np.bool_)
    known = np.flatnonzero(labelled)
    classes = classes_of(take(dataset, known))
    groups = None if keys is None else [keys[place] for place in known.tolist()]
    pairs = []
    for fold in make(len(known), classes, groups):
        if not len(fold.train) or not len(fold.validation):
            raise _indivisible(dataset, "groups" if keys else "pictures")
        fold = Fold(known[fold.train], known[fold.validation])
        pairs.append((_with_unlabelled(fold, labelled, keys), fold.validation))
    return [(take(dataset, train), take(dataset, validation)) for train, validation in pairs]


def divide_by_time(
    dataset: Dataset, share: float, *, gap: int | None = None
) -> tuple[Dataset, Dataset]:
    """`time_fold` as data sets; unlabelled pictures are left out of validation.

    Raises:
        DatasetError: one part would be empty.
    """
    fold = time_fold(dataset.samples, share, gap=gap)
    train, judged = take(dataset, fold.train), take(dataset, fold.validation)
    validation = Dataset(dataset.labels, tuple(each for each in judged.samples if each.labelled))
    if not validation.samples or not any(each.labelled for each in train.samples):
        raise _indivisible(dataset, "pictures")
    return train, validation


def _indivisible(dataset: Dataset, units: str) -> errors.DatasetError:
    labelled = sum(each.labelled for each in dataset.samples)
    return errors.DatasetError(
        f"{labelled} labelled pictures of {len(dataset.samples)} cannot be divided into training "
        "and validation",
        hint=f"it takes two {units} at least, more for folds; label more, or divide otherwise",
    )


def _with_unlabelled(
    fold: Fold, labelled: NDArray[np.bool_], keys: Sequence[Hashable] | None
) -> IntArray:
    unlabelled = np.flatnonzero(~labelled)
    if keys is not None:
        judging = {keys[place] for place in fold.validation.tolist()}
        kept = [place for place in unlabelled.tolist() if keys[place] not in judging]
        unlabelled = np.array(kept, np.int64)
    return np.sort(np.concatenate([fold.train, unlabelled]))


def _parts(
    count: int,
    capacities: Sequence[int],
    seed: int,
    classes: Classes | None,
    groups: Sequence[Hashable] | None,
) -> IntArray:
    """The part of each picture."""
    if classes is None:
        classes = [np.zeros(0, np.int64)] * count
    rng = np.random.default_rng(seed)
    if groups is None:
        return deal([1] * count, classes, capacities, rng)
    units, sizes, gathered = merge_groups(groups, classes)
    return deal(sizes, gathered, capacities, rng)[units]


def _fold(is_validation: NDArray[np.bool_]) -> Fold:
    return Fold(np.flatnonzero(~is_validation), np.flatnonzero(is_validation))
