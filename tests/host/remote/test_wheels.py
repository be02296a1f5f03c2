"""Wheels for a device: made from this checkout, fetched for another Python, kept."""

from __future__ import annotations

import importlib.metadata
import shutil
import subprocess
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from tartlet_host.remote import wheels
from tartlet_host.remote.facts import Facts
from tartlet_shared import errors
from tests.pi_facts import PI

SCRIPT = Path(__file__).parents[3] / "setup_pi.sh"
OPENCV = importlib.metadata.version("opencv-python-headless")


def put_wheel(folder: Path, name: str, version: str, tag: str, *needs: str) -> None:
    """The least that pip takes for a wheel."""
    stem = f"{name}-{version}"
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    metadata += "".join(f"Requires-Dist: {need}\n" for need in needs)
    with zipfile.ZipFile(folder / f"{stem}-{tag}.whl", "w") as archive:
        archive.writestr(f"{stem}.dist-info/METADATA", metadata)
        archive.writestr(f"{stem}.dist-info/WHEEL", f"Wheel-Version: 1.0\nTag: {tag}\n")
        archive.writestr(f"{stem}.dist-info/RECORD", "")


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """All that pip finds: wheels for several systems."""
    folder = tmp_path / "index"
    folder.mkdir()
    for name in ("numpy", "msgspec"):
        put_wheel(folder, name, "2.2.4", "cp313-cp313-manylinux_2_28_aarch64")
        put_wheel(folder, name, "2.9.9", "cp313-cp313-manylinux_2_28_aarch64")
        put_wheel(folder, name, "2.2.4", "cp311-cp311-manylinux_2_28_x86_64")
    put_wheel(folder, "ai_edge_litert", "2.3.0", "cp313-cp313-manylinux_2_27_aarch64", "numpy>=2")
    put_wheel(folder, "ai_edge_litert", "2.4.0", "cp313-cp313-manylinux_2_99_aarch64", "numpy>=2")
    for version in (OPENCV, "99.0"):
        put_wheel(folder, "opencv_python_headless", version, "cp37-abi3-manylinux2014_aarch64")
    for name in ("PIP_EXTRA_INDEX_URL", "PIP_INDEX_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


def prepare(tmp_path: Path, facts: Facts = PI, extras: tuple[str, ...] = ("litert", "opencv")):
    steps: list[tuple[int, int]] = []
    source = wheels.checkout()
    assert source is not None
    found = wheels.prepare(
        facts, extras, source, tmp_path / "cache", lambda done, total: steps.append((done, total))
    )
    return found, steps


def names(found: wheels.Wheels) -> list[str]:
    return [path.name for path in found.files]


def test_everything_is_for_the_device_and_kept(tmp_path: Path, index: Path) -> None:
    found, steps = prepare(tmp_path)
    assert [name.partition("-py3")[0] for name in names(found)] == [
        # Not the one for a newer glibc.
        "ai_edge_litert-2.3.0-cp313-cp313-manylinux_2_27_aarch64.whl",
        "msgspec-2.9.9-cp313-cp313-manylinux_2_28_aarch64.whl",
        # The laptop's version, though there is a newer one.
        f"opencv_python_headless-{OPENCV}-cp37-abi3-manylinux2014_aarch64.whl",
        "tartlet_device-0.1.0",
        "tartlet_shared-0.1.0",
    ]
    assert steps[-1] == (3, 3)
    # From now on nothing is built and nothing fetched.
    shutil.rmtree(index)
    again, steps = prepare(tmp_path)
    assert again == found
    assert steps == []


def test_the_devices_numpy_decides(tmp_path: Path, index: Path) -> None:
    put_wheel(index, "numpy", "1.24.2", "cp313-cp313-manylinux_2_28_aarch64")
    (index / f"opencv_python_headless-{OPENCV}-cp37-abi3-manylinux2014_aarch64.whl").unlink()
    found, _ = prepare(tmp_path, extras=("opencv",))
    assert any(name.startswith("opencv_python_headless-99.0") for name in names(found))
    with pytest.raises(errors.TartletError, match="numpy"):
        prepare(tmp_path, replace(PI, numpy="1.24.2"))


def test_what_failed_leaves_nothing_half_made(tmp_path: Path, index: Path) -> None:
    kept = next(index.glob("msgspec-2.9.9*"))
    for path in index.glob("msgspec-*"):
        path.rename(tmp_path / path.name)
    with pytest.raises(errors.TartletError, match="msgspec") as caught:
        prepare(tmp_path)
    assert "online" in caught.value.hint
    assert [path.name[:5] for path in (tmp_path / "cache").iterdir()] == ["ours-"]
    shutil.copy(tmp_path / kept.name, index)
    found, _ = prepare(tmp_path)
    assert kept.name in names(found)


def test_a_32_bit_device_fetches_its_libraries_itself(tmp_path: Path, index: Path) -> None:
    found, _ = prepare(
        tmp_path, replace(PI, bits=32, machine="armv7l", python=(3, 11)), ("tflite",)
    )
    assert found.libraries == ()
    assert len(found.files) == 2


@pytest.mark.parametrize(("runtime", "onnx"), [("", False), ("litert", True)])
def test_the_script_computes_the_same_fingerprint(tmp_path: Path, runtime: str, onnx: bool) -> None:
    for name in ("tartlet_shared", "tartlet_device", "Zlib", "a_b"):
        (tmp_path / f"{name}-1.0-py3-none-any.whl").write_bytes(name.encode())
    given = wheels.Wheels(tuple(tmp_path.glob("t*.whl")), tuple(tmp_path.glob("[!t]*.whl")))
    ours = wheels.fingerprint(SCRIPT.read_bytes(), given, (3, 13), runtime=runtime, onnx=onnx)
    theirs = subprocess.run(
        [
            *("bash", "-c"),
            f'source "{SCRIPT}"; wheels="{tmp_path}" minor=13 wanted_runtime={runtime} '
            f'onnx={"yes" if onnx else "no"}; fingerprint "{SCRIPT}"',
        ],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    assert ours == theirs
