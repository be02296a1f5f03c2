"""The live page as part of the daemon."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator

from tartlet_device.handlers import Device
from tartlet_device.web.routes import Routes
from tartlet_device.web.server import LOOPBACK, WebServer

_log = logging.getLogger(__name__)


@contextlib.contextmanager
def served(device: Device) -> Iterator[None]:
    """Serve the page within the block, if the configuration says so.

    Raises:
        ConfigError, DeviceError: it cannot listen; says why.
    """
    path, port = device.config.web_socket_path, device.config.web.port
    if path is None:
        yield
        return
    routes = Routes(device)
    server = WebServer(path, port, routes.answer, routes.most_body)
    server.start()
    _log.info("the live page is at %s%s", path, f" and {LOOPBACK}:{port}" if port else "")
    try:
        yield
    finally:
        routes.close()
        server.stop()
