"""Child processes: the early ones, and what they say."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tartlet_device.camera import frame_memory
from tartlet_device.camera.process_messages import Pixels, Retrieved
from tartlet_device.child import inside
from tartlet_device.child.early import EarlyChildren
from tartlet_device.image import Image, RgbPixels, YuvPixels
from tartlet_shared import errors

WAITS = (sys.executable, "-c", "import sys; sys.stdin = None\nimport time\ntime.sleep(600)")


def test_early_children_are_handed_out_once_and_ended_if_nobody_needs_them() -> None:
    children = EarlyChildren(WAITS)
    first = children(WAITS)
    second = children(WAITS)
    assert first.pid != second.pid
    first.bury()
    second.bury()
    unused = EarlyChildren(WAITS)
    (waiting,) = unused._waiting.values()
    unused.close()
    assert not Path(f"/proc/{waiting.pid}").exists()


def test_a_child_that_does_not_start_early_is_tried_again_when_needed() -> None:
    missing = ("/no/such/program",)
    children = EarlyChildren(missing)
    with pytest.raises(OSError, match="No such file"):
        children(missing)
    children.close()


def _planes(width: int, height: int) -> YuvPixels:
    random = np.random.default_rng(width * height)
    return YuvPixels(random.integers(0, 256, (height * 3 // 2, width), np.uint8), "YUV420")


@pytest.mark.parametrize(
    ("full", "small"),
    [
        (_planes(64, 48), None),
        (_planes(64, 48), _planes(16, 12)),
        (None, _planes(16, 12)),
        (RgbPixels(np.full((5, 7, 3), 9, np.uint8)), None),
        (RgbPixels(np.full((5, 7, 3), 9, np.uint8)), _planes(2, 2)),
    ],
)
def test_a_frame_comes_out_as_it_went_in(full: Any, small: Any) -> None:
    described, descriptor = frame_memory.write(Image((7, 5), full, small))
    found = frame_memory.read(described, descriptor)
    os.close(descriptor)
    assert found.size == (7, 5)
    for ours, theirs in ((found.full, full), (found.small, small)):
        assert (ours is None) == (theirs is None)
        if ours is not None:
            assert type(ours) is type(theirs)
            for name in ("pixels", "planes"):
                if hasattr(ours, name):
                    np.testing.assert_array_equal(getattr(ours, name), getattr(theirs, name))
                    with pytest.raises(ValueError):
                        getattr(ours, name)[0] = 1


def test_nobody_can_change_a_frame_any_more() -> None:
    described, descriptor = frame_memory.write(Image((64, 48), _planes(64, 48)))
    with pytest.raises(PermissionError):
        os.pwrite(descriptor, b"x", 0)
    with pytest.raises(PermissionError):
        os.ftruncate(descriptor, 1)
    os.close(descriptor)
    assert described.full == Pixels("YUV420", 64, 48)


@pytest.mark.parametrize(
    "told",
    [
        Retrieved((64, 48), None, None),
        Retrieved((64, 48), Pixels("YUV420", 64, 50), None),
        Retrieved((64, 48), Pixels("YUV420", 63, 49), None),
        Retrieved((64, 48), Pixels("YUV420", -64, -48), None),
        Retrieved((0, 48), Pixels("YUV420", 64, 48), None),
        Retrieved((64, 48), None, Pixels("RGB", 64, 24)),
        Retrieved((64, 48), Pixels("NV12", 2**40, 2**40), None),
    ],
)
def test_a_frame_that_is_told_wrongly_is_refused(told: Retrieved) -> None:
    _, descriptor = frame_memory.write(Image((64, 48), _planes(64, 48)))
    with pytest.raises(errors.DeviceError) as caught:
        frame_memory.read(told, descriptor)
    os.close(descriptor)
    assert "try again" in caught.value.hint


@pytest.mark.parametrize(("free_mb", "fails"), [(20, True), (500, False)])
def test_a_limited_child_gets_only_memory_that_is_free(
    tmp_path: Path, free_mb: int, fails: bool
) -> None:
    (tmp_path / "self").mkdir()
    (tmp_path / "meminfo").write_text(f"MemTotal: 1 kB\nMemAvailable: {free_mb * 1024} kB\n")
    code = f"""
import shutil
from pathlib import Path
from tartlet_device.child import inside
shutil.copyfile("/proc/self/status", {str(tmp_path / "self" / "status")!r})
inside.limit_memory(process=Path({str(tmp_path)!r}))
try:
    bytearray(64 << 20)
except MemoryError:
    print("too much")
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout == ("too much\n" if fails else "")


def test_where_nobody_tells_what_is_free_there_is_no_limit(tmp_path: Path) -> None:
    before = resource.getrlimit(resource.RLIMIT_DATA)
    inside.limit_memory(process=tmp_path)
    assert resource.getrlimit(resource.RLIMIT_DATA) == before
