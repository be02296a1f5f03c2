from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from tartlet_device import files
from tartlet_device import model as models
from tartlet_device.model import ServingModel
from tartlet_device.serving import Serving
from tartlet_device.store import Store
from tartlet_device.trial import Trials
from tartlet_shared import bundle as bundles
from tartlet_shared import errors, manifest


@pytest.fixture
def store(tmp_path) -> Store:
    return Store(tmp_path / "store")


@pytest.fixture
def add(store):
    """Store a bundle as if it had been pushed."""

    def add(folder) -> str:
        content = (folder / manifest.MANIFEST_NAME).read_bytes()
        digest, wanted = store.offer(content)
        for entry in wanted:
            shutil.copy(folder / entry.name, store.incoming / entry.sha256)
        store.accept(digest)
        return digest

    return add


@pytest.fixture
def serving(store, add, make_bundle):
    """A model that serves already."""
    model = ServingModel(Trials(store, threads=1))
    model.activate(add(make_bundle("serving")))
    yield model
    model.close()


def still_serves(model: ServingModel, store: Store, kit) -> None:
    active = model.active()
    assert active.name == "serving"
    found, _, which = model.detect(kit.picture((32, 32, 64, 64)), score_threshold=None)
    assert len(found) >= 1
    assert which == active
    assert store.serving().current == active.digest
    assert store.has(active.digest)  # so a restart finds it


def set_child(monkeypatch, tmp_path, model: ServingModel, code: str) -> None:
    """Let the model's process run something else; its socket has the number ``sys.argv[-2]``."""
    script = tmp_path / "child.py"
    script.write_text(code)
    command = (sys.executable, "-P", str(script))
    monkeypatch.setattr(model, "_trials", replace(model._trials, command=command))


def test_nothing_serves_before_the_first_activation(store, kit):
    model = ServingModel(Trials(store))
    model.load_committed()
    assert model.active() is None
    with pytest.raises(errors.NoActiveModel):
        model.detect(kit.picture(), score_threshold=None)


def test_an_activated_model_serves_after_a_restart(store, serving, kit):
    still_serves(serving, store, kit)
    restarted = ServingModel(Trials(store, threads=1))
    restarted.load_committed()
    assert restarted.active() == serving.active()
    still_serves(restarted, store, kit)


def test_a_model_for_the_other_runtime_takes_over(
    store, serving, add, make_bundle, bright_onnx, kit
):
    digest = add(make_bundle("onnx", model=bright_onnx, runtime_name="onnx"))
    committed, tested = serving.activate(digest)
    assert committed.current == digest
    assert tested.box_difference_px < 0.01
    found, _, which = serving.detect(kit.picture((32, 32, 64, 64)), score_threshold=None)
    assert (which.runtime, len(found) >= 1) == ("onnx", True)


def test_a_model_that_sees_something_else_leaves_the_old_one(
    store, serving, add, make_bundle, kit, change_manifest
):
    folder = make_bundle("blind", spots=((0, 0, 40, 40),))
    made = bundles.open_bundle(folder).manifest
    moved = tuple(
        msgspec.structs.replace(each, xyxy=(90.0, 60.0, 99.0, 90.0))
        for each in made.golden[0].detections
    )
    change_manifest(folder, golden=(msgspec.structs.replace(made.golden[0], detections=moved),))
    with pytest.raises(errors.SelfTestFailed, match=r"golden\.png"):
        serving.activate(add(folder))
    still_serves(serving, store, kit)


@pytest.mark.parametrize("length", [0, 100, 3000])
def test_a_truncated_model_file_leaves_the_old_one(
    store, serving, add, make_bundle, kit, change_manifest, length
):
    folder = make_bundle("truncated")
    model = folder / "model.tflite"
    model.write_bytes(model.read_bytes()[:length])
    # The manifest agrees with the file: only the runtime can tell.
    names = ("model.tflite", "golden.png")
    change_manifest(folder, files=tuple(bundles.file_entry(folder, name) for name in names))
    with pytest.raises(errors.BundleCorrupt, match="not a usable TFLite model"):
        serving.activate(add(folder))
    still_serves(serving, store, kit)


def test_a_bundle_damaged_on_the_disk_leaves_the_old_one(store, serving, add, make_bundle, kit):
    digest = add(make_bundle("damaged", spots=((0, 0, 40, 40),)))
    picture = store.open(digest).folder / "golden.png"
    picture.write_bytes(picture.read_bytes()[:-4])
    with pytest.raises(errors.BundleCorrupt, match="SHA-256"):
        serving.activate(digest)
    still_serves(serving, store, kit)


@pytest.mark.parametrize(
    ("number", "kind", "words"),
    [
        (signal.SIGSEGV, errors.BundleCorrupt, "crashed on this model (SIGSEGV)"),
        (signal.SIGABRT, errors.BundleCorrupt, "SIGABRT"),
        (signal.SIGILL, errors.RuntimeUnavailable, "processor"),
        (signal.SIGKILL, errors.SelfTestFailed, "memory"),
    ],
)
def test_a_crash_of_the_runtime_leaves_the_old_model_and_the_daemon(
    store, serving, add, make_bundle, kit, monkeypatch, tmp_path, number, kind, words
):
    digest = add(make_bundle("crashing"))
    with monkeypatch.context() as patch:
        set_child(patch, tmp_path, serving, f"import os; os.kill(os.getpid(), {int(number)})")
        with pytest.raises(kind) as caught:
            serving.activate(digest)
    assert words in caught.value.what
    still_serves(serving, store, kit)


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("import sys; sys.exit(4)", "code 4"),
        (
            "import os, sys; os.write(int(sys.argv[-2]), b'rubbish that is no answer')",
            "nobody asked",
        ),
        ("import os, sys; os.write(int(sys.argv[-2]), b'')", "code 0"),
    ],
)
def test_a_child_that_says_nothing_useful_is_a_failed_self_test(
    store, serving, add, make_bundle, kit, monkeypatch, tmp_path, code, words
):
    digest = add(make_bundle("silent"))
    with monkeypatch.context() as patch:
        set_child(patch, tmp_path, serving, code)
        with pytest.raises(errors.SelfTestFailed, match=words):
            serving.activate(digest)
    still_serves(serving, store, kit)


def test_the_child_must_not_speak_to_systemd(serving, add, make_bundle, monkeypatch, tmp_path):
    monkeypatch.setenv("NOTIFY_SOCKET", "/run/systemd/notify")
    code = "import os, sys; sys.exit(7 if 'NOTIFY_SOCKET' in os.environ else 8)"
    set_child(monkeypatch, tmp_path, serving, code)
    with pytest.raises(errors.SelfTestFailed, match="code 8"):
        serving.activate(add(make_bundle("other")))


def test_a_missing_runtime_in_the_child_keeps_its_type(
    store, serving, add, make_bundle, kit, monkeypatch, tmp_path
):
    code = """
import sys
from tartlet_device.child import inside
from tartlet_device.child.process import Packet
from tartlet_shared import errors, messages
import msgspec

failure = messages.failure(0, errors.RuntimeUnavailable("x"))
answer = Packet(msgspec.msgpack.encode(failure))
inside.answer_orders(inside.connected(sys.argv), lambda order: answer)
"""
    digest = add(make_bundle("other"))
    with monkeypatch.context() as patch:
        set_child(patch, tmp_path, serving, code)
        with pytest.raises(errors.RuntimeUnavailable):
            serving.activate(digest)
    still_serves(serving, store, kit)


def test_a_disk_that_is_full_at_the_commit_leaves_the_old_one(
    store, serving, add, make_bundle, kit, monkeypatch
):
    digest = add(make_bundle("other"))

    def full(path, content):
        raise OSError(28, os.strerror(28))

    with monkeypatch.context() as patch:
        patch.setattr(files, "write_atomically", full)
        with pytest.raises(errors.StorageFull):
            serving.activate(digest)
    still_serves(serving, store, kit)


def test_the_process_of_the_old_model_ends_when_nobody_uses_it_any_more(
    store, serving, add, make_bundle, until
):
    held = serving.loaded()
    pid = held.runtime.pid
    serving.activate(add(make_bundle("other")))
    assert serving.loaded().runtime.pid not in (None, pid)
    assert Path(f"/proc/{pid}").exists()  # somebody may be in the middle of something
    del held
    until(lambda: not Path(f"/proc/{pid}").exists())


def test_a_request_waits_for_a_model_that_is_being_loaded(store, serving, kit, until):
    restarted = ServingModel(Trials(store, threads=1))
    with restarted._exchange:
        restarted.start()
        assert restarted.active() == serving.active()
        assert restarted.canvas() == serving.canvas()
        found = []
        asking = threading.Thread(
            target=lambda: found.append(restarted.detect(kit.picture(), score_threshold=None))
        )
        asking.start()
        assert not found
    asking.join(20)
    assert found[0][2] == serving.active()
    restarted.close()


def test_a_model_that_takes_too_long_to_load_is_a_temporary_error(
    store, serving, monkeypatch, until
):
    monkeypatch.setattr(models, "_LOADING_S", 0.01)
    restarted = ServingModel(Trials(store, threads=1))
    with restarted._exchange:
        restarted.start()
        with pytest.raises(errors.DeviceError, match="being loaded") as caught:
            restarted.loaded()
    assert "try again" in caught.value.hint
    until(lambda: restarted._ready.is_set())
    restarted.close()


def test_nothing_here_imports_a_runtime(store, serving):
    code = (
        "import sys, tartlet_device.daemon, tartlet_device.assembly\n"
        "assert not [name for name in sys.modules if name.startswith(('ai_edge', 'onnxruntime'))]"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_rollback_proves_the_previous_model_again(store, serving, add, make_bundle, kit):
    first = serving.active().digest
    second = add(make_bundle("second", spots=((0, 0, 40, 40),)))
    serving.activate(second)
    picture = store.open(first).folder / "golden.png"
    content = picture.read_bytes()
    picture.write_bytes(content[:-4])
    with pytest.raises(errors.BundleCorrupt):
        serving.roll_back()
    assert serving.active().digest == second
    assert store.serving() == Serving(second, first)
    picture.write_bytes(content)
    committed, tested = serving.roll_back()
    assert committed == Serving(first, second)
    assert tested.pictures == 1
    still_serves(serving, store, kit)


def test_at_start_a_damaged_model_gives_way_to_the_previous_one(
    store, serving, add, make_bundle, caplog
):
    first = serving.active().digest
    second = add(make_bundle("second", spots=((0, 0, 40, 40),)))
    serving.activate(second)
    picture = store.open(second).folder / "golden.png"
    content = picture.read_bytes()
    picture.write_bytes(b"")
    restarted = ServingModel(Trials(store, threads=1))
    restarted.load_committed()
    assert restarted.active().digest == first
    assert second[:12] in caplog.text
    assert restarted.fault.startswith(f"model {second[:12]} does not load")
    # Nothing was decided for good: mended, it serves again.
    picture.write_bytes(content)
    restarted.load_committed()
    assert restarted.active().digest == second
    assert restarted.fault == ""


def test_at_start_nothing_that_loads_is_no_reason_to_end(store, serving):
    folder = store.open(serving.active().digest).folder
    for file in folder.iterdir():
        file.write_bytes(b"")
    restarted = ServingModel(Trials(store, threads=1))
    restarted.load_committed()
    assert restarted.active() is None
    assert "does not load" in restarted.fault
