from __future__ import annotations

import importlib

import numpy as np
import pytest

from tartlet_device import runtime
from tartlet_device.runtime import litert, onnx
from tartlet_device.runtime.base import natural_order, thread_count
from tartlet_shared import affine, errors


def bright_input(loaded):
    real = np.full((1, 48, 64, 3), -0.8)
    real[:, 16:32, 16:32] = 0.9
    if loaded.input.affine is None:
        return real.astype(np.float32)
    return affine.quantize(real, loaded.input.affine, loaded.input.dtype)


def real_outputs(loaded, outputs):
    return [
        values if tensor.affine is None else affine.dequantize(values, tensor.affine)
        for values, tensor in zip(outputs, loaded.outputs, strict=True)
    ]


SHAPES = [(1, 6, 8, 1), (1, 6, 8, 4), (1, 3, 4, 1), (1, 3, 4, 4)]


def test_litert_describes_the_model_in_the_networks_order(kit):
    loaded = runtime.load(kit.model, "litert", threads=1)
    assert loaded.name == "litert"
    assert loaded.input.shape == (1, 48, 64, 3)
    assert loaded.input.dtype == "int8"
    assert [output.shape for output in loaded.outputs] == SHAPES
    assert all(output.affine is not None for output in loaded.outputs)


def test_onnx_describes_the_model_in_the_networks_order(bright_onnx):
    loaded = runtime.load(bright_onnx, "onnx", threads=1)
    assert loaded.name == "onnx"
    assert (loaded.input.name, loaded.input.dtype) == ("picture", "float32")
    assert [output.shape for output in loaded.outputs] == SHAPES


def test_both_runtimes_see_the_same(kit, bright_onnx):
    results = []
    for path, name in ((kit.model, "litert"), (bright_onnx, "onnx")):
        loaded = runtime.load(path, name, threads=1)
        results.append(real_outputs(loaded, loaded.invoke(bright_input(loaded))))
    for int8, real in zip(*results, strict=True):
        assert np.abs(int8 - real).max() < 0.15  # two steps of the coarsest output
    fine_scores = results[0][0][0, :, :, 0]
    assert np.argwhere(fine_scores > 0).tolist() == [[2, 2], [2, 3], [3, 2], [3, 3]]


def test_outputs_stay_what_they_were_when_the_model_runs_again(kit):
    loaded = runtime.load(kit.model, "litert", threads=1)
    first = loaded.invoke(bright_input(loaded))
    kept = [values.copy() for values in first]
    loaded.invoke(np.zeros((1, 48, 64, 3), np.int8))
    assert all(np.array_equal(a, b) for a, b in zip(first, kept, strict=True))


@pytest.mark.parametrize("length", [0, 4, 100, 3000, -40])
def test_a_truncated_tflite_file_is_a_corrupt_bundle(kit, tmp_path, length):
    path = tmp_path / "model.tflite"
    path.write_bytes(kit.model.read_bytes()[:length])
    with pytest.raises(errors.BundleCorrupt) as caught:
        runtime.load(path, "litert", threads=1)
    assert caught.value.where == str(path)


@pytest.mark.parametrize("content", [b"", b"not a model", b"\x08\x09:\x00"])
def test_what_is_no_onnx_model_is_a_corrupt_bundle(tmp_path, content):
    path = tmp_path / "model.onnx"
    path.write_bytes(content)
    with pytest.raises(errors.BundleCorrupt):
        runtime.load(path, "onnx", threads=1)


def test_a_truncated_onnx_file_is_a_corrupt_bundle(bright_onnx, tmp_path):
    path = tmp_path / "model.onnx"
    content = bright_onnx.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(errors.BundleCorrupt):
        runtime.load(path, "onnx", threads=1)


def test_an_onnx_model_with_its_weights_elsewhere_is_refused(bright_onnx, tmp_path):
    import onnx as library

    path = tmp_path / "model.onnx"
    library.save(library.load(bright_onnx), path, save_as_external_data=True, size_threshold=0)
    with pytest.raises(errors.BundleCorrupt, match="another file"):
        runtime.load(path, "onnx", threads=1)
    # The same, with the length and the key written longer than they need be.
    content = path.read_bytes()
    for longer in (b"\x0a\x88\x00location", b"\x8a\x00\x08location", b"\x0a\x88\x80\x00location"):
        path.write_bytes(content.replace(b"\x0a\x08location", longer))
        with pytest.raises(errors.BundleCorrupt, match="another file"):
            runtime.load(path, "onnx", threads=1)


@pytest.mark.parametrize("name", ["litert", "onnx"])
def test_a_missing_file_is_a_corrupt_bundle(tmp_path, name):
    with pytest.raises(errors.BundleCorrupt):
        runtime.load(tmp_path / "nothing", name, threads=1)


def test_an_unknown_runtime_is_unavailable(kit):
    with pytest.raises(errors.RuntimeUnavailable, match="'tensorrt'"):
        runtime.load(kit.model, "tensorrt")


@pytest.fixture
def without(monkeypatch):
    """Make importing some modules fail."""

    def without(*missing):
        real = importlib.import_module

        def fail(name, *rest):
            if name.partition(".")[0] in missing:
                raise ImportError(f"No module named {name!r}")
            return real(name, *rest)

        monkeypatch.setattr(importlib, "import_module", fail)

    return without


def test_without_any_tflite_library_the_error_names_all_that_were_tried(kit, without):
    without("ai_edge_litert", "tflite_runtime")
    with pytest.raises(errors.RuntimeUnavailable) as caught:
        runtime.load(kit.model, "litert")
    assert "ai-edge-litert" in caught.value.what
    assert "tflite-runtime" in caught.value.what


def test_tflite_runtime_serves_where_ai_edge_litert_does_not_load(kit, without, monkeypatch):
    from ai_edge_litert import interpreter as real

    without("ai_edge_litert")
    found = importlib.import_module

    def fall_back(name, *rest):
        return real if name == "tflite_runtime.interpreter" else found(name, *rest)

    monkeypatch.setattr(importlib, "import_module", fall_back)
    monkeypatch.setattr(litert.importlib.metadata, "version", lambda _name: "2.14.0")
    assert runtime.load(kit.model, "litert", threads=1).version == "tflite-runtime 2.14.0"


def test_the_reference_kernels_are_a_step_away_at_most(kit):
    usual = litert.LiteRtRuntime(kit.model, threads=1)
    reference = litert.LiteRtRuntime(kit.model, threads=1, reference_kernels=True)
    shape, dtype = usual.input.shape, usual.input.dtype
    tensor = np.random.default_rng(0).integers(-128, 128, shape).astype(dtype)
    for mine, theirs in zip(usual.invoke(tensor), reference.invoke(tensor), strict=True):
        steps = np.abs(mine.astype(int) - theirs.astype(int))
        assert steps.max() <= 1


def test_without_onnxruntime_the_model_is_unavailable(bright_onnx, without):
    without("onnxruntime")
    with pytest.raises(errors.RuntimeUnavailable, match="onnxruntime"):
        runtime.load(bright_onnx, "onnx")


def test_available_tells_what_is_installed(monkeypatch):
    assert set(runtime.available()) == {"litert", "onnx"}
    monkeypatch.setattr(litert, "installed", lambda: None)
    monkeypatch.setattr(onnx, "installed", lambda: "onnxruntime 9")
    assert runtime.available() == {"onnx": "onnxruntime 9"}


def test_natural_order_counts():
    names = ["output_10", "output_2", "output_0", "StatefulPartitionedCall:11", "output_1"]
    assert sorted(names, key=natural_order) == [
        "StatefulPartitionedCall:11",
        "output_0",
        "output_1",
        "output_2",
        "output_10",
    ]


def test_thread_count_is_as_asked_for_or_at_most_four(monkeypatch):
    monkeypatch.setattr("os.cpu_count", lambda: 64)
    assert (thread_count(7), thread_count(None)) == (7, 4)
    monkeypatch.setattr("os.cpu_count", lambda: None)
    assert thread_count(None) == 1
