"""Ctrl-C that lets the step at hand finish."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextlib.contextmanager
def asking_to_stop(say: Callable[[str], None]) -> Iterator[Callable[[], bool]]:
    """Within it, the first Ctrl-C or SIGTERM only notes the wish; the second Ctrl-C is the usual.

    Outside the main thread, where Python delivers no signals, it changes nothing.

    Args:
        say: tells the person that the wish was heard.

    Yields:
        Whether somebody wishes to stop.
    """
    asked = False

    def note(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        if asked and number == signal.SIGINT:
            raise KeyboardInterrupt
        asked = True
        say("stopping after this step; Ctrl-C once more stops at once")

    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    before = {each: signal.signal(each, note) for each in _SIGNALS}
    try:
        yield lambda: asked
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
