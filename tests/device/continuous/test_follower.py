from __future__ import annotations

import numpy as np

from tartlet_device.camera.base import Frame
from tartlet_device.continuous.follower import Follower
from tartlet_device.continuous.pipeline import Seen
from tartlet_device.image import Image
from tartlet_device.tracking.settings import TrackingSettings
from tartlet_shared.detections import Detections
from tartlet_shared.messages import FrameInfo


class _Labels:
    """A loaded model, as far as tracking asks: its labels."""

    class bundle:  # noqa: N801
        class manifest:  # noqa: N801
            labels = ("spot",)


def test_the_clock_is_asked_about_once_a_second():
    asked = []

    def synchronized() -> bool:
        asked.append(None)
        return len(asked) > 1

    follower = Follower(TrackingSettings(), clock_synchronized=synchronized)
    image = Image.of(np.zeros((8, 8, 3), np.uint8))
    nothing = Detections(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, int))
    said = []
    for number in range(25):  # a tenth of a second apart
        frame = Frame(image, FrameInfo(number=number, monotonic_ns=number * 10**8))
        said.append(follower.take(Seen(frame, nothing, _Labels)).observation.clock_synchronized)
    assert len(asked) == 3
    assert said == [False] * 10 + [True] * 15
