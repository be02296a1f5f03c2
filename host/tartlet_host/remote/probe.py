"""The smallest real bundle: an ONNX model that finds bright spots.

To try a device before there is a trained model: it goes through the same push, self-test and
prediction as any other. The tests and the benchmarks use it for the same reason.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from tartlet_device import runtime
from tartlet_device.detector import Detector
from tartlet_host.files import write_atomically
from tartlet_shared import bundle as bundles
from tartlet_shared import manifest
from tartlet_shared.manifest import (
    CellDecoding,
    Expected,
    FileEntry,
    Golden,
    Level,
    Manifest,
    Preprocessing,
    Tensor,
)

SIDE = 64  # pixels of the canvas
STRIDE = 8
LABEL = "bright spot"
_MODEL, _PICTURE, _FILLER = "model.onnx", "golden/spots.png", "filler.bin"
_GAIN = 8.0  # logits per unit of brightness, which runs from -1 to 1
_CREATED = "2026-01-01T00:00:00Z"  # fixed, so that the same call gives the same bundle


def write_bundle(folder: Path, *, name: str = "probe", filler_bytes: int = 0) -> bundles.Bundle:
    """Write the bundle into an empty or missing folder.

    Args:
        folder: becomes the bundle.
        name: of the model.
        filler_bytes: size of a further file that nothing reads, to make the bundle larger.

    Returns:
        The bundle, verified.
    """
    write_atomically(folder / _MODEL, _model().SerializeToString())
    spots = spots_picture()
    png = cv2.imencode(".png", cv2.cvtColor(spots, cv2.COLOR_RGB2BGR))[1].tobytes()
    write_atomically(folder / _PICTURE, png)
    names = [_MODEL, _PICTURE]
    if filler_bytes:
        filler = np.random.default_rng(0).bytes(filler_bytes)
        write_atomically(folder / _FILLER, filler)
        names.append(_FILLER)
    files = tuple(bundles.file_entry(folder, each) for each in names)
    described = _manifest(name, files, ())
    detector = Detector(
        runtime.load(folder / _MODEL, "onnx", threads=1),
        described.preprocessing,
        described.decoding,
        described.labels,
    )
    found, _ = detector.detect(spots)
    golden = tuple(Expected(xyxy=box, score=score, class_id=kind) for box, score, kind in found)
    content = manifest.encode(_manifest(name, files, golden))
    write_atomically(folder / manifest.MANIFEST_NAME, content)
    return bundles.open_bundle(folder)


def spots_picture() -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """Two bright spots on a dark ground: RGB, uint8, ``(128, 128, 3)``."""
    picture = np.full((2 * SIDE, 2 * SIDE, 3), 20, np.uint8)
    picture[16:32, 32:48] = 250
    picture[80:96, 96:112] = 220
    return picture


def _model() -> onnx.ModelProto:
    """Mean brightness of each cell as its score; the cell itself as its box."""
    cells = SIDE // STRIDE
    score_weight = np.full((1, 3, 1, 1), _GAIN / 3, np.float32)
    box_weight = np.zeros((4, 3, 1, 1), np.float32)
    constants = {
        "score_weight": score_weight,
        "score_bias": np.zeros(1, np.float32),
        "box_weight": box_weight,
        "box_bias": np.full(4, 0.5, np.float32),  # half a stride to each side of the centre
    }
    nodes = [
        helper.make_node("Transpose", ["picture"], ["planes"], perm=[0, 3, 1, 2]),
        helper.make_node(
            "AveragePool",
            ["planes"],
            ["means"],
            kernel_shape=[STRIDE, STRIDE],
            strides=[STRIDE, STRIDE],
        ),
        helper.make_node("Conv", ["means", "score_weight", "score_bias"], ["score_planes"]),
        helper.make_node("Conv", ["means", "box_weight", "box_bias"], ["box_planes"]),
        helper.make_node("Transpose", ["score_planes"], ["scores"], perm=[0, 2, 3, 1]),
        helper.make_node("Transpose", ["box_planes"], ["boxes"], perm=[0, 2, 3, 1]),
    ]
    shapes = {"scores": [1, cells, cells, 1], "boxes": [1, cells, cells, 4]}
    graph = helper.make_graph(
        nodes,
        "bright_spots",
        [helper.make_tensor_value_info("picture", TensorProto.FLOAT, [1, SIDE, SIDE, 3])],
        [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
            for name, shape in shapes.items()
        ],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    return model


def _manifest(
    name: str, files: tuple[FileEntry, ...], detections: tuple[Expected, ...]
) -> Manifest:
    cells = SIDE // STRIDE
    return Manifest(
        name=name,
        created=_CREATED,
        runtime="onnx",
        model=_MODEL,
        labels=(LABEL,),
        input=Tensor(name="picture", shape=(1, SIDE, SIDE, 3), dtype="float32"),
        outputs=(
            Tensor(name="scores", shape=(1, cells, cells, 1), dtype="float32"),
            Tensor(name="boxes", shape=(1, cells, cells, 4), dtype="float32"),
        ),
        preprocessing=Preprocessing(width=SIDE, height=SIDE, pad_value=0),
        decoding=CellDecoding(levels=(Level(stride=STRIDE, scores=0, boxes=1),)),
        golden=(Golden(picture=_PICTURE, detections=detections),),
        files=files,
    )
