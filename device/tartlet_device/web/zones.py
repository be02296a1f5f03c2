"""``/zones``: zones, lines and rules; those of the configuration are only shown."""

from __future__ import annotations

from dataclasses import replace
from http import HTTPStatus

from tartlet_device import assembly
from tartlet_device.handlers import Device
from tartlet_device.tracking import drawn
from tartlet_device.web import exchange
from tartlet_device.web.exchange import Refused, Request, Response

MOST_BYTES = 1_000_000


class Zones:
    """Shows and takes them."""

    def __init__(self, device: Device) -> None:
        self._device = device

    def shown(self, request: Request) -> Response:
        """All of them, and the labels that rules may name."""
        device = self._device
        active = device.model.active()
        configured, revision = device.config.tracking, device.drawn.revision
        answer = exchange.as_json(
            {
                "fixed": {
                    "zones": configured.zones,
                    "lines": configured.lines,
                    "rules": configured.rules,
                },
                "drawn": device.drawn.now,
                "fault": device.drawn.fault,
                "labels": () if active is None else active.labels,
                "keeps_events": device.config.events.enabled,
            }
        )
        return replace(answer, headers=(("ETag", f'"{revision}"'),))

    def save(self, request: Request) -> Response:
        """Replace those that were drawn; they hold at once.

        Raises:
            Refused: something else was drawn since the revision that ``If-Match`` names.
            ConfigError: they do not fit together.
        """
        if request.content_type != exchange.JSON:
            raise Refused(
                HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
                "unsupported-media-type",
                f"the body is {request.content_type or 'of no type'}",
                hint=f"send it as {exchange.JSON}",
            )
        match = request.headers.get("if-match")
        device = self._device
        try:
            device.drawn.save(
                drawn.decode(request.body),
                device.config.tracking,
                revision=None if match in (None, "*") else match.strip('"'),
            )
        except drawn.Outdated as error:
            raise Refused(
                HTTPStatus.PRECONDITION_FAILED,
                "outdated",
                "somebody else has changed the zones meanwhile",
                hint="look at theirs, then change them again",
            ) from error
        assembly.apply(device)
        return self.shown(request)
