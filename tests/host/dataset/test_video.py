"""Reading footage: folders and videos give the same frames, damage is named, nothing is read twice
as often as the method needs."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tartlet_host.cli import cli
from tartlet_host.dataset import motion, video
from tartlet_host.dataset.motion import MotionSettings
from tartlet_shared import errors

COUNT = 9


def write_picture(path: Path, level: int, size: tuple[int, int] = (48, 64)) -> None:
    noise = np.random.default_rng(level).integers(0, 30, (*size, 3))
    assert cv2.imwrite(str(path), (noise + level).astype(np.uint8))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Nine grey frames, each 20 levels lighter than the one before, and a file that is none."""
    path = tmp_path_factory.mktemp("folder")
    for frame in range(COUNT):
        write_picture(path / f"{frame}.png", 20 * frame)
    (path / "notes.txt").write_text("not a picture")
    return path


@given(
    first=st.integers(1, COUNT + 3),
    last=st.none() | st.integers(1, COUNT + 3),
    step=st.integers(1, 4),
)
def test_a_range_is_what_python_calls_a_range(
    folder: Path, first: int, last: int | None, step: int
) -> None:
    end = COUNT if last is None else min(last, COUNT)
    read = list(video.read_frames(folder, first=first, last=last, step=step))
    assert [number for number, _ in read] == list(range(first, end + 1, step))
    for number, picture in read:
        assert picture.dtype == np.uint8
        assert round((picture.mean() - 14.5) / 20) == number - 1
    assert video.count_frames(folder, last=last) == end


def test_colours_are_red_green_blue(tmp_path: Path) -> None:
    picture = np.zeros((8, 8, 3), np.uint8)
    picture[:] = (200, 100, 0)  # what OpenCV writes is blue, green, red
    cv2.imwrite(str(tmp_path / "a.png"), picture)
    assert video.read_picture(tmp_path / "a.png")[0, 0].tolist() == [0, 100, 200]


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
@pytest.mark.parametrize("kept", [0.0, 0.02, 0.5, 0.95])
def test_a_truncated_picture_is_not_filled_up_with_grey(
    tmp_path: Path, suffix: str, kept: float
) -> None:
    path = tmp_path / f"a{suffix}"
    write_picture(path, 100, (240, 320))
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * kept)])
    with pytest.raises(errors.PictureUnreadable) as caught:
        video.read_picture(path)
    assert caught.value.where == str(path)


def test_frames_of_two_sizes_are_not_one_footage(tmp_path: Path) -> None:
    for frame in range(4):
        write_picture(tmp_path / f"{frame}.jpg", 50, (48, 64) if frame < 2 else (64, 48))
    with pytest.raises(
        errors.FootageUnreadable, match="48x64 pixels, those before it 64x48"
    ) as got:
        list(video.read_frames(tmp_path))
    assert got.value.where.endswith("2.jpg")


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--frames", "30-40"], 15, "the last one is 9"),
        (["--from-motion", "gone.avi"], 15, "no such file or folder"),
        (["--output", "{file}"], 2, "is a file"),
    ],
)
def test_the_command_refuses_before_it_writes(
    folder: Path, tmp_path: Path, arguments: list[str], code: int, said: str
) -> None:
    (tmp_path / "taken").write_text("mine")
    output = tmp_path / "data"
    given_ = [each.replace("{file}", str(tmp_path / "taken")) for each in arguments]
    command = ["label", "--from-motion", str(folder), "--output", str(output), *given_]
    result = CliRunner().invoke(cli, command)
    if isinstance(result.exception, errors.TartletError):
        assert (result.exception.exit_code, said in str(result.exception)) == (code, True)
    else:
        assert result.exit_code == code
        assert said in result.output
    assert not output.exists()
    assert (tmp_path / "taken").read_text() == "mine"


def test_long_footage_is_decoded_twice_and_sampled_ahead(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not once more for each window, which would take hours for an hour of footage."""
    for frame in range(60):
        write_picture(tmp_path / f"{frame:02d}.png", 80 if frame < 40 else 180)
    decoded: Counter[str] = Counter()
    decode = video.read_picture

    def counting(path: Path) -> video.Picture:
        decoded[path.name] += 1
        return decode(path)

    monkeypatch.setattr(video, "read_picture", counting)
    labelled = motion.label_footage(tmp_path, settings=MotionSettings(window=20, samples=10))
    # The light goes on at frame 41, where a new window with a background of its own begins.
    assert all(len(each.boxes) == 0 for each in labelled)
    assert [each.number for each in labelled] == list(range(1, 61))
    assert sum(decoded.values()) == 60 + 30
    assert max(decoded.values()) == 2


@pytest.mark.parametrize(("first", "last", "window", "samples"), [(1, 60, 25, 7), (4, 33, 20, 20)])
def test_every_window_learns_from_its_own_frames(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    first: int,
    last: int,
    window: int,
    samples: int,
) -> None:
    for frame in range(60):
        write_picture(tmp_path / f"{frame:02d}.png", 3 * frame, (16, 16))
    learned: list[list[int]] = []

    def learn(pictures: Iterator[video.Picture], settings: object) -> str:
        learned.append([round((picture.mean() - 14.5) / 3) + 1 for picture in pictures])
        return f"background {len(learned)}"

    monkeypatch.setattr(motion, "learn_background", learn)
    settings = MotionSettings(window=window, samples=samples)
    used = [
        (number, str(background))
        for number, _, background in motion._with_background(tmp_path, first, last, settings)
    ]
    assert [number for number, _ in used] == list(range(first, last + 1))
    for place, numbers in enumerate(learned):
        start = first + place * window
        own = [number for number, background in used if background == f"background {place + 1}"]
        assert own == list(range(start, min(start + window, last + 1)))
        assert numbers == sorted(set(numbers))  # none twice, in the order of time
        assert max(numbers) <= own[-1]
        assert min(numbers) >= max(first, own[-1] - window - window // samples)
        assert len(numbers) >= min(samples, len(own))


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Forty frames, each lighter than the one before, a key frame every twelfth."""
    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), 10, (64, 48))
    for frame in range(40):
        writer.write(np.full((48, 64, 3), 6 * frame, np.uint8))
    writer.release()
    return path


@pytest.fixture(scope="module")
def levels(clip: Path) -> dict[int, float]:
    """How light each frame is; the codec rounds, but to forty different levels."""
    found = {number: float(picture.mean()) for number, picture in video.read_frames(clip)}
    assert len(set(found.values())) == 40
    return found


@pytest.mark.parametrize("longest_skip", [0, 5, 100])
@given(numbers=st.lists(st.integers(1, 40), min_size=1, max_size=8))
@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_frames_are_found_in_any_order(
    clip: Path,
    levels: dict[int, float],
    monkeypatch: pytest.MonkeyPatch,
    longest_skip: int,
    numbers: list[int],
) -> None:
    """Whether the reader decodes on or jumps."""
    monkeypatch.setattr(video, "LONGEST_SKIP", longest_skip)
    with contextlib.closing(video.FrameReader()) as reader:
        read = [float(reader.read(clip, number).mean()) for number in numbers]
    assert read == [levels[number] for number in numbers]


def test_a_reader_goes_from_one_video_to_another(
    clip: Path, levels: dict[int, float], tmp_path: Path
) -> None:
    other = tmp_path / "other.mp4"
    other.write_bytes(clip.read_bytes())
    with contextlib.closing(video.FrameReader()) as reader:
        for path, number in ((clip, 3), (other, 3), (other, 4), (clip, 4)):
            assert float(reader.read(path, number).mean()) == levels[number]


@pytest.mark.parametrize("number", [41, 1000])
def test_a_frame_beyond_the_end_is_named(clip: Path, number: int) -> None:
    with pytest.raises(errors.FootageUnreadable, match=f"frame {number} cannot be decoded"):
        video.read_frame(clip, number)


def test_the_size_of_frames(clip: Path) -> None:
    assert video.frame_size(clip) == (64, 48)
