"""A model that serves is on probation first: healthy for a while, or the device goes back.

Time is counted while the daemon is up, on the monotonic clock: a Pi does not know what time it is
after a power cut. With every start the period begins anew, and a model has so many starts.
"""

from __future__ import annotations

import logging
import statistics
import threading
import time
from collections.abc import Callable

from tartlet_device import health
from tartlet_device.model import ServingModel
from tartlet_device.pictures import decode_picture
from tartlet_device.serving import Probation
from tartlet_device.trial import Loaded
from tartlet_shared import errors
from tartlet_shared.confirmation_messages import Standing

_log = logging.getLogger(__name__)

_CHECKS = 10
_LONGEST_PAUSE_S = 5.0
"""Between two checks; in a short period there are `_CHECKS` of them."""
_STOP_S = 10.0


class Checkup:
    """The health of one model, from the moment that it serves."""

    def __init__(self, loaded: Loaded, probation: Probation) -> None:
        self.loaded, self.probation = loaded, probation
        self._failures = loaded.runtime.failures
        self._inference_ms: list[float] = []

    @property
    def pause_s(self) -> float:
        """How long to wait between two checks."""
        return min(_LONGEST_PAUSE_S, self.probation.period_s / _CHECKS)

    def check(self) -> None:
        """Look at the next golden picture, beside all else that the model has to do.

        Raises:
            TartletError: the model's process ended, does not answer, or sees something else.
        """
        bundle, detector = self.loaded.bundle, self.loaded.detector
        if self.loaded.runtime.failures != self._failures:
            raise errors.SelfTestFailed("its process failed", where=bundle.manifest.name)
        goldens = bundle.manifest.golden
        golden = goldens[len(self._inference_ms) % len(goldens)]
        content = (bundle.folder / golden.picture).read_bytes()
        prepared = detector.prepare(decode_picture(content, where=golden.picture))
        inference = self.loaded.runtime.submit(prepared.tensor)
        found = detector.finish(inference.outputs(), prepared.box)
        # Without the wait for others, who may keep the model busy all the time.
        self._inference_ms.append(inference.took_s * 1e3)
        thresholds = detector.decoding.thresholds(len(detector.labels))
        complaints = health.compare(golden, found, thresholds).complaints
        if complaints:
            raise errors.SelfTestFailed("; ".join(complaints[:3]), where=golden.picture)

    def check_latency(self) -> None:
        """At the end of the period.

        Raises:
            SelfTestFailed: inferences took longer than the push allows.
        """
        bound = self.probation.latency_ms
        taken = statistics.median(self._inference_ms)
        if bound is not None and taken > bound:
            raise errors.SelfTestFailed(
                f"an inference takes {taken:.1f} ms in the median, the push allows {bound:g} ms"
            )


class Confirmation:
    """Confirms the model that serves, or goes back to the one before. One per daemon."""

    def __init__(
        self, model: ServingModel, *, clock_s: Callable[[], float] = time.monotonic
    ) -> None:
        """
        Args:
            model: looked after once `start` is called.
            clock_s: monotonic.
        """
        self._model, self._clock_s = model, clock_s
        self._checkup: Checkup | None = None
        self._healthy_since_s = 0.0
        self._fault = ""
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="confirming", daemon=True)

    def start(self) -> None:
        """Begin, in a thread."""
        self._thread.start()

    def stop(self) -> None:
        """End; a model on probation stays on probation."""
        self._stopping.set()
        self._model.exchanged.set()
        if self._thread.ident is not None:
            self._thread.join(_STOP_S)

    def standing(self) -> Standing | None:
        """How far the model that was committed last is trusted; None without one."""
        serving, checkup = self._model.serving(), self._checkup
        if serving.current is None:
            return None
        probation, left = serving.probation, serving.given_up
        begun = probation is not None and checkup is not None
        return Standing(
            digest=serving.current,
            confirmed=probation is None,
            healthy_s=self._clock_s() - self._healthy_since_s if begun else 0.0,
            period_s=0.0 if probation is None else probation.period_s,
            starts=0 if probation is None else probation.starts,
            fault="" if probation is None else self._fault,
            given_up=None if left is None else left.digest,
            why="" if left is None else left.why,
        )

    def step(self) -> float | None:
        """Look after the model once; returns the seconds until the next time, None for nothing to
        do until the model is exchanged."""
        self._model.exchanged.clear()
        found = self._model.on_probation()
        if found is None:
            self._checkup = None
            return None
        loaded, probation = found
        checkup = self._checkup
        if checkup is None or checkup.loaded is not loaded:
            self._fault = ""
            checkup = self._begin(loaded, probation)
        try:
            checkup.check()
            left_s = probation.period_s - (self._clock_s() - self._healthy_since_s)
            if left_s > 0:
                return min(left_s, checkup.pause_s)
            checkup.check_latency()
        except errors.TartletError as error:
            return self._unhealthy(checkup, str(error))
        return self._confirm(checkup)

    # -- inside

    def _begin(self, loaded: Loaded, probation: Probation) -> Checkup:
        self._checkup = Checkup(loaded, probation)
        self._healthy_since_s = self._clock_s()
        return self._checkup

    def _unhealthy(self, checkup: Checkup, why: str) -> float | None:
        digest = checkup.loaded.bundle.digest
        _log.error("model %s is not healthy: %s", digest[:12], why)
        if self._model.leave(checkup.loaded, why):
            self._checkup = None
            return None
        # There is nothing better: it serves on, and its period begins again.
        self._begin(checkup.loaded, checkup.probation)
        self._fault = why
        return checkup.pause_s

    def _confirm(self, checkup: Checkup) -> float | None:
        try:
            self._model.confirm(checkup.loaded)
        except (errors.TartletError, OSError) as error:
            _log.error("the confirmation cannot be written down: %s", error)
            return _LONGEST_PAUSE_S
        self._checkup = None
        return None

    def _run(self) -> None:
        while not self._stopping.is_set():
            pause_s: float | None = _LONGEST_PAUSE_S
            try:
                pause_s = self.step()
            except Exception:  # noqa: BLE001  (the daemon must go on)
                _log.exception("the probation failed in a way nobody expected")
            self._model.exchanged.wait(pause_s)
