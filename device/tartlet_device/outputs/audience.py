"""The outputs as the configuration wants them, told by the continuous loop."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from concurrent.futures import Executor
from pathlib import Path

from tartlet_device.camera.base import Frame
from tartlet_device.continuous.follower import Understood
from tartlet_device.outputs.mqtt_topics import Announced
from tartlet_device.outputs.opening import Outputs, open_outputs
from tartlet_device.outputs.publisher import OutputHealth
from tartlet_device.outputs.settings import OutputsSettings
from tartlet_device.pictures import encode_jpeg
from tartlet_shared import errors
from tartlet_shared.health_messages import DeviceHealth
from tartlet_shared.observation import EventBegan, EventEnded

_log = logging.getLogger(__name__)

_PICTURE_QUALITY = 80


class Teller:
    """Tells others what goes on. Safe to use from several threads."""

    def __init__(
        self,
        device: str,
        store: Path,
        *,
        announced: Callable[[], Announced],
        figures: Callable[[], DeviceHealth],
        encoder: Executor,
    ) -> None:
        """
        Args:
            device: name that others know the device by.
            store: the daemon's folder.
            announced: what there is to tell about now.
            figures: how the device is now.
            encoder: makes JPEGs.
        """
        self._device, self._store = device, store
        self._announced, self._figures, self._encoder = announced, figures, encoder
        self._lock = threading.Lock()
        self._settings = OutputsSettings()
        self._outputs = Outputs(())
        self._told = Announced()
        self._fault = ""

    @property
    def fault(self) -> str:
        """Why the outputs that the configuration asks for are not used; empty while they are."""
        return self._fault

    def health(self) -> tuple[OutputHealth, ...]:
        """How each output is."""
        return self._outputs.health()

    def apply(self, settings: OutputsSettings) -> None:
        """Use these outputs; if they cannot be opened those before stay, and `fault` says why."""
        with self._lock:
            if settings == self._settings and not self._fault:
                return
            self._outputs.stop()
            try:
                self._outputs = self._opened(settings)
            except errors.TartletError as error:
                _log.error("the outputs before stay: %s", error)
                self._fault = str(error)
                self._outputs = self._opened_again()
            else:
                self._settings, self._fault = settings, ""

    def announce(self) -> None:
        """Tell of a model, zones and rules that have changed; to be called now and then."""
        with self._lock:
            announced = self._announced()
            if announced != self._told:
                self._outputs.announce(announced)
                self._told = announced

    def stop(self) -> None:
        """Write down what waits, and end."""
        with self._lock:
            self._outputs.stop()
            self._outputs, self._settings = Outputs(()), OutputsSettings()

    def saw(self, understood: Understood) -> None:
        """See `tartlet_device.continuous.service.Audience`."""
        outputs = self._outputs
        outputs.publish(understood.observation)
        for event in understood.events:
            outputs.publish(event)
            if isinstance(event, EventBegan) and outputs.show_pictures:
                self._encoder.submit(self._show, outputs, understood.frame)

    def ended(self, events: tuple[EventEnded, ...]) -> None:
        """See `tartlet_device.continuous.service.Audience`."""
        for event in events:
            self._outputs.publish(event)

    @property
    def wants_full_frames(self) -> bool:
        """A picture of what the model sees is enough."""
        return False

    def _opened(self, settings: OutputsSettings) -> Outputs:
        self._told = self._announced()
        return open_outputs(
            settings,
            device=self._device,
            store=self._store,
            figures=self._figures,
            announced=self._told,
        )

    def _opened_again(self) -> Outputs:
        try:
            return self._opened(self._settings)
        except errors.TartletError as error:
            _log.error("no outputs: %s", error)
            return Outputs(())

    @staticmethod
    def _show(outputs: Outputs, frame: Frame) -> None:
        outputs.publish_picture(encode_jpeg(frame.image.rgb(), _PICTURE_QUALITY))
