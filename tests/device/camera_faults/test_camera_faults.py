"""Whatever happens to a camera's process: it is started again, and leaves nothing behind."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tartlet_device import assembly
from tartlet_device.camera.process import CameraStarter
from tartlet_shared import errors
from tartlet_shared.messages import Failure, Status, StatusRequest
from tartlet_shared.picture_messages import CaptureRequest, Photo
from tests.device.camera_faults.injection import arm, command, inject, left_behind, struck_s
from tests.device.camera_faults.table import CASES, Case

pytestmark = pytest.mark.system

SHORT_S = 0.5
LONG_S = 2.5  # where a busy machine must not look like a fault
SPECIFIC = (errors.CameraAbsent, errors.CameraBusy)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name.replace(" ", "-"))
def test_it_recovers_and_says_what_happens_meanwhile(case: Case, tmp_path: Path) -> None:
    before = left_behind()
    outcome = inject(case, tmp_path, frame_timeout_s=LONG_S if case.error is None else SHORT_S)
    after = left_behind()
    # What another test left may be gone by now.
    assert all(after[each] <= before[each] for each in before), (before, after)
    told = outcome.errors
    if case.error is None:
        assert told == ()
    else:
        assert any(isinstance(each, case.error) and case.words in each.what for each in told), told
    for each in told:
        assert isinstance(each, errors.DeviceError)
        assert each.where
        assert isinstance(each, SPECIFIC) or "try again" in each.hint, each.hint
    # A machine that is busy enough may need one more; a loop of restarts would need many.
    assert outcome.processes <= case.strikes + case.opening + 1


def test_there_are_enough_of_them() -> None:
    assert len(CASES) >= 24
    assert len({case.name for case in CASES}) == len(CASES)


@pytest.fixture
def faulty(request: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A daemon's camera is the faulty one; returns the folder that arms it."""
    folder = tmp_path / "faults"
    folder.mkdir()
    starter = functools.partial(CameraStarter, command(request.param, folder))
    monkeypatch.setattr(assembly, "CameraStarter", starter)
    return folder


HANGS = Case("hang at mid-stream", errors.CameraTimeout)


@pytest.mark.parametrize("faulty", [HANGS], indirect=True)
def test_the_daemon_answers_while_its_camera_hangs(
    faulty: Path, daemon: Any, until: Callable[[Callable[[], object]], None]
) -> None:
    photos, others = daemon.connect(), daemon.connect()

    def status() -> Status:
        answer = others.ask(StatusRequest(request_id=1))
        assert isinstance(answer, Status)
        return answer

    assert isinstance(photos.ask(CaptureRequest(request_id=1)), Photo)
    arm(HANGS, faulty)
    photos.send(CaptureRequest(request_id=2, count=1000))
    until(lambda: struck_s(faulty))
    assert status().camera_error == ""  # nobody can know yet
    photo = photos.receive()
    while isinstance(photo, Photo):
        photo = photos.receive()
    assert isinstance(photo, Failure)
    assert photo.code == errors.CameraTimeout.code
    assert "try again" in photo.hint
    until(lambda: "hangs" in status().camera_error)
    refused = others.ask(CaptureRequest(request_id=3))  # at once, not after a wait of its own
    assert isinstance(refused, Failure)
    assert refused.code == photo.code
    until(lambda: isinstance(others.ask(CaptureRequest(request_id=4)), Photo))
    assert status().camera_error == ""
