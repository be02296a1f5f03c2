"""Detections as columns: one array per property, one row per object."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float32]
IntArray = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Detections:
    """Objects found in one picture.

    Attributes:
        xyxy: boxes, shape ``(n, 4)``, float32: left, top, right, bottom in pixels of the original
            picture, x to the right, y down. ``left <= right`` and ``top <= bottom``.
        score: shape ``(n,)``, float32, in ``[0, 1]``.
        class_id: shape ``(n,)``, int64, index into the model's labels, not negative.

    Raises:
        ValueError: an array has the wrong shape, or a value is not finite or out of range.
    """

    xyxy: FloatArray
    score: FloatArray
    class_id: IntArray

    def __post_init__(self) -> None:
        xyxy = np.ascontiguousarray(self.xyxy, dtype=np.float32)
        score = np.ascontiguousarray(self.score, dtype=np.float32)
        class_id = np.ascontiguousarray(self.class_id, dtype=np.int64)
        n = len(score)
        if xyxy.shape != (n, 4) or score.shape != (n,) or class_id.shape != (n,):
            raise ValueError(
                f"expected xyxy (n, 4), score (n,), class_id (n,); "
                f"got {xyxy.shape}, {score.shape}, {class_id.shape}"
            )
        if not np.isfinite(xyxy).all():
            raise ValueError("a box has a coordinate that is not finite")
        if (xyxy[:, 0] > xyxy[:, 2]).any() or (xyxy[:, 1] > xyxy[:, 3]).any():
            raise ValueError("a box is inverted: left > right or top > bottom")
        if n and not (score.min() >= 0.0 and score.max() <= 1.0):
            raise ValueError("a score is outside [0, 1]")
        if n and class_id.min() < 0:
            raise ValueError("a class_id is negative")
        object.__setattr__(self, "xyxy", xyxy)
        object.__setattr__(self, "score", score)
        object.__setattr__(self, "class_id", class_id)

    @classmethod
    def empty(cls) -> Detections:
        """No objects."""
        return cls(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int64))

    def __len__(self) -> int:
        return len(self.score)

    def __getitem__(self, index: NDArray[np.bool_] | IntArray | slice) -> Detections:
        """Rows chosen by a boolean mask, an array of indices or a slice."""
        return Detections(self.xyxy[index], self.score[index], self.class_id[index])

    def __iter__(self) -> Iterator[tuple[tuple[float, float, float, float], float, int]]:
        for box, score, class_id in zip(self.xyxy, self.score, self.class_id, strict=True):
            left, top, right, bottom = (float(value) for value in box)
            yield (left, top, right, bottom), float(score), int(class_id)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Detections):
            return NotImplemented
        return (
            np.array_equal(self.xyxy, other.xyxy)
            and np.array_equal(self.score, other.score)
            and np.array_equal(self.class_id, other.class_id)
        )

    __hash__ = None  # type: ignore[assignment]  # arrays are mutable
