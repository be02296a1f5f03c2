"""Conversions in processes of their own.

The converters print, warn, take half a gigabyte and can die of a signal; none of that may reach
the program that trains and reports. Conversions for two runtimes run side by side.
"""

from __future__ import annotations

import contextlib
import logging
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import msgspec

from tartlet_host.quantize import calibration as calibrations
from tartlet_host.quantize import litert
from tartlet_host.quantize.calibration import Calibration
from tartlet_host.quantize.layer_errors import LayerError
from tartlet_host.recipe import QuantizeRecipe
from tartlet_shared import errors, messages

logger = logging.getLogger(__name__)

RuntimeName = Literal["litert", "onnx"]
Precision = Literal["float", "float16", "dynamic", "int8", "int8-signed", "int8-mixed"]
SUFFIX: dict[str, str] = {"litert": ".tflite", "onnx": ".onnx"}
USUAL: tuple[Precision, ...] = ("float", "float16", "int8")
"""What is made unless asked otherwise; dynamic and signed candidates seldom win."""

ALL: dict[RuntimeName, tuple[Precision, ...]] = {
    "litert": ("float", "float16", "dynamic", "int8"),
    "onnx": ("float", "float16", "dynamic", "int8", "int8-signed"),
}
CALIBRATED = ("int8", "int8-signed", "int8-mixed")
WORKER = ("-W", "ignore", "-m", "tartlet_host.quantize.worker")
POLL = 0.1  # seconds


class Job(msgspec.Struct, frozen=True):
    """What a worker is told.

    Attributes:
        checkpoint: file to convert.
        canvases: file of calibration pictures; None makes nothing that needs them.
        scratch: folder that several jobs for one checkpoint share, for the ranges they found.
        folder, stem: results are ``<folder>/<stem>-<precision><suffix>``.
        runtime: what to convert for.
        precisions: what to make. "int8-mixed" takes the float file that is there and keeps at
            least one more layer float than `float_layers`.
        quantize: how ranges are found, and how many layers may be float.
        float_layers: names of layers that are float already.
    """

    checkpoint: str
    canvases: str | None
    scratch: str
    folder: str
    stem: str
    runtime: RuntimeName
    precisions: tuple[Precision, ...]
    quantize: QuantizeRecipe
    float_layers: tuple[str, ...] = ()


class Outcome(msgspec.Struct, frozen=True):
    """What a worker answers.

    Attributes:
        seconds: of each step, by precision.
        float_layers: of the mixed file.
        layers: the error report of the int8 or mixed file.
        failure: why it did not get so far.
    """

    seconds: dict[str, float] = {}
    float_layers: tuple[str, ...] = ()
    layers: tuple[LayerError, ...] = ()
    failure: messages.Failure | None = None


@dataclass(frozen=True)
class ModelFile:
    """A converted model.

    Attributes:
        path: the file.
        runtime: what runs it.
        precision: "float"; "float16" weights; "dynamic": int8 weights, ranges found in every
            picture; "int8"; "int8-signed": ONNX with signed activations; "int8-mixed": some layers
            stayed float.
        size: bytes.
        seconds: how long this step of the conversion took.
        float_layers: names of the layers that stayed float in a mixed file.
        layers: error report of an int8 or mixed file, layer by layer.
    """

    path: Path
    runtime: RuntimeName
    precision: Precision
    size: int
    seconds: float
    float_layers: tuple[str, ...] = ()
    layers: tuple[LayerError, ...] = ()


def default_runtimes() -> tuple[RuntimeName, ...]:
    """What this machine can convert for: ONNX everywhere, TFLite where its converter exists."""
    return ("litert", "onnx") if litert.available() else ("onnx",)


def convert(
    checkpoint: Path,
    folder: Path,
    *,
    runtimes: Sequence[RuntimeName],
    calibration: Calibration | None,
    precisions: Sequence[Precision] | None = None,
    quantize: QuantizeRecipe | None = None,
    scratch: Path | None = None,
) -> tuple[ModelFile, ...]:
    """Convert a checkpoint for each runtime, side by side, and wait.

    Args:
        checkpoint: as `tartlet_host.train.checkpoint` writes it.
        folder: where the files go, named after the checkpoint: ``pruned-int8.tflite``.
        runtimes: which ones.
        calibration: pictures for int8; None makes what needs none.
        precisions: what to make; a runtime that lacks one leaves it out. The float file is always
            made. Without it, float, and int8 where there are pictures.
        quantize: how ranges are found; the recipe's defaults without it.
        scratch: a folder for what later conversions of the same checkpoint need again.

    Returns:
        The files, the float one first, in the order of ``runtimes``.

    Raises:
        CheckpointCorrupt: the checkpoint cannot be read.
        ConversionFailed: see `litert` and `onnx`; files that were finished before stay.
    """
    wanted: Sequence[Precision] = ("float", "int8") if precisions is None else precisions
    with contextlib.ExitStack() as stack:
        started = [
            stack.enter_context(
                start(
                    checkpoint,
                    folder,
                    runtime=runtime,
                    calibration=calibration,
                    precisions=tuple(
                        each
                        for each in ALL[runtime]
                        if (each == "float" or each in wanted)
                        and (calibration is not None or each not in CALIBRATED)
                    ),
                    quantize=quantize,
                    scratch=scratch,
                )
            )
            for runtime in runtimes
        ]
        return tuple(made for conversion in started for made in conversion.wait())


def keep_more_float(
    checkpoint: Path,
    current: ModelFile,
    *,
    calibration: Calibration,
    quantize: QuantizeRecipe,
    scratch: Path | None = None,
) -> ModelFile:
    """Make the mixed file in which the layer that loses most stays float as well.

    Args:
        checkpoint: what `current` was made from; the float file must lie beside `current`.
        current: the int8 file, or the mixed one to go on from.
        calibration, quantize, scratch: as in `convert`.

    Raises:
        ConversionFailed: see `litert` and `onnx`.
    """
    with start(
        checkpoint,
        current.path.parent,
        runtime=current.runtime,
        calibration=calibration,
        precisions=("int8-mixed",),
        quantize=quantize,
        float_layers=current.float_layers,
        scratch=scratch,
    ) as conversion:
        (made,) = conversion.wait()
    return made


@contextlib.contextmanager
def start(
    checkpoint: Path,
    folder: Path,
    *,
    runtime: RuntimeName,
    calibration: Calibration | None,
    precisions: tuple[Precision, ...] = ("float", "int8"),
    quantize: QuantizeRecipe | None = None,
    float_layers: tuple[str, ...] = (),
    scratch: Path | None = None,
) -> Iterator[Conversion]:
    """Start one conversion in the background; leaving the context ends it if it still runs."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="tartlet-conversion-") as work:
        canvases = None
        if calibration is not None:
            canvases = Path(work) / "canvases.npy"
            calibrations.save(calibration, canvases)
        job = Job(
            checkpoint=str(checkpoint),
            canvases=None if canvases is None else str(canvases),
            scratch=str(work if scratch is None else scratch),
            folder=str(folder),
            stem=checkpoint.stem,
            runtime=runtime,
            precisions=precisions,
            quantize=quantize or QuantizeRecipe(),
            float_layers=float_layers,
        )
        conversion = Conversion(job, Path(work))
        try:
            yield conversion
        finally:
            conversion.cancel()


class Conversion:
    """A worker process that converts."""

    def __init__(self, job: Job, work: Path) -> None:
        self.job = job
        self._work = work
        (work / "job.json").write_bytes(msgspec.json.encode(job))
        with (work / "output").open("wb") as output:
            self._process = subprocess.Popen(
                [sys.executable, *WORKER, str(work)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    def wait(self) -> tuple[ModelFile, ...]:
        """Wait for the files.

        Raises:
            CheckpointCorrupt, ConversionFailed: as the worker found, or it died.
        """
        while self._process.poll() is None:
            time.sleep(POLL)  # not wait(): Ctrl-C must get through on every system
        output = (self._work / "output").read_text(errors="replace")
        logger.debug("conversion of %s for %s:\n%s", self.job.stem, self.job.runtime, output)
        try:
            outcome = msgspec.json.decode((self._work / "outcome.json").read_bytes(), type=Outcome)
        except (OSError, msgspec.DecodeError) as error:
            raise errors.ConversionFailed(
                f"the converter {_died(self._process.returncode)}",
                where=f"{self.job.checkpoint} for {self.job.runtime}",
                hint=_last_line(output) or "its output is in the log: tartlet -vv quantize ...",
            ) from error
        if outcome.failure is not None:
            raise messages.to_error(outcome.failure)
        return tuple(
            _model_file(self.job, precision, outcome)
            for precision in self.job.precisions
            if precision in outcome.seconds
        )

    def cancel(self) -> None:
        """End the worker if it still runs; it removes what it had not finished."""
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(timeout=5)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()


def output_path(job: Job, precision: str) -> Path:
    """Where a job's result goes."""
    return Path(job.folder) / f"{job.stem}-{precision}{SUFFIX[job.runtime]}"


def _model_file(job: Job, precision: Precision, outcome: Outcome) -> ModelFile:
    path = output_path(job, precision)
    reported = precision in ("int8", "int8-mixed")
    return ModelFile(
        path,
        job.runtime,
        precision,
        path.stat().st_size,
        outcome.seconds[precision],
        outcome.float_layers if precision == "int8-mixed" else (),
        outcome.layers if reported else (),
    )


def _died(code: int) -> str:
    if code >= 0:
        return f"ended with exit code {code} and no result"
    name = signal.Signals(-code).name
    reason = " (out of memory?)" if name == "SIGKILL" else ""
    return f"was ended by {name}{reason}"


def _last_line(output: str) -> str:
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    return f"it last said: {lines[-1][:200]}" if lines else ""
