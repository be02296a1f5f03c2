"""Classification: what the picture as a whole shows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tartlet_shared.candidates import Candidates, limits_of, real, sigmoid
from tartlet_shared.decoding import ClassDecoding
from tartlet_shared.tensor import Tensor


def decode_classes(
    outputs: Sequence[NDArray[Any]],
    tensors: Sequence[Tensor],
    decoding: ClassDecoding,
    canvas: tuple[int, int],
    limits: tuple[float, ...],
) -> Candidates:
    """A box around the whole canvas for each class that passes its limit."""
    values = real(outputs[decoding.output][0], tensors[decoding.output])
    if decoding.activation == "softmax":
        with np.errstate(over="ignore", invalid="ignore"):
            raised = np.exp(values - values.max())
            values = raised / raised.sum()
    elif decoding.activation == "sigmoid":
        values = sigmoid(values)
    values = values[decoding.background :]
    class_id = np.arange(len(values))
    class_id = class_id[values >= limits_of(limits, class_id)]
    height, width = canvas
    whole = np.array([0, 0, width, height], np.float32)
    score = values[class_id].astype(np.float32)
    return Candidates(np.tile(whole, (len(class_id), 1)), score, score, class_id.astype(np.int64))
