"""The device's live page on this computer, for as long as somebody looks."""

from __future__ import annotations

import functools
import shlex
import time
from collections.abc import Callable

from tartlet_host.remote.authenticate import Ask
from tartlet_host.remote.forward import Forwarder, Open
from tartlet_host.remote.inventory import Device
from tartlet_host.remote.session import Session, open_session
from tartlet_shared import errors

_ASK_EVERY_S = 10.0
_RETRY_S = (1.0, 2.0, 5.0, 10.0)
_MAY_COME_BACK = (errors.Unreachable, errors.ConnectionLost, errors.DaemonNotRunning)


def view(
    device: Device,
    port: int,
    *,
    ask: Ask | None = None,
    shown: Callable[[str], None],
    say: Callable[[str], None],
    wait: Callable[[float], None] = time.sleep,
) -> None:
    """Serve the page until an exception ends it, such as Ctrl-C.

    A connection that is lost is opened again, and the page goes on.

    Args:
        port: of this computer; 0 for any.
        ask: asks the person for a password or passphrase.
        shown: called once, with the page's address.
        say: told when the connection is lost and comes back.
        wait: between two questions whether the device still answers, and two attempts.

    Raises:
        UsageError: the port is taken.
        DeviceError: the device has no live page.
        RemoteError: it cannot be reached at the start.
    """
    with Forwarder(port) as forwarder:
        failures = 0
        known = False
        while True:
            try:
                with open_session(device, ask=ask) as session:
                    forwarder.lead_to(_channels(session, device))
                    say("connected again") if known else shown(forwarder.address)
                    known, failures = True, 0
                    while True:
                        wait(_ASK_EVERY_S)
                        session.client.status()  # a dead connection shows in nothing else
            except _MAY_COME_BACK as error:
                if not known:
                    raise
                if not failures:
                    say(f"{error}; trying until it comes back")
            finally:
                forwarder.lead_to(None)
            wait(_RETRY_S[min(failures, len(_RETRY_S) - 1)])
            failures += 1


def _channels(session: Session, device: Device) -> Open:
    socket_path = session.client.status().web
    if not socket_path:
        raise errors.DeviceError(
            "the device serves no live page",
            where=device.name,
            hint="set `enabled = true` under [web] in /etc/tartlet/device.toml and restart the "
            "service; or run setup_pi.sh again, if its tartlet is older than this one",
        )
    bridge = f"{device.bridge} --socket {shlex.quote(socket_path)}"
    return functools.partial(session.connection.open_channel, socket_path, bridge)
