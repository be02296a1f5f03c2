"""What ``tartlet-device doctor`` says on the device: things that only it can see."""

from __future__ import annotations

import shlex
from typing import Literal

import msgspec

from tartlet_host.remote import shell
from tartlet_host.remote.ssh import Connection
from tartlet_shared import errors

_BRIDGE = "bridge"


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """As `tartlet_device.doctor.check.Check`."""

    name: str
    state: Literal["ok", "warning", "failed"]
    what: str
    hint: str = ""


def examine(connection: Connection, bridge: str) -> list[Finding]:
    """Run it there.

    Args:
        connection: an open one; no daemon needs to run.
        bridge: the command that reaches the daemon; the doctor is a neighbour of it.

    Raises:
        DeviceError: it does not run, or says something else than findings.
        ConnectionLost: the connection ended.
    """
    command = command_of(bridge)
    result = shell.run(connection, command)
    for line in result.lines:
        if line.startswith("["):
            try:
                return msgspec.json.decode(line, type=list[Finding])
            except msgspec.DecodeError:
                continue
    said = result.lines[-1] if result.lines else f"it ended with {result.code}"
    raise errors.DeviceError(
        f"`{command}` does not run there: {said}",
        where=connection.target.address,
        hint="run setup_pi.sh again",
    )


def command_of(bridge: str) -> str:
    """The doctor's command line, of the same program and configuration as the bridge's."""
    words = shlex.split(bridge)
    place = words.index(_BRIDGE) if _BRIDGE in words else len(words)
    options = words[place + 1 :]
    configuration: list[str] = []
    if "--config" in options:
        start = options.index("--config")
        configuration = options[start : start + 2]
    return shlex.join([*words[:place], "doctor", "--json", *configuration])
