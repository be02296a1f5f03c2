"""The trial of a model: loaded in a process of its own, it must see what its golden pictures show.

The process stays, and serves if the model is chosen: a damaged file, or a runtime that was built
for another processor, takes nothing else along.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tartlet_device import requirements
from tartlet_device.child import early
from tartlet_device.child.early import Starting
from tartlet_device.child.process import ChildProcess
from tartlet_device.detector import Detector
from tartlet_device.health import self_test
from tartlet_device.runtime.process import ProcessRuntime
from tartlet_device.store import Store
from tartlet_shared import errors
from tartlet_shared.bundle import Bundle
from tartlet_shared.manifest import Manifest
from tartlet_shared.messages import ActiveModel
from tartlet_shared.push_messages import SelfTest

TRIAL_S = 240.0
"""So long a model has to load and to look at all its golden pictures; the laptop waits longer."""


@dataclass(frozen=True)
class Loaded:
    """A model in its process, and the bundle that it comes from."""

    bundle: Bundle
    detector: Detector
    runtime: ProcessRuntime

    def description(self) -> ActiveModel:
        return describe(self.bundle.digest, self.bundle.manifest)


@dataclass(frozen=True)
class Trials:
    """How bundles are put on trial.

    Attributes:
        store: has them.
        threads: for inference; None for the runtime's own choice.
        command: the child that runs a model.
        start: starts it.
        most_s: the most that a trial may take, seconds.
    """

    store: Store
    threads: int | None = None
    command: Sequence[str] = early.MODEL
    start: Starting = ChildProcess
    most_s: float = TRIAL_S

    def prove(self, digest: str, *, limited: bool = False) -> tuple[Loaded, SelfTest]:
        """Load a bundle in a process of its own and run its golden pictures there.

        Args:
            digest: of the bundle.
            limited: with no more memory than is free.

        Raises:
            BundleNotOnDevice: it was not pushed.
            BundleCorrupt, BundleUntrusted, RuntimeUnavailable: it cannot be loaded.
            SelfTestFailed: it sees something else than it should, or takes too long.
        """
        begun_s = time.monotonic()
        bundle = self.store.open(digest)
        requirements.check(bundle.manifest)
        runtime: ProcessRuntime | None = None

        def load(path: Path, name: str, /, *, threads: int | None) -> ProcessRuntime:
            nonlocal runtime
            runtime = ProcessRuntime(
                path,
                name,
                threads=threads,
                command=self.command,
                start=self.start,
                limited=limited,
            )
            return runtime

        try:
            detector = Detector.open(bundle, threads=self.threads, load=load)
            assert runtime is not None
            with _within(begun_s + self.most_s - time.monotonic(), runtime):
                tested = self_test(detector, bundle)
            runtime.keep()
            return Loaded(bundle, detector, runtime), tested
        except BaseException:
            if runtime is not None:
                runtime.close()
            raise


def describe(digest: str, manifest: Manifest) -> ActiveModel:
    """What others are told of a model."""
    return ActiveModel(
        digest=digest, name=manifest.name, runtime=manifest.runtime, labels=manifest.labels
    )


@contextlib.contextmanager
def _within(seconds: float, runtime: ProcessRuntime) -> Iterator[None]:
    """End a model on trial when the time is over.

    Raises:
        SelfTestFailed: it was.
    """
    over = threading.Event()

    def end() -> None:
        over.set()
        runtime.close()

    timer = threading.Timer(max(seconds, 0.0), end)
    timer.daemon = True
    timer.start()
    fault: errors.TartletError | None = None
    try:
        yield
    except errors.TartletError as error:
        fault = error
    finally:
        timer.cancel()
        timer.join()
    if over.is_set():
        raise errors.SelfTestFailed(
            "the trial of the model takes too long", hint="push a smaller model"
        ) from fault
    if fault is not None:
        raise fault
