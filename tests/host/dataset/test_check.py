"""The whole check on pictures made here: copies, leakage, videos; and what it says as data."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from tartlet_device.preprocess import Picture
from tartlet_host.dataset import check as checking
from tartlet_host.dataset.check import CheckReport, as_data
from tartlet_host.dataset.findings import Finding, Place
from tartlet_host.dataset.keep_alike import alike_keys, join
from tartlet_host.dataset.sample import Dataset, Sample, VideoFrame
from tartlet_host.recipe import InputRecipe
from tartlet_shared import errors

WIDTH, HEIGHT = 160, 128


def scene(seed: int) -> Picture:
    """A picture like no other."""
    rng = np.random.default_rng(seed)
    rough = rng.integers(0, 255, (6, 8, 3), np.uint8)
    size = (WIDTH, HEIGHT)
    return np.asarray(cv2.resize(rough, size, interpolation=cv2.INTER_CUBIC), np.uint8)


def frame(number: int) -> Picture:
    """A frame of a fixed camera: one scene, a small thing that wanders."""
    picture = scene(99)
    x = 10 + number * 3 % 120
    picture[60:75, x : x + 10] = (255, 255, 0)
    return picture


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Sample]:
    """Writes a picture and labels one box in it."""

    def make(name: str, picture: Picture) -> Sample:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        assert cv2.imwrite(str(path), cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
        box = np.array([[10, 60, 60, 110]], np.float32)
        return Sample(path, WIDTH, HEIGHT, box, np.zeros(1, np.int64), np.zeros(1, np.bool_))

    return make


Write = Callable[..., Sample]


def check(train: list[Sample], validation: list[Sample] | None = None) -> CheckReport:
    datasets = {"train": Dataset(("x",), tuple(train))}
    if validation is not None:
        datasets["validation"] = Dataset(("x",), tuple(validation))
    return checking.check(datasets, canvas=InputRecipe(height=128, width=160), processes=0)


def of(kind: str, report: CheckReport) -> list[Finding]:
    return [each for each in report.findings if each.kind == kind]


def kinds(report: CheckReport) -> set[str]:
    return set(report.counts) - {"class-rare"}  # these data sets are small


def test_different_pictures_have_no_findings(write: Write) -> None:
    # Numbered like a camera's photos, which are no video.
    photos = [write(f"IMG_{k:04}.png", scene(k)) for k in range(20)]
    assert kinds(check(photos)) == set()
    assert kinds(check(photos[:15], photos[15:])) == set()


def test_copies_and_near_copies(write: Write) -> None:
    samples = [write(f"{name}.png", scene(k)) for k, name in enumerate("abcd")]
    copy = write("copy.png", scene(1))
    mirrored = write("mirrored.png", scene(2)[:, ::-1])
    darker = write("darker.png", (scene(2) * 0.9).astype(np.uint8))
    report = check([*samples, copy, mirrored, darker])
    (equal,) = of("duplicate", report)
    assert equal.places == (Place("train", 1), Place("train", 4))
    assert "b.png, copy.png" in equal.text
    (near,) = of("near-duplicate", report)
    assert near.places == (Place("train", 2), Place("train", 5), Place("train", 6))
    assert kinds(report) == {"duplicate", "near-duplicate"}


def test_a_copy_on_the_other_side(write: Write) -> None:
    train = [write(f"train/{name}.png", scene(k)) for k, name in enumerate("abc")]
    copy = write("validation/copy.png", scene(1))
    near = write("validation/near.png", scene(2)[:, ::-1])
    file = Path(str(train[0].picture))
    elsewhere = dataclasses.replace(train[0], picture=file.parent / ".." / "train" / file.name)
    report = check(train, [copy, near, elsewhere])
    (leak,) = of("leak", report)
    assert leak.places == (Place("train", 1), Place("validation", 0))
    assert "b.png" in leak.text
    (near_leak,) = of("near-leak", report)
    assert near_leak.places == (Place("train", 2), Place("validation", 1))
    (both,) = of("on-both-sides", report)
    assert both.level == "error"
    assert both.places == (Place("validation", 2),)
    assert report.number_of("error") == 1


def test_a_video_that_was_shuffled(write: Write) -> None:
    frames = [write(f"clip/{k:04}.png", frame(k)) for k in range(40)]
    (warning,) = of("video-shuffled", check(frames))
    assert "40 of 40 pictures are frames of one video" in warning.text
    # Alike as they are, frames of one video are no copies of each other.
    assert kinds(check(frames)) == {"video-shuffled"}

    shuffled = check(frames[::2], frames[1::2])
    (mixed,) = of("video-on-both-sides", shuffled)
    assert "20 of its 40" not in mixed.text
    assert "20 of its 20 validation frames" in mixed.text
    first, second = mixed.places
    assert (first.part, second.part) == ("train", "validation")
    assert kinds(shuffled) == {"video-on-both-sides"}


def test_a_video_that_was_cut_once(write: Write) -> None:
    frames = [write(f"clip/{k:04}.png", frame(k)) for k in range(40)]
    assert kinds(check(frames[:15], frames[18:])) == set()


def test_another_video_of_the_same_scene(write: Write) -> None:
    monday = [write(f"monday/{k:04}.png", frame(k)) for k in range(20)]
    tuesday = [write(f"tuesday/{k:04}.png", frame(k + 300)) for k in range(20)]
    (alike,) = of("near-leak", check(monday, tuesday))
    assert "20 of 20 validation pictures" in alike.text
    assert "monday" in alike.text
    assert "this very scene" in alike.hint


def test_frames_of_a_video_file(tmp_path: Path, write: Write) -> None:
    path = tmp_path / "clip.avi"
    fourcc = cv2.VideoWriter.fourcc(*"MJPG")
    writer = cv2.VideoWriter(str(path), fourcc, 10, (WIDTH, HEIGHT))
    for number in range(12):
        writer.write(cv2.cvtColor(scene(number), cv2.COLOR_RGB2BGR))
    writer.release()
    boxes = (np.array([[10, 60, 60, 110]], np.float32), np.zeros(1, np.int64), np.zeros(1, bool))
    frames = [Sample(VideoFrame(path, k), WIDTH, HEIGHT, *boxes) for k in range(1, 13)]
    report = check(frames)
    assert report.parts["train"].pictures.readable.all()
    # However its pictures change: a video file is a video.
    assert "video-shuffled" in kinds(report)


def test_blank_pictures(write: Write) -> None:
    blank = [
        write(f"{name}.png", np.full((HEIGHT, WIDTH, 3), value, np.uint8))
        for name, value in (("dark", 3), ("bright", 250))
    ]
    report = check([write("a.png", scene(0)), *blank])
    dark, bright = of("blank", report)
    assert "brightness 3" in dark.text
    assert "brightness 250" in bright.text
    # Nothing on two of them says that they are the same picture.
    assert kinds(report) == {"blank"}


def test_what_the_readers_found_is_said_as_well(write: Write) -> None:
    sample = write("a.png", scene(0))
    gone = write("gone.png", scene(1))
    Path(str(gone.picture)).write_bytes(b"\xff\xd8 no")
    problems = [
        errors.BoxInvalid("a box is empty", where="labels.json, annotation 4", hint="draw it"),
        errors.UnknownClass("class 'dgo'", where="b.txt, line 1", hint="spell it"),
        errors.DatasetError("no such line", where="c.txt", hint="look"),
        errors.PictureUnreadable("missing", where="d.png", hint="copy it"),
    ]
    dataset = Dataset(("x",), (sample, gone))
    report = checking.check({"train": dataset}, problems={"train": problems}, processes=0)
    assert report.counts["picture-unreadable"] == 2
    assert report.number_of("error") == 5
    for problem, kind in zip(
        problems,
        ("box-invalid", "unknown-class", "label-unreadable", "picture-unreadable"),
        strict=True,
    ):
        (said, *_) = of(kind, report)
        assert (said.where, said.text, said.hint) == (problem.where, problem.what, problem.hint)


def test_the_report_as_data(write: Write) -> None:
    train = [write(f"{name}.png", scene(k)) for k, name in enumerate("abc")]
    seen: list[tuple[int, int]] = []
    report = checking.check(
        {"train": Dataset(("x", "y"), tuple(train))},
        processes=0,
        progress=lambda done, total: seen.append((done, total)),
    )
    assert seen == [(1, 3), (2, 3), (3, 3)]
    data = json.loads(json.dumps(as_data(report)))
    assert data["parts"]["train"]["classes"] == {"x": 3, "y": 0}
    assert data["parts"]["train"]["with_boxes"] == 3
    assert data["canvas"] == [320, 256]
    assert data["errors"] == 0
    assert data["warnings"] == sum(data["counts"].values()) == len(data["findings"])
    assert {each["kind"] for each in data["findings"]} == {"class-never-seen", "class-rare"}
    assert all(each["hint"] and each["text"] for each in data["findings"])


def test_thumbnails_are_few_and_evenly_spread(write: Write) -> None:
    samples = [write(f"{k}.png", scene(k)) for k in range(9)]
    report = checking.check({"train": Dataset(("x",), tuple(samples))}, thumbnails=3, processes=0)
    assert sorted(report.parts["train"].thumbnails) == [0, 4, 8]


def test_an_empty_data_set_is_an_error() -> None:
    assert of("empty", check([]))[0].level == "error"


def test_pictures_that_are_alike_get_one_group(write: Write) -> None:
    samples = [write(f"{name}.png", scene(k)) for k, name in enumerate("abcd")]
    samples += [write("copy.png", scene(1)), write("mirrored.png", scene(2)[:, ::-1])]
    data = Dataset(("x",), tuple(samples))
    assert alike_keys(data) == [0, 1, 2, 3, 1, 2]
    # With groups of their own: those that share a picture become one.
    assert alike_keys(data, ["m", "m", "n", "n", "o", "p"]) == [0, 0, 2, 2, 0, 2]


def test_groups_that_overlap_are_one() -> None:
    assert join(6, [[0, 3], [4, 3], [1, 2]]) == [0, 1, 1, 0, 0, 5]
