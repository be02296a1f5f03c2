"""The outputs that the configuration asks for."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from tartlet_device.outputs.json_lines import JsonLines
from tartlet_device.outputs.mqtt_topics import Announced
from tartlet_device.outputs.publisher import Item, Output, OutputHealth
from tartlet_device.outputs.settings import OutputsSettings
from tartlet_device.outputs.webhook import Webhook
from tartlet_shared import errors
from tartlet_shared.health_messages import DeviceHealth


class Outputs:
    """All of them, as one."""

    def __init__(self, outputs: tuple[Output, ...], *, show_pictures: bool = False) -> None:
        """
        Args:
            show_pictures: whether some of them show the pictures of events.
        """
        self._outputs = outputs
        self.show_pictures = show_pictures

    def publish(self, item: Item) -> None:
        """Hand an item to each; never waits."""
        for output in self._outputs:
            output.publish(item)

    def publish_picture(self, jpeg: bytes) -> None:
        """The picture of an event, for those that show it."""
        for output in self._outputs:
            show = getattr(output, "publish_picture", None)
            if show is not None:
                show(jpeg)

    def announce(self, announced: Announced) -> None:
        """The model, the zones or the rules have changed."""
        for output in self._outputs:
            tell = getattr(output, "announce", None)
            if tell is not None:
                tell(announced)

    def health(self) -> tuple[OutputHealth, ...]:
        """How each of them is."""
        return tuple(output.health() for output in self._outputs)

    def stop(self, timeout_s: float = 5.0) -> None:
        """End them, all within ``timeout_s`` seconds."""
        deadline = time.monotonic() + timeout_s
        for left, output in enumerate(self._outputs):
            share = (deadline - time.monotonic()) / (len(self._outputs) - left)
            output.stop(max(0.1, share))


def open_outputs(
    settings: OutputsSettings,
    *,
    device: str,
    store: Path,
    figures: Callable[[], DeviceHealth],
    announced: Announced | None = None,
    environment: Mapping[str, str] = os.environ,
) -> Outputs:
    """Start what the configuration asks for.

    Args:
        device: name that others know the device by.
        store: the daemon's folder; queues lie in ``outputs`` below it.
        figures: says how the device is.
        announced: what there is to tell about.
        environment: where systemd says where credentials are.

    Raises:
        ConfigError: a secret, a certificate or a port cannot be used, or a library is missing. What
            had started was stopped again.
    """
    folder = store / "outputs"
    with contextlib.ExitStack() as undo:
        found: list[Output] = []

        def add(output: Output) -> None:
            undo.callback(output.stop, 1.0)
            found.append(output)

        if settings.json_lines is not None:
            add(JsonLines(settings.json_lines, device))
        if settings.mqtt is not None:
            with _library("paho-mqtt", "mqtt"):
                from tartlet_device.outputs.mqtt import Mqtt
            add(
                Mqtt(
                    settings.mqtt,
                    device=device,
                    queue=folder / "mqtt.sqlite",
                    figures=figures,
                    announced=announced,
                    environment=environment,
                )
            )
        for webhook in settings.webhooks:
            queue = folder / f"webhook-{webhook.name}.sqlite"
            add(Webhook(webhook, device=device, queue=queue, environment=environment))
        if settings.metrics is not None:
            with _library("prometheus-client", "metrics"):
                from tartlet_device.outputs.metrics_places import Metrics

            add(Metrics(settings.metrics, figures=figures))
        undo.pop_all()
    show_pictures = settings.mqtt is not None and settings.mqtt.pictures
    return Outputs(tuple(found), show_pictures=show_pictures)


@contextlib.contextmanager
def _library(package: str, extra: str) -> Iterator[None]:
    try:
        yield
    except ImportError as error:
        raise errors.ConfigError(
            f"{package} is not installed",
            where=f"outputs.{extra}",
            hint=f"install tartlet-device[{extra}] in the daemon's environment",
        ) from error
