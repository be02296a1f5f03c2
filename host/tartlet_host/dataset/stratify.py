"""Dealing pictures, or whole groups of them, into parts that show the same mix of classes."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np

from tartlet_shared.detections import IntArray

Classes = Sequence[IntArray]
"""For each picture the ids of its classes, each once; a picture without boxes has none."""


def deal(
    sizes: Sequence[int],
    classes: Classes,
    capacities: Sequence[int],
    rng: np.random.Generator,
) -> IntArray:
    """Assign units to parts so that each part has its share of every class.

    Iterative stratification (K. Sechidis, G. Tsoumakas, I. Vlahavas, "On the Stratification of
    Multi-Label Data", 2011): the class with the fewest units left is dealt first, each of its
    units to the part that still wants most of that class. Pictures without boxes count as a
    class of their own. Large units go first within a class, equal ones in random order. In
    contrast to the paper a part that is full gets nothing more while another has room, so that
    with units of one picture the parts have exactly their capacity.

    Args:
        sizes: pictures in each unit, at least 1.
        classes: ids of the classes in each unit, repeated for each picture that shows them.
        capacities: pictures that each part shall have; together as many as there are.
        rng: orders what is equal.

    Returns:
        The part of each unit, ``(len(sizes),)``. With at least as many units as parts no part
        is empty.
    """
    if not len(sizes):
        return np.zeros(0, np.int64)
    weights = np.asarray(sizes, np.int64)
    kinds, members = _kinds(classes)
    total = np.bincount(np.concatenate(kinds), minlength=len(members))
    all_pictures = max(sum(capacities), 1)
    # Plain lists: with few parts they are ten times as fast as arrays.
    room = [float(each) for each in capacities]
    wanted = [(total * (each / all_pictures)).tolist() for each in capacities]
    left = [len(each) for each in members]
    parts = np.full(len(weights), -1, np.int64)
    empty = set(range(len(room)))
    undealt = len(weights)

    while undealt:
        kind = min((place for place, count in enumerate(left) if count), key=left.__getitem__)
        units = members[kind][parts[members[kind]] < 0]
        units = units[rng.permutation(len(units))]
        for unit in units[np.argsort(-weights[units], kind="stable")].tolist():
            eligible = [part for part, each in enumerate(room) if each > 0]
            if undealt <= len(empty):
                eligible = list(empty)
            part = _best(eligible or list(range(len(room))), kind, wanted, room, rng)
            parts[unit] = part
            empty.discard(part)
            room[part] -= sizes[unit]
            own = kinds[unit].tolist()
            for each in own:
                wanted[part][each] -= 1
            for each in set(own):
                left[each] -= 1
            undealt -= 1
    return parts


def _best(
    eligible: Sequence[int],
    kind: int,
    wanted: Sequence[Sequence[float]],
    room: Sequence[float],
    rng: np.random.Generator,
) -> int:
    """The eligible part that wants most of a kind, then the one with most room, then any."""
    values = {part: (round(wanted[part][kind], 6), room[part]) for part in eligible}
    best = max(values.values())
    equal = [part for part in eligible if values[part] == best]
    return equal[0] if len(equal) == 1 else equal[int(rng.integers(len(equal)))]


def _kinds(classes: Classes) -> tuple[list[IntArray], list[IntArray]]:
    """For each unit the kinds it has, counted from 0 without gaps, and for each kind its units.

    The last kind is "no class at all".
    """
    flat = np.concatenate([np.zeros(0, np.int64), *classes])
    known, dense = np.unique(flat, return_inverse=True)
    none = np.array([len(known)], np.int64)
    ends = np.cumsum([len(each) for each in classes])
    kinds = [each if len(each) else none for each in np.split(dense, ends[:-1])]
    owner = np.repeat(np.arange(len(kinds)), [len(each) for each in kinds])
    flat_kinds = np.concatenate([np.zeros(0, np.int64), *kinds])
    order = np.lexsort((owner, flat_kinds))
    starts = np.searchsorted(flat_kinds[order], np.arange(1, len(known) + 1))
    members = [np.unique(each) for each in np.split(owner[order], starts)]
    return kinds, members


def merge_groups(
    groups: Sequence[Hashable], classes: Classes
) -> tuple[IntArray, list[int], list[IntArray]]:
    """Pictures become units of one group each.

    Returns:
        The unit of each picture, the pictures in each unit, the classes of each unit, repeated.
    """
    unit_of: dict[Hashable, int] = {}
    units = np.array([unit_of.setdefault(key, len(unit_of)) for key in groups], np.int64)
    gathered: list[list[IntArray]] = [[np.zeros(0, np.int64)] for _ in unit_of]
    for unit, ids in zip(units, classes, strict=True):
        gathered[unit].append(ids)
    sizes = np.bincount(units, minlength=len(unit_of)).tolist()
    return units, sizes, [np.concatenate(each) for each in gathered]
