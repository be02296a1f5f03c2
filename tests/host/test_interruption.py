"""Ctrl-C that lets the step at hand finish."""

from __future__ import annotations

import signal
import threading

import pytest

from tartlet_host.interruption import asking_to_stop


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_is_noted_and_said(number: signal.Signals) -> None:
    before = [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)]
    said: list[str] = []
    with asking_to_stop(said.append) as asked:
        assert not asked()
        signal.raise_signal(number)
        assert asked()
        assert len(said) == 1
    assert [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)] == before


def test_the_second_ctrl_c_stops_at_once() -> None:
    with asking_to_stop(lambda _: None):
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGTERM)  # whoever ends us may say so twice
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_in_another_thread_nothing_changes() -> None:
    answers: list[bool] = []

    def ask() -> None:
        with asking_to_stop(lambda _: None) as asked:
            answers.append(asked())

    thread = threading.Thread(target=ask)
    thread.start()
    thread.join()
    assert answers == [False]
