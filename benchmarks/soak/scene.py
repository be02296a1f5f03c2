"""What the device looks at: a model, and footage in which its objects come and go."""

from __future__ import annotations

from pathlib import Path

from benchmarks.footage import coming_and_going, write_raw
from benchmarks.models import trained_litert_bundle
from tartlet_shared import bundle as bundles
from tartlet_shared.bundle import Bundle
from tests.tiny_model import HEIGHT, WIDTH, BundleMaker, bright_picture

Spot = tuple[int, int, int, int]
"""Left, top, right and bottom of a bright one, pixels."""
_STAYS = 600
"""Frames that each part of the scene lasts: a processor that sees 400 of these small pictures a
second must have time to notice that nothing is there, see ``end_after_s`` of the rule."""
_SPOT = 8


def scene(folder: Path) -> tuple[Bundle, Path]:
    """The newest run's model and what it was proven with; without any run, a model of bright spots
    that sees one of them, none, a crowd, and none again.
    """
    footage = folder / "footage.avi"
    trained = trained_litert_bundle(folder)
    if trained is not None:
        return trained, coming_and_going(footage, trained)
    parts = [*map(_one, range(_STAYS)), *_STAYS * [()], *map(_crowd, range(_STAYS)), *_STAYS * [()]]
    frames = [bright_picture(*spots, width=WIDTH, height=HEIGHT) for spots in parts]
    return bundles.open_bundle(BundleMaker(folder)()), write_raw(footage, frames)


def _one(number: int) -> tuple[Spot, ...]:
    """It walks to and fro."""
    way = WIDTH - 2 * _SPOT
    left = abs((number % (2 * way)) - way)
    return ((left, 16, left + 2 * _SPOT, 16 + 2 * _SPOT),)


def _crowd(number: int) -> tuple[Spot, ...]:
    """Every second cell of a chessboard; they flicker now and then."""
    return tuple(
        (left, top, left + _SPOT, top + _SPOT)
        for top in range(0, HEIGHT, _SPOT)
        for left in range(0, WIDTH, _SPOT)
        if (left + top) // _SPOT % 2 == 0 and (left + top + number) % 29
    )
