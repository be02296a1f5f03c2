"""Coverage-guided fuzzing of every module here that takes data from outside, by hand:

    pip install atheris && python tests/shared/fuzz.py TARGET [seconds]

An error of tartlet's own tree is the right answer to rubbish; any other exception is a finding.
"""

from __future__ import annotations

import contextlib
import sys

import numpy as np

from tartlet_shared import (
    affine,
    decode,
    errors,
    letterbox,
    manifest,
    nms,
    picture_messages,
    wire,
)
from tartlet_shared.affine import Affine
from tartlet_shared.manifest import (
    CellDecoding,
    ClassDecoding,
    Decoding,
    EndToEndDecoding,
    Level,
    SsdDecoding,
    Tensor,
    YoloDecoding,
)

GEOMETRY = letterbox.fit(64, 48, 32, 32)
STEP = Affine(scale=0.1, zero_point=0)
HEAD = (
    Tensor(name="scores", shape=(1, 4, 4, 2), dtype="int8", affine=STEP),
    Tensor(name="boxes", shape=(1, 4, 4, 4), dtype="int8", affine=STEP),
)
FLOAT_HEAD = tuple(Tensor(name=each.name, shape=each.shape, dtype="float32") for each in HEAD)
DECODING = CellDecoding(levels=(Level(stride=8, scores=0, boxes=1),))

FOREIGN: tuple[tuple[Decoding, tuple[tuple[int, ...], ...]], ...] = (
    (SsdDecoding(boxes=0, classes=1, scores=2, count=3), ((1, 4, 4), (1, 4), (1, 4), (1,))),
    (YoloDecoding(output=0, transposed=False, objectness=True, units="parts"), ((1, 9, 8),)),
    (YoloDecoding(output=0, transposed=True, objectness=False, units="pixels"), ((1, 7, 9),)),
    (EndToEndDecoding(output=0, units="pixels"), ((1, 9, 6),)),
    (ClassDecoding(output=0, activation="softmax"), ((1, 3),)),
)


def fuzz_wire(data: bytes) -> None:
    """Feed in two pieces, as a socket would."""
    decoder = wire.Decoder(max_frame=1 << 16)
    decoder.feed(data[: len(data) // 2])
    for message in decoder.feed(data[len(data) // 2 :]):
        wire.encode(message)


def fuzz_manifest(data: bytes) -> None:
    manifest.encode(manifest.decode(data))


def fuzz_detections(data: bytes) -> None:
    third = len(data) // 6
    picture_messages.unpack(
        picture_messages.DetectionColumns(
            xyxy=data[: 4 * third], score=data[4 * third : 5 * third], class_id=data[5 * third :]
        )
    )


def fuzz_decode(data: bytes) -> None:
    """Outputs of any value, as integers and as floats, NaN and infinity among them."""
    integers = np.frombuffer(data.ljust(96, b"\0")[:96], np.int8)
    outputs = [integers[:32].reshape(HEAD[0].shape), integers[32:].reshape(HEAD[1].shape)]
    decode.decode(outputs, HEAD, DECODING, GEOMETRY)
    real = np.frombuffer(data.ljust(384, b"\0")[:384], np.float32)
    with np.errstate(all="ignore"):
        outputs = [real[:32].reshape(HEAD[0].shape), real[32:].reshape(HEAD[1].shape)]
        decode.decode(outputs, FLOAT_HEAD, DECODING, GEOMETRY)


def fuzz_foreign(data: bytes) -> None:
    """Other models' outputs of any value, NaN and infinity among them."""
    real = np.frombuffer(data.ljust(400, b"\0")[:400], np.float32)
    for decoding, shapes in FOREIGN:
        tensors = [Tensor(name="out", shape=shape, dtype="float32") for shape in shapes]
        outputs = [np.resize(real, shape) for shape in shapes]
        with np.errstate(all="ignore"):
            decode.decode(outputs, tensors, decoding, GEOMETRY, classes=3)


def fuzz_geometry(data: bytes) -> None:
    """Letterbox, quantization and suppression of any numbers."""
    sizes = np.frombuffer(data.ljust(8, b"\1")[:8], np.uint16).astype(int) + 1
    boxes = np.frombuffer(data[8 : 8 + len(data[8:]) // 16 * 16], np.float32).reshape(-1, 4)
    fitted = letterbox.fit(*(int(size) for size in sizes))
    with np.errstate(all="ignore"):
        fitted.to_picture(fitted.to_canvas(boxes))
        affine.dequantize(affine.quantize(np.nan_to_num(boxes), STEP, "int8"), STEP)
        scores = np.linspace(1, 0, len(boxes), dtype=np.float32)
        classes = np.zeros(len(boxes), np.int64)
        kept = nms.non_maximum_suppression(
            boxes, scores, classes, iou_threshold=0.5, max_detections=10
        )
    assert len(set(kept.tolist())) == len(kept) <= 10


TARGETS = {
    "wire": fuzz_wire,
    "manifest": fuzz_manifest,
    "detections": fuzz_detections,
    "decode": fuzz_decode,
    "foreign": fuzz_foreign,
    "geometry": fuzz_geometry,
}


def main() -> None:
    import atheris  # not a dependency: no wheels for every Python

    target = TARGETS[sys.argv[1]]
    seconds = sys.argv[2] if len(sys.argv) > 2 else "60"

    def one(data: bytes) -> None:
        with contextlib.suppress(errors.TartletError):
            target(data)

    atheris.instrument_all()
    atheris.Setup([sys.argv[0], f"-max_total_time={seconds}"], one)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
