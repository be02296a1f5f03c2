from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from tartlet_device.config import ReplaySettings, V4l2Settings
from tartlet_host import doctor
from tartlet_host.remote import inventory, probe
from tartlet_host.remote.embedded import EmbeddedDevice
from tartlet_host.remote.hostkey import HostKey
from tartlet_shared import errors
from tartlet_shared.bundle import Bundle

pytestmark = pytest.mark.system

Run = Callable[..., tuple[int, str, str]]
SPOTS = [[32.0, 16.0, 48.0, 32.0], [96.0, 80.0, 112.0, 96.0]]


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def as_json(run: Run, embedded: EmbeddedDevice, *words: object) -> Any:
    code, out, err = run(embedded.config_dir, *words, "--json")
    assert code == 0, err
    return json.loads(out)


def test_the_way_from_push_to_rollback(
    embedded: EmbeddedDevice, run: Run, bundle: Bundle, large_bundle: Bundle
) -> None:
    planned = as_json(run, embedded, "push", bundle.folder, "demo", "--dry-run")
    assert planned["dry_run"]
    assert {each["file"] for each in planned["uploads"]} == {"model.onnx", "spots.png"}
    assert as_json(run, embedded, "status")["model"] is None

    pushed = as_json(run, embedded, "push", bundle.folder, "--confirm", 1)
    assert pushed["confirmed"]
    assert (pushed["serves"], pushed["files_sent"]) == (True, 2)
    assert pushed["self_test"]["detections"] == 2

    again = as_json(run, embedded, "push", bundle.folder)
    assert (again["files_sent"], again["self_test"]) == (0, None)
    assert again["bytes_sent"] < 4096

    stored = as_json(run, embedded, "push", large_bundle.folder, "--no-activate")
    assert (stored["serves"], stored["files_sent"]) == (False, 1)
    assert as_json(run, embedded, "status")["model"]["digest"] == bundle.digest

    other = as_json(run, embedded, "push", large_bundle.folder, "--no-wait")
    assert (other["files_sent"], other["previous"]) == (0, bundle.digest)
    assert not other["confirmed"]
    standing = as_json(run, embedded, "status")["standing"]
    assert (standing["digest"], standing["period_s"]) == (large_bundle.digest, 60)
    assert not as_json(run, embedded, "push", large_bundle.folder, "--no-wait")["confirmed"]

    back = as_json(run, embedded, "rollback")
    assert (back["digest"], back["previous"]) == (bundle.digest, large_bundle.digest)
    assert as_json(run, embedded, "status")["model"]["digest"] == bundle.digest


def test_predict_with_the_camera_writes_the_annotated_picture(
    steady: EmbeddedDevice, run: Run, bundle: Bundle
) -> None:
    found = as_json(run, steady, "predict")
    assert [each["box"] for each in found["detections"]] == SPOTS
    assert {each["label"] for each in found["detections"]} == {probe.LABEL}
    assert found["model"] == bundle.digest
    assert found["frame"]["number"] >= 1
    spent = found["timings_ms"]
    assert spent["round_trip"] >= spent["total"] > 0
    assert found["picture"] == "prediction.jpg"
    drawn = cv2.imread("prediction.jpg")
    assert drawn is not None
    assert drawn.shape == (128, 128, 3)
    assert np.abs(drawn.astype(int) - cv2.cvtColor(probe.spots_picture(), 4).astype(int)).max() > 50


def test_predict_on_a_picture_sent_along(steady: EmbeddedDevice, run: Run) -> None:
    picture = np.full((256, 256, 3), 20, np.uint8)
    picture[64:96, 128:160] = 255
    assert cv2.imwrite("mine.png", picture)
    found = as_json(run, steady, "predict", "mine.png", "-o", "drawn.png")
    assert [each["box"] for each in found["detections"]] == [[128.0, 64.0, 160.0, 96.0]]
    assert found["frame"] is None
    assert cv2.imread("drawn.png").shape == (256, 256, 3)  # type: ignore[union-attr]
    high = as_json(run, steady, "predict", "demo", "mine.png", "--threshold", "1", "--no-picture")
    assert high["detections"] == []
    assert high["picture"] is None
    assert not Path("prediction.jpg").exists()


def test_people_get_a_table(steady: EmbeddedDevice, run: Run, bundle: Bundle) -> None:
    code, out, _ = run(steady.config_dir, "predict")
    assert code == 0
    assert "bright spot       1.00      32     16     48     32" in out
    assert "inference" in out
    assert "boxes drawn in prediction.jpg" in out
    code, out, _ = run(steady.config_dir, "status")
    assert f"first ({bundle.digest[:12]}, onnx): bright spot" in out
    code, out, _ = run(steady.config_dir, "push", bundle.folder)
    assert "nothing had to be changed" in out
    code, out, _ = run(steady.config_dir, "push", bundle.folder, "--dry-run")
    assert "it serves already" in out


def test_capture_one_and_several(shared: EmbeddedDevice, run: Run) -> None:
    (photo,) = as_json(run, shared, "capture")["photos"]
    assert photo["file"] == "photo.jpg"
    assert Path("photo.jpg").stat().st_size == photo["bytes"]
    photos = as_json(run, shared, "capture", "-n", "7", "-o", "many")["photos"]
    numbers = [each["frame"]["number"] for each in photos]
    assert len(numbers) == 7
    # The footage has three frames and starts over: none is left out and no file written twice.
    assert all((after - before) % 3 == 1 for before, after in itertools.pairwise(numbers))
    assert len({each["file"] for each in photos}) == 7
    assert sorted(str(path) for path in Path("many").iterdir()) == sorted(
        each["file"] for each in photos
    )
    code, _, err = run(shared.config_dir, "capture", "-n", "2", "-o", "two.jpg")
    assert code == errors.UsageError.exit_code
    assert "folder" in err


def test_doctor_looks_at_the_laptop_and_the_device(
    shared: EmbeddedDevice, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Importing torch takes seconds; the probing itself has tests of its own.
    monkeypatch.setattr(doctor, "_LIBRARIES", {"json": (True, "tests")})
    checks = as_json(run, shared, "doctor")
    states = {(each["subject"], each["name"]): each["state"] for each in checks}
    assert states["laptop", "python"] == "ok"
    assert states["demo", "connection"] == "ok"
    assert states["demo", "version"] == states["demo", "camera"] == states["demo", "store"] == "ok"
    assert states["demo", "model"] == "warning"
    shared_only = as_json(run, shared, "doctor", "--laptop")
    assert {each["subject"] for each in shared_only} == {"laptop"}


def test_doctor_looks_at_a_device_without_a_daemon(
    embedded: EmbeddedDevice, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor, "_LIBRARIES", {"json": (True, "tests")})
    embedded.stop_daemon()
    code, out, _ = run(embedded.config_dir, "doctor", "--json")
    assert code == 1
    states = {each["name"]: each["state"] for each in json.loads(out) if each["subject"] == "demo"}
    assert states["connection"] == states["daemon"] == "failed"
    assert states["camera"] == states["cv2"] == "ok"


def _no_daemon(embedded: EmbeddedDevice) -> None:
    embedded.stop_daemon()


def _no_server(embedded: EmbeddedDevice) -> None:
    embedded.ssh.stop()


def _other_key(embedded: EmbeddedDevice) -> None:
    other = HostKey("ssh-ed25519", b"\0\0\0\x0bssh-ed25519\0\0\0\x20" + bytes(32))
    device = replace(embedded.device, host_key=str(other))
    inventory.save(embedded.config_dir / "devices.toml", {"demo": device})


def _damaged_inventory(embedded: EmbeddedDevice) -> None:
    (embedded.config_dir / "devices.toml").write_text("[[[")


def _no_camera(embedded: EmbeddedDevice) -> None:
    embedded.restart_daemon(V4l2Settings(device="/dev/video-none"))


def _no_footage(embedded: EmbeddedDevice) -> None:
    embedded.restart_daemon(ReplaySettings(path="/no/such/footage"))


def _nothing(embedded: EmbeddedDevice) -> None:
    pass


BAD_INPUT = [
    (_nothing, ["predict", "missing.jpg"], errors.PictureUnreadable, "missing.jpg"),
    (_nothing, ["predict", "not-a-picture.jpg"], errors.PictureUnreadable, "neither a JPEG"),
    (_nothing, ["predict", "truncated.png"], errors.PictureUnreadable, ""),
    (_nothing, ["predict", "-o", "picture.gif"], errors.UsageError, "picture.gif"),
    (_nothing, ["push", "no-bundle"], errors.BundleCorrupt, "no-bundle"),
    (_nothing, ["push", "damaged"], errors.BundleCorrupt, "model.onnx"),
    (_nothing, ["status", "shed"], errors.DeviceUnknown, "shed"),
    (_nothing, ["status", "pi@a:b:c@d"], errors.UsageError, "not an address"),
    (_no_daemon, ["status"], errors.DaemonNotRunning, "journalctl"),
    (_no_server, ["status"], errors.Unreachable, "nothing listens"),
    (_other_key, ["status"], errors.HostKeyChanged, "tartlet device trust demo"),
    (_damaged_inventory, ["status"], errors.ConfigError, "devices.toml"),
    (_no_camera, ["predict"], errors.CameraAbsent, "/dev/video-none"),
    (_no_camera, ["capture"], errors.CameraAbsent, "/dev/video-none"),
    (_no_footage, ["capture"], errors.FootageUnreadable, "/no/such/footage"),
    (_nothing, ["rollback"], errors.NothingToRollBackTo, ""),
]


@pytest.mark.parametrize(
    ("harm", "words", "error", "says"),
    BAD_INPUT,
    ids=[f"{' '.join(row[1])} {row[0].__name__}" for row in BAD_INPUT],
)
def test_bad_input_has_its_own_exit_code_and_says_what_where_and_what_to_do(
    request: pytest.FixtureRequest,
    run: Run,
    bundle: Bundle,
    harm: Callable[[EmbeddedDevice], None],
    words: list[str],
    error: type[errors.TartletError],
    says: str,
    helpers: Any,
) -> None:
    # Only what is harmed needs a device of its own, and only for its camera one with a model.
    with_model = harm in (_nothing, _no_camera, _no_footage)
    name = "steady" if harm is _nothing else "serving" if with_model else "embedded"
    serving: EmbeddedDevice = request.getfixturevalue(name)
    Path("not-a-picture.jpg").write_bytes(b"GIF89a")
    spots = (bundle.folder / "golden" / "spots.png").read_bytes()
    Path("truncated.png").write_bytes(spots[: len(spots) // 2])
    probe.write_bundle(Path("damaged"))
    Path("damaged/model.onnx").write_bytes(b"x")
    device = serving.device
    before = {path.name for path in Path().iterdir()}

    harm(serving)
    code, out, err = run(serving.config_dir, *words)

    assert code == error.exit_code, err
    assert err.startswith("tartlet: ")
    assert says in err
    assert "Traceback" not in err
    assert out == ""
    assert {path.name for path in Path().iterdir()} == before  # nothing half-written
    if with_model:
        assert serving.device == device
        assert helpers.active_digest(serving) == bundle.digest  # still the same model


def test_a_prediction_before_any_push_says_to_push(shared: EmbeddedDevice, run: Run) -> None:
    code, _, err = run(shared.config_dir, "predict")
    assert code == errors.NoActiveModel.exit_code
    assert "tartlet push" in err
    assert not Path("prediction.jpg").exists()


def test_predict_imports_neither_torch_nor_the_tools_of_training(steady: EmbeddedDevice) -> None:
    script = (
        "import sys\n"
        "from tartlet_host.cli import main\n"
        "try:\n    main(['predict', '--json'])\n"
        "except SystemExit as error:\n    assert error.code == 0, error.code\n"
        "heavy = {'torch', 'onnx', 'onnxruntime', 'ai_edge_litert', 'matplotlib', 'scipy'}\n"
        "print(sorted(heavy & set(sys.modules)), file=sys.stderr)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, inventory.CONFIG_DIR_VARIABLE: str(steady.config_dir)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr.strip().splitlines()[-1] == "[]"


def test_an_embedded_device_leaves_nothing_behind(footage: ReplaySettings) -> None:
    embedded = EmbeddedDevice(footage)
    seen: list[Any] = []

    def use() -> None:
        with embedded:
            seen.extend((embedded.config_dir.parent, embedded.daemon_pid, embedded.ssh.pid))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        use()
    folder, daemon, server = seen
    assert not folder.exists()
    assert daemon is not None
    for pid in (daemon, server):
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_an_embedded_device_without_a_server_says_what_to_install(
    footage: ReplaySettings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from tartlet_host.remote import sshd

    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sshd, "_PLACES", ())
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with pytest.raises(errors.ConfigError) as caught, EmbeddedDevice(footage):
        pass
    assert "apt-get install" in caught.value.hint
    assert list(tmp_path.glob("tartlet-*")) == []


def test_a_daemon_that_does_not_start_is_quoted(footage: ReplaySettings) -> None:
    with (
        pytest.raises(errors.ConfigError, match="store") as caught,
        EmbeddedDevice(footage, store=Path("/proc/no-store-here")),
    ):
        pass
    assert "daemon.log" in caught.value.what
