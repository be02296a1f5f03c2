"""A model in a process of its own: a crash, a hang or a lack of memory ends that process only.

The daemon itself never loads an inference runtime. Tensors lie in memory that both share.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import mmap
import os
import threading
import time
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
from numpy.typing import NDArray

from tartlet_device.child import early, killed
from tartlet_device.child.early import Starting
from tartlet_device.child.patience import Patience
from tartlet_device.child.process import (
    ChildEnded,
    ChildFault,
    ChildGarbled,
    ChildProcess,
    ChildSilent,
)
from tartlet_device.runtime.process_messages import (
    SEALS,
    Load,
    Loaded,
    size,
)
from tartlet_device.runtime.running import Running, Underway, expect
from tartlet_shared import errors

_log = logging.getLogger(__name__)

BACK_OFF_S = (0.1, 0.5, 1.0, 2.0, 5.0)
LOAD_S = 120.0
"""For the first time: Python and a runtime on the slowest Pi take a tenth of that."""
INVOKE_S = 60.0
_BEAT_S = 1.0
_STOP_S = 5.0
_encode = msgspec.msgpack.Encoder().encode


class ProcessRuntime:
    """See `tartlet_device.runtime.base.Runtime`. Its process ends with this object.

    Until `keep` is called, a process that fails is an error for good: it is a model on trial.
    """

    def __init__(
        self,
        path: Path,
        runtime: str,
        *,
        threads: int | None = None,
        command: Sequence[str] = early.MODEL,
        start: Starting = ChildProcess,
        back_off_s: Sequence[float] = BACK_OFF_S,
        load_s: float = LOAD_S,
        invoke_s: float = INVOKE_S,
        limited: bool = False,
    ) -> None:
        """Start a process and load a model in it; see `tartlet_device.runtime.load`.

        Args:
            command: the child.
            start: starts it.
            back_off_s: waits before the process is started again, for one failure after the other.
            load_s, invoke_s: limits before it is known how long it takes here.
            limited: until it is kept, its process gets no more memory than is free.

        Raises:
            SelfTestFailed: it takes too long, or there is not enough memory for it.
            Also what `tartlet_device.runtime.load` raises.
        """
        keeper = _Keeper(
            Load(str(path), runtime, threads, limited),
            lambda: start(command),
            back_off_s,
            loading=Patience(load_s, least_s=3.0, most_s=LOAD_S, times=4.0),
            invoking=Patience(invoke_s, least_s=2.0, most_s=INVOKE_S, times=10.0),
        )
        self.name = runtime
        self._keeper = keeper
        self._end = weakref.finalize(self, keeper.end)
        loaded = keeper.begin()
        self.version, self.input, self.outputs = loaded.version, loaded.input, loaded.outputs

    def invoke(self, tensor: NDArray[Any]) -> list[NDArray[Any]]:
        """Run the model; see the protocol.

        Raises:
            DeviceError: its process ended or hangs; it is started again.
        """
        return self.submit(tensor).outputs()

    def submit(self, tensor: NDArray[Any]) -> Inference:
        """Begin to run the model; waits while two inferences are under way.

        Raises:
            DeviceError: as `invoke`.
        """
        return self._keeper.submit(tensor)

    def keep(self) -> None:
        """From now on, start the process again whenever it fails."""
        self._keeper.keep()

    @property
    def pid(self) -> int | None:
        """Of the process; None while it is started again."""
        return self._keeper.pid

    @property
    def supervised(self) -> bool:
        """Whether somebody would start the process again."""
        return self._keeper.alive

    @property
    def failures(self) -> int:
        """How often the process ended, or could not be started, since the model was loaded."""
        return self._keeper.failures

    def close(self) -> None:
        """End the process, and wait for that."""
        self._end()
        self._keeper.join(_STOP_S)


@dataclass(frozen=True, eq=False)
class Inference:
    """One that is under way. Its outputs must be fetched, once."""

    keeper: _Keeper
    running: Running
    asked: Underway

    def outputs(self) -> list[NDArray[Any]]:
        """Wait for them; as `ProcessRuntime.invoke`."""
        return self.keeper.fetch(self.running, self.asked)

    @property
    def took_s(self) -> float:
        """How long the model took, once its outputs were fetched."""
        return self.asked.took_s

    def drop(self) -> None:
        """Nobody wants them any more."""
        with contextlib.suppress(errors.TartletError):
            self.outputs()


class _Keeper:
    """Starts the process, notices its end and starts it again, in a thread of its own."""

    def __init__(
        self,
        load: Load,
        child: Callable[[], ChildProcess],
        back_off_s: Sequence[float],
        *,
        loading: Patience,
        invoking: Patience,
    ) -> None:
        self._load, self._child, self._back_off_s = load, child, back_off_s
        self._loading, self._invoking = loading, invoking
        self._changed = threading.Condition()
        self._process: ChildProcess | None = None
        self._running: Running | None = None
        self._fault: errors.TartletError | None = None
        self._kept = self._ending = False
        self.failures = 0
        self._thread = threading.Thread(target=self._run, name="model", daemon=True)

    # -- for the callers

    def begin(self) -> Loaded:
        self._thread.start()
        with self._changed:
            self._changed.wait_for(lambda: self._running or self._fault)
            if self._running is None:
                assert self._fault is not None
                raise self._fault
            return self._running.loaded

    def keep(self) -> None:
        with self._changed:
            self._kept = True
            # Started again, it is known to fit; and then there may be less memory free.
            self._load = msgspec.structs.replace(self._load, limited=False)

    def end(self) -> None:
        with self._changed:
            self._ending = True
            process = self._process
            self._changed.notify_all()
        if process is not None:
            process.kill()

    def join(self, timeout_s: float) -> None:
        self._thread.join(timeout_s)

    @property
    def alive(self) -> bool:
        return self._thread.is_alive()

    @property
    def pid(self) -> int | None:
        running = self._running
        return None if running is None else running.process.pid

    def submit(self, tensor: NDArray[Any]) -> Inference:
        running = self._running
        if running is None:
            fault = self._fault or self._error(ChildEnded(None))
            raise type(fault)(fault.what, where=fault.where, hint=fault.hint)
        try:
            return Inference(self, running, running.submit(tensor))
        except ChildFault as fault:
            raise self._failed(running, fault) from fault

    def fetch(self, running: Running, asked: Underway) -> list[NDArray[Any]]:
        try:
            return running.fetch(asked)
        except ChildFault as fault:
            raise self._failed(running, fault) from fault

    def _failed(self, running: Running, fault: ChildFault) -> errors.TartletError:
        """What to tell the caller; the first of them says why."""
        with self._changed:
            if self._running is running:
                self._running, self._fault = None, self._error(fault)
            known = self._fault or self._error(fault)
        running.break_off()
        return type(known)(known.what, where=known.where, hint=known.hint)

    # -- in the thread

    def _run(self) -> None:
        failures = 0
        while not self._ending:
            try:
                running = self._start()
            except Exception as error:  # noqa: BLE001  (whoever waits must be told)
                fault = error
                if not isinstance(fault, errors.TartletError):
                    _log.exception("the model's process failed in a way nobody expected")
                    fault = errors.DeviceError(f"its process failed: {error!r}", where="model")
                self._set(None, fault)
                if not self._kept:
                    return
                _log.error("the model's process: %s", fault)
            else:
                self._set(running, None)
                self._watch(running)
                if running.used:
                    failures = 0
            with self._changed:
                if not self._kept:
                    return
                self.failures += not self._ending
                wait_s = self._back_off_s[min(failures, len(self._back_off_s) - 1)]
                self._changed.wait_for(lambda: self._ending, wait_s)
            failures += 1

    def _watch(self, running: Running) -> None:
        """Until the process ends."""
        while not self._ending and not running.process.hung_up(_BEAT_S):
            pass
        code = running.process.bury()
        if self._ending:
            self._set(None, self._error(ChildEnded(code)))
            return
        error = self._error(ChildEnded(code))
        with self._changed:
            if self._running is running:  # nobody has noticed yet
                self._running, self._fault = None, error
        _log.error("%s", error)

    def _set(self, running: Running | None, fault: errors.TartletError | None) -> None:
        with self._changed:
            self._running, self._fault = running, fault
            self._changed.notify_all()

    def _start(self) -> Running:
        try:
            with self._changed:
                if self._ending:
                    raise self._error(ChildEnded(None))
                process = self._process = self._child()
        except OSError as error:
            raise errors.DeviceError(
                f"its process does not start: {error.strerror}", where="model"
            ) from error
        started = time.monotonic()
        try:
            loaded, memory = self._loaded(process)
            running = Running(process, loaded, memory, self._invoking)
        except ChildFault as fault:
            if isinstance(fault, ChildSilent):
                self._loading.ran_out()
            process.bury()
            raise self._error(fault) from fault
        except BaseException:
            process.bury()
            raise
        self._loading.took(time.monotonic() - started)
        return running

    def _loaded(self, process: ChildProcess) -> tuple[Loaded, mmap.mmap]:
        answer = process.ask(_encode(self._load), self._loading.limit_s)
        with contextlib.closing(answer):
            loaded = expect(answer.content, Loaded)
            if len(answer.descriptors) != 1:
                raise ChildGarbled("no memory came along")
            descriptor = answer.descriptors[0]
            needed = size((loaded.input, *loaded.outputs))
            sealed = fcntl.fcntl(descriptor, fcntl.F_GET_SEALS) & SEALS == SEALS
            if os.fstat(descriptor).st_size != needed or not sealed:
                raise ChildGarbled("memory of another size than the tensors")
            return loaded, mmap.mmap(descriptor, needed)

    def _error(self, fault: ChildFault) -> errors.TartletError:
        where = self._load.path
        if self._kept:
            return errors.DeviceError(
                f"the model's process failed: {fault}",
                where=where,
                hint="it is started again: try again in a few seconds",
            )
        if isinstance(fault, ChildSilent):
            return errors.SelfTestFailed(
                f"no result: {fault}", where=where, hint="try a smaller model"
            )
        if isinstance(fault, ChildEnded) and fault.code is not None and fault.code < 0:
            return killed(fault.code, where=where)
        return errors.SelfTestFailed(f"the trial of the model: {fault}", where=where)
