"""The process that converts; started by `tartlet_host.quantize.conversion`, not by people."""

from __future__ import annotations

import contextlib
import signal
import sys
import tempfile
import time
from pathlib import Path
from types import FrameType

import msgspec

from tartlet_host.files import write_atomically
from tartlet_host.quantize import calibration, graph, layer_errors, litert, mixed, onnx, ranges
from tartlet_host.quantize.calibration import Calibration
from tartlet_host.quantize.conversion import Job, Outcome, output_path
from tartlet_host.quantize.layer_errors import LayerError
from tartlet_host.quantize.ranges import Range
from tartlet_host.train import checkpoint
from tartlet_shared import messages
from tartlet_shared.errors import TartletError

REPORT_PICTURES = 8


def main(work: Path) -> None:
    """Do the job described in the folder ``work`` and leave the outcome there."""
    # As an exception, so that temporary files are removed on the way out.
    signal.signal(signal.SIGTERM, _stop)
    job = msgspec.json.decode((work / "job.json").read_bytes(), type=Job)
    try:
        outcome = _mix(job) if job.precisions == ("int8-mixed",) else _convert(job)
    except TartletError as error:
        outcome = Outcome(failure=messages.failure(0, error))
    write_atomically(work / "outcome.json", msgspec.json.encode(outcome))


def _convert(job: Job) -> Outcome:
    loaded = checkpoint.load(Path(job.checkpoint))
    float_path = output_path(job, "float")
    seconds: dict[str, float] = {}
    report: tuple[LayerError, ...] = ()
    for precision in job.precisions:
        path = output_path(job, precision)
        started = time.monotonic()
        if precision == "float":
            converter = litert if job.runtime == "litert" else onnx
            converter.convert_float(loaded.detector, loaded.recipe, path)
        elif precision == "float16":
            (litert if job.runtime == "litert" else onnx).convert_float16(float_path, path)
        elif precision == "dynamic":
            (litert if job.runtime == "litert" else onnx).convert_dynamic(float_path, path)
        else:
            pictures = calibration.load(_canvases(job), loaded.recipe)
            _int8(job, pictures, path, (), signed=precision == "int8-signed")
            if precision == "int8":
                few = _few(pictures)
                report = layer_errors.measure(float_path, path, job.runtime, few)
        seconds[precision] = time.monotonic() - started
    return Outcome(seconds=seconds, layers=report)


def _mix(job: Job) -> Outcome:
    """One layer more stays float than in `job.float_layers`, or a few that belong together."""
    started = time.monotonic()
    recipe = checkpoint.load(Path(job.checkpoint)).recipe
    pictures = calibration.load(_canvases(job), recipe)
    few = _few(pictures)
    float_path, path = output_path(job, "float"), output_path(job, "int8-mixed")
    layers = graph.layers(float_path, job.runtime)
    before = path if job.float_layers else output_path(job, "int8")
    with tempfile.TemporaryDirectory(dir=job.scratch) as folder:
        trial = Path(folder) / path.name

        def noise_of(names: tuple[str, ...]) -> float:
            _int8(job, pictures, trial, names)
            return layer_errors.output_noise(float_path, trial, job.runtime, few)

        kept = mixed.next_float(
            layers,
            layer_errors.measure(float_path, before, job.runtime, few),
            job.float_layers,
            most=job.quantize.float_layers,
            noise_of=noise_of,
        )
    _int8(job, pictures, path, kept)
    report = layer_errors.measure(float_path, path, job.runtime, few)
    return Outcome({"int8-mixed": time.monotonic() - started}, kept, report)


def _int8(
    job: Job, pictures: Calibration, path: Path, kept: tuple[str, ...], *, signed: bool = False
) -> None:
    float_path = output_path(job, "float")
    found = _ranges(job, pictures)
    operators = [
        operator
        for layer in graph.layers(float_path, job.runtime)
        if layer.name in kept
        for operator in layer.operators
    ]
    if job.runtime == "litert":
        litert.convert_int8(
            float_path, found, pictures.preprocessing, path, float_operators=operators
        )
    else:
        onnx.convert_int8(float_path, found, path, float_operators=operators, signed=signed)


def _ranges(job: Job, pictures: Calibration) -> dict[str, Range]:
    """Found once for all files of a checkpoint and a runtime."""
    kept = Path(job.scratch) / f"{job.stem}-{job.runtime}-ranges.json"
    with contextlib.suppress(FileNotFoundError):
        return msgspec.json.decode(kept.read_bytes(), type=dict[str, Range])
    float_path = output_path(job, "float")
    found = ranges.ranges(
        lambda: graph.activations(float_path, job.runtime, pictures), job.quantize
    )
    write_atomically(kept, msgspec.json.encode(found))
    return found


def _canvases(job: Job) -> Path:
    assert job.canvases is not None, "int8 needs pictures"
    return Path(job.canvases)


def _few(pictures: Calibration) -> Calibration:
    """Enough to tell layers apart."""
    step = max(1, len(pictures.canvases) // REPORT_PICTURES)
    return Calibration(pictures.canvases[::step][:REPORT_PICTURES], pictures.preprocessing)


def _stop(number: int, frame: FrameType | None) -> None:
    sys.exit(128 + number)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
