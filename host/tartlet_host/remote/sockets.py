"""The connection below SSH: a TCP socket or a proxy command, with every byte counted."""

from __future__ import annotations

import contextlib
import socket
import subprocess
from collections.abc import Iterator

from tartlet_host.remote.target import Target
from tartlet_shared import errors

_QUICK_ACK: int | None = getattr(socket, "TCP_QUICKACK", None)  # Linux only


class CountingSocket(socket.socket):
    """A socket that knows how many bytes went each way, and acknowledges at once."""

    sent = 0
    received = 0

    def send(self, data: object, flags: int = 0) -> int:
        """As `socket.socket.send`."""
        count = super().send(data, flags)  # type: ignore[arg-type]  # whatever a socket takes
        self.sent += count
        return count

    def recv(self, size: int, flags: int = 0) -> bytes:
        """As `socket.socket.recv`."""
        data = super().recv(size, flags)
        self.received += len(data)
        if _QUICK_ACK is not None and self.family in (socket.AF_INET, socket.AF_INET6):
            # OpenSSH's server leaves Nagle's algorithm on where no session channel was opened: it
            # keeps the end of a large reply until we acknowledge, which we would put off for
            # 40 ms. The kernel forgets this option, so it is set each time.
            self.setsockopt(socket.IPPROTO_TCP, _QUICK_ACK, 1)
        return data


@contextlib.contextmanager
def opened(target: Target, timeout_s: float) -> Iterator[CountingSocket]:
    """The socket to a server that is reached without a jump; closed at the end.

    Raises:
        Unreachable: the name is not known, nobody answers, or the port is closed.
    """
    if target.proxy_command:
        with _through_command(target) as connection:
            yield connection
    else:
        with _tcp(target, timeout_s) as connection:
            yield connection


def _tcp(target: Target, timeout_s: float) -> CountingSocket:
    try:
        plain = socket.create_connection((target.host, target.port), timeout=timeout_s)
    except socket.gaierror as error:
        raise errors.Unreachable(
            f"the name is not known: {error.strerror}",
            where=target.host,
            hint="is it spelled right? If '.local' names do not work on this network, "
            "use the device's IP address",
        ) from error
    except ConnectionRefusedError as error:
        raise errors.Unreachable(
            "the machine is there but nothing listens on this port",
            where=target.address,
            hint="switch SSH on: sudo systemctl enable --now ssh (on the device), "
            "or give another port: HOST:PORT",
        ) from error
    except TimeoutError as error:
        raise errors.Unreachable(
            f"no answer within {timeout_s:g} s",
            where=target.address,
            hint="is the device on, and on this network?",
        ) from error
    except OSError as error:
        raise errors.Unreachable(
            f"cannot be reached: {error.strerror or error}", where=target.address
        ) from error
    connection = CountingSocket(fileno=plain.detach())
    # Without this a small request waits up to 40 ms for the acknowledgement of the one before.
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    return connection


@contextlib.contextmanager
def _through_command(target: Target) -> Iterator[CountingSocket]:
    """Run the proxy command with one end of a socket pair as its stdin and stdout."""
    ours, theirs = socket.socketpair()
    connection = CountingSocket(fileno=ours.detach())
    with connection:
        try:
            with theirs:
                # By the user's own shell, as OpenSSH does; `exec` so that there is one process.
                process = subprocess.Popen(
                    f"exec {target.proxy_command}",
                    shell=True,
                    stdin=theirs.fileno(),
                    stdout=theirs.fileno(),
                )
        except OSError as error:
            raise errors.Unreachable(
                f"the proxy command cannot be run: {error}",
                where=f"ProxyCommand {target.proxy_command}",
                hint="see ProxyCommand in ~/.ssh/config",
            ) from error
        try:
            yield connection
        finally:
            process.terminate()
            process.wait()
