"""A process whose model is loaded: tensors go in, outputs come out, in the same order.

A second tensor may go in before the first one's outputs are fetched, so that the model never waits
for this process to wake up.
"""

from __future__ import annotations

import mmap
import queue
import threading
import time
from collections import deque
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from tartlet_device.child.patience import Patience
from tartlet_device.child.process import ChildEnded, ChildGarbled, ChildProcess, ChildSilent
from tartlet_device.runtime.process_messages import (
    SLOTS,
    Answer,
    Invoke,
    Invoked,
    Loaded,
    slot_views,
)
from tartlet_shared import errors, messages
from tartlet_shared.messages import Failure

_decode = msgspec.msgpack.Decoder(Answer).decode
_encode = msgspec.msgpack.Encoder().encode
_INVOKE = [_encode(Invoke(slot)) for slot in range(SLOTS)]
_BROKEN = -1


@dataclass(eq=False)
class Underway:
    """An inference that was asked for. It must be fetched, or its slot is never free again.

    Attributes:
        slot: of the memory, where its tensors lie.
        asked_s: when, monotonic.
        number: of the order.
        done: its answer has come.
        took_s: how long the model took, as far as can be told from here.
        failure: what the runtime raised.
    """

    slot: int
    asked_s: float
    number: int = 0
    done: bool = False
    took_s: float = 0.0
    failure: errors.TartletError | None = None


class Running:
    """Safe to use from several threads."""

    def __init__(
        self, process: ChildProcess, loaded: Loaded, memory: mmap.mmap, patience: Patience
    ) -> None:
        """
        Args:
            process: whose model is loaded.
            loaded: what it said.
            memory: shared with it.
            patience: with an inference.
        """
        self.process, self.loaded = process, loaded
        self.used = False
        self._patience = patience
        self._slots = slot_views(memory, (loaded.input, *loaded.outputs))
        self._free: queue.Queue[int] = queue.Queue()
        for slot in range(SLOTS):
            self._free.put(slot)
        self._sending, self._receiving = threading.Lock(), threading.Lock()
        self._waiting: deque[Underway] = deque()
        self._broken = False
        self._answered_s = 0.0

    def submit(self, tensor: NDArray[Any]) -> Underway:
        """Ask for an inference; waits while as many are under way as there are slots.

        Raises:
            ChildFault: the process is of no use any more.
        """
        slot = self._slot()
        try:
            np.copyto(self._slots[slot][0], tensor, casting="no")
        except BaseException:
            self._free.put(slot)
            raise
        with self._sending:
            asked = Underway(slot, time.monotonic())
            self._waiting.append(asked)
            asked.number = self.process.order(_INVOKE[slot], self._patience.limit_s)
        return asked

    def fetch(self, asked: Underway) -> list[NDArray[Any]]:
        """Wait for an inference; returns copies of its outputs.

        Raises:
            ChildFault: the process is of no use any more.
            TartletError: what the runtime raised.
        """
        with self._receiving:
            while not asked.done:
                if self._broken:
                    raise ChildEnded(None)
                self._receive()
        try:
            if asked.failure is not None:
                raise asked.failure
            return [each.copy() for each in self._slots[asked.slot][1:]]
        finally:
            self._free.put(asked.slot)

    def break_off(self) -> None:
        """End the process; whoever waits is told."""
        self._broken = True
        self._free.put(_BROKEN)
        self.process.kill()

    def _slot(self) -> int:
        limit_s = (SLOTS + 1) * self._patience.limit_s
        try:
            slot = self._free.get(timeout=limit_s)
        except queue.Empty:
            raise ChildSilent(f"no answer within {limit_s:.1f} s") from None
        if slot == _BROKEN:
            self._free.put(_BROKEN)  # for the next one
            raise ChildEnded(None)
        return slot

    def _receive(self) -> None:
        """The answer to the order that has waited longest."""
        first = self._waiting.popleft()
        try:
            answer = self.process.answer(first.number, self._patience.limit_s)
            answer.close()
            expect(answer.content, Invoked)
        except ChildSilent:
            self._broken = True
            self._patience.ran_out()
            raise
        except errors.TartletError as error:
            first.failure = error
        except BaseException:
            self._broken = True
            raise
        now_s = time.monotonic()
        first.took_s = now_s - max(first.asked_s, self._answered_s)
        self._patience.took(first.took_s)
        self._answered_s = now_s
        first.done = self.used = True


def expect(content: bytes, kind: type[Any]) -> Any:
    """An answer of this kind.

    Raises:
        ChildGarbled: it is another.
        TartletError: what the process raised.
    """
    try:
        said = _decode(content)
    except msgspec.DecodeError as error:
        raise ChildGarbled(str(error)) from error
    if isinstance(said, Failure):
        raise messages.to_error(said)
    if not isinstance(said, kind):
        raise ChildGarbled(f"{type(said).__name__} where {kind.__name__} was expected")
    return said
