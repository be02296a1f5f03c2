"""The model that serves: exchanged only for one that proved itself on this device."""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass

import numpy as np

from tartlet_device import trial
from tartlet_device.detector import Detector, StageTimes
from tartlet_device.image import Image, Size
from tartlet_device.store import Serving, Store
from tartlet_shared import errors
from tartlet_shared.bundle import Bundle
from tartlet_shared.detections import Detections
from tartlet_shared.messages import ActiveModel, SelfTest

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Loaded:
    bundle: Bundle
    detector: Detector

    def description(self) -> ActiveModel:
        manifest = self.bundle.manifest
        return ActiveModel(
            digest=self.bundle.digest,
            name=manifest.name,
            runtime=manifest.runtime,
            labels=manifest.labels,
        )


class ServingModel:
    """The one detector of the daemon, and its exchange. Safe to use from several threads."""

    def __init__(self, store: Store, *, threads: int | None = None) -> None:
        self._store = store
        self._threads = threads
        self._inference = threading.Lock()
        self._exchange = threading.Lock()
        self._loaded: _Loaded | None = None
        self._fault = ""

    def load_committed(self) -> None:
        """At start: load the model that was committed last, else the one before.

        A model that does not load is reported and left in place; nothing is committed, so it
        serves again once what it lacks is there. Never raises for a model's sake.
        """
        serving = self._store.serving()
        self._fault = ""
        for digest in (serving.current, serving.previous):
            if digest is None:
                continue
            try:
                bundle = self._store.open(digest)
                # Loaded in a child first: a crash here would be a crash at every start.
                trial.run(bundle.folder, digest, threads=self._threads)
                self._loaded = self._load(bundle)
            except errors.TartletError as error:
                _log.error("model %s does not load: %s", digest[:12], error)
                self._fault = self._fault or f"model {digest[:12]} does not load: {error}"
                continue
            _log.info("model %s (%s) serves", bundle.manifest.name, digest[:12])
            return
        _log.warning("no model serves")

    def active(self) -> ActiveModel | None:
        """The model that serves now."""
        loaded = self._loaded
        return None if loaded is None else loaded.description()

    def canvas(self) -> Size | None:
        """Size of the picture that the model takes; None without a model."""
        loaded = self._loaded
        if loaded is None:
            return None
        preprocessing = loaded.detector.preprocessing
        return preprocessing.width, preprocessing.height

    @property
    def fault(self) -> str:
        """Why the model that was committed last does not serve; empty while it does."""
        return self._fault

    def previous(self) -> str | None:
        """Digest of the model that a rollback returns to."""
        return self._store.serving().previous

    def detect(
        self, image: Image, *, score_threshold: float | None
    ) -> tuple[Detections, StageTimes, ActiveModel]:
        """Find objects with the model that serves; also tells which one that was.

        Raises:
            NoActiveModel: none does.
        """
        with self._inference:
            loaded = self._loaded
            if loaded is None:
                raise errors.NoActiveModel(
                    "no model is active on this device", hint="push one with `tartlet push`"
                )
            found, times = loaded.detector.detect(image, score_threshold=score_threshold)
        return found, times, loaded.description()

    def activate(self, digest: str) -> tuple[Serving, SelfTest]:
        """Try a stored bundle; if it agrees with its golden pictures, commit it and serve it.

        After any error the model that served before still does.

        Raises:
            BundleNotOnDevice: it was not pushed.
            BundleCorrupt, RuntimeUnavailable: it cannot be loaded.
            SelfTestFailed: it sees something else than it should.
            StorageFull: the choice cannot be written down.
        """
        with self._exchange:
            loaded, tested = self._prove(digest)
            serving = self._store.activate(digest)
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
            loaded, tested = self._prove(previous)
            serving = self._store.roll_back()
            self._swap(loaded)
        return serving, tested

    def _prove(self, digest: str) -> tuple[_Loaded, SelfTest]:
        bundle = self._store.open(digest)
        tested = trial.run(bundle.folder, digest, threads=self._threads)
        return self._load(bundle), tested

    def _load(self, bundle: Bundle) -> _Loaded:
        detector = Detector.open(bundle, threads=self._threads)
        canvas = bundle.manifest.preprocessing
        # The first run allocates memory and packs weights; better now than in the first request.
        detector.detect(np.zeros((canvas.height, canvas.width, 3), np.uint8))
        return _Loaded(bundle, detector)

    def _swap(self, loaded: _Loaded) -> None:
        with self._inference:
            self._loaded = loaded
            self._fault = ""
        _log.info("model %s serves now", loaded.bundle.digest[:12])
