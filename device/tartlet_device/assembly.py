"""The parts of a device, wired together."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

from tartlet_device.camera.base import Camera
from tartlet_device.camera.owner import CameraOwner
from tartlet_device.camera.process import CameraStarter
from tartlet_device.child.early import Starting
from tartlet_device.child.process import ChildProcess
from tartlet_device.config import CameraSettings
from tartlet_device.confirmation import Confirmation
from tartlet_device.continuous.service import Continuous
from tartlet_device.events.audience import EventKeeper
from tartlet_device.handlers import Device
from tartlet_device.live_config import LiveConfig
from tartlet_device.model import ServingModel
from tartlet_device.outputs.audience import Teller
from tartlet_device.outputs.mqtt_topics import Announced
from tartlet_device.store import Store
from tartlet_device.tracking.drawn import DrawnZones
from tartlet_device.tracking.settings import TrackingSettings
from tartlet_device.trial import Trials
from tartlet_device.vitals import Vitals


@contextlib.contextmanager
def assembled(live: LiveConfig, children: Starting = ChildProcess) -> Iterator[Device]:
    """Everything that the configuration asks for, started; stopped at the end of the block.

    Args:
        live: the configuration.
        children: starts the processes of camera and model.
    """
    config = live.now
    with contextlib.ExitStack() as stack:
        encoder = stack.enter_context(ThreadPoolExecutor(1, thread_name_prefix="encoder"))
        store = Store(config.store_path)
        model = ServingModel(Trials(store, threads=config.threads, start=children))
        model.start()
        stack.callback(model.close)
        confirmation = Confirmation(model)
        stack.callback(confirmation.stop)
        maker = _CameraMaker(live, model, CameraStarter(start=children))
        camera = CameraOwner(maker.open, fits=maker.fits, frame_timeout_s=config.frame_timeout_s)
        stack.callback(camera.stop)
        drawn = DrawnZones(config.store_path)
        keeper = EventKeeper()
        stack.callback(keeper.stop)
        teller = Teller(
            socket.gethostname(),
            config.store_path,
            figures=lambda: vitals.now(),
            announced=lambda: _announced(model, drawn.merged(live.now.tracking)),
            encoder=encoder,
        )
        stack.callback(teller.stop)
        continuous = Continuous(
            camera, model, (keeper, teller), frame_timeout_s=config.frame_timeout_s
        )
        # Before its audience: what goes on ends, and they are told.
        stack.callback(continuous.stop)
        vitals = Vitals(
            config.store_path, camera=camera, continuous=continuous, keeper=keeper, teller=teller
        )
        device = Device(
            live=live,
            store=store,
            camera=camera,
            model=model,
            confirmation=confirmation,
            continuous=continuous,
            keeper=keeper,
            teller=teller,
            vitals=vitals,
            drawn=drawn,
            encoder=encoder,
        )
        camera.start()
        confirmation.start()
        apply(device)
        yield device


def apply(device: Device) -> None:
    """Go on with the configuration as it is now."""
    with device.applying:
        config = device.config
        if config.events != device.keeper.settings:
            device.continuous.rest()  # events that go on end while they can still be written down
        device.keeper.apply(config.events)
        device.teller.apply(config.outputs)
        device.continuous.apply(config.detection, device.tracking)


def _announced(model: ServingModel, tracking: TrackingSettings) -> Announced:
    active = model.active()
    return Announced(
        labels=() if active is None else active.labels,
        zones=tuple(zone.name for zone in tracking.zones),
        rules=tuple(rule.name for rule in tracking.rules),
    )


class _CameraMaker:
    """Opens the camera that the configuration names now, for the model that serves now."""

    def __init__(self, live: LiveConfig, model: ServingModel, starter: CameraStarter) -> None:
        self._live, self._model, self._starter = live, model, starter
        self._opened_with: CameraSettings | None = None

    def open(self) -> Camera:
        self._opened_with = self._live.now.camera
        return self._starter.open(self._opened_with, self._model.canvas())

    def fits(self, opened: Camera) -> bool:
        return self._opened_with == self._live.now.camera and opened.fits(self._model.canvas())
