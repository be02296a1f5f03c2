"""One SSH connection to a device: host key checked, logged in, channels and files over it."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tartlet_host.remote import hostkey, sftp, sockets
from tartlet_host.remote.authenticate import Ask, authenticate
from tartlet_host.remote.hostkey import HostKey
from tartlet_host.remote.pace import Pace
from tartlet_host.remote.sftp import Outgoing
from tartlet_host.remote.stream import BridgeStream, ChannelStream
from tartlet_host.remote.target import Target
from tartlet_shared import errors
from tartlet_shared.conversation import STILL_SERVES, Stream

if TYPE_CHECKING:
    import paramiko

    from tartlet_host.remote.transport import DeviceTransport

_log = logging.getLogger(__name__)

CONNECT_TIMEOUT_S = 10.0
_HANDSHAKE_TIMEOUT_S = 15.0
_CHANNEL_TIMEOUT_S = 20.0
_STALL_TIMEOUT_S = 60.0  # an upload in which nothing moves for so long is dead
_KEEPALIVE_S = 15


class Connection:
    """An open, authenticated SSH connection. Use `connect`."""

    def __init__(
        self, target: Target, transport: DeviceTransport, counter: sockets.CountingSocket
    ) -> None:
        self.target = target
        self._transport = transport
        self._counter = counter
        self._sftp: sftp.Sftp | None = None

    @property
    def bytes_sent(self) -> int:
        """Bytes that left this machine for this connection so far, the SSH handshake included."""
        return self._counter.sent

    @property
    def bytes_received(self) -> int:
        """Bytes that arrived for this connection so far."""
        return self._counter.received

    def open_stream(self, socket_path: str, bridge: str) -> Stream:
        """A stream to the daemon's Unix socket.

        Where the server opens no channel to it, the command ``bridge`` is run on the device. It
        finds out which of the two it is: a server that forbids such channels, or no daemon.

        Raises:
            ConnectionLost: the connection is gone.
            DaemonNotRunning: raised by the stream's first ``recv``.
        """
        channel, bridged = self._open(socket_path, bridge)
        if bridged:
            return BridgeStream(channel, bridge, self.target.address)
        return ChannelStream(channel)

    def open_channel(self, socket_path: str, bridge: str) -> paramiko.Channel:
        """As `open_stream`, of bytes both ways at once; several may be open, from any thread.

        Raises:
            ConnectionLost: the connection is gone.
        """
        channel, _ = self._open(socket_path, bridge)
        return channel

    def _open(self, socket_path: str, bridge: str) -> tuple[paramiko.Channel, bool]:
        """A channel to a socket on the device, and whether it is the bridge's."""
        import paramiko  # heavy

        with self._losing("opening a channel to the daemon"):
            try:
                channel = self._transport.open_socket(socket_path, timeout_s=_CHANNEL_TIMEOUT_S)
            except paramiko.ChannelException as error:
                _log.info("no channel to %s (%s); trying `%s`", socket_path, error, bridge)
            else:
                return channel, False
            session = self._transport.open_session(timeout=_CHANNEL_TIMEOUT_S)
            session.exec_command(bridge)
            return session, True

    def execute(self, command: str) -> paramiko.Channel:
        """Start a shell command on the device; its output, both kinds together, is the channel's.

        Raises:
            ConnectionLost: the connection is gone.
        """
        with self._losing("starting a command"):
            channel = self._transport.open_session(timeout=_CHANNEL_TIMEOUT_S)
            channel.set_combine_stderr(True)
            channel.exec_command(command)
            return channel

    def put(self, source: Path, destination: str) -> None:
        """Upload one file; see `send`."""
        self.send([Outgoing.whole(source, destination)])

    def send(
        self,
        files: Sequence[Outgoing],
        *,
        pace: Pace | None = None,
        progress: Callable[[int], None] | None = None,
    ) -> None:
        """Upload files; see `tartlet_host.remote.sftp.Sftp.send`.

        Raises:
            ConnectionLost: the connection ended, or nothing moves any more.
            SftpError: the device could not write a file.
        """
        with self._losing(f"sending {files[0].source.name}" if files else "sending nothing"):
            if self._sftp is None:
                self._sftp = sftp.Sftp(self._subsystem("sftp"))
            conversation, self._sftp = self._sftp, None
            conversation.send(files, pace=pace, progress=progress)
            self._sftp = conversation

    def _subsystem(self, name: str) -> paramiko.Channel:
        channel = self._transport.open_session(timeout=_CHANNEL_TIMEOUT_S)
        channel.settimeout(_STALL_TIMEOUT_S)
        channel.invoke_subsystem(name)
        return channel

    @contextlib.contextmanager
    def _losing(self, doing: str) -> Iterator[None]:
        """Turn the many ways in which a dead connection shows into one error."""
        import paramiko  # heavy

        try:
            yield
        except errors.TartletError:
            raise
        except (paramiko.SSHException, EOFError, TimeoutError) as error:
            raise self._lost(doing) from error
        except OSError as error:
            if self._transport.is_active():
                raise
            raise self._lost(doing) from error

    def _lost(self, doing: str) -> errors.ConnectionLost:
        return errors.ConnectionLost(
            f"the connection ended while {doing}", where=self.target.address, hint=STILL_SERVES
        )


@contextlib.contextmanager
def connect(
    target: Target,
    pinned: HostKey | None,
    *,
    name: str = "",
    jump_keys: Mapping[str, HostKey] | None = None,
    ask: Ask | None = None,
    timeout_s: float = CONNECT_TIMEOUT_S,
) -> Iterator[Connection]:
    """Connect and log in; everything is closed at the end.

    Args:
        target: the server, with the jumps to it.
        pinned: the only host key that it may show.
        name: what to call the device in messages.
        jump_keys: pinned keys of the jumps, by ``host:port``.
        ask: asks the person for a password or passphrase.
        timeout_s: for the TCP connection.

    Raises:
        Unreachable, HostKeyUnknown, HostKeyChanged, AuthenticationFailed.
    """
    with _handshaken(target, pinned, name, jump_keys or {}, ask, timeout_s) as (transport, counter):
        hostkey.check(pinned, _key_of(transport), where=target.address, name=name or str(target))
        authenticate(transport, target, ask)
        transport.set_keepalive(_KEEPALIVE_S)
        yield Connection(target, transport, counter)


def scan(
    target: Target,
    *,
    jump_keys: Mapping[str, HostKey] | None = None,
    ask: Ask | None = None,
    timeout_s: float = CONNECT_TIMEOUT_S,
) -> HostKey:
    """The host key that a server shows, for a person to compare; nothing is sent to log in.

    Raises:
        Unreachable; and as `connect` for the jumps to it.
    """
    with _handshaken(target, None, "", jump_keys or {}, ask, timeout_s) as (transport, _):
        return _key_of(transport)


@contextlib.contextmanager
def _handshaken(
    target: Target,
    pinned: HostKey | None,
    name: str,
    jump_keys: Mapping[str, HostKey],
    ask: Ask | None,
    timeout_s: float,
) -> Iterator[tuple[DeviceTransport, sockets.CountingSocket]]:
    """Through the jumps to the last server, up to its key exchange."""
    with contextlib.ExitStack() as stack:
        first = target.jumps[0] if target.jumps else target
        counter = stack.enter_context(sockets.opened(first, timeout_s))
        below: sockets.CountingSocket | paramiko.Channel = counter
        hops = (*target.jumps, target)
        for hop, following in zip(hops, (*hops[1:], None), strict=True):
            key = jump_keys.get(hop.address) if following else pinned
            transport = stack.enter_context(_exchanged(hop, below, key))
            if following is None:
                break
            hostkey.check(key, _key_of(transport), where=f"{hop.address} (a jump)", name=name)
            authenticate(transport, hop, ask)
            below = _tunnel(transport, hop, following)
        yield transport, counter


@contextlib.contextmanager
def _exchanged(
    hop: Target, below: sockets.CountingSocket | paramiko.Channel, key: HostKey | None
) -> Iterator[DeviceTransport]:
    import paramiko  # heavy

    from tartlet_host.remote.transport import DeviceTransport

    transport = DeviceTransport(below)
    try:
        if key is not None:
            transport.prefer(key)
        transport.banner_timeout = _HANDSHAKE_TIMEOUT_S
        try:
            transport.start_client(timeout=_HANDSHAKE_TIMEOUT_S)
        except (paramiko.SSHException, EOFError, OSError) as error:
            raise errors.Unreachable(
                f"something answers, but no SSH connection came about: {error}",
                where=hop.address,
                hint="is there an SSH server on this port?",
            ) from error
        yield transport
    finally:
        transport.close()
        # paramiko's reader thread must not outlive us and find its socket closed.
        transport.join(timeout=2)


def _tunnel(transport: DeviceTransport, hop: Target, following: Target) -> paramiko.Channel:
    import paramiko  # heavy

    try:
        return transport.open_channel(
            "direct-tcpip",
            (following.host, following.port),
            ("127.0.0.1", 0),
            timeout=_CHANNEL_TIMEOUT_S,
        )
    except (paramiko.SSHException, EOFError) as error:
        raise errors.Unreachable(
            f"cannot be reached from {hop.address}: {error}", where=following.address
        ) from error


def _key_of(transport: DeviceTransport) -> HostKey:
    key = transport.get_remote_server_key()
    return HostKey(key.get_name(), key.asbytes())
