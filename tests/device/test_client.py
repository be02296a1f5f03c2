"""Programs on the device, as their authors would write them."""

from __future__ import annotations

import itertools
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from tartlet_device import Client
from tartlet_device.events.settings import EventSettings
from tartlet_shared import errors


@pytest.fixture
def serving(daemon: Any, push: Any, make_bundle: Any) -> Any:
    daemon.device.model.activate(push(daemon, make_bundle()))
    return daemon


BOX = (48, 32, 80, 64)


def pixels(kit: Any) -> Any:
    bgr = kit.picture(BOX)
    return np.ascontiguousarray(bgr[..., ::-1])


@pytest.mark.parametrize("kind", ["pixels", "path", "text", "bytes"])
def test_a_picture_may_be_given_in_many_ways(
    serving: Any, kit: Any, tmp_path: Path, kind: str
) -> None:
    rgb = pixels(kit)
    path = tmp_path / "mine.png"
    cv2.imwrite(str(path), rgb[..., ::-1])
    given = {"pixels": rgb, "path": path, "text": str(path), "bytes": path.read_bytes()}
    with Client(serving.path) as device:
        prediction = device.predict(given[kind])
    assert (prediction.width, prediction.height) == (128, 96)
    best = prediction.objects[0]
    assert (best.label, best.class_id) == ("bright", 0)
    assert best.score > 0.5
    assert BOX[0] - 16 <= best.box[0] < best.box[2] <= BOX[2] + 16
    assert prediction.frame is None
    assert prediction.timings.total > 0


def test_pixels_keep_their_colours(serving: Any) -> None:
    """They go to the daemon as they are: red is not blue."""
    from tartlet_device import client_results
    from tartlet_device.pictures import decode_picture

    rgb = np.zeros((8, 9, 3), np.uint8)
    rgb[..., 0], rgb[:4, :, 1] = 200, 77
    sent = client_results.encoded(rgb[:, ::-1])  # not contiguous either
    assert np.array_equal(decode_picture(sent, where=""), rgb[:, ::-1])


@pytest.mark.parametrize(
    "wrong",
    [
        np.zeros((4, 4), np.uint8),
        np.zeros((4, 4, 4), np.uint8),
        np.zeros((4, 4, 3), np.float32),
        np.zeros((0, 4, 3), np.uint8),
        [[1, 2, 3]],
        "/no/such/picture.jpg",
        b"no picture",
    ],
    ids=str,
)
def test_what_is_no_picture_is_refused(serving: Any, wrong: Any) -> None:
    with Client(serving.path) as device:
        with pytest.raises(errors.PictureUnreadable):
            device.predict(wrong)
        assert device.predict().objects  # and goes on


def test_the_camera_is_the_default(serving: Any) -> None:
    with Client(serving.path) as device:
        seen = device.predict(want_picture=True)
        assert seen.frame is not None
        assert seen.rgb().shape == (96, 128, 3)
        assert device.predict(score_threshold=1.0).objects == ()
        blind = device.predict()
        with pytest.raises(errors.PictureUnreadable):
            blind.rgb()


def test_photos(serving: Any) -> None:
    with Client(serving.path) as device:
        photo = device.capture()
        assert photo.objects is None
        assert photo.rgb().shape == (96, 128, 3)
        assert "jpeg" not in repr(photo)
        seen = device.capture(detect=True)
        assert [found.label for found in seen.objects or ()][:1] == ["bright"]
        numbers = [each.frame.number for each in device.burst(4)]
        assert all((b - a) % 5 == 1 for a, b in itertools.pairwise(numbers))


def test_watching_and_leaving_and_asking_again(serving: Any, until: Any) -> None:
    with Client(serving.path) as device:
        watched = device.watch(want_picture=True)
        first = next(each for each in watched if each.observation is not None)
        assert first.jpeg
        watched.close()  # type: ignore[attr-defined]
        # The stream that was left is on a connection of its own, which is gone.
        until(lambda: serving.device.continuous.report() is None)
        assert device.status().model is not None
        assert sum(1 for _ in device.watch(seconds=0.2)) >= 1
        assert device.status().camera == "replay"


def test_events(serving: Any, tmp_path: Path) -> None:
    from tests.device.events.made import began

    with Client(serving.path) as device:
        with pytest.raises(errors.DeviceError, match="not kept"):
            device.events()
        settings = EventSettings(enabled=True, folder=str(tmp_path / "events"))
        serving.device.keeper.apply(settings)
        for number in (1, 2):
            serving.device.keeper.recorder.log.begin(began(number))
        assert [each.record.sequence for each in device.events()] == [2, 1]
        assert device.events(rule="none") == ()


def test_errors_are_the_types_that_they_were(daemon: Any) -> None:
    with Client(daemon.path) as device:
        with pytest.raises(errors.NoActiveModel):
            device.predict()
        assert device.status().model is None
        daemon.device.camera.stop()
        with pytest.raises(errors.DeviceError, match="stopping"):
            device.capture()


def test_nobody_there(tmp_path: Path) -> None:
    with pytest.raises(errors.DaemonNotRunning), Client(tmp_path / "none.sock"):
        pass
    with pytest.raises(errors.DaemonNotRunning):
        Client(str(tmp_path / "none.sock")).status()


def test_a_daemon_that_was_restarted_is_found_again(daemon: Any, until: Any) -> None:
    import socket

    device = Client(daemon.path)
    assert device.status()
    for connection in list(daemon.server._connections):
        connection.shutdown(socket.SHUT_RDWR)
    with pytest.raises(errors.ConnectionLost):
        device.status()
    assert device.status()
    device.close()
    device.close()
    until(lambda: not daemon.server._connections)


def test_asking_for_it_loads_little() -> None:
    script = (
        "import sys, tartlet_device\n"
        "assert 'numpy' not in sys.modules and 'msgspec' not in sys.modules\n"
        "from tartlet_device import Client\n"
        "Client('/no/socket')\n"
        "heavy = {'cv2', 'av', 'sqlite3', 'tartlet_device.daemon', 'onnxruntime'}\n"
        "print(sorted(heavy & set(sys.modules)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_what_is_not_there_is_an_attribute_error() -> None:
    import tartlet_device

    with pytest.raises(AttributeError, match="Clinet"):
        tartlet_device.Clinet  # noqa: B018
