"""Where a box is and how it moves: Kalman filters of many boxes at once, in seconds.

Each box is centre, width and height, each with its speed. The four are independent of each other,
so every covariance is three numbers and nothing is inverted.

The noise is ByteTrack's (from SORT with a deep association metric, Wojke et al., ICIP 2017), taken
per width for x and per height for y as BoT-SORT does (Aharon et al., arXiv:2206.14651). There it is
given per frame of 30 a second; here per second, so that it fits frames that come as they can.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tartlet_shared.detections import FloatArray

_RATE = 30.0  # frames per second that the published noise is meant for
_POSITION = 1 / 20  # of the box's size
_SPEED = 1 / 160  # of the box's size, per frame
_SMALLEST = 1.0  # pixels; a box that is predicted to vanish stays so wide and high

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class BoxStates:
    """Filters of ``n`` boxes.

    Attributes:
        position: ``(n, 4)``: centre x, centre y, width, height, pixels.
        speed: ``(n, 4)``, pixels per second.
        spread: ``(n, 4, 3)``: variance of the position, covariance of both, variance of the speed.
    """

    position: Array
    speed: Array
    spread: Array

    def __len__(self) -> int:
        return len(self.position)

    def __getitem__(self, rows: NDArray[np.int64] | NDArray[np.bool_]) -> BoxStates:
        """Rows chosen by an array of indices or a boolean mask."""
        return BoxStates(self.position[rows], self.speed[rows], self.spread[rows])

    @property
    def xyxy(self) -> FloatArray:
        """The boxes: ``(n, 4)``, float32."""
        half = self.position[:, 2:] / 2
        centre = self.position[:, :2]
        return np.concatenate([centre - half, centre + half], axis=1).astype(np.float32)


def start(xyxy: FloatArray) -> BoxStates:
    """Filters of boxes seen for the first time, ``(n, 4)``: they may move at any usual speed."""
    position = _measured(xyxy)
    size = _size(position)
    spread = np.zeros((len(position), 4, 3))
    spread[..., 0] = (2 * _POSITION * size) ** 2
    spread[..., 2] = (10 * _SPEED * _RATE * size) ** 2
    return BoxStates(position, np.zeros_like(position), spread)


def joined(first: BoxStates, second: BoxStates) -> BoxStates:
    """The filters of both."""
    return BoxStates(
        np.concatenate([first.position, second.position]),
        np.concatenate([first.speed, second.speed]),
        np.concatenate([first.spread, second.spread]),
    )


def predict(states: BoxStates, seconds: float, *, keep_size: NDArray[np.bool_]) -> BoxStates:
    """The boxes ``seconds`` later, less certain.

    Args:
        seconds: not negative.
        keep_size: shape ``(n,)``; where true, width and height stay as they are: what is hidden
            would else swell or shrink for as long as it is.
    """
    speed = states.speed.copy()
    speed[keep_size, 2:] = 0.0
    position = states.position + speed * seconds
    position[:, 2:] = np.maximum(position[:, 2:], _SMALLEST)
    size = _size(position)
    drift = _RATE * (_POSITION * size) ** 2  # variance of the position gained in a second
    push = _RATE * (_SPEED * _RATE * size) ** 2  # variance of the speed gained in a second
    var, cov, var_speed = np.moveaxis(states.spread, -1, 0)
    spread = np.stack(
        [
            var
            + 2 * seconds * cov
            + seconds**2 * var_speed
            + drift * seconds
            + push * seconds**3 / 3,
            cov + seconds * var_speed + push * seconds**2 / 2,
            var_speed + push * seconds,
        ],
        axis=-1,
    )
    return BoxStates(position, speed, spread)


def update(states: BoxStates, rows: NDArray[np.int64], xyxy: FloatArray) -> BoxStates:
    """The boxes after some were seen.

    Args:
        rows: shape ``(k,)``, which of them, each once.
        xyxy: where they were seen, ``(k, 4)``.
    """
    seen = states[rows]
    var, cov, var_speed = np.moveaxis(seen.spread, -1, 0)
    total = var + (_POSITION * _size(seen.position)) ** 2
    surprise = _measured(xyxy) - seen.position
    position, speed, spread = states.position.copy(), states.speed.copy(), states.spread.copy()
    position[rows] += var / total * surprise
    position[:, 2:] = np.maximum(position[:, 2:], _SMALLEST)
    speed[rows] += cov / total * surprise
    spread[rows] = np.stack(
        [var - var * var / total, cov - var * cov / total, var_speed - cov * cov / total], axis=-1
    )
    return BoxStates(position, speed, spread)


def _measured(xyxy: FloatArray) -> Array:
    low, high = xyxy[:, :2].astype(np.float64), xyxy[:, 2:].astype(np.float64)
    return np.concatenate([(low + high) / 2, high - low], axis=1)


def _size(position: Array) -> Array:
    """What the noise of each number is relative to, ``(n, 4)``: width, height, width, height."""
    return np.tile(np.maximum(position[:, 2:], _SMALLEST), 2)
