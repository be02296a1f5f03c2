"""The messages of a benchmark: models are offered, uploaded, timed in turns and forgotten."""

from __future__ import annotations

from typing import Annotated

import msgspec

from tartlet_shared.manifest import FileEntry, Sha256
from tartlet_shared.message_base import Failure, Reply, Request


class BenchmarkModel(msgspec.Struct, frozen=True, kw_only=True):
    """A model file to be timed; it need not be part of a bundle.

    Attributes:
        file: its name distinguishes it from the others, its SHA-256 says what it is.
        runtime: "litert" or "onnx".
    """

    file: FileEntry
    runtime: Annotated[str, msgspec.Meta(max_length=32)]


BenchmarkModels = Annotated[tuple[BenchmarkModel, ...], msgspec.Meta(min_length=1, max_length=16)]
"""Each has a process of its own, all at the same time: a Pi's memory sets the limit."""


class BenchmarkOfferRequest(Request, frozen=True, kw_only=True):
    """Here are models that I want timed; which files do you need?"""

    models: BenchmarkModels


class BenchmarkWanted(Reply, frozen=True, kw_only=True):
    """SHA-256 of the files to upload by SFTP into ``folder``, each under that name."""

    files: tuple[Sha256, ...]
    folder: str


class BenchmarkRequest(Request, frozen=True, kw_only=True):
    """Time models in turns. Nothing serves from them, and nothing is left of them afterwards.

    Attributes:
        models: files that were uploaded, or that are in a stored bundle.
        runs: inferences of each that count, at least.
        threads: for inference; None for the device's own choice.
    """

    models: BenchmarkModels
    runs: Annotated[int, msgspec.Meta(ge=1, le=100_000)] = 60
    threads: Annotated[int, msgspec.Meta(ge=1, le=64)] | None = None


class BenchmarkRound(Reply, frozen=True, kw_only=True):
    """So many rounds of so many are done; more replies follow."""

    done: int
    total: int


class BenchmarkTiming(msgspec.Struct, frozen=True, kw_only=True):
    """What was measured of one model.

    Attributes:
        name: of its file, as the request has it.
        version: of the library that ran it.
        p50_ms, p95_ms: of one inference; None where it could not be timed.
        runs: inferences that count.
        peak_bytes: the most memory that its process had, the library's included.
        failure: why it could not be timed; None if it could.
    """

    name: str
    version: str = ""
    p50_ms: float | None = None
    p95_ms: float | None = None
    runs: int = 0
    peak_bytes: int = 0
    failure: Failure | None = None


class Conditions(msgspec.Struct, frozen=True, kw_only=True):
    """What models were timed under.

    Attributes:
        machine: in words.
        threads: for inference; None for what the runtimes chose.
        temperature_c, highest_c: of the processor before and at most; None where unknown.
        throttled: what the firmware said about power and heat meanwhile, None where unknown.
        load: what others gave each core to do before, 1 for all its time; None where unknown.
    """

    machine: str
    threads: int | None = None
    temperature_c: float | None = None
    highest_c: float | None = None
    throttled: tuple[str, ...] | None = None
    load: float | None = None


class BenchmarkResult(Reply, frozen=True, kw_only=True):
    """All models, in the order of the request."""

    timings: tuple[BenchmarkTiming, ...]
    conditions: Conditions
