"""The pass over pictures: the same in one process and in several, and every fault has a name."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import cv2
import numpy as np
import pytest

from tartlet_host.dataset import look
from tartlet_host.dataset.look import Look, Unreadable, look_at
from tartlet_host.dataset.sample import Dataset, Sample, VideoFrame, without_boxes
from tartlet_shared import errors

MakeSquares = Callable[..., Dataset]


def test_several_processes_see_what_one_sees(make_squares: MakeSquares, tmp_path: Path) -> None:
    samples = list(make_squares(70).samples)
    (tmp_path / "3.png").write_bytes(b"no picture")
    alone = list(look_at(samples, thumbnails={0, 69}, processes=0))
    together = list(look_at(samples, thumbnails={0, 69}, processes=2))
    assert alone == together
    assert isinstance(alone[3], Unreadable)
    kept = [place for place, each in enumerate(alone) if isinstance(each, Look) and each.thumbnail]
    assert kept == [0, 69]


def test_what_is_kept(tmp_path: Path) -> None:
    grey = np.full((60, 80, 3), 100, np.uint8)
    striped = grey.copy()
    striped[:, ::2] = 200
    looks = []
    for name, picture in (("a", grey), ("b", striped), ("c", grey)):
        cv2.imwrite(str(tmp_path / f"{name}.png"), picture)
        looks += look_at([without_boxes(tmp_path / f"{name}.png", 80, 60, labelled=True)])
    plain, stripes, again = (cast(Look, each) for each in looks)
    assert (round(plain.brightness), round(plain.contrast)) == (100, 0)
    assert (round(stripes.brightness), round(stripes.contrast)) == (150, 50)
    assert plain.digest == again.digest != stripes.digest
    assert plain.thumbnail is None


def missing(sample: Sample) -> Sample:
    return dataclasses.replace(sample, picture=Path("nowhere.png"))


def resized(sample: Sample) -> Sample:
    return dataclasses.replace(sample, width=sample.width + 1)


def of_a_video(sample: Sample) -> Sample:
    return dataclasses.replace(sample, picture=VideoFrame(Path("nowhere.mp4"), 3))


@pytest.mark.parametrize(
    ("change", "code", "words"),
    [
        (missing, "picture-unreadable", "No such file"),
        (resized, "wrong-size", "97x64"),
        (of_a_video, "footage-unreadable", ""),
    ],
)
def test_a_picture_that_cannot_be_used_says_why(
    make_squares: MakeSquares, change: Callable[[Sample], Sample], code: str, words: str
) -> None:
    sample = change(make_squares(1).samples[0])
    (found,) = look_at([sample])
    assert isinstance(found, Unreadable)
    assert found.code == code
    assert words in found.what
    assert found.hint


def test_a_thumbnail_is_small_and_keeps_its_shape() -> None:
    rgb = np.random.default_rng(1).integers(0, 255, (1500, 3000, 3), np.uint8)
    decoded = cv2.imdecode(np.frombuffer(look.make_thumbnail(rgb), np.uint8), cv2.IMREAD_COLOR)
    assert decoded is not None
    assert decoded.shape[:2] == (look.THUMBNAIL // 2, look.THUMBNAIL)


class Deadly:
    """Ends the process that unpickles it, as the system does when memory runs out."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os._exit, (1,)

    def __str__(self) -> str:
        return "huge.tif"


def test_a_process_that_is_killed_is_an_error(make_squares: MakeSquares) -> None:
    sample = dataclasses.replace(make_squares(1).samples[0], picture=cast(Path, Deadly()))
    with pytest.raises(errors.DatasetError, match="ended from outside") as caught:
        list(look_at([sample], processes=1))
    assert "huge.tif" in caught.value.where
    assert "memory" in caught.value.hint


def test_only_a_few_chunks_are_under_way(
    make_squares: MakeSquares, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the data set's size, what was read but not yet asked for stays small."""
    sample = make_squares(1).samples[0]
    begun = 0

    class Lazy(list[Sample]):
        def __getitem__(self, key: Any) -> Any:
            nonlocal begun
            begun = max(begun, key.stop if isinstance(key, slice) else key)
            return super().__getitem__(key)

    looks = look_at(Lazy([sample] * 3000), processes=1)
    next(looks)
    assert begun < 300
    looks.close()
