"""CVAT's XML, for images and for video."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from tartlet_host.dataset.pictures import read_picture
from tartlet_host.dataset.read import read_dataset
from tartlet_host.dataset.sample import VideoFrame, file_name
from tartlet_shared import errors
from tests.picture_files import write_picture

LABELS = "<labels><label><name>dog</name></label><label><name>cat</name></label></labels>"


def box(edges: tuple[float, ...] = (4, 5, 20, 15), more: str = "", label: str = "cat") -> str:
    named = zip(("xtl", "ytl", "xbr", "ybr"), edges, strict=True)
    return f'<box label="{label}" {" ".join(f"{k}={str(v)!r}" for k, v in named)} {more}/>'


def images(*each: str) -> str:
    return f"<annotations><meta><task>{LABELS}</task></meta>{''.join(each)}</annotations>"


def image(name: str, *shapes: str, size: str = 'width="40" height="24"', number: int = 0) -> str:
    return f'<image id="{number}" name="{name}" {size}>{"".join(shapes)}</image>'


def test_an_export_of_images(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_picture(tmp_path / "images" / "a.jpg")
    write_picture(tmp_path / "images" / "sub" / "b.jpg")
    shapes = (
        box(),
        box((10, 10, 30, 14), 'rotation="90.0"', "dog"),
        '<polygon label="cat" points="1.0,2.0;9.0,4.0;3.0,8.0"/>',
        '<ellipse label="cat" cx="20" cy="12" rx="6" ry="4"/>',
        '<mask label="cat" left="3" top="4" width="10" height="6" rle="1, 2"/>',
        '<tag label="cat"/>',
        '<points label="cat" points="1,1"/>',
    )
    (tmp_path / "annotations.xml").write_text(images(image("a.jpg", *shapes), image("sub/b.jpg")))
    data = read_dataset(tmp_path)
    first, second = data.samples
    assert data.labels == ("dog", "cat")
    np.testing.assert_allclose(
        first.boxes,
        [[4, 5, 20, 15], [18, 2, 22, 22], [1, 2, 9, 8], [14, 8, 26, 16], [3, 4, 13, 10]],
        atol=1e-5,
    )
    assert first.class_ids.tolist() == [1, 0, 1, 1, 1]
    assert (second.labelled, len(second.boxes)) == (True, 0)
    assert file_name(second.picture) == "b.jpg"
    assert "a points is not a box" in caplog.text
    assert "tag" not in caplog.text


@pytest.mark.parametrize(
    ("text", "error", "said"),
    [
        (images(image("a.jpg", box((4, 5, 4, 15)))), errors.BoxInvalid, "image 0 .*empty"),
        (images(image("a.jpg", box((4, 5, 64, 15)))), errors.BoxInvalid, "outside a.jpg"),
        (images(image("a.jpg", box(label="cow"))), errors.UnknownClass, "'cow' is not one of dog"),
        (images(image("a.jpg", '<box label="cat"/>')), errors.DatasetError, "xtl is missing"),
        (images(image("b.jpg")), errors.PictureUnreadable, "picture b.jpg is not there"),
        (images(image("a.jpg", size="")), errors.DatasetError, "width is missing"),
        (images(image("a.jpg", size='width="9" height="9"')), errors.DatasetError, "is 9x9 pixels"),
        (images(), errors.DatasetError, "size is missing"),
        ("<annotations>", errors.DatasetError, "line 1: not XML"),
    ],
)  # fmt: skip
def test_damage_is_named(
    tmp_path: Path, text: str, error: type[errors.DatasetError], said: str
) -> None:
    write_picture(tmp_path / "images" / "a.jpg")
    (tmp_path / "annotations.xml").write_text(text)
    with pytest.raises(error, match=said) as caught:
        read_dataset(tmp_path)
    assert type(caught.value) is error
    assert "annotations.xml" in caught.value.where


def track(*boxes: tuple[int, bool], number: int = 0) -> str:
    """A track with a box at each frame; its left edge is the frame's number."""
    rows = (
        box((frame, 5, 20, 15), f'frame="{frame}" outside="{int(outside)}" keyframe="1"')
        for frame, outside in boxes
    )
    return f'<track id="{number}" label="cat">{"".join(rows)}</track>'


def video_export(*tracks: str, start: int = 0, stop: int = 7, step: int = 1) -> str:
    return (
        f"<annotations><meta><task>{LABELS}<size>{(stop - start) // step + 1}</size>"
        f"<start_frame>{start}</start_frame><stop_frame>{stop}</stop_frame>"
        f"<frame_filter>step={step}</frame_filter>"
        "<original_size><width>40</width><height>24</height></original_size>"
        f"<source>clip.avi</source></task></meta>{''.join(tracks)}</annotations>"
    )


def frames_as_pictures(folder: Path) -> None:
    for frame in range(8):
        write_picture(folder / "images" / f"frame_{frame:06d}.jpg")


def frames_as_video(folder: Path) -> None:
    writer = cv2.VideoWriter(
        str(folder / "clip.avi"), cv2.VideoWriter.fourcc(*"MJPG"), 10, (40, 24)
    )
    for frame in range(8):
        writer.write(np.full((24, 40, 3), 30 * frame, np.uint8))
    writer.release()


@pytest.mark.parametrize("make", [frames_as_pictures, frames_as_video])
def test_boxes_of_a_track_are_taken_as_they_are_written(
    tmp_path: Path, make: Callable[[Path], None]
) -> None:
    """Known at 1, 2 and 5; nothing is known at 3 and 4; gone from 6 on."""
    make(tmp_path)
    text = video_export(track((1, False), (2, False), (5, False), (6, True)))
    (tmp_path / "annotations.xml").write_text(text)
    data = read_dataset(tmp_path)
    assert [len(each.boxes) for each in data.samples] == [0, 1, 1, 0, 0, 1, 0, 0]
    assert [each.labelled for each in data.samples] == [True] * 3 + [False] * 2 + [True] * 3
    assert [each.boxes[0, 0] for each in data.samples if len(each.boxes)] == [1, 2, 5]
    assert all(read_picture(sample).shape == (24, 40, 3) for sample in data.samples)


def test_two_tracks_and_every_second_frame(tmp_path: Path) -> None:
    frames_as_video(tmp_path)
    tracks = (track((2, False), (4, False), (6, True)), track((4, False), (6, False), number=1))
    (tmp_path / "annotations.xml").write_text(video_export(*tracks, start=2, stop=6, step=2))
    samples = read_dataset(tmp_path).samples
    assert [sample.picture for sample in samples] == [
        VideoFrame(tmp_path / "clip.avi", number) for number in (3, 5, 7)
    ]
    assert [len(sample.boxes) for sample in samples] == [1, 2, 1]
    assert all(sample.labelled for sample in samples)
    assert [round(read_picture(each).mean() / 30) for each in samples] == [2, 4, 6]


def test_a_track_that_goes_on_leaves_the_rest_unknown(tmp_path: Path) -> None:
    frames_as_video(tmp_path)
    (tmp_path / "annotations.xml").write_text(video_export(track((5, False))))
    assert [each.labelled for each in read_dataset(tmp_path).samples] == [True] * 6 + [False] * 2


def test_frames_outside_the_task_are_left_out(tmp_path: Path) -> None:
    frames_as_video(tmp_path)
    tracks = track((-(10**15), False), (2, False), (10**15, True))
    (tmp_path / "annotations.xml").write_text(video_export(tracks, stop=4))
    samples = read_dataset(tmp_path).samples
    assert [(each.labelled, len(each.boxes)) for each in samples] == [
        (False, 0),
        (False, 0),
        (True, 1),
        (False, 0),
        (False, 0),
    ]


@pytest.mark.parametrize(("start", "stop"), [(0, 10**12), (5, 2), (-3, 4)])
def test_a_task_of_impossible_frames(tmp_path: Path, start: int, stop: int) -> None:
    frames_as_video(tmp_path)
    (tmp_path / "annotations.xml").write_text(video_export(start=start, stop=stop))
    with pytest.raises(errors.DatasetError, match=f"go from {start} to {stop}"):
        read_dataset(tmp_path)


def test_without_frames_and_video(tmp_path: Path) -> None:
    (tmp_path / "annotations.xml").write_text(video_export(track((1, False))))
    with pytest.raises(errors.DatasetNotFound, match=r"neither the frames nor the video clip.avi"):
        read_dataset(tmp_path)


def test_a_frame_that_was_not_exported(tmp_path: Path) -> None:
    frames_as_pictures(tmp_path)
    (tmp_path / "images" / "frame_000003.jpg").unlink()
    (tmp_path / "annotations.xml").write_text(video_export())
    with pytest.raises(errors.PictureUnreadable, match="frame 3 is not among the pictures"):
        read_dataset(tmp_path)
