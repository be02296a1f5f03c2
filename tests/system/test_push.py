from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import paramiko
import pytest

from tartlet_host.remote import probe, rollout
from tartlet_host.remote.embedded import EmbeddedDevice
from tartlet_host.remote.inventory import Device
from tartlet_host.remote.session import open_session
from tartlet_shared import errors, manifest
from tartlet_shared.bundle import Bundle, open_bundle

pytestmark = pytest.mark.system

Start = Callable[..., EmbeddedDevice]


def push_to(device: Device, bundle: Bundle) -> None:
    with open_session(device) as session:
        plan = rollout.plan(bundle, *rollout.facts(session.client, bundle))
        rollout.apply(plan, session.client, session.connection)


def stored(embedded: EmbeddedDevice) -> set[str]:
    """Names of what lies among the device's bundles, temporary folders too."""
    return {each.name for each in (embedded.store / "bundles").iterdir()}


def test_a_push_ends_in_a_tested_serving_model(
    embedded: EmbeddedDevice, bundle: Bundle, helpers: Any
) -> None:
    stages: list[str] = []
    seen: list[tuple[int, int]] = []
    with open_session(embedded.device) as session:
        plan = rollout.plan(bundle, *rollout.facts(session.client, bundle))
        assert {upload.source.name for upload in plan.uploads} == {"model.onnx", "spots.png"}
        report = rollout.apply(
            plan,
            session.client,
            session.connection,
            progress=lambda done, total: seen.append((done, total)),
            stage=stages.append,
        )
    assert stages == ["upload", "store", "activate"]
    assert seen[-1] == (plan.upload_bytes, plan.upload_bytes)
    assert report.serves
    assert report.self_test is not None
    assert report.self_test.detections == 2
    assert report.previous is None
    assert helpers.active_digest(embedded) == bundle.digest
    assert list((embedded.store / "incoming").iterdir()) == []


@pytest.mark.parametrize("kind", ["ed25519", "rsa"])
def test_an_unchanged_bundle_sends_less_than_4_kb_in_all(
    steady: EmbeddedDevice, bundle: Bundle, relay: Callable[..., Any], tmp_path: Path, kind: str
) -> None:
    line = relay(steady.ssh.port)
    device = replace(steady.device, port=line.port)
    if kind == "rsa":  # the largest key and signature in common use
        key = paramiko.RSAKey.generate(3072)
        key.write_private_key_file(str(tmp_path / "rsa"))
        with (steady.ssh.identity.parent / "authorized_keys").open("a") as allowed:
            allowed.write(f"{key.get_name()} {key.get_base64()}\n")
        device = replace(device, identity=str(tmp_path / "rsa"))
    with open_session(device) as session:
        plan = rollout.plan(bundle, *rollout.facts(session.client, bundle))
        assert plan.nothing_to_do
        report = rollout.apply(plan, session.client, session.connection)
    assert report.bytes_sent < 4096
    # Counted by somebody else too, closing messages included.
    deadline = time.monotonic() + 5
    while line.passed < report.bytes_sent and time.monotonic() < deadline:
        time.sleep(0.01)
    assert report.bytes_sent <= line.passed < 4096


def test_a_second_bundle_sends_only_what_differs(
    serving: EmbeddedDevice, bundle: Bundle, large_bundle: Bundle, helpers: Any
) -> None:
    report = helpers.push(serving, large_bundle)
    assert report.files_sent == 1  # the filler; model and picture were there
    assert report.files_skipped == 2
    assert report.previous == bundle.digest


def test_planning_changes_nothing(embedded: EmbeddedDevice, bundle: Bundle, helpers: Any) -> None:
    with open_session(embedded.device) as session:
        rollout.plan(bundle, *rollout.facts(session.client, bundle))
    assert stored(embedded) == set()
    assert helpers.active_digest(embedded) is None


@pytest.mark.parametrize("limit", [2_500, 60_000, 1_000_000])
def test_a_connection_cut_in_the_middle_leaves_the_old_model_serving(
    serving: EmbeddedDevice,
    bundle: Bundle,
    large_bundle: Bundle,
    relay: Callable[..., Any],
    helpers: Any,
    limit: int,
) -> None:
    line = relay(serving.ssh.port, limit)
    device = replace(serving.device, port=line.port)
    with pytest.raises(errors.ConnectionLost) as caught:
        push_to(device, large_bundle)
    assert "still serves" in caught.value.hint
    assert helpers.active_digest(serving) == bundle.digest
    assert stored(serving) == {bundle.digest}
    with open_session(serving.device) as session:
        picture = (bundle.folder / "golden" / "spots.png").read_bytes()
        assert session.client.predict(picture).model == bundle.digest
    # And the same push works afterwards.
    assert helpers.push(serving, large_bundle).serves
    assert helpers.active_digest(serving) == large_bundle.digest


def test_ctrl_c_in_the_middle_of_an_upload_leaves_the_beginning_for_the_next_push(
    serving: EmbeddedDevice, bundle: Bundle, large_bundle: Bundle, helpers: Any
) -> None:
    def stop(done: int, total: int) -> None:
        if done > total // 2:
            raise KeyboardInterrupt

    with open_session(serving.device) as session:
        plan = rollout.plan(large_bundle, *rollout.facts(session.client, large_bundle))
        with pytest.raises(KeyboardInterrupt):
            rollout.apply(plan, session.client, session.connection, progress=stop)
    (part,) = (serving.store / "incoming").iterdir()
    assert part.name.endswith(".part")
    there = part.stat().st_size
    assert there > plan.upload_bytes // 2
    assert helpers.active_digest(serving) == bundle.digest
    assert helpers.push(serving, large_bundle).bytes_sent < plan.upload_bytes - there + 20_000


def test_a_file_damaged_on_the_way_is_not_stored(
    serving: EmbeddedDevice, bundle: Bundle, large_bundle: Bundle, tmp_path: Path, helpers: Any
) -> None:
    with open_session(serving.device) as session:
        plan = rollout.plan(large_bundle, *rollout.facts(session.client, large_bundle))
        damaged = tmp_path / "damaged"
        content = bytearray(plan.uploads[0].source.read_bytes())
        content[1000] ^= 1
        damaged.write_bytes(content)
        upload = replace(plan.uploads[0], source=damaged)
        with pytest.raises(errors.BundleCorrupt):
            rollout.apply(replace(plan, uploads=(upload,)), session.client, session.connection)
    assert helpers.active_digest(serving) == bundle.digest
    assert stored(serving) == {bundle.digest}
    assert list((serving.store / "incoming").iterdir()) == []


def test_a_bundle_that_sees_something_else_on_the_device_never_serves(
    serving: EmbeddedDevice, bundle: Bundle, tmp_path: Path, helpers: Any
) -> None:
    folder = tmp_path / "liar"
    honest = probe.write_bundle(folder, name="liar").manifest
    golden = honest.golden[0]
    moved = tuple(
        manifest.Expected(xyxy=(0.0, 0.0, 16.0, 16.0), score=each.score, class_id=each.class_id)
        for each in golden.detections[:1]
    )
    lying = msgspec.structs.replace(
        honest, golden=(manifest.Golden(picture=golden.picture, detections=moved),)
    )
    (folder / manifest.MANIFEST_NAME).write_bytes(manifest.encode(lying))
    with pytest.raises(errors.SelfTestFailed):
        helpers.push(serving, open_bundle(folder))
    assert helpers.active_digest(serving) == bundle.digest


def test_rollback_returns_to_the_model_before(
    serving: EmbeddedDevice, bundle: Bundle, large_bundle: Bundle, helpers: Any
) -> None:
    helpers.push(serving, large_bundle)
    with open_session(serving.device) as session:
        back = session.client.rollback()
        assert (back.digest, back.previous) == (bundle.digest, large_bundle.digest)
    assert helpers.active_digest(serving) == bundle.digest


def test_a_model_survives_a_restart_of_the_daemon(
    serving: EmbeddedDevice, bundle: Bundle, helpers: Any
) -> None:
    serving.restart_daemon()
    assert helpers.active_digest(serving) == bundle.digest


# -- a full disk


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 8 MB."""
    if os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("only root can mount a small disk")
    folder = tmp_path / "disk"
    folder.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(folder)],
        capture_output=True,
        text=True,
        check=False,
    )
    if made.returncode != 0:
        pytest.skip(f"no small disk can be mounted here: {made.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.mark.parametrize("when", ["before", "during"])
def test_a_full_disk_is_named_and_changes_nothing(
    start: Start,
    small_disk: Path,
    bundle: Bundle,
    large_bundle: Bundle,
    helpers: Any,
    when: str,
) -> None:
    embedded = start(store=small_disk / "store")
    helpers.push(embedded, bundle)
    full = small_disk / "somebody-elses"
    with open_session(embedded.device) as session:
        if when == "before":
            full.write_bytes(bytes(5_000_000))
        with pytest.raises(errors.StorageFull) as caught:  # noqa: PT012 - either may raise
            plan = rollout.plan(large_bundle, *rollout.facts(session.client, large_bundle))
            full.write_bytes(bytes(6_500_000))
            rollout.apply(plan, session.client, session.connection)
    assert caught.value.hint
    assert helpers.active_digest(embedded) == bundle.digest
    assert stored(embedded) == {bundle.digest}
    assert list((embedded.store / "incoming").iterdir()) == []
    full.unlink()
    assert helpers.push(embedded, large_bundle).serves
