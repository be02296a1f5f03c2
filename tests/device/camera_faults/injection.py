"""Let a fault strike a camera's process while somebody keeps asking for frames."""

from __future__ import annotations

import contextlib
import gc
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tartlet_device.camera.base import Camera
from tartlet_device.camera.owner import BACK_OFF_S, CameraOwner
from tartlet_device.camera.process import CameraStarter, ProcessCamera
from tartlet_device.config import ReplaySettings
from tartlet_device.image import Size
from tartlet_shared import errors
from tests.device.camera_faults.faulty_process import ARMED, STRUCK
from tests.device.camera_faults.table import Case

CHILD = Path(__file__).with_name("faulty_process.py")
_SETTINGS = ReplaySettings(path="what the test gives")
_GOOD_AFTER = 5  # frames in a row: then it has recovered
_PATIENCE_S = 60.0


@dataclass(frozen=True)
class Outcome:
    """What came of a fault.

    Attributes:
        recovery_s: from when it struck first to the first of the good frames that went on.
        answers_s: the longest that a request waited for its frame or its error.
        errors: what requests were told, each once.
        processes: that were started after it struck.
    """

    recovery_s: float
    answers_s: float
    errors: tuple[errors.TartletError, ...]
    processes: int


@dataclass(frozen=True)
class Asked:
    """A request: when it was answered, how long that took, and what went wrong."""

    at_s: float
    took_s: float
    error: errors.TartletError | None


def command(case: Case, folder: Path) -> tuple[str, ...]:
    """The process in which it goes wrong."""
    return (sys.executable, "-P", str(CHILD), case.name, str(folder))


def arm(case: Case, folder: Path) -> None:
    """Let it go wrong from now on."""
    for number in range(case.strikes):
        (folder / f"{ARMED}{number}").touch()


def struck_s(folder: Path) -> list[float]:
    """When it went wrong, monotonic."""
    with contextlib.suppress(FileNotFoundError):
        return [int(line) / 1e9 for line in (folder / STRUCK).read_text().splitlines()]
    return []


def inject(
    case: Case, folder: Path, *, frame_timeout_s: float, back_off_s: tuple[float, ...] = BACK_OFF_S
) -> Outcome:
    """Let the fault strike and see what happens.

    Raises:
        AssertionError: it does not recover.
    """
    starter = CameraStarter(command(case, folder))
    wanted: list[Size | None] = [None]
    started: list[float] = []

    def open_camera() -> ProcessCamera:
        started.append(time.monotonic())
        return starter.open(_SETTINGS, wanted[0])

    def fits(camera: Camera) -> bool:
        return camera.fits(wanted[0])

    owner = CameraOwner(
        open_camera, fits=fits, frame_timeout_s=frame_timeout_s, back_off_s=back_off_s
    )
    owner.start()
    try:
        owner.next_frame(timeout_s=_PATIENCE_S)
        with _asking(owner, frame_timeout_s) as asked:
            arm(case, folder)
            if case.opening:
                wanted[0] = (8, 8)
            _until(lambda: _recovered(case, asked, struck_s(folder)))
    finally:
        owner.stop()
    return _outcome(asked, struck_s(folder), started)


def left_behind() -> dict[str, int]:
    """What this process has open: a fault must leave nothing of its own."""
    gc.collect()
    maps = Path("/proc/self/maps").read_text()
    children = [
        child
        for task in Path("/proc/self/task").iterdir()
        for child in (task / "children").read_text().split()
    ]
    return {
        "descriptors": len(list(Path("/proc/self/fd").iterdir())),
        "processes": len(children),
        "frames": maps.count("memfd:frame"),
        "threads": threading.active_count(),
    }


@contextlib.contextmanager
def _asking(owner: CameraOwner, timeout_s: float) -> Iterator[list[Asked]]:
    """Somebody asks for a frame again and again."""
    asked: list[Asked] = []
    over = threading.Event()

    def ask() -> None:
        while not over.is_set():
            begun_s, error = time.monotonic(), None
            try:
                owner.next_frame(timeout_s)
            except errors.TartletError as told:
                error = told
                over.wait(0.01)
            now_s = time.monotonic()
            asked.append(Asked(now_s, now_s - begun_s, error))

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield asked
    finally:
        over.set()
        thread.join()


def _recovered(case: Case, asked: list[Asked], struck: list[float]) -> bool:
    if len(struck) < case.strikes:
        return False
    after = [each for each in list(asked) if each.at_s > struck[-1]]
    if case.error is not None and not any(each.error for each in after):
        return False
    return len(after) > _GOOD_AFTER and not any(each.error for each in after[-_GOOD_AFTER:])


def _outcome(asked: list[Asked], struck: list[float], started: list[float]) -> Outcome:
    after = [each for each in asked if each.at_s > struck[0]]
    last_error_s = max((each.at_s for each in after if each.error), default=struck[0])
    good_s = min(each.at_s for each in after if each.error is None and each.at_s > last_error_s)
    told = {str(each.error): each.error for each in after if each.error is not None}
    return Outcome(
        recovery_s=good_s - struck[0],
        answers_s=max(each.took_s for each in after),
        errors=tuple(told.values()),
        processes=sum(each > struck[0] for each in started),
    )


def _until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, "it did not recover"
        time.sleep(0.01)
