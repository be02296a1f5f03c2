"""Reading frames of a video: OpenCV, which we use, against PyAV; CPU time, so that a busy machine
may run it.

PyAV is no dependency; without it (`pip install av`) there is nothing to compare.
"""

from __future__ import annotations

import contextlib
import importlib.util
import random
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import platformdirs

from benchmarks.row import Row
from tartlet_device.preprocess import Picture
from tartlet_host import footage
from tartlet_host.dataset import video

Reader = Callable[[Path, list[int]], list[Picture]]

GOAL = 0.9
"""PyAV's time over ours: below it, the faster one would be worth a dependency."""
_FRAMES = 120
_SEEKS = 6
_ROUNDS = 2


def run() -> list[Row]:
    """Two clips, each read in three ways; ``ratio`` is PyAV's CPU time over ours."""
    if importlib.util.find_spec("av") is None:
        print("video_decoding: PyAV is not installed (pip install av)", file=sys.stderr)
        return []
    clip = footage.fetch(platformdirs.user_cache_path("tartlet") / "footage")
    with tempfile.TemporaryDirectory() as folder:
        phone = Path(folder) / "h264.mp4"
        _encode(clip, phone, (1280, 720))
        return [*_rows("MPEG-4 768x576", clip), *_rows("H.264 1280x720", phone)]


def _rows(name: str, path: Path) -> list[Row]:
    everywhere = range(1, _FRAMES + 1)
    ways = {
        "every frame": list(everywhere),
        "every 5th frame": list(everywhere[::5]),
        "frames anywhere": random.Random(1).sample(everywhere, _SEEKS),
    }
    return [_row(f"{name}, {way}", path, numbers) for way, numbers in ways.items()]


def _row(name: str, path: Path, numbers: list[int]) -> Row:
    readers: tuple[Reader, Reader] = (_with_opencv, _with_pyav)
    ours, theirs = (read(path, numbers) for read in readers)
    worst = max(np.abs(a.astype(int) - b).mean() for a, b in zip(ours, theirs, strict=True))
    assert worst < 3, f"{name}: they read different frames"
    best = [float("inf")] * 2
    for _ in range(_ROUNDS):  # in turns, so that both see the same machine
        for place, read in enumerate(readers):
            started = time.process_time()
            read(path, numbers)
            best[place] = min(best[place], time.process_time() - started)
    ours_ms, theirs_ms = (seconds * 1000 / len(numbers) for seconds in best)
    return Row(
        name=f"{name}: OpenCV against PyAV, CPU time a frame",
        ours=ours_ms,
        rival=theirs_ms,
        ratio=theirs_ms / ours_ms,
        goal=GOAL,
        holds=theirs_ms / ours_ms >= GOAL,
        unit="ms",
    )


def _with_opencv(path: Path, numbers: list[int]) -> list[Picture]:
    with contextlib.closing(video.FrameReader()) as reader:
        return [reader.read(path, number) for number in numbers]


def _with_pyav(path: Path, numbers: list[int]) -> list[Picture]:
    import av

    found = []
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        assert stream.average_rate is not None
        assert stream.time_base is not None
        start, frames = stream.start_time or 0, container.decode(stream)
        before = 0
        for number in numbers:
            if not before < number <= before + video.LONGEST_SKIP:
                offset = round((number - 1) / stream.average_rate / stream.time_base)
                container.seek(start + offset, stream=stream)
                frames = container.decode(stream)
            for frame in frames:
                assert frame.pts is not None
                at = round((frame.pts - start) * stream.time_base * stream.average_rate) + 1
                if at >= number:
                    found.append(np.asarray(frame.to_ndarray(format="rgb24"), np.uint8))
                    break
            before = number
    return found


def _encode(source: Path, path: Path, size: tuple[int, int]) -> None:
    """A clip as phones and cameras write it: H.264, a key frame every ten seconds."""
    import av

    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"preset": "fast"})
        stream.width, stream.height = size
        stream.pix_fmt = "yuv420p"
        for _, rgb in video.read_frames(source, last=_FRAMES):
            frame = av.VideoFrame.from_ndarray(np.asarray(cv2.resize(rgb, size), np.uint8), "rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
