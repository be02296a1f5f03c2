"""The process that converts; started by `tartlet_host.quantize.conversion`, not by people."""

from __future__ import annotations

import signal
import sys
import time
from pathlib import Path
from types import FrameType

import msgspec

from tartlet_host.files import write_atomically
from tartlet_host.quantize import calibration, litert, onnx
from tartlet_host.quantize.conversion import Job, Outcome, output_path
from tartlet_host.train import checkpoint
from tartlet_shared import messages
from tartlet_shared.errors import TartletError


def main(work: Path) -> None:
    """Do the job described in the folder ``work`` and leave the outcome there."""
    # As an exception, so that temporary files are removed on the way out.
    signal.signal(signal.SIGTERM, _stop)
    job = msgspec.json.decode((work / "job.json").read_bytes(), type=Job)
    try:
        outcome = Outcome(seconds=_convert(job))
    except TartletError as error:
        outcome = Outcome(failure=messages.failure(0, error))
    write_atomically(work / "outcome.json", msgspec.json.encode(outcome))


def _convert(job: Job) -> dict[str, float]:
    converter = litert if job.runtime == "litert" else onnx
    loaded = checkpoint.load(Path(job.checkpoint))
    float_path = output_path(job, "float")
    started = time.monotonic()
    converter.convert_float(loaded.detector, loaded.recipe, float_path)
    seconds = {"float": time.monotonic() - started}
    if job.canvases is not None:
        pictures = calibration.load(Path(job.canvases), loaded.recipe)
        started = time.monotonic()
        converter.convert_int8(float_path, pictures, output_path(job, "int8"))
        seconds["int8"] = time.monotonic() - started
    return seconds


def _stop(number: int, frame: FrameType | None) -> None:
    sys.exit(128 + number)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
