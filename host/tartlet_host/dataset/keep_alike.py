"""Groups of pictures that show the same, so that a split keeps them on one side."""

from __future__ import annotations

import contextlib
from collections.abc import Hashable, Iterable, Sequence

from tartlet_host.dataset import duplicates
from tartlet_host.dataset.check_leakage import PictureTable, equal_pictures, picture_table
from tartlet_host.dataset.look import Look, Unreadable, look_at
from tartlet_host.dataset.sample import Dataset
from tartlet_host.progress import Report
from tartlet_shared import errors


def alike_keys(
    dataset: Dataset, keys: Sequence[Hashable] | None = None, *, progress: Report | None = None
) -> list[int]:
    """A group for each picture: copies and near-copies share it; so do pictures of one key.

    Args:
        dataset: its pictures are decoded once.
        keys: groups that are known already.
        progress: told after each picture.

    Raises:
        PictureUnreadable: a picture is missing or damaged.
    """
    looks: list[Look | Unreadable] = []
    with contextlib.closing(look_at(dataset.samples)) as seen:
        for look in seen:
            if isinstance(look, Unreadable):
                raise errors.PictureUnreadable(look.what, where=look.where, hint=look.hint)
            looks.append(look)
            if progress is not None:
                progress(len(looks), len(dataset.samples))
    table = picture_table(dataset, looks)
    links = _links(table)
    if keys is not None:
        first: dict[Hashable, int] = {}
        links += [[first.setdefault(key, place), place] for place, key in enumerate(keys)]
    return join(len(looks), links)


def join(count: int, groups: Iterable[Sequence[int]]) -> list[int]:
    """The smallest place that each of ``count`` places is linked with, by groups that overlap."""
    parents = list(range(count))

    def root(place: int) -> int:
        while parents[place] != place:
            parents[place] = parents[parents[place]]
            place = parents[place]
        return place

    for group in groups:
        for place in group:
            one, other = sorted((root(group[0]), root(place)))
            parents[other] = one
    return [root(place) for place in range(count)]


def _links(table: PictureTable) -> list[list[int]]:
    comparable = table.comparable
    near = duplicates.alike(table.fingerprints[comparable])
    return [*equal_pictures(table.digests), *(comparable[rows].tolist() for rows in near)]
