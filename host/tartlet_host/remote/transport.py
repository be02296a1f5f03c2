"""paramiko's transport with channels to Unix sockets, and without its own error log.

Imports paramiko at once; import this module only where a connection is made.
"""

from __future__ import annotations

import logging
import socket
import threading
from typing import Any

import paramiko
from paramiko.common import cMSG_CHANNEL_OPEN

from tartlet_host.remote.hostkey import HostKey

# What OpenSSH has had for ten years and still thinks well of. The short lists keep the handshake
# small; a cipher that authenticates by itself spares paramiko half its work per packet.
_CIPHERS = ("aes128-gcm@openssh.com", "aes256-gcm@openssh.com", "aes128-ctr", "aes256-ctr")
_MACS = ("hmac-sha2-256-etm@openssh.com", "hmac-sha2-512-etm@openssh.com", "hmac-sha2-256")
_STREAMLOCAL = "direct-streamlocal@openssh.com"
_OPENING = cMSG_CHANNEL_OPEN + len(_STREAMLOCAL).to_bytes(4, "big") + _STREAMLOCAL.encode()


class DeviceTransport(paramiko.Transport):
    """An SSH connection that can reach Unix sockets on the server.

    The channel kind is OpenSSH's own (its file PROTOCOL, section 2.4): after the fields that
    every channel-open message has come the socket's path and two reserved fields.
    """

    _socket_path: str | None = None

    def __init__(self, sock: socket.socket | paramiko.Channel) -> None:
        super().__init__(sock)
        self._opening = threading.Lock()
        options = self.get_security_options()
        options.ciphers = _CIPHERS
        options.digests = _MACS

    def prefer(self, key: HostKey) -> None:
        """Ask for the pinned kind of host key first, so that a server with several shows it."""
        options = self.get_security_options()
        others = [name for name in options.key_types if name not in key.algorithms]
        options.key_types = (*(name for name in key.algorithms), *others)

    def open_socket(self, path: str, *, timeout_s: float) -> paramiko.Channel:
        """A channel to the Unix socket ``path`` on the server.

        Raises:
            paramiko.ChannelException: the server refused: it forbids this kind of channel, or
                nobody listens on that socket. OpenSSH gives the same code for both.
        """
        with self._opening:
            self._socket_path = path
            try:
                return self.open_channel(_STREAMLOCAL, timeout=timeout_s)
            finally:
                self._socket_path = None

    def _send_user_message(self, data: paramiko.Message) -> None:
        # open_channel knows a fixed set of kinds and sends its message through here.
        if self._socket_path is not None and data.asbytes().startswith(_OPENING):
            data.add_string(self._socket_path)
            data.add_string("")
            data.add_int(0)
        super()._send_user_message(data)  # type: ignore[misc]  # private, so not in the type stubs

    def _log(self, level: int, msg: object, *args: Any) -> None:
        # What goes wrong is raised to the caller, who says it once and in plain words.
        super()._log(logging.DEBUG, msg, *args)  # type: ignore[misc]
