"""What a bundle's model puts out for its golden pictures, before anything is decoded.

Runs on both sides: imported by a test, and piped into a Pi's Python, where it prints the arrays in
NumPy's .npz format as base64.
"""

from __future__ import annotations

import base64
import io
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tartlet_device import preprocess, runtime
from tartlet_device.detector import Detector, Loading
from tartlet_device.pictures import decode_picture
from tartlet_shared.bundle import open_bundle


def compute(folder: Path, load: Loading = runtime.load) -> dict[str, NDArray[Any]]:
    """By "picture/output"; the type and shape of the model's output tensors."""
    bundle = open_bundle(folder)
    detector = Detector.open(bundle, threads=1, load=load)
    found = {}
    for number, golden in enumerate(bundle.manifest.golden):
        picture = decode_picture((folder / golden.picture).read_bytes(), where=golden.picture)
        canvas, _ = preprocess.letterbox_picture(picture, detector.preprocessing)
        tensor = preprocess.input_tensor(canvas, detector.preprocessing, detector.runtime.input)
        for index, output in enumerate(detector.runtime.invoke(tensor)):
            found[f"{number}/{index}"] = output
    return found


def read(printed: str) -> dict[str, NDArray[Any]]:
    """What a Pi printed."""
    with np.load(io.BytesIO(base64.b64decode(printed))) as arrays:
        return dict(arrays)


if __name__ == "__main__":
    content = io.BytesIO()
    np.savez(content, **compute(Path(sys.argv[1])))  # type: ignore[arg-type]
    print(base64.b64encode(content.getvalue()).decode())
