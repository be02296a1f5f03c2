"""The model that serves: exchanged only for one that proved itself on this device."""

from __future__ import annotations

import logging
import threading

from tartlet_device.detector import Prepared, StageTimes
from tartlet_device.image import Image, Size
from tartlet_device.runtime.process import Inference
from tartlet_device.serving import MOST_STARTS, Probation, Serving
from tartlet_device.trial import Loaded, Trials, describe
from tartlet_shared import errors
from tartlet_shared.detections import Detections
from tartlet_shared.manifest import Manifest
from tartlet_shared.messages import ActiveModel
from tartlet_shared.push_messages import SelfTest

_log = logging.getLogger(__name__)

_LOADING_S = 10.0
"""So long a request waits for a model that is being loaded, as after a start."""


class ServingModel:
    """The one detector of the daemon, and its exchange. Safe to use from several threads."""

    def __init__(self, trials: Trials) -> None:
        """
        Args:
            trials: how a model proves itself; its store has the models.

        Attributes:
            exchanged: set whenever another model serves, or the same one loaded anew.
        """
        self.exchanged = threading.Event()
        self._trials = trials
        self._store = trials.store
        self._inference = threading.Lock()
        self._exchange = threading.Lock()
        self._loaded: Loaded | None = None
        self._expected: tuple[str, Manifest] | None = None
        self._ready = threading.Event()
        self._ready.set()
        self._fault = ""
        self._closed = False

    def start(self) -> None:
        """Load the model that was committed last, in a thread; requests for it wait a little."""
        self._expected = self._committed()
        self._ready.clear()
        threading.Thread(target=self.load_committed, name="loading", daemon=True).start()

    def load_committed(self) -> None:
        """Load the model that was committed last, else the one before.

        A model that does not load is reported and left in place; nothing is committed, so it
        serves again once what it lacks is there. Never raises for a model's sake.
        """
        try:
            with self._exchange:
                self._load_committed()
        finally:
            self._expected = None
            self._ready.set()

    def close(self) -> None:
        """End the model's process."""
        # A model on trial is not waited for: its process ends with this one.
        self._closed = True
        loaded, self._loaded = self._loaded, None
        if loaded is not None:
            loaded.runtime.close()

    def active(self) -> ActiveModel | None:
        """The model that serves now, or is about to after a start."""
        loaded, expected = self._loaded, self._expected
        if loaded is not None:
            return loaded.description()
        return None if expected is None else describe(*expected)

    def canvas(self) -> Size | None:
        """Size of the picture that the model takes; None without a model."""
        loaded, expected = self._loaded, self._expected
        if loaded is not None:
            preprocessing = loaded.detector.preprocessing
        elif expected is not None:
            preprocessing = expected[1].preprocessing
        else:
            return None
        return preprocessing.width, preprocessing.height

    @property
    def fault(self) -> str:
        """Why the model that was committed last does not serve; empty while it does."""
        return self._fault

    def alive(self) -> bool:
        """Whether somebody looks after the model that serves, if one does."""
        loaded = self._loaded
        return loaded is None or loaded.runtime.supervised

    def serving(self) -> Serving:
        """What was committed last."""
        return self._store.serving()

    def on_probation(self) -> tuple[Loaded, Probation] | None:
        """The model that serves and what it must do to be confirmed; None if there is none such."""
        with self._exchange:
            loaded, serving = self._loaded, self._store.serving()
        if loaded is None or serving.probation is None or serving.current != loaded.bundle.digest:
            return None
        return loaded, serving.probation

    def detect(
        self, image: Image, *, score_threshold: float | None
    ) -> tuple[Detections, StageTimes, ActiveModel]:
        """Find objects with the model that serves; also tells which one that was.

        Raises:
            NoActiveModel: none does.
            DeviceError: its process failed, and is started again.
        """
        loaded = self.loaded()
        with self._inference:
            found, times = loaded.detector.detect(image, score_threshold=score_threshold)
        return found, times, loaded.description()

    def loaded(self) -> Loaded:
        """The model that serves now; it stays usable after another one took its place.

        Raises:
            NoActiveModel: none does.
            DeviceError: it is still being loaded.
        """
        if not self._ready.wait(_LOADING_S):
            raise errors.DeviceError(
                "the model is being loaded", where="model", hint="try again in a few seconds"
            )
        loaded = self._loaded
        if loaded is None:
            raise errors.NoActiveModel(
                "no model is active on this device", hint="push one with `tartlet push`"
            )
        return loaded

    def submit(self, loaded: Loaded, prepared: Prepared) -> Inference:
        """Begin to run a model that was loaded here; see `ProcessRuntime.submit`."""
        return loaded.runtime.submit(prepared.tensor)

    def activate(
        self, digest: str, probation: Probation | None = None, *, allow_older: bool = False
    ) -> tuple[Serving, SelfTest]:
        """Try a stored bundle; if it agrees with its golden pictures, commit it and serve it.

        After any error the model that served before still does. Whoever is in the middle of a
        request ends it with the model it began with.

        Args:
            digest: of the bundle.
            probation: what it must do to be confirmed; None confirms it now.

        Raises:
            BundleNotOnDevice: it was not pushed.
            BundleCorrupt, BundleUntrusted, RuntimeUnavailable: it cannot be loaded.
            ReleaseOlder: than the one that serves, and that was not allowed.
            SelfTestFailed: it sees something else than it should.
            StorageFull: the choice cannot be written down.
        """
        with self._exchange:
            if not allow_older:
                self._store.check_release(digest)
            loaded, tested = self._trials.prove(digest, limited=True)
            serving = self._store.activate(digest, probation, allow_older=allow_older)
            self._swap(loaded)
        return serving, tested

    def roll_back(self) -> tuple[Serving, SelfTest]:
        """Return to the previous model, which must prove itself again.

        Raises:
            NothingToRollBackTo: there is none.
            Also what `activate` raises.
        """
        with self._exchange:
            previous = self._store.serving().previous
            if previous is None:
                self._store.roll_back()  # raises
                raise AssertionError("a rollback to nothing went through")
            loaded, tested = self._trials.prove(previous)
            serving = self._store.roll_back()
            self._swap(loaded)
        return serving, tested

    def confirm(self, loaded: Loaded) -> None:
        """Commit that a model was healthy for long enough, if it still serves.

        Raises:
            StorageFull, OSError: it cannot be written down.
        """
        with self._exchange:
            if self._loaded is loaded:
                self._store.confirm(loaded.bundle.digest)
                _log.info("model %s is confirmed", loaded.bundle.digest[:12])

    def leave(self, loaded: Loaded, why: str) -> bool:
        """Return from a model that is not healthy to the previous one; whether that serves now.

        Args:
            loaded: nothing happens if another one serves by now.
            why: for people.
        """
        with self._exchange:
            previous = self._store.serving().previous
            if self._loaded is not loaded or previous is None:
                return False
            try:
                before, _ = self._trials.prove(previous)
            except errors.TartletError as error:
                _log.error("nor does model %s work: %s", previous[:12], error)
                return False
            self._give_up(loaded.bundle.digest, why)
            self._swap(before)
        return True

    def _load_committed(self) -> None:
        serving = self._started()
        self._fault = ""
        order = [serving.current, serving.previous]
        why = ""
        if serving.out_of_starts and serving.previous is not None:
            why = f"the daemon started {MOST_STARTS + 1} times before it was confirmed"
            _log.error("model %s is given up: %s", order[0], why)
            order.reverse()
        for digest in order:
            if digest is None:
                continue
            try:
                loaded, _ = self._trials.prove(digest)
            except errors.TartletError as error:
                _log.error("model %s does not load: %s", digest[:12], error)
                self._fault = self._fault or f"model {digest[:12]} does not load: {error}"
                continue
            if self._closed:
                loaded.runtime.close()
                return
            if serving.probation is not None and serving.current not in (None, digest):
                self._give_up(serving.current, why or self._fault)
                self._fault = ""
            self._loaded = loaded
            self.exchanged.set()
            _log.info("model %s (%s) serves", loaded.bundle.manifest.name, digest[:12])
            return
        _log.warning("no model serves")

    def _committed(self) -> tuple[str, Manifest] | None:
        """What will most likely serve in a moment."""
        digest = self._store.serving().current
        if digest is None:
            return None
        try:
            return digest, self._store.manifest(digest)
        except errors.TartletError:
            return None

    def _started(self) -> Serving:
        """What was committed last, after this start was counted."""
        try:
            return self._store.count_start()
        except (errors.TartletError, OSError) as error:
            _log.error("this start cannot be counted: %s", error)
            return self._store.serving()

    def _give_up(self, digest: str, why: str) -> None:
        try:
            self._store.leave(digest, why)
        except (errors.TartletError, OSError) as error:
            # What serves is healthy all the same; the next start comes to the same end.
            _log.error("the return from model %s cannot be written down: %s", digest[:12], error)

    def _swap(self, loaded: Loaded) -> None:
        # The process of the one before ends when nobody holds it any more.
        self._loaded = loaded
        self._fault = ""
        self.exchanged.set()
        _log.info("model %s serves now", loaded.bundle.digest[:12])
