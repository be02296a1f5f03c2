from __future__ import annotations

import errno
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from tartlet_host.remote import rollout
from tartlet_host.remote.pace import Pace
from tartlet_host.remote.rollout import Plan, Upload
from tartlet_host.remote.sftp import Outgoing, SftpError
from tartlet_shared import errors
from tartlet_shared.bundle import Bundle
from tartlet_shared.client import Client
from tartlet_shared.manifest import (
    CellDecoding,
    FileEntry,
    Level,
    Manifest,
    Preprocessing,
    Tensor,
)
from tartlet_shared.push_messages import Accepted, Activated, Have, SelfTest, Wanted

DIGEST = "d" * 64
MODEL = FileEntry(name="model.onnx", size=1000, sha256="a" * 64)
PICTURE = FileEntry(name="golden/1.png", size=50, sha256="b" * 64)
SAME = FileEntry(name="golden/2.png", size=50, sha256="b" * 64)
TESTED = SelfTest(
    pictures=2, detections=3, box_difference_px=0.5, score_difference=0.01, inference_ms=9.0
)


def bundle(folder: Path = Path("/bundle")) -> Bundle:
    manifest = Manifest(
        name="cats",
        created="2026-01-01T00:00:00Z",
        runtime="onnx",
        model="model.onnx",
        labels=("cat",),
        input=Tensor(name="in", shape=(1, 8, 8, 3), dtype="float32"),
        outputs=(
            Tensor(name="scores", shape=(1, 1, 1, 1), dtype="float32"),
            Tensor(name="boxes", shape=(1, 1, 1, 4), dtype="float32"),
        ),
        preprocessing=Preprocessing(width=8, height=8),
        decoding=CellDecoding(levels=(Level(stride=8, scores=0, boxes=1),)),
        golden=(),
        files=(MODEL, PICTURE, SAME),
    )
    return Bundle(folder, DIGEST, manifest)


def have(*, stored: bool, active: bool = False) -> Have:
    return Have(request_id=1, stored=stored, active=active)


def wanted(*files: FileEntry) -> Wanted:
    return Wanted(request_id=1, digest=DIGEST, files=files, folder="/var/incoming")


UPLOAD_MODEL = Upload(Path("/bundle/model.onnx"), "/var/incoming", "a" * 64, 1000)
UPLOAD_PICTURE = Upload(Path("/bundle/golden/1.png"), "/var/incoming", "b" * 64, 50)

PLANS = [
    # device has, device wants, activate -> uploads, skipped, store, activate, nothing to do
    ((False, False), (MODEL, PICTURE, SAME), True, (UPLOAD_MODEL, UPLOAD_PICTURE), (), True, True),
    ((False, False), (MODEL,), True, (UPLOAD_MODEL,), (PICTURE, SAME), True, True),
    ((False, False), (SAME,), False, (UPLOAD_PICTURE,), (MODEL,), True, False),
    ((False, False), (), True, (), (MODEL, PICTURE, SAME), True, True),
    ((True, False), None, True, (), (MODEL, PICTURE, SAME), False, True),
    ((True, False), None, False, (), (MODEL, PICTURE, SAME), False, False),
    ((True, True), None, True, (), (MODEL, PICTURE, SAME), False, False),
]


@pytest.mark.parametrize(
    ("state", "files", "activate", "uploads", "skipped", "store", "activates"), PLANS
)
def test_the_plan_for_every_state_of_the_device(
    state: tuple[bool, bool],
    files: tuple[FileEntry, ...] | None,
    activate: bool,
    uploads: tuple[Upload, ...],
    skipped: tuple[FileEntry, ...],
    store: bool,
    activates: bool,
) -> None:
    terms = rollout.Terms(activate=activate)
    plan = rollout.plan(
        bundle(),
        have(stored=state[0], active=state[1]),
        None if files is None else wanted(*files),
        terms,
    )
    assert plan == Plan(
        digest=DIGEST,
        name="cats",
        uploads=uploads,
        skipped=skipped,
        store=store,
        activate=activates,
        serves=state[1],
        terms=terms,
    )
    assert plan.nothing_to_do == (not uploads and not store and not activates)
    assert plan.upload_bytes == sum(upload.size for upload in uploads)


def test_a_device_that_wants_a_file_of_no_bundle_is_refused() -> None:
    stranger = FileEntry(name="etc", size=1, sha256="c" * 64)
    with pytest.raises(errors.MessageMalformed, match="etc"):
        rollout.plan(bundle(), have(stored=False), wanted(stranger))


class FakeClient:
    """Records the steps; fails where it is told to."""

    def __init__(self, fail: str = "", free_bytes: int = 10**9) -> None:
        self.steps: list[str] = []
        self._fail = fail
        self._free_bytes = free_bytes

    def _step(self, name: str, error: errors.TartletError) -> None:
        self.steps.append(name)
        if self._fail == name:
            raise error

    def accept(self, digest: str) -> Accepted:
        self._step("accept", errors.BundleCorrupt("x"))
        return Accepted(request_id=1, digest=digest)

    def activate(
        self, digest: str, *, confirm_s: float, latency_ms: float | None, allow_older: bool
    ) -> Activated:
        self._step("activate", errors.SelfTestFailed("x"))
        self.terms = (confirm_s, latency_ms)
        return Activated(
            request_id=2,
            digest=digest,
            previous="e" * 64,
            self_test=TESTED,
            confirmed=not confirm_s,
        )

    def status(self) -> Any:
        class Free:
            free_bytes = self._free_bytes

        return Free()


class FakeUploader:
    def __init__(self, error: Exception | None = None) -> None:
        self.sent: list[Outgoing] = []
        self.bytes_sent = 1234
        self._error = error

    def send(
        self,
        files: Sequence[Outgoing],
        *,
        pace: Pace | None = None,
        progress: Callable[[int], None] | None = None,
    ) -> None:
        if self._error is not None:
            raise self._error
        self.sent += files
        assert progress is not None
        progress(40)


def full_plan() -> Plan:
    return rollout.plan(bundle(), have(stored=False), wanted(MODEL, PICTURE))


def as_client(fake: FakeClient) -> Client:
    return fake  # type: ignore[return-value]


def test_the_steps_come_in_order_and_the_report_has_what_happened() -> None:
    client, uploader = FakeClient(), FakeUploader()
    seen: list[tuple[int, int]] = []
    stages: list[str] = []
    report = rollout.apply(
        full_plan(),
        as_client(client),
        uploader,
        progress=lambda done, total: seen.append((done, total)),
        stage=stages.append,
    )
    assert client.steps == ["accept", "activate"]
    assert stages == ["upload", "store", "activate"]
    assert [each.destination for each in uploader.sent] == [
        "/var/incoming/" + "a" * 64,
        "/var/incoming/" + "b" * 64,
    ]
    assert seen == [(40, 1050)]
    assert (report.bytes_sent, report.files_sent, report.files_skipped) == (1234, 2, 0)
    assert set(report.seconds) == {"upload", "store", "activate"}
    assert report.serves
    assert report.previous == "e" * 64
    assert report.self_test == TESTED


def test_an_unchanged_bundle_asks_nothing_more() -> None:
    client, uploader = FakeClient(), FakeUploader(AssertionError("nothing to send"))
    plan = rollout.plan(bundle(), have(stored=True, active=True), None)
    report = rollout.apply(plan, as_client(client), uploader)
    assert client.steps == []
    assert report.serves
    assert report.files_skipped == 3
    assert report.seconds == {}


def test_no_activate_stops_before_it() -> None:
    client = FakeClient()
    plan = rollout.plan(bundle(), have(stored=False), wanted(), rollout.Terms(activate=False))
    report = rollout.apply(plan, as_client(client), FakeUploader())
    assert client.steps == ["accept"]
    assert not report.serves


@pytest.mark.parametrize(
    ("fail", "error", "steps"),
    [
        ("accept", errors.BundleCorrupt, ["accept"]),
        ("activate", errors.SelfTestFailed, ["accept", "activate"]),
    ],
)
def test_a_step_that_fails_is_the_last(fail: str, error: type[Exception], steps: list[str]) -> None:
    client = FakeClient(fail)
    with pytest.raises(error):
        rollout.apply(full_plan(), as_client(client), FakeUploader())
    assert client.steps == steps


@pytest.mark.parametrize(("free", "error"), [(10, errors.StorageFull), (10**9, errors.DeviceError)])
def test_an_upload_that_cannot_be_written_is_told_apart_by_the_free_space(
    free: int, error: type[errors.TartletError]
) -> None:
    client = FakeClient(free_bytes=free)
    failure = SftpError(errno.EIO, "Failure", "/var/incoming/" + "a" * 64)
    with pytest.raises(error, match="nothing was changed") as caught:
        rollout.apply(full_plan(), as_client(client), FakeUploader(failure))
    assert type(caught.value) is error
    assert caught.value.where == "/var/incoming/" + "a" * 64
    assert client.steps == []


def test_a_lost_connection_stays_one() -> None:
    with pytest.raises(errors.ConnectionLost):
        rollout.apply(
            full_plan(), as_client(FakeClient()), FakeUploader(errors.ConnectionLost("gone"))
        )
