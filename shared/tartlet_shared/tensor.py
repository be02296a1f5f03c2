"""A tensor of a model, and the base of all records in a manifest."""

from __future__ import annotations

import math
from typing import Annotated, Literal

import msgspec

Positive = Annotated[int, msgspec.Meta(ge=1, le=65536)]
Index = Annotated[int, msgspec.Meta(ge=0, le=65536)]
Probability = Annotated[float, msgspec.Meta(ge=0.0, le=1.0)]
Text = Annotated[str, msgspec.Meta(max_length=500)]
Shape = Annotated[tuple[Positive, ...], msgspec.Meta(max_length=8)]


class Record(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Base of the manifest's parts: immutable, and a key nobody knows is an error."""


class Affine(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Parameters of the quantization of one tensor, per tensor (not per channel).

    Attributes:
        scale: real units per step, positive and finite.
        zero_point: the integer that stands for 0.0.
    """

    scale: float
    zero_point: Annotated[int, msgspec.Meta(ge=-128, le=255)]

    def __post_init__(self) -> None:
        if not (math.isfinite(self.scale) and self.scale > 0):
            raise ValueError(f"scale must be positive and finite, not {self.scale}")


class Tensor(Record, frozen=True):
    """A model input or output.

    Attributes:
        name: as the model file has it.
        shape: with the leading batch of 1.
        dtype: element type.
        affine: quantization; None exactly for float32.
    """

    name: Text
    shape: Shape
    dtype: Literal["float32", "int8", "uint8"]
    affine: Affine | None = None

    def __post_init__(self) -> None:
        if (self.affine is None) != (self.dtype == "float32"):
            raise ValueError(f"tensor {self.name!r}: {self.dtype} and affine={self.affine}")
