"""Photos, clips and events from a device, over a real SSH server that is cut, stopped, started."""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import msgspec
import numpy as np
import pytest

pytest.importorskip("av", reason="PyAV, the extra `video`, is not installed")

from tartlet_device.config import DeviceConfig, ReplaySettings
from tartlet_host.remote import inventory, probe
from tartlet_host.remote.embedded import EmbeddedDevice
from tartlet_shared import errors
from tartlet_shared.bundle import Bundle

pytestmark = pytest.mark.system

Run = Callable[..., tuple[int, str, str]]
SIZE = (192, 128)
THIRDS = ((220, 30, 30), (30, 200, 30), (40, 40, 230))
"""Red, green, blue, from the left, in the upper half; not what a bright spot is."""

EVENTS = """
[detection]
enabled = true
[tracking.tracker]
lost_s = 0.5
[[tracking.rules]]
name = "spot"
frames = 2
end_after_s = 0.3
[events]
enabled = true
folder = "{folder}"
[events.video]
clips = true
before_s = 0.5
after_s = 0.5
"""


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="session")
def moving(tmp_path_factory: pytest.TempPathFactory) -> ReplaySettings:
    """Twenty frames a second: colours above, and below a bright spot that is there half the time.

    How dark the lower left corner is tells the frame's number.
    """
    folder = tmp_path_factory.mktemp("moving")
    for number in range(1, 41):
        rgb = np.full((SIZE[1], SIZE[0], 3), 20, np.uint8)
        for third, colour in enumerate(THIRDS):
            rgb[:64, 64 * third : 64 * (third + 1)] = np.array(colour) // 2
        rgb[96:, :32] = 2 * number
        if number <= 20:
            rgb[80:112, 96:128] = 255
        assert cv2.imwrite(str(folder / f"{number:02}.png"), rgb[..., ::-1])
    return ReplaySettings(path=str(folder), rate=20.0)


@pytest.fixture(scope="module")
def filmed(moving: ReplaySettings, bundle: Bundle, helpers: Any) -> Iterator[EmbeddedDevice]:
    """A device that sees it, with a model."""
    with EmbeddedDevice(moving) as device:
        helpers.push(device, bundle)
        yield device


def as_json(run: Run, embedded: EmbeddedDevice, *words: object) -> Any:
    code, out, err = run(embedded.config_dir, *words, "--json")
    assert code == 0, err
    return json.loads(out)


def decoded(path: Path) -> list[tuple[float, Any]]:
    import av

    with av.open(str(path)) as container:
        return [
            (float(frame.pts * frame.time_base) * 1000, frame.to_ndarray(format="rgb24"))
            for frame in container.decode(video=0)
        ]


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def number_in(picture: Any) -> float:
    return float(picture[100:124, 4:28].mean()) / 2


def check_clip(path: Path) -> list[dict[str, Any]]:
    """A clip and its track agree; returns the track."""
    pictures, track = decoded(path), lines(path.with_suffix(".jsonl"))
    assert len(pictures) == len(track) > 0
    for (time_ms, picture), line in zip(pictures, track, strict=True):
        assert abs(time_ms - line["time_ms"]) < 0.01
        assert abs(number_in(picture) - line["frame"]) < 1.5
    assert not [each for each in Path().iterdir() if each.name.startswith(".")]
    return track


def begin(embedded: EmbeddedDevice, *words: object) -> subprocess.Popen[str]:
    """A command that goes on until it is stopped."""
    return subprocess.Popen(
        [sys.executable, "-m", "tartlet_host.cli", *map(str, words)],
        env={**os.environ, inventory.CONFIG_DIR_VARIABLE: str(embedded.config_dir)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.02)


def test_a_clip_is_what_the_camera_saw(filmed: EmbeddedDevice, run: Run) -> None:
    said = as_json(run, filmed, "record", "--seconds", "2.5", "-o", "clip.mp4")
    track = check_clip(Path("clip.mp4"))
    assert said["frames"] == len(track)
    assert said["bytes"] == Path("clip.mp4").stat().st_size
    assert 1.5 < said["seconds"] <= 2.5
    _, picture = decoded(Path("clip.mp4"))[-1]
    assert picture.shape == (128, 192, 3)
    for third, colour in enumerate(THIRDS):
        middle = picture[16:48, 64 * third + 16 : 64 * third + 48].mean(axis=(0, 1))
        assert np.abs(middle - np.array(colour) // 2).max() < 8
    # The spot is where it is, in those frames that the model looked at.
    looked = [line for line in track if line["tracks"] is not None]
    assert len(looked) == said["looked_at"] > 0
    for line in looked:
        for seen in line["tracks"]:
            assert seen["label"] == probe.LABEL
            assert line["frame"] <= 20
            left, top, right, bottom = seen["xyxy"]
            assert left <= 112 <= right
            assert top <= 96 <= bottom
    assert any(line["tracks"] for line in looked)


def test_fewer_frames_and_without_the_model(filmed: EmbeddedDevice, run: Run) -> None:
    said = as_json(
        run, filmed, "record", "--seconds", "2", "--fps", "5", "--no-detect", "-o", "slow.mp4"
    )
    track = check_clip(Path("slow.mp4"))
    assert len(track) <= 11
    assert {line["tracks"] for line in track} == {None}
    assert said["looked_at"] == 0
    times = [line["time_ms"] for line in track]
    assert min(after - before for before, after in itertools.pairwise(times)) > 150


def test_ctrl_c_ends_a_recording_with_a_whole_clip(filmed: EmbeddedDevice) -> None:
    recording = begin(filmed, "record", "-o", "clip.mp4")
    until(lambda: list(Path().glob(".clip.mp4.*/clip.mp4")))
    time.sleep(1.5)
    recording.send_signal(signal.SIGINT)
    out, err = recording.communicate(timeout=30)
    assert recording.returncode == 0, err
    assert "clip.mp4" in out
    assert check_clip(Path("clip.mp4"))[-1]["time_ms"] > 1000


def test_a_connection_that_ends_leaves_what_came(start: Any, moving: Any, run: Run) -> None:
    device = start(camera=moving)
    recording = begin(device, "record", "-o", "clip.mp4")
    until(lambda: list(Path().glob(".clip.mp4.*/clip.mp4")))
    time.sleep(1.0)
    device.stop_daemon()
    _, err = recording.communicate(timeout=60)
    assert recording.returncode == errors.ConnectionLost.exit_code
    assert "until then" in err
    assert check_clip(Path("clip.mp4"))[-1]["time_ms"] > 500


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["record", "-o", "clip.avi"], ".mp4"),
        (["record", "--fps", "100"], "100"),
        (["record", "--seconds", "0"], "0"),
        (["capture", "--every", "soon"], "10s, 5m"),
        (["capture", "--for", "2h"], "--every"),
        (["capture", "--boxes", "--no-detect"], "exclude"),
        (["capture", "-o", "photo.png"], ".jpg"),
        (["events", "--since", "soon"], "yesterday"),
    ],
)
def test_what_makes_no_sense_is_said(
    filmed: EmbeddedDevice, run: Run, words: list[str], says: str
) -> None:
    code, out, err = run(filmed.config_dir, *words)
    assert code == errors.UsageError.exit_code
    assert says in err
    assert out == ""
    assert list(Path().iterdir()) == [Path("home")]


def test_a_photo_has_what_was_seen_in_it(filmed: EmbeddedDevice, run: Run) -> None:
    for _ in range(40):
        said = as_json(run, filmed, "capture", "--boxes")
        (photo,) = said["photos"]
        beside = json.loads(Path("photo.json").read_text())
        assert photo["detections"] == beside["detections"]
        if beside["detections"]:
            break
    (found,) = beside["detections"]
    assert found["label"] == probe.LABEL
    left, top, right, bottom = found["box"]
    assert left <= 112 <= right
    assert top <= 96 <= bottom
    assert cv2.imread("photo.jpg").shape == (128, 192, 3)  # type: ignore[union-attr]
    plain = as_json(run, filmed, "capture", "--no-detect", "-o", "plain.jpg")
    assert "detections" not in plain["photos"][0]
    assert not Path("plain.json").exists()


def test_bursts_into_one_folder_write_nothing_over(filmed: EmbeddedDevice, run: Run) -> None:
    for _ in range(3):
        as_json(run, filmed, "capture", "-n", "30", "-o", "many")
    assert len(list(Path("many").glob("*.jpg"))) == 90
    assert not list(Path("many").glob("*.json"))


def test_boxes_without_a_model_are_explained(shared: EmbeddedDevice, run: Run) -> None:
    code, _, err = run(shared.config_dir, "capture", "--boxes")
    assert code == 0
    assert "no model serves" in err


def test_a_time_lapse_outlives_a_daemon_that_was_away(start: Any, moving: Any) -> None:
    device = start(camera=moving)
    lapse = begin(device, "capture", "--every", "200ms", "-o", "day")

    def photos() -> int:
        return len(list(Path("day").glob("[!.]*.jpg")))

    until(lambda: photos() >= 3)
    device.stop_daemon()
    time.sleep(0.5)
    device.restart_daemon()
    before = photos()
    until(lambda: photos() >= before + 3)
    lapse.send_signal(signal.SIGINT)
    out, err = lapse.communicate(timeout=30)
    assert lapse.returncode == 0, err
    assert "trying again" in err
    assert "works again" in err
    assert "missed" in out
    for path in Path("day").iterdir():
        assert cv2.imread(str(path)) is not None  # whole, and nothing else


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the device keeps its events."""
    return tmp_path_factory.mktemp("kept")


@pytest.fixture(scope="module")
def eventful(
    moving: ReplaySettings, bundle: Bundle, helpers: Any, kept: Path
) -> Iterator[EmbeddedDevice]:
    """A device that keeps events, two of which are over, with their clips."""
    settings = msgspec.toml.decode(EVENTS.format(folder=kept), type=DeviceConfig)
    with EmbeddedDevice(moving, settings=settings) as device:
        helpers.push(device, bundle)
        until(lambda: len(list((kept / "clips").glob("*.mp4"))) >= 2)
        yield device


def test_events_are_listed_and_fetched(eventful: EmbeddedDevice, run: Run, kept: Path) -> None:
    code, out, _ = run(eventful.config_dir, "events")
    assert code == 0
    heading, *rows = out.splitlines()
    assert heading.split() == [
        "when",
        "rule",
        "label",
        "zone",
        "duration",
        "score",
        "picture",
        "clip",
    ]
    assert f"spot  {probe.LABEL}" in rows[0]
    assert rows[0].split()[-2:] == ["yes", "yes"]
    assert run(eventful.config_dir, "events", "--label", "dog")[1] == "no events\n"
    assert run(eventful.config_dir, "events", "--until", "1h")[1] == "no events\n"
    (one,) = as_json(run, eventful, "events", "--limit", "1")["events"]
    assert one["sequence"] >= 2

    pulled = as_json(run, eventful, "events", "--rule", "spot", "--since", "1h", "--pull", "got")
    assert pulled["pulled"]["files"] >= 6
    for path in (Path("got") / "pictures").glob("*.jpg"):
        assert cv2.imread(str(path)) is not None
        assert json.loads(path.with_suffix(".json").read_text())["rule"] == "spot"
    clips = sorted((Path("got") / "clips").glob("*.mp4"))
    assert len(clips) >= 2
    for path in clips:
        assert len(decoded(path)) > 5
        assert path.read_bytes() == (kept / "clips" / path.name).read_bytes()
    again = as_json(run, eventful, "events", "--until", "3s", "--pull", "got")["pulled"]
    assert again["present"] >= 4


def test_a_transfer_that_is_cut_is_gone_on_with(
    eventful: EmbeddedDevice, run: Run, relay: Any, kept: Path, tmp_path: Path
) -> None:
    """Each connection ends after a bit more than a megabyte."""
    clip = min((kept / "clips").glob("*.mp4"))
    before = clip.read_bytes()
    content = np.random.default_rng(1).bytes(3_000_000)
    way = relay(eventful.device.port, None, 1_200_000)
    device = replace(eventful.device, port=way.port)
    inventory.save(tmp_path / "devices.toml", {device.name: device})
    clip.write_bytes(content)
    try:
        code, out, err = run(tmp_path, "events", "--pull", "got")
    finally:
        clip.write_bytes(before)
    assert code == 0, err
    assert "trying again" in err
    assert " files (" in out
    assert (Path("got") / "clips" / clip.name).read_bytes() == content
    assert way.cuts >= 2
    assert not list(Path("got").rglob("*.part"))


def test_where_no_events_are_kept_it_says_what_to_do(filmed: EmbeddedDevice, run: Run) -> None:
    code, out, err = run(filmed.config_dir, "events")
    assert code == errors.DeviceError.exit_code
    assert "[events]" in err
    assert out == ""
