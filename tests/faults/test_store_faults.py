"""A device's store under faults, at the calls that write; `make faults` does it at all of them."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from benchmarks import push_steps, store_faults
from benchmarks.store_faults import STEPS, Case
from tartlet_device.store import Store
from tartlet_host.remote import probe

pytestmark = pytest.mark.system


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Case]:
    if not store_faults.may_trace():
        pytest.skip("strace is not installed, or may not attach to processes")
    folder = tmp_path_factory.mktemp("cases")
    old = probe.write_bundle(folder / "old", name="old")
    new = probe.write_bundle(folder / "new", name="new", filler_bytes=300_000)
    return {step: store_faults.prepare(folder / step, step, old, new) for step in STEPS}


@pytest.mark.parametrize("step", ["receive", "activate"])
def test_killed_at_a_call_that_writes_the_old_or_the_new_model_serves(
    cases: dict[str, Case], step: str, tmp_path: Path
) -> None:
    writing = [each for each in store_faults.points(cases[step], tmp_path) if each.writes]
    names = {each.name for each in writing}
    assert {"write", "fsync", "rename"} <= names
    wrong = [
        each for point in writing for each in store_faults.killed(cases[step], point, tmp_path)
    ]
    assert wrong == []


@pytest.mark.parametrize("step", ["receive", "leave"])
@pytest.mark.parametrize("error", ["ENOSPC", "EIO"])
def test_an_error_of_the_disk_changes_nothing_or_all(
    cases: dict[str, Case], step: str, error: str, tmp_path: Path
) -> None:
    writing = [each for each in store_faults.points(cases[step], tmp_path) if each.writes][::4]
    assert writing
    case = cases[step]
    wrong = [each for at in writing for each in store_faults.failing(case, at, error, tmp_path)]
    assert wrong == []


@pytest.mark.parametrize("step", STEPS)
def test_writes_that_are_cut_change_nothing(
    cases: dict[str, Case], step: str, tmp_path: Path
) -> None:
    assert [
        each for most in (0, 20) for each in store_faults.short_write(cases[step], most, tmp_path)
    ] == []


@pytest.mark.parametrize("step", STEPS)
def test_every_step_does_what_it_says(cases: dict[str, Case], step: str, tmp_path: Path) -> None:
    case = cases[step]
    shutil.copytree(case.folder, tmp_path / "case")
    root = tmp_path / "case" / "store"
    assert push_steps.main(root, step, case.new.digest) == 0
    assert Store(root).serving() == case.after
    assert Store(root).has(case.new.digest)


def test_what_is_wrong_is_found(cases: dict[str, Case], tmp_path: Path) -> None:
    case = cases["confirm"]
    shutil.copytree(case.folder, tmp_path / "case")
    broken = store_faults.Case(
        tmp_path / "case", case.step, case.old, case.new, case.before, case.after
    )
    (broken.store / "serving.json").write_bytes(b"")
    assert any("nothing serves" in each for each in store_faults.examine(broken, done=False))
    picture = broken.store / "bundles" / case.old.digest / "model.onnx"
    shutil.copytree(case.store, broken.store, dirs_exist_ok=True)
    picture.unlink()
    picture.write_bytes(b"")
    assert store_faults.examine(broken, done=False) != []
