"""Who answers which request."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path

import msgspec

from tartlet_device.handlers import Device
from tartlet_device.web import asking, exchange, prediction, zones
from tartlet_device.web.exchange import Refused, Request, Response
from tartlet_device.web.gallery import Gallery
from tartlet_device.web.live import Live
from tartlet_device.web.prediction import Predictor
from tartlet_device.web.streams import Streams
from tartlet_device.web.zones import Zones
from tartlet_shared.messages import Status, StatusRequest
from tartlet_shared.picture_messages import CaptureRequest, Photo

PAGE = Path(__file__).parent / "page"
_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
_INDEX = "index.html"


@dataclass(frozen=True)
class _Route:
    """What serves the paths that ``path`` matches; its groups are the answer's arguments."""

    method: str
    path: re.Pattern[str]
    answer: Callable[..., Response]
    most_body: int = 0


class Routes:
    """The table."""

    def __init__(self, device: Device) -> None:
        self._device = device
        self._live = Live(device)
        streams, gallery, places = Streams(device), Gallery(device.keeper), Zones(device)
        self._table = (
            _route("POST", "/predict", Predictor(device).answer, prediction.MOST_BYTES),
            _route("GET", "/status", self._status),
            _route("GET", r"/snapshot\.jpg", self._snapshot),
            _route("GET", "/live", self._live.answer),
            _route("GET", "/observations", streams.observations),
            _route("GET", r"/stream\.mjpg", streams.pictures),
            _route("GET", "/zones", places.shown),
            _route("PUT", "/zones", places.save, zones.MOST_BYTES),
            _route("GET", "/events", gallery.listed),
            _route(
                "GET", r"/events/(\d{1,15})/(picture\.jpg|picture\.json|clip\.mp4)", gallery.file
            ),
            _route("GET", r"/()", _page_file),
            _route("GET", r"/([a-z_-]+\.(?:css|js|svg))", _page_file),
        )

    def answer(self, request: Request) -> Response:
        """Serve a request.

        Raises:
            Refused: there is no such thing.
            TartletError: it failed.
        """
        found = [
            (route, match) for route in self._table if (match := route.path.fullmatch(request.path))
        ]
        for route, match in found:
            if route.method == request.method:
                return route.answer(request, *match.groups())
        if found:
            methods = ", ".join(sorted({route.method for route, _ in found}))
            raise Refused(
                HTTPStatus.METHOD_NOT_ALLOWED,
                "method-not-allowed",
                f"{request.path} takes {methods}",
                headers=(("Allow", methods),),
            )
        raise Refused(HTTPStatus.NOT_FOUND, "not-found", f"there is no {request.path}")

    def most_body(self, method: str, path: str) -> int:
        """How many bytes of a body are taken."""
        return max(
            (
                route.most_body
                for route in self._table
                if route.method == method and route.path.fullmatch(path)
            ),
            default=0,
        )

    def close(self) -> None:
        """Nobody looks any more."""
        self._live.close()

    def _status(self, request: Request) -> Response:
        data = msgspec.to_builtins(asking.one(self._device, StatusRequest(request_id=1), Status))
        for name in ("type", "request_id"):
            del data[name]
        return exchange.as_json(data)

    def _snapshot(self, request: Request) -> Response:
        photo = asking.one(self._device, CaptureRequest(request_id=1, quality=90), Photo)
        return Response(content_type="image/jpeg", content=photo.jpeg)


def _route(method: str, path: str, answer: Callable[..., Response], most_body: int = 0) -> _Route:
    return _Route(method, re.compile(path), answer, most_body)


def _page_file(request: Request, name: str) -> Response:
    path = PAGE / (name or _INDEX)
    try:
        content = path.read_bytes()
    except FileNotFoundError as error:
        raise Refused(HTTPStatus.NOT_FOUND, "not-found", f"there is no {request.path}") from error
    return Response(
        content_type=_TYPES[path.suffix],
        content=content,
        headers=(("Cache-Control", "no-cache"),),
    )
