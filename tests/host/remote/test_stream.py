from __future__ import annotations

from typing import Any

import pytest

from tartlet_host.remote.stream import BridgeStream, ChannelStream
from tartlet_shared import errors


class Channel:
    """As much of a paramiko channel as a stream uses; its other end closed already."""

    def __init__(self, status: int | None = None, said: bytes = b"") -> None:
        self.closed = status is None
        self._status = status
        self._said = said

    def settimeout(self, timeout_s: float | None) -> None:
        pass

    def recv(self, limit: int) -> bytes:
        return b""

    def exit_status_ready(self) -> bool:
        return self._status is not None

    def recv_exit_status(self) -> int | None:
        return self._status

    def recv_stderr_ready(self) -> bool:
        return bool(self._said)

    def recv_stderr(self, limit: int) -> bytes:
        said, self._said = self._said[:limit], self._said[limit:]
        return said


@pytest.mark.parametrize("error", [EOFError(), OSError("gone")])
def test_closing_on_a_dead_connection_hides_no_other_error(error: Exception) -> None:
    class Dead(Channel):
        def close(self) -> None:
            raise error

    channel: Any = Dead()
    ChannelStream(channel).close()


@pytest.mark.parametrize(
    ("status", "said", "error", "says"),
    [
        (127, b"sh: tartlet-device: not found", errors.DaemonNotRunning, "no `tartlet-device`"),
        (56, b"no socket there\n", errors.DaemonNotRunning, "no socket there"),
        (1, b"", errors.DaemonNotRunning, "no reason given"),
        (1, b"\xff" * 9000, errors.DaemonNotRunning, "does not answer"),
        (None, b"", errors.ConnectionLost, "reaching for the daemon"),
    ],
)
def test_a_bridge_that_ends_at_once_says_why(
    status: int | None, said: bytes, error: type[errors.TartletError], says: str
) -> None:
    channel: Any = Channel(status, said)
    with pytest.raises(error) as caught:
        BridgeStream(channel, "tartlet-device bridge", "pi:22").recv(10, 1.0)
    assert says in caught.value.what
    assert caught.value.where == "pi:22"
