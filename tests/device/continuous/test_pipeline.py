"""The continuous loop: order, faults, exchange of the model, and an end."""

from __future__ import annotations

import datetime
import itertools
import queue
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tartlet_device.camera.owner import CameraOwner
from tartlet_device.continuous.pipeline import Pipeline, Seen
from tartlet_device.continuous.settings import DetectionSettings, MotionSettings
from tartlet_device.model import ServingModel

WAIT_S = 20.0
NOON = datetime.time(12, 0)


@pytest.fixture
def run(camera: CameraOwner, model: ServingModel) -> Iterator[Callable[..., Any]]:
    """Start a pipeline; gives it, and the queue of what it saw."""
    started: list[Pipeline] = []

    def run(
        follow: Callable[[Seen], None] | None = None,
        wanted_score: Callable[[float], float] = lambda own: own,
        **settings: Any,
    ) -> tuple[Pipeline, queue.Queue[Seen]]:
        seen: queue.Queue[Seen] = queue.Queue()
        pipeline = Pipeline(
            camera,
            model,
            DetectionSettings(enabled=True, **settings),
            follow or seen.put,
            wanted_score=wanted_score,
            frame_timeout_s=1.0,
            time_of_day=lambda: NOON,
        )
        pipeline.start()
        started.append(pipeline)
        return pipeline, seen

    yield run
    for pipeline in started:
        pipeline.stop()
        assert not any(thread.is_alive() for thread in pipeline._threads)


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_every_frame_of_footage_is_seen_in_order(
    run: Callable[..., Any], serve: Callable[..., str]
) -> None:
    serve()
    pipeline, seen = run()
    found = [seen.get(timeout=WAIT_S) for _ in range(10)]
    assert [each.frame.info.number for each in found] == [1, 2, 3, 4, 5] * 2
    for each in found:
        (box, score, _), *_ = list(each.detections)
        left = 16 * each.frame.info.number
        assert score > 0.5
        assert abs((box[0] + box[2]) / 2 - (left + 16)) < 16
    figures = pipeline.figures()
    assert figures.frames >= 10
    assert figures.rate > 0
    assert figures.latency_p95_ms >= figures.latency_p50_ms > 0


def test_the_detections_are_those_of_a_request(
    run: Callable[..., Any], serve: Callable[..., str], model: ServingModel
) -> None:
    serve()
    _, seen = run(wanted_score=lambda own: own - 0.2)
    each = seen.get(timeout=WAIT_S)
    asked, _, _ = model.detect(each.frame.image, score_threshold=0.3)
    assert list(each.detections) == list(asked)


def test_without_a_model_it_says_so_and_begins_when_there_is_one(
    run: Callable[..., Any], serve: Callable[..., str]
) -> None:
    pipeline, seen = run()
    until(lambda: "no model" in pipeline.fault)
    assert seen.empty()
    serve()
    seen.get(timeout=WAIT_S)
    assert pipeline.fault == ""


def test_another_model_takes_over_between_two_frames(
    run: Callable[..., Any], serve: Callable[..., str]
) -> None:
    first = serve("first")
    _, seen = run()
    assert seen.get(timeout=WAIT_S).loaded.bundle.digest == first
    second = serve("second", spots=((16, 16, 48, 48),))
    digests = [first]
    numbers = []
    while digests[-1] != second:
        each = seen.get(timeout=WAIT_S)
        digests.append(each.loaded.bundle.digest)
        numbers.append(each.frame.info.number)
    assert set(digests) == {first, second}
    assert all(later == earlier % 5 + 1 for earlier, later in itertools.pairwise(numbers))


def test_a_follower_that_fails_is_told_of_the_next_frame_all_the_same(
    run: Callable[..., Any], serve: Callable[..., str]
) -> None:
    serve()
    calls: list[int] = []
    twice = threading.Event()

    def follow(seen: Seen) -> None:
        calls.append(seen.frame.info.number)
        if len(calls) == 1:
            raise RuntimeError("a bad follower")
        twice.set()

    run(follow)
    assert twice.wait(WAIT_S)


def test_a_slow_follower_holds_only_a_few_frames_back(
    run: Callable[..., Any], serve: Callable[..., str], camera: CameraOwner
) -> None:
    serve()
    first, go_on = threading.Event(), threading.Event()

    def follow(seen: Seen) -> None:
        first.set()
        go_on.wait(WAIT_S)

    pipeline, _ = run(follow)
    assert first.wait(WAIT_S)
    until(lambda: pipeline._underway.qsize() == pipeline._count == 2)
    # One with the follower, two that the model's process has done.
    assert camera.next_frame().info.number <= 5
    go_on.set()


def test_a_stop_leaves_room_in_the_models_process(
    run: Callable[..., Any], serve: Callable[..., str]
) -> None:
    serve()
    for _ in range(3):
        go_on = threading.Event()
        pipeline, _ = run(lambda seen, go_on=go_on: go_on.wait(WAIT_S))
        until(lambda pipeline=pipeline: pipeline._underway.qsize() == 2 and pipeline._ready.empty())
        threading.Timer(0.2, go_on.set).start()
        pipeline.stop(timeout_s=0.0)  # it does not wait for its threads
        until(lambda pipeline=pipeline: not any(each.is_alive() for each in pipeline._threads))
    _, seen = run()
    seen.get(timeout=WAIT_S)


def test_still_frames_are_left_out(run: Callable[..., Any], serve: Callable[..., str]) -> None:
    serve()
    pipeline, seen = run(motion=MotionSettings(share=1.0, level=255, hold_s=0.0))
    seen.get(timeout=WAIT_S)  # the first is compared with nothing
    until(lambda: pipeline.figures().still >= 5)
    assert seen.empty()


def test_outside_of_its_hours_the_camera_is_left_alone(
    run: Callable[..., Any], serve: Callable[..., str]
) -> None:
    serve()
    pipeline, seen = run(hours=("13:00-11:00",))
    until(lambda: pipeline.alive(WAIT_S))
    assert seen.empty()
    _, seen = run(hours=("11:30-12:30",))
    seen.get(timeout=WAIT_S)


def test_the_rate_is_a_limit(run: Callable[..., Any], serve: Callable[..., str]) -> None:
    serve()
    _, seen = run(rate=20.0)
    taken = [seen.get(timeout=WAIT_S).frame.info.monotonic_ns / 1e9 for _ in range(5)]
    # Between two waits for the next turn at least the period passes.
    assert taken[-1] - taken[0] >= 3 / 20.0


def test_a_thread_that_hangs_is_noticed(run: Callable[..., Any], serve: Callable[..., str]) -> None:
    serve()
    hung, go_on = threading.Event(), threading.Event()

    def follow(seen: Seen) -> None:
        hung.set()
        go_on.wait(WAIT_S)

    pipeline, _ = run(follow)
    assert hung.wait(WAIT_S)
    until(lambda: not pipeline.alive(0.05))
    assert pipeline.alive(WAIT_S)
    go_on.set()
