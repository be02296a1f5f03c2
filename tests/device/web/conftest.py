"""The page of the daemon in this process."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.unix_http import UnixHttp


@pytest.fixture
def web(daemon: Any) -> Path:
    """The socket of the page."""
    path: Path = daemon.device.config.web_socket_path
    return path


@pytest.fixture
def http(web: Path) -> Iterator[UnixHttp]:
    """A connection to it."""
    connection = UnixHttp(web)
    yield connection
    connection.close()


@pytest.fixture
def serving(daemon: Any, push: Any, make_bundle: Any) -> str:
    """The digest of the tiny model, which serves."""
    digest: str = push(daemon, make_bundle())
    daemon.device.model.activate(digest)
    return digest


@pytest.fixture
def until() -> Callable[[Callable[[], Any]], None]:
    """Wait for a condition."""

    def until(condition: Callable[[], Any]) -> None:
        deadline = time.monotonic() + 30
        while not condition():
            assert time.monotonic() < deadline, "it did not happen"
            time.sleep(0.02)

    return until
