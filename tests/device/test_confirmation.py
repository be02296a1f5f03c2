"""The probation of real models, on a clock of the test's own."""

from __future__ import annotations

import os
import shutil
import signal
from dataclasses import replace

import pytest

from tartlet_device import confirmation
from tartlet_device.confirmation import Confirmation
from tartlet_device.model import ServingModel
from tartlet_device.runtime.process import Inference
from tartlet_device.serving import MOST_STARTS, GivenUp, Probation, Serving
from tartlet_device.store import Store
from tartlet_device.trial import TRIAL_S, Trials
from tartlet_shared import errors, manifest

PERIOD = Probation(period_s=30.0)


class Clock:
    now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def store(tmp_path) -> Store:
    return Store(tmp_path / "store")


@pytest.fixture
def add(store, make_bundle):
    """Store a bundle as if it had been pushed."""

    def add(name: str) -> str:
        folder = make_bundle(name)
        digest, wanted = store.offer((folder / manifest.MANIFEST_NAME).read_bytes())
        for entry in wanted:
            shutil.copy(folder / entry.name, store.incoming / entry.sha256)
        store.accept(digest)
        return digest

    return add


@pytest.fixture
def first(add) -> str:
    return add("first")


@pytest.fixture
def model(store, first):
    """A confirmed model that serves."""
    model = ServingModel(Trials(store, threads=1))
    model.activate(first)
    yield model
    model.close()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def confirming(model, clock) -> Confirmation:
    return Confirmation(model, clock_s=clock)


def run(confirming: Confirmation, clock: Clock, most: int = 50) -> int:
    """Step until there is nothing to do; returns the steps."""
    for step in range(1, most + 1):
        pause_s = confirming.step()
        if pause_s is None:
            return step
        clock.now_s += pause_s
    raise AssertionError("it comes to no end")


def test_a_confirmed_model_is_left_alone(confirming, first):
    assert confirming.step() is None
    standing = confirming.standing()
    assert (standing.digest, standing.confirmed) == (first, True)


def test_a_healthy_model_is_confirmed_after_its_period(model, store, add, first, confirming, clock):
    second = add("second")
    serving, _ = model.activate(second, PERIOD)
    assert serving == Serving(second, first, PERIOD)
    assert confirming.step() == pytest.approx(3.0)  # ten checks in the period
    clock.now_s += 12
    standing = confirming.standing()
    assert not standing.confirmed
    assert (standing.healthy_s, standing.period_s) == (12.0, 30.0)
    began_s = clock.now_s - 12
    run(confirming, clock)
    assert clock.now_s - began_s == pytest.approx(30.0, abs=3.0)
    assert store.serving() == Serving(second, first)
    assert confirming.standing().confirmed


def test_a_crash_leads_back_by_itself(model, store, add, first, confirming, clock, until):
    second = add("second")
    model.activate(second, PERIOD)
    confirming.step()
    os.kill(model.loaded().runtime.pid, signal.SIGKILL)
    until(lambda: model.loaded().runtime.failures)
    run(confirming, clock)
    assert model.active().digest == first
    given_up = store.serving().given_up
    assert given_up.digest == second
    standing = confirming.standing()
    assert (standing.digest, standing.confirmed, standing.given_up) == (first, True, second)
    assert "process" in standing.why


def test_a_model_that_is_too_slow_leads_back(model, store, add, first, confirming, clock):
    second = add("second")
    model.activate(second, Probation(period_s=30.0, latency_ms=1e-6))
    run(confirming, clock)
    assert store.serving().current == first
    assert "the push allows 1e-06 ms" in store.serving().given_up.why


def test_a_model_that_sees_something_else_later_leads_back(
    model, store, add, first, confirming, clock, monkeypatch
):
    model.activate(add("second"), PERIOD)
    confirming.step()
    outputs = Inference.outputs
    # Only while it is on probation: the one before must prove itself again.
    served = model.loaded().runtime

    def zeros(inference):
        found = outputs(inference)
        mine = inference.keeper is served._keeper
        return [each * 0 for each in found] if mine else found

    monkeypatch.setattr(Inference, "outputs", zeros)
    run(confirming, clock)
    assert store.serving().current == first
    assert "golden.png" in store.serving().given_up.why


def test_with_nothing_to_go_back_to_the_period_begins_again(store, add, clock, monkeypatch):
    model = ServingModel(Trials(store, threads=1))
    only = add("only")
    model.activate(only, PERIOD)
    confirming = Confirmation(model, clock_s=clock)
    confirming.step()
    clock.now_s += 20
    with monkeypatch.context() as patch:

        def fails(self):
            raise errors.SelfTestFailed("it does not answer")

        patch.setattr(confirmation.Checkup, "check", fails)
        confirming.step()
    standing = confirming.standing()
    assert (standing.digest, standing.confirmed, standing.healthy_s) == (only, False, 0.0)
    assert standing.fault == "it does not answer"
    run(confirming, clock)
    assert confirming.standing().confirmed
    model.close()


def test_another_push_meanwhile_begins_another_probation(model, store, add, first, clock):
    confirming = Confirmation(model, clock_s=clock)
    second, third = add("second"), add("third")
    model.activate(second, PERIOD)
    confirming.step()
    clock.now_s += 29
    model.activate(third, PERIOD)
    assert model.exchanged.is_set()
    confirming.step()
    assert confirming.standing().healthy_s == 0.0
    assert store.serving() == Serving(third, first, PERIOD)


def test_a_confirmation_that_cannot_be_written_is_tried_again(
    model, store, add, confirming, clock, monkeypatch
):
    model.activate(add("second"), PERIOD)
    confirming.step()
    clock.now_s += 31
    with monkeypatch.context() as patch:

        def full(digest):
            raise errors.StorageFull("full")

        patch.setattr(store, "confirm", full)
        assert confirming.step() is not None
    assert store.serving().probation is not None
    assert confirming.step() is None
    assert store.serving().probation is None


def test_a_model_gets_so_many_starts_and_is_then_given_up(model, store, add, first):
    second = add("second")
    model.activate(second, PERIOD)
    for number in range(1, MOST_STARTS + 1):
        restarted = ServingModel(Trials(store, threads=1))
        restarted.load_committed()  # and then the power is cut
        assert restarted.active().digest == second
        assert store.serving().probation.starts == number
        restarted.close()
    restarted = ServingModel(Trials(store, threads=1))
    restarted.load_committed()
    assert restarted.active().digest == first
    assert store.serving() == Serving(first, given_up=store.serving().given_up)
    assert "started 4 times" in store.serving().given_up.why
    assert restarted.fault == ""
    restarted.close()


def test_on_probation_a_model_that_does_not_load_at_a_start_is_given_up(model, store, add, first):
    second = add("second")
    model.activate(second, PERIOD)
    picture = store.open(second).folder / "golden.png"
    picture.unlink()  # the other bundle has the same file by another name
    picture.write_bytes(b"")
    restarted = ServingModel(Trials(store, threads=1))
    restarted.load_committed()
    assert restarted.active().digest == first
    assert store.serving().given_up == GivenUp(second, store.serving().given_up.why)
    assert "does not load" in store.serving().given_up.why
    restarted.close()


def test_a_trial_that_takes_too_long_leaves_the_old_model(model, store, add, first, monkeypatch):
    second = add("second")
    monkeypatch.setattr(model, "_trials", replace(model._trials, most_s=0.0))
    with pytest.raises(errors.SelfTestFailed, match="too long"):
        model.activate(second)
    assert model.active().digest == first
    assert store.serving() == Serving(first)
    assert TRIAL_S < 300  # the laptop's patience


def test_the_thread_confirms_by_itself(model, store, add, first, until):
    confirming = Confirmation(model)
    confirming.start()
    second = add("second")
    model.activate(second, Probation(period_s=0.2))
    until(lambda: store.serving() == Serving(second, first))
    confirming.stop()
