"""Pictures that are the same, or nearly: found among a hundred thousand without comparing all.

The fingerprint is a perceptual hash (C. Zauner, "Implementation and Benchmarking of Perceptual
Image Hash Functions", 2010): the signs of the picture's 63 slowest cosine waves. Coded again,
scaled or lighter pictures differ from their original in 0-6 of the 63 bits, unrelated photos in
about 31 and rarely in fewer than 15. A left-right mirror image changes the sign of every other
wave and is found as well.

Fingerprints at most `NEAR` bits apart agree in at least one of `NEAR + 1` bands of 9 bits, so only
those in a common band are compared (the pigeonhole principle).
"""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np
from numpy.typing import NDArray

from tartlet_device.preprocess import Picture
from tartlet_shared.detections import IntArray

Fingerprints = NDArray[np.uint64]

NEAR = 6
"""Fingerprints differ in at most so many bits where two pictures show nearly the same."""
BITS = 63

_SIDE = 32  # pixels of the picture that is transformed
_WAVES = 8  # in each direction; the constant one is left out
_BANDS = NEAR + 1
_BAND_BITS = BITS // _BANDS
_KEYS = 1 << _BAND_BITS
_COMPACT = 256  # members from which on a bucket is rid of those that are done
_WEIGHTS = np.left_shift(np.uint64(1), np.arange(BITS, dtype=np.uint64))
# Waves that are odd from left to right, in the order of the bits
_ODD = (np.arange(_WAVES * _WAVES)[1:] % _WAVES) % 2 == 1
MIRROR = np.uint64(_WEIGHTS[_ODD].sum())


def fingerprint(rgb: Picture) -> int:
    """The fingerprint of a picture (height, width, 3) uint8, 63 bits."""
    grey = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)
    small = cv2.resize(grey, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA).astype(np.float32)
    waves = cv2.dct(small)[:_WAVES, :_WAVES].ravel()[1:]
    return int(_WEIGHTS[waves > 0].sum())


def mirrored(fingerprints: Fingerprints) -> Fingerprints:
    """The fingerprints that the pictures would have left and right exchanged."""
    return np.bitwise_xor(fingerprints, MIRROR)


def distance(first: Fingerprints, second: Fingerprints) -> NDArray[np.uint8]:
    """Bits in which fingerprints differ, mirrored or not, whichever is less."""
    apart = np.bitwise_xor(first, second)
    return np.minimum(np.bitwise_count(apart), np.bitwise_count(np.bitwise_xor(apart, MIRROR)))


def alike(fingerprints: Fingerprints) -> list[IntArray]:
    """Groups of pictures that show nearly the same, or are linked by others that do.

    Args:
        fingerprints: ``(n,)``.

    Returns:
        The places of each group's pictures, rising; only groups of two or more.
    """
    distinct, kind_of, sizes = np.unique(fingerprints, return_inverse=True, return_counts=True)
    places = np.split(np.argsort(kind_of, kind="stable"), np.cumsum(sizes)[:-1])
    groups = (np.concatenate([places[kind] for kind in kinds]) for kinds in _linked(distinct))
    return sorted((np.sort(each) for each in groups if len(each) > 1), key=lambda each: each[0])


def nearest(among: Fingerprints, wanted: Fingerprints) -> tuple[IntArray, IntArray]:
    """For each fingerprint the nearest one among others, if one is near.

    Args:
        among: ``(n,)`` to look in.
        wanted: ``(m,)`` to look for.

    Returns:
        ``(m,)`` the place in ``among``, or -1 where none is near; ``(m,)`` bits apart.
    """
    distinct, first = np.unique(among, return_index=True)
    asked, inverse = np.unique(wanted, return_inverse=True)
    places = np.full(len(asked), -1, np.int64)
    apart = np.full(len(asked), BITS, np.int64)
    buckets = _Buckets(distinct)
    for number, keys in enumerate(_keys(asked).tolist()):
        found, bits = buckets.near(asked[number : number + 1], keys)
        if len(found):
            best = int(np.argmin(bits))
            places[number], apart[number] = first[found[best]], bits[best]
    return places[inverse], apart[inverse]


def _linked(distinct: Fingerprints) -> Iterator[list[int]]:
    """Connected components of the graph that joins near fingerprints."""
    buckets = _Buckets(distinct)
    keys = _keys(distinct).tolist()
    for start in range(len(distinct)):
        if not buckets.present[start]:
            continue
        buckets.present[start] = False
        group = [start]
        for member in group:  # grows while it is walked
            found, _ = buckets.near(distinct[member : member + 1], keys[member])
            # What is in a group is never looked at again: one scene of many frames stays cheap.
            buckets.present[found] = False
            group.extend(np.unique(found).tolist())
        yield group


class _Buckets:
    """Fingerprints by the value of each band.

    Attributes:
        present: ``(n,)`` bool; members set to false are no longer found.
    """

    def __init__(self, fingerprints: Fingerprints) -> None:
        self._fingerprints = fingerprints
        self.present = np.ones(len(fingerprints), np.bool_)
        self._order: list[IntArray] = []
        self._starts: list[list[int]] = []
        self._compact: dict[tuple[int, int], IntArray] = {}
        for keys in _keys(fingerprints)[:, :_BANDS].T:
            order = np.argsort(keys, kind="stable")
            self._order.append(order)
            self._starts.append(np.searchsorted(keys[order], range(_KEYS + 1)).tolist())

    def near(self, wanted: Fingerprints, keys: list[int]) -> tuple[IntArray, NDArray[np.uint8]]:
        """Members at most `NEAR` bits from a fingerprint or its mirror image.

        Args:
            wanted: ``(1,)``.
            keys: its row of `_keys`.

        Returns:
            Their places, some more than once, and the bits between.
        """
        candidates = [self._bucket(k % _BANDS, key) for k, key in enumerate(keys)]
        places = np.concatenate(candidates)
        places = places[self.present[places]]
        bits = distance(self._fingerprints[places], wanted)
        close = bits <= NEAR
        return places[close], bits[close]

    def _bucket(self, band: int, key: int) -> IntArray:
        start, end = self._starts[band][key : key + 2]
        if end - start <= _COMPACT:
            return self._order[band][start:end]
        members = self._compact.get((band, key), self._order[band][start:end])
        members = self._compact[band, key] = members[self.present[members]]
        return members


def _keys(fingerprints: Fingerprints) -> IntArray:
    """``(n, 2 * bands)``: the value of each band, then of each band of the mirror image."""
    both = np.stack([fingerprints, mirrored(fingerprints)], axis=1)[:, :, None]
    shifts = np.arange(_BANDS, dtype=np.uint64) * np.uint64(_BAND_BITS)
    values = np.bitwise_and(np.right_shift(both, shifts), np.uint64(_KEYS - 1))
    keys: IntArray = values.reshape(len(fingerprints), 2 * _BANDS).astype(np.int64)
    return keys
