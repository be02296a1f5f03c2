from __future__ import annotations

import gc
import io
import itertools
import json
from pathlib import Path

import cv2
import msgspec
import numpy as np
import pytest
from PIL import Image as PilImage

from tartlet_device.camera.base import Frame
from tartlet_device.events.exif import with_comment
from tartlet_device.events.inbox import Inbox, Seen
from tartlet_device.events.picture import PictureNote, ascii_json
from tartlet_device.events.recorder import Recorder
from tartlet_device.events.settings import EventSettings, StorageSettings, VideoSettings
from tartlet_device.image import Image
from tartlet_device.pictures import encode_jpeg
from tartlet_shared import errors
from tartlet_shared.event_record import EventQuery
from tartlet_shared.messages import FrameInfo
from tartlet_shared.observation import Observation, Track
from tests.device.events.made import began, ended

SECOND = 10**9
RATE = 10
USER_COMMENT, EXIF_FOLDER = 0x9286, 0x8769


class Scene:
    """A camera's frames, ten a second, with one track whose score is told."""

    def __init__(self, recorder: Recorder) -> None:
        self.recorder = recorder
        self.number = 0

    @property
    def now_ns(self) -> int:
        return self.number * SECOND // RATE

    def frames(self, count: int, score: float | None = None, track_id: int = 1) -> None:
        for _ in range(count):
            self.number += 1
            pixels = np.full((64, 96, 3), 40 + 8 * (self.number % 24), np.uint8)
            info = FrameInfo(number=self.number, monotonic_ns=self.now_ns)
            tracks = ()
            if score is not None:
                tracks = (
                    Track(
                        track_id=track_id,
                        label="person",
                        score=score,
                        xyxy=(1, 2, 30, 40),
                        frames=1,
                        since_ns=0,
                    ),
                )
            observation = Observation(
                frame=info,
                time_s=1000 + self.number / RATE,
                clock_synchronized=True,
                width=96,
                height=64,
                tracks=tracks,
            )
            self.recorder._handle(Seen(Frame(Image.of(pixels), info), observation))

    def begin(self, number: int, **fields):
        event = began(number, monotonic_ns=self.now_ns, **({"track_id": 1} | fields))
        self.recorder._handle(event)
        return event

    def end(self, event) -> None:
        self.recorder._handle(ended(event, monotonic_ns=self.now_ns))


def settings(folder: Path, **video) -> EventSettings:
    return EventSettings(
        folder=str(folder),
        storage=StorageSettings(keep_free_mb=1),
        video=VideoSettings(
            **({"clips": True, "before_s": 2.0, "after_s": 1.0, "encoder": "software"} | video)
        ),
    )


@pytest.fixture
def record(tmp_path):
    """Start a recorder whose thread is the test."""
    opened = []

    def record(**video) -> Scene:
        pytest.importorskip("av", reason="PyAV, the extra `video`, is not installed")
        opened.append(Recorder(settings(tmp_path, **video)))
        return Scene(opened[-1])

    yield record
    for each in opened:
        each.stop()


def records(scene: Scene):
    return scene.recorder.log.listed(EventQuery())


def played(path: Path) -> list[int]:
    video = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
    numbers = []
    while True:
        done, picture = video.read()
        if not done:
            video.release()
            return numbers
        numbers.append(round((float(picture.mean()) - 40) / 8))


def levels(first: int, last: int) -> list[int]:
    return [number % 24 for number in range(first, last + 1)]


def test_a_clip_shows_some_seconds_before_and_after_its_event(record, tmp_path):
    scene = record()
    scene.frames(41)
    event = scene.begin(1)  # at frame 41; two seconds before are frame 21, a key frame
    scene.frames(10)
    scene.end(event)  # at frame 51
    scene.frames(15)
    (entry,) = records(scene)
    path = tmp_path / "clips" / f"{entry.clip}.mp4"
    assert played(path) == levels(21, 60)
    lines = [json.loads(line) for line in path.with_suffix(".jsonl").read_text().splitlines()]
    assert [line["frame"] for line in lines] == list(range(21, 61))
    assert lines[0]["time_ms"] == 0
    assert lines[10]["time_ms"] == pytest.approx(1000)


def test_what_was_seen_is_held_no_longer_than_its_video(record):
    def observations() -> int:
        gc.collect()
        return sum(type(each) is Observation for each in gc.get_objects())

    scene, before = record(before_s=2.0), observations()
    scene.frames(600, score=0.5)
    # The group of pictures that reaches back two seconds, and what the encoder has not given yet.
    assert observations() - before <= (2 + 1) * RATE + 5


def test_events_that_overlap_share_a_clip_that_lasts_as_long_as_any(record, tmp_path):
    scene = record()
    scene.frames(21)
    first = scene.begin(1)
    scene.frames(10)
    second = scene.begin(2)
    scene.frames(5)
    scene.end(first)
    scene.frames(30)
    scene.end(second)
    scene.frames(20)
    assert {entry.clip for entry in records(scene)} == {records(scene)[0].name}
    assert [path.name for path in (tmp_path / "clips").glob("*.mp4")] == [
        f"{records(scene)[0].name}.mp4"
    ]
    assert played(next((tmp_path / "clips").glob("*.mp4"))) == levels(1, 75)


def test_an_event_that_begins_soon_after_another_goes_on_with_its_clip(record, tmp_path):
    scene = record()
    scene.frames(21)
    scene.end(scene.begin(1))
    scene.frames(5)  # within the second after it
    second = scene.begin(2)
    scene.frames(20)
    scene.end(second)
    scene.frames(20)
    assert len({entry.clip for entry in records(scene)}) == 1
    assert played(next((tmp_path / "clips").glob("*.mp4"))) == levels(1, 55)


def test_a_clip_ends_at_its_longest_whatever_the_event_does(record, tmp_path):
    scene = record(longest_s=5.0)
    scene.frames(1)
    scene.begin(1)
    scene.frames(100)
    (path,) = (tmp_path / "clips").glob("*.mp4")
    assert played(path) == levels(1, 51)


def test_a_camera_that_is_faster_than_the_rate_is_thinned_evenly(record, tmp_path):
    scene = record(rate=4.0, longest_s=5.0)
    scene.frames(1)
    event = scene.begin(1)
    scene.frames(20)
    scene.end(event)
    scene.recorder.stop()
    (path,) = (tmp_path / "clips").glob("*.mp4")
    shown = played(path)
    # Ten a second, of which every second or third.
    assert 8 <= len(shown) <= 9
    assert {after - before for before, after in itertools.pairwise(shown)} <= {2, 3}


def test_continuous_footage_leaves_no_frame_out(record, tmp_path):
    scene = record(clips=False, continuous=True, longest_s=5.0)
    scene.frames(130)
    scene.recorder.stop()
    paths = sorted((tmp_path / "continuous").glob("*.mp4"))
    assert [path.stem for path in paths] == ["0000000001", "0000000002", "0000000003"]
    assert [number for path in paths for number in played(path)] == levels(1, 130)


def test_the_picture_is_the_frame_in_which_it_was_seen_best(record, tmp_path):
    scene = record(clips=False)
    scene.frames(1, score=0.5)
    event = scene.begin(1)
    (entry,) = records(scene)
    path = tmp_path / "pictures" / f"{entry.picture}.jpg"
    first = path.read_bytes()  # there at once
    scene.frames(1, score=0.9)
    scene.frames(1, score=0.99, track_id=2)  # somebody else
    scene.frames(1, score=0.7)
    scene.end(event)
    assert path.read_bytes() != first
    picture = PilImage.open(path)
    assert round((np.asarray(picture).mean() - 40) / 8) == 2
    comment = picture.getexif().get_ifd(EXIF_FOLDER)[USER_COMMENT]
    assert comment.startswith(b"ASCII\0\0\0")
    beside = path.with_suffix(".json").read_bytes()
    for text in (comment[8:], beside):
        note = msgspec.json.decode(text, type=PictureNote)
        assert note.event_id == event.event_id
        assert note.observation.frame.number == 2
        assert note.observation.tracks[0].score == 0.9
    (entry,) = records(scene)  # the picture shows what the log says
    shown = note.observation.tracks[0]
    assert (entry.best_frame, entry.best_score, entry.best_xyxy) == (2, 0.9, shown.xyxy)


def test_without_an_encoder_events_have_pictures_and_no_clips(tmp_path):
    def missing(*_):
        raise errors.DeviceError("no encoder here", where="encoder")

    recorder = Recorder(settings(tmp_path), encoder=missing)
    scene = Scene(recorder)
    scene.frames(3, score=0.5)
    scene.end(scene.begin(1))
    (entry,) = records(scene)
    assert entry.picture is not None
    assert entry.clip is None
    assert "no encoder here" in recorder.faults["video"]
    recorder.stop()


def test_a_disk_that_is_full_in_the_middle_of_a_clip_leaves_what_was_written(
    record, tmp_path, monkeypatch
):
    scene = record()
    scene.frames(1)
    scene.begin(1)
    scene.frames(25)

    def full(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as broken:
        broken.setattr("tartlet_device.events.clip._sync_data", full)
        scene.frames(20)
    assert "No space" in scene.recorder.faults["recordings"]
    (path,) = (tmp_path / "clips").glob("*.mp4")
    assert played(path)[:20] == levels(1, 20)
    assert not list((tmp_path / "clips").glob("*.part"))


def test_with_its_own_thread_it_keeps_all_that_was_handed_over(tmp_path, until):
    recorder = Recorder(settings(tmp_path, clips=False))
    recorder.start()
    events = [began(number) for number in range(1, 51)]
    for event in events:
        recorder.event(event)
    for event in events:
        recorder.event(ended(event))
    until(lambda: [each.ended_by for each in recorder.log.listed(EventQuery())] == ["rule"] * 50)
    assert recorder.alive(60)
    recorder.stop()
    assert not recorder.alive(60)
    recorder.event(began(60))  # after the end nothing happens, and nothing fails
    assert recorder.faults == {}


def test_the_inbox_drops_the_oldest_frames_and_keeps_events():
    def seen(number: int) -> Seen:
        info = FrameInfo(number=number, monotonic_ns=number)
        return Seen(Frame(Image.of(np.zeros((2, 2, 3), np.uint8)), info), None)

    inbox = Inbox(most_frames=2, most_events=3)
    for number in range(1, 6):
        inbox.put(seen(number))
        inbox.put(began(number))
    assert (inbox.dropped_frames, inbox.dropped_events) == (3, 2)
    inbox.close()
    inbox.put(began(9))
    items = []
    while (item := inbox.get(0)) is not None:
        items.append(item.frame.info.number if isinstance(item, Seen) else item.track_id)
    assert items == [1, 2, 3, 4, 5]
    assert inbox.done


@pytest.mark.parametrize("text", ["", "plain", "Käse", "\U0001f408 cat", '"quoted\\"'])
def test_json_is_the_same_in_ascii(text):
    content = msgspec.json.encode({"label": text})
    ascii_ = ascii_json(content)
    assert ascii_.isascii()
    assert json.loads(ascii_) == {"label": text}


def test_a_comment_does_not_change_the_picture():
    picture = np.random.default_rng(1).integers(0, 255, (16, 16, 3), np.uint8)
    jpeg = encode_jpeg(picture, 90)
    commented = with_comment(jpeg, "hello")
    before, after = (np.asarray(PilImage.open(io.BytesIO(each))) for each in (jpeg, commented))
    assert np.array_equal(before, after)
    for wrong in (b"PNG", b""):
        with pytest.raises(ValueError, match="JPEG"):
            with_comment(wrong, "hello")
    with pytest.raises(ValueError, match="at most"):
        with_comment(jpeg, "x" * 65_000)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("most = 0", "most"),
        ("colour = 1", "colour"),
        ("[video]\nrate = 0", "rate"),
        ("[video]\nlongest_s = 4.0", "longest_s"),
        ("[video]\nencoder = 'magic'", "encoder"),
        ("[storage]\nclips_mb = -1", "clips_mb"),
    ],
)
def test_a_setting_that_makes_no_sense_is_refused_by_name(text, named):
    with pytest.raises(msgspec.ValidationError, match=named):
        msgspec.toml.decode(text, type=EventSettings)


def test_every_setting_is_documented():
    text = (Path(__file__).parents[3] / "docs" / "events.md").read_text()
    for section in (EventSettings, VideoSettings, StorageSettings):
        for key in section.__struct_fields__:
            if key not in ("video", "storage"):
                assert f"`{key}`" in text, key
