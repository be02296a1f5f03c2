"""An iterator run ahead of its reader, in a thread."""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Callable, Generator, Iterator
from typing import TypeVar

T = TypeVar("T")

PAUSE = 0.1  # seconds between two looks at whether the reader has left
PATIENCE = 30.0  # seconds for the thread to finish the picture it is at


def run_ahead(make: Callable[[threading.Event], Iterator[T]]) -> Generator[T, None, None]:
    """The items of an iterator that a thread runs; an error of the iterator comes back as itself.

    One item waits to be read and the next one may be finished, never more, however slow the reader
    is. Closing the generator ends the thread, and with it the iterator.

    Args:
        make: called in the thread with an event that is set when the reader has left; the iterator
            is to end soon after that.
    """
    ready: queue.Queue[tuple[T] | BaseException | None] = queue.Queue(maxsize=1)
    left = threading.Event()

    def give(item: tuple[T] | BaseException | None) -> None:
        while not left.is_set():
            with contextlib.suppress(queue.Full):
                ready.put(item, timeout=PAUSE)
                return

    def produce() -> None:
        try:
            for item in make(left):
                give((item,))
                if left.is_set():
                    break
            give(None)
        except BaseException as error:  # noqa: BLE001 - raised again where the items are read
            give(error)

    thread = threading.Thread(target=produce, name="pictures", daemon=True)
    thread.start()
    try:
        while (item := ready.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            yield item[0]
    finally:
        left.set()
        with contextlib.suppress(queue.Empty):
            ready.get_nowait()  # lets a thread that waits for room go on at once
        thread.join(PATIENCE)  # not for ever: at the interpreter's end nothing runs any more
