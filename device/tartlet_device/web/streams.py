"""What is seen, frame after frame, for programs: as server-sent events, or as pictures."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator
from http import HTTPStatus

import msgspec

from tartlet_device import handlers
from tartlet_device.handlers import Device
from tartlet_device.web import asking, exchange
from tartlet_device.web.exchange import Refused, Request, Response
from tartlet_shared import messages
from tartlet_shared.messages import Failure
from tartlet_shared.watch_messages import Watched, WatchRequest

MOST_AT_A_TIME = 8
_BOUNDARY = "frame"


class Streams:
    """Streams without end, each until its peer leaves."""

    def __init__(self, device: Device) -> None:
        self._device = device
        self._places = threading.BoundedSemaphore(MOST_AT_A_TIME)

    def observations(self, request: Request) -> Response:
        """Server-sent events, each the JSON that `tartlet watch --json` prints."""
        watch = WatchRequest(request_id=1, rate=asking.number(request, "rate", 0.001, 1000))
        return self._stream("text/event-stream", watch, _as_server_event)

    def pictures(self, request: Request) -> Response:
        """The camera's frames that were looked at, as JPEGs that replace each other (MJPEG)."""
        rate = asking.number(request, "rate", 0.001, 1000)
        watch = WatchRequest(request_id=1, rate=rate, want_picture=True)
        return self._stream(f"multipart/x-mixed-replace; boundary={_BOUNDARY}", watch, _as_picture)

    def _stream(
        self, content_type: str, watch: WatchRequest, encode: Callable[[Watched], bytes]
    ) -> Response:
        if not self._places.acquire(blocking=False):
            raise Refused(
                HTTPStatus.SERVICE_UNAVAILABLE,
                "busy",
                f"{MOST_AT_A_TIME} streams are open, which is the most at a time",
                headers=(("Retry-After", str(exchange.RETRY_S)),),
            )
        pieces = self._pieces(watch, encode)
        next(pieces)  # from here on, closing it gives the place back
        return Response(content_type=content_type, content=pieces)

    def _pieces(
        self, watch: WatchRequest, encode: Callable[[Watched], bytes]
    ) -> Generator[bytes, None, None]:
        replies = handlers.answer(self._device, watch)
        try:
            yield b""
            for reply in replies:
                if isinstance(reply, Failure):
                    raise messages.to_error(reply)
                if isinstance(reply, Watched):
                    yield encode(reply)
        finally:
            replies.close()
            self._places.release()


def _as_server_event(watched: Watched) -> bytes:
    fields = msgspec.to_builtins(watched)
    for name in ("type", "request_id", "jpeg", "last"):
        del fields[name]
    return b"data: " + msgspec.json.encode(fields) + b"\n\n"


def _as_picture(watched: Watched) -> bytes:
    if not watched.jpeg:
        return b""
    head = f"--{_BOUNDARY}\r\nContent-Type: image/jpeg\r\nContent-Length: {len(watched.jpeg)}"
    return head.encode() + b"\r\n\r\n" + watched.jpeg + b"\r\n"
