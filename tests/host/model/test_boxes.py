"""Box arithmetic against its definitions."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tartlet_host.model import boxes

sides = st.floats(0.0, 20.0, width=32)


@settings(deadline=None)  # torch's first call is slow
@given(st.lists(sides, min_size=4, max_size=4), st.sampled_from([8.0, 16.0, 32.0]))
def test_encode_is_the_inverse_of_decode(distances: list[float], stride: float) -> None:
    centres, strides = torch.tensor([[100.0, 60.0]]), torch.tensor([stride])
    decoded = boxes.decode(torch.tensor([distances]), centres, strides)
    again = boxes.encode(decoded, centres, strides)
    torch.testing.assert_close(again, torch.tensor([distances]), atol=1e-4, rtol=1e-5)


def test_decode_clamps_negative_distances() -> None:
    box = boxes.decode(
        torch.tensor([[-3.0, 1.0, 2.0, -0.5]]), torch.tensor([[12.0, 20.0]]), torch.tensor([8.0])
    )
    assert box.tolist() == [[12.0, 12.0, 28.0, 20.0]]


@pytest.mark.parametrize(
    ("first", "second", "iou", "generalized"),
    [
        pytest.param([0, 0, 2, 2], [0, 0, 2, 2], 1.0, 1.0, id="same"),
        pytest.param([0, 0, 2, 2], [1, 0, 3, 2], 1 / 3, 1 / 3, id="shifted by half"),
        pytest.param([0, 0, 1, 1], [3, 0, 4, 1], 0.0, -0.5, id="apart: hull 4, union 2"),
        pytest.param([0, 0, 4, 4], [1, 1, 3, 3], 0.25, 0.25, id="inside"),
        pytest.param([0, 0, 2, 2], [2, 2, 0, 0], 0.0, 0.0, id="inverted has no area"),
    ],
)
def test_overlaps(first: list[int], second: list[int], iou: float, generalized: float) -> None:
    one, two = torch.tensor([first], dtype=torch.float), torch.tensor([second], dtype=torch.float)
    assert boxes.pairwise_iou(one[None], two[None]).item() == pytest.approx(iou)
    assert boxes.generalized_iou(one, two).item() == pytest.approx(generalized)
