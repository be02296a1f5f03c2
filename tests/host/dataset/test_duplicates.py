"""Near-duplicates: exactly those that comparing all with all would find, and robust to editing."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tartlet_device.preprocess import Picture
from tartlet_host.dataset import duplicates
from tartlet_host.dataset.duplicates import BITS, MIRROR, NEAR, Fingerprints


@st.composite
def fingerprints(draw: st.DrawFn) -> Fingerprints:
    """A few originals and many that differ from them, or from their mirror image, in a few bits."""
    originals = draw(st.lists(st.integers(0, 2**BITS - 1), min_size=1, max_size=4))
    change = st.lists(st.integers(0, BITS - 1), max_size=2 * NEAR, unique=True)
    made = []
    for bits in draw(st.lists(change, max_size=40)):
        value = draw(st.sampled_from(originals))
        value ^= sum(1 << bit for bit in bits)
        made.append(value ^ int(MIRROR) if draw(st.booleans()) else value)
    return np.array(made, np.uint64)


def apart(first: int, second: int) -> int:
    return min((first ^ second).bit_count(), (first ^ second ^ int(MIRROR)).bit_count())


def linked_by_comparing_all(values: list[int]) -> set[frozenset[int]]:
    groups = [{place} for place in range(len(values))]
    for first in range(len(values)):
        for second in range(first):
            if apart(values[first], values[second]) <= NEAR:
                one = next(group for group in groups if first in group)
                other = next(group for group in groups if second in group)
                if one is not other:
                    groups.remove(other)
                    one |= other
    return {frozenset(group) for group in groups if len(group) > 1}


@settings(max_examples=40)
@given(fingerprints())
def test_groups_are_those_that_comparing_all_finds(values: Fingerprints) -> None:
    found = duplicates.alike(values)
    assert {frozenset(each.tolist()) for each in found} == linked_by_comparing_all(values.tolist())
    assert all((np.diff(each) > 0).all() for each in found)
    assert sum(len(each) for each in found) == len({k for each in found for k in each.tolist()})


@settings(max_examples=40)
@given(fingerprints(), fingerprints())
def test_the_nearest_is_the_nearest(among: Fingerprints, wanted: Fingerprints) -> None:
    places, bits = duplicates.nearest(among, wanted)
    for value, place, distance in zip(wanted.tolist(), places, bits, strict=True):
        best = min((apart(value, each) for each in among.tolist()), default=BITS)
        if best > NEAR:
            assert place == -1
        else:
            assert distance == best == apart(value, int(among[place]))


def test_every_band_is_looked_into() -> None:
    # NEAR changes in all places but one band: only that band agrees.
    width = BITS // (NEAR + 1)
    for free in range(NEAR + 1):
        changed = sum(1 << (band * width) for band in range(NEAR + 1) if band != free)
        pair = np.array([0b1011, 0b1011 ^ changed], np.uint64)
        assert len(duplicates.alike(pair)) == 1


def scene(seed: int) -> Picture:
    """Something with large and small shapes, as photos have."""
    rng = np.random.default_rng(seed)
    rough = rng.integers(0, 255, (6, 8, 3), np.uint8)
    picture = np.asarray(cv2.resize(rough, (320, 240), interpolation=cv2.INTER_CUBIC), np.uint8)
    for _ in range(6):
        x, y = (int(value) for value in rng.integers(0, 200, 2))
        colour = tuple(int(value) for value in rng.integers(0, 255, 3))
        cv2.rectangle(picture, (x, y), (x + 60, y + 40), colour, -1)
    return picture


def jpeg(picture: Picture) -> Picture:
    coded = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 30])[1]
    return np.asarray(cv2.imdecode(coded, cv2.IMREAD_COLOR), np.uint8)


@pytest.mark.parametrize(
    "edit",
    [
        jpeg,
        lambda rgb: cv2.resize(rgb, (97, 73), interpolation=cv2.INTER_AREA),
        lambda rgb: np.clip(rgb * 0.8 + 10, 0, 255).astype(np.uint8),
        lambda rgb: np.ascontiguousarray(rgb[:, ::-1]),
        lambda rgb: rgb[2:-2, 2:-2],
    ],
    ids=["coded again", "scaled", "darker", "mirrored", "trimmed"],
)
def test_an_edited_picture_is_near_its_original(edit: Callable[[Picture], Picture]) -> None:
    for seed in range(12):
        picture = scene(seed)
        first, second = duplicates.fingerprint(picture), duplicates.fingerprint(edit(picture))
        assert apart(first, second) <= NEAR


def test_other_pictures_are_far() -> None:
    marks = [duplicates.fingerprint(scene(seed)) for seed in range(40)]
    distances = [apart(a, b) for place, a in enumerate(marks) for b in marks[:place]]
    assert min(distances) > NEAR
    assert np.median(distances) > 20


def test_a_long_scene_and_many_others_are_found_without_comparing_all(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rng = np.random.default_rng(2)
    others = rng.integers(0, 2**BITS, 6_000, dtype=np.uint64)
    frames = np.full(1500, 12345, np.uint64)
    for bit in range(0, BITS, 5):
        frames ^= (rng.random(1500) < 0.2).astype(np.uint64) << np.uint64(bit)
    compared = 0
    real = duplicates.distance

    def counted(first: Fingerprints, second: Fingerprints) -> object:
        nonlocal compared
        compared += len(first)
        return real(first, second)

    monkeypatch.setattr(duplicates, "distance", counted)
    (group,) = duplicates.alike(np.concatenate([others, frames]))
    assert group.tolist() == list(range(6_000, 7_500))
    assert compared < 7_500**2 / 2 / 40
