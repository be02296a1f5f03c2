"""What an endurance run says: trends, counts, and what is wrong."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from benchmarks.soak.run import Sample, Soaked
from benchmarks.soak.trend import Trend, trend
from tartlet_shared.health_messages import DetectionStatus

WARM_UP = 0.25
"""Part of the run that is not counted: caches, pools and limits fill up."""
MEMORY_MB_PER_HOUR = 1.0
"""So much growth is let through, beside `INTERNED_MB`."""
INTERNED_MB = 3.0
"""So much more, in a run of any length. CPython 3.11 keeps interned strings, among them every part
of every path, in a table whose slots are used once: 0.9 MB, made anew twice as large when they are
used up, which takes minutes to hours, and once more beside the old one. Then it has two places that
it takes in turn: a table of 131,072 slots is enough for the 30,000 strings that are alive."""
HANDLES = 2.0
"""So many descriptors or threads may be more at the end."""


@dataclass
class Verdict:
    """What was found.

    Attributes:
        trends: of memory (MB), descriptors and threads, over all processes, after the warm-up.
        rate: frames per second: median of the first and of the last third.
        latency_p50_ms, latency_p95_ms: the same.
        told: how many events began, and how many each output was told of.
        dropped: by stage and by output.
        problems: what is wrong; empty if all is well.
    """

    trends: dict[str, Trend] = field(default_factory=dict)
    rate: tuple[float, float] = (0.0, 0.0)
    latency_p50_ms: tuple[float, float] = (0.0, 0.0)
    latency_p95_ms: tuple[float, float] = (0.0, 0.0)
    told: dict[str, int] = field(default_factory=dict)
    dropped: dict[str, int] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


def judge(found: Soaked) -> Verdict:
    """Look at all samples and counts."""
    verdict = Verdict(problems=list(found.faults))
    length = found.samples[-1].seconds if found.samples else 0.0
    steady = [each for each in found.samples if each.seconds >= WARM_UP * length]
    if len(steady) < 3 or found.last is None:
        verdict.problems.append("too short to say anything")
        return verdict
    _look_at_growth(verdict, steady)
    _look_at_speed(verdict, steady)
    _look_at_events(verdict, found)
    _look_at_device(verdict, found)
    return verdict


def _look_at_growth(verdict: Verdict, steady: list[Sample]) -> None:
    seconds = [each.seconds for each in steady]
    hours = (seconds[-1] - seconds[0]) / 3600
    memory = INTERNED_MB + MEMORY_MB_PER_HOUR * hours
    for name, of, allowance in (
        ("own MB", lambda process: process.own / 1e6, memory),
        ("descriptors", lambda process: process.descriptors, HANDLES),
        ("threads", lambda process: process.threads, HANDLES),
    ):
        found = trend(seconds, [sum(map(of, each.processes.values())) for each in steady])
        verdict.trends[name] = found
        if found.grows(allowance):
            verdict.problems.append(f"{name} grow: {found}")


def _look_at_speed(verdict: Verdict, steady: list[Sample]) -> None:
    third = max(1, len(steady) // 3)

    looked = [each.health.detection for each in steady]
    working = [each for each in looked if each is not None and not each.fault]
    if len(working) < len(looked):
        verdict.problems.append("detection stood still at times")

    def ends(of: Callable[[DetectionStatus], float | None]) -> tuple[float, float]:
        known = [value for each in working if (value := of(each)) is not None] or [0.0]
        return float(np.median(known[:third])), float(np.median(known[-third:]))

    verdict.rate = ends(lambda each: each.rate)
    verdict.latency_p50_ms = ends(lambda each: each.latency_p50_ms)
    verdict.latency_p95_ms = ends(lambda each: each.latency_p95_ms)


def _look_at_events(verdict: Verdict, found: Soaked) -> None:
    verdict.told = {"began": found.began}
    for name, told in (("mqtt", found.mqtt), ("webhook", found.webhook)):
        began = [key for key in told.keys if key.endswith("/began")]
        ended = [key for key in told.keys if key.endswith("/ended")]
        verdict.told[name] = len(began)
        verdict.told[f"{name}, again"] = told.repeated
        if len(began) != found.began:
            verdict.problems.append(f"{found.began} events began, {name} was told {len(began)}")
        if len(ended) != len(began):
            verdict.problems.append(f"{name}: {len(began)} began, {len(ended)} ended")
        if [key.split("/")[0] for key in began] != [key.split("/")[0] for key in ended]:
            verdict.problems.append(f"{name} was told in another order")
    if not found.began:
        verdict.problems.append("there was no event at all")


def _look_at_device(verdict: Verdict, found: Soaked) -> None:
    health = found.last
    assert health is not None
    # While detection was still on.
    verdict.dropped = {each.name: each.dropped for each in found.samples[-1].health.stages}
    for output in health.outputs:
        verdict.dropped[output.name] = output.dropped_observations
        if output.dropped_events:
            verdict.problems.append(f"{output.name}: {output.dropped_events} events were dropped")
        if output.last_error:
            verdict.problems.append(f"{output.name}: {output.last_error}")
    if health.camera_restarts or health.camera_fault:
        verdict.problems.append(f"the camera was opened again {health.camera_restarts} times")
    if health.events is None or health.events.faults or health.events.lost:
        verdict.problems.append(f"events were not kept: {health.events}")
