"""Answers about timing models: which files are wanted for it, and how fast each model is."""

from __future__ import annotations

from collections.abc import Iterator

from tartlet_device import benchmark
from tartlet_device.store import Store
from tartlet_shared import messages
from tartlet_shared.benchmark_messages import (
    BenchmarkModel,
    BenchmarkOfferRequest,
    BenchmarkRequest,
    BenchmarkResult,
    BenchmarkRound,
    BenchmarkTiming,
    BenchmarkWanted,
)


def wanted(request: BenchmarkOfferRequest, store: Store) -> Iterator[BenchmarkWanted]:
    """The files that are not here yet."""
    yield BenchmarkWanted(
        request_id=request.request_id,
        files=store.missing([each.file for each in request.models]),
        folder=str(store.incoming),
    )


def timed(
    request: BenchmarkRequest, store: Store, threads: int | None
) -> Iterator[BenchmarkRound | BenchmarkResult]:
    """One reply a round, then the result.

    Args:
        request: which models.
        store: has their files.
        threads: for inference, unless the request says; None for the runtime's own choice.

    Raises:
        BundleCorrupt, BundleUntrusted, StorageFull: as `Store.borrowed`.
    """
    threads = request.threads or threads
    weather = benchmark.Weather()
    weather.look()
    with store.borrowed([each.file for each in request.models]) as folder:
        commands = {
            each.file.name: benchmark.command(str(folder / each.file.name), each.runtime, threads)
            for each in request.models
        }
        with benchmark.Turns(commands) as turns:
            rounds = benchmark.rounds(request.runs)
            for done in range(rounds):
                turns.take()
                weather.look()
                yield BenchmarkRound(request_id=request.request_id, done=done + 1, total=rounds)
            timings = turns.timings()
    yield BenchmarkResult(
        request_id=request.request_id,
        timings=tuple(_timing(each, timings[each.file.name]) for each in request.models),
        conditions=weather.conditions(threads),
    )


def _timing(model: BenchmarkModel, timing: benchmark.Timing) -> BenchmarkTiming:
    return BenchmarkTiming(
        name=model.file.name,
        version=timing.version,
        p50_ms=timing.p50_ms,
        p95_ms=timing.p95_ms,
        runs=timing.runs,
        peak_bytes=timing.peak_bytes,
        failure=None if timing.failure is None else messages.failure(0, timing.failure),
    )
