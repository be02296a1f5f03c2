"""Installing tartlet on a device over SSH: what would be done, as data, and doing it."""

from __future__ import annotations

import contextlib
import shlex
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tartlet_device import runtime_choice
from tartlet_host.remote import shell
from tartlet_host.remote.authenticate import Ask
from tartlet_host.remote.facts import Facts
from tartlet_host.remote.ssh import Connection
from tartlet_host.remote.wheels import Wheels
from tartlet_shared import errors

Line = Callable[[str], None]
NEEDED_MB = 500
"""Free disk, as in setup_pi.sh, which a person may also run alone."""
# On the card, not in memory as /tmp: it may be more than a small Pi has.
_FOLDER = "mktemp -d /var/tmp/tartlet-setup.XXXXXXXX"
# What a connection that broke left there.
_SWEEP = (
    "find /var/tmp -maxdepth 1 -user \"$(id -un)\" -name 'tartlet-setup.*' -mmin +60 "
    "-exec rm -rf {} + 2>/dev/null"
)


@dataclass(frozen=True)
class Choices:
    """What the person asked for.

    Attributes:
        runtime: "litert", "tflite", or empty for the one that fits.
        onnx: ONNX Runtime too.
        network: whether the daemon may reach the network; None leaves it as it is.
        force: install even if nothing changed.
    """

    runtime: str = ""
    onnx: bool = False
    network: bool | None = None
    force: bool = False

    def options(self) -> list[str]:
        """For setup_pi.sh."""
        options = []
        if self.runtime:
            options += ["--runtime", self.runtime]
        if self.onnx:
            options.append("--onnx")
        if self.network is not None:
            options.append("--network" if self.network else "--no-network")
        if self.force:
            options.append("--force")
        return options


def check(facts: Facts, choices: Choices, *, where: str = "") -> runtime_choice.Choice:
    """Whether a system can be used at all, before anything is made or sent; and its runtime.

    Raises:
        DeviceError: it cannot.
        RuntimeUnavailable: no TFLite runtime exists for it, or not the wanted one.
    """
    if facts.refusal:
        raise errors.DeviceError(
            f"tartlet cannot be installed: {facts.refusal}",
            where=where,
            hint="nothing was changed there",
        )
    return runtime_choice.choose(
        facts.python, facts.machine, bits=facts.bits, wanted=choices.runtime or None
    )


def check_space(facts: Facts, *, where: str = "") -> None:
    """Whether there is room for a new environment beside the old one.

    Raises:
        StorageFull: there is not.
    """
    if facts.free_mb < NEEDED_MB:
        raise errors.StorageFull(
            f"only {facts.free_mb} MB are free, {NEEDED_MB} are needed",
            where=where,
            hint="`sudo apt-get clean` there frees some; nothing was changed",
        )


def extras(facts: Facts, choice: runtime_choice.Choice, choices: Choices) -> list[str]:
    """What to ask of tartlet-device beside its core, as setup_pi.sh does."""
    found: list[str] = [choice.name, "mqtt", "metrics"]
    # Some builds of LiteRT crash on some processors; setup_pi.sh then falls back, if it can.
    if choice.name == "litert" and not choices.runtime and facts.python <= (3, 11):
        found.append("tflite")
    # There is no wheel for 32-bit systems: Debian's OpenCV serves.
    if facts.bits == 64:
        found.append("opencv")
    if choices.onnx:
        found.append("onnx")
    return found


def root_password(connection: Connection, facts: Facts, ask: Ask | None) -> str | None:
    """The password that sudo needs there, tried once; None where it needs none.

    Raises:
        AuthenticationFailed: sudo refuses, or nobody is here to type a password.
    """
    if facts.root or facts.sudo:
        return None
    user = connection.target.user
    if ask is None:
        raise errors.AuthenticationFailed(
            f"sudo asks {user!r} for a password, and nobody is here to type it",
            where=connection.target.address,
            hint="run it in a terminal, or let the user use sudo without a password",
        )
    password = ask(f"{user}'s password for sudo on {connection.target.host}: ")
    # -k: what it remembers from before must not stand in for the password.
    done = shell.run(connection, "sudo -k -S -p '' true", stdin=password.encode() + b"\n")
    if done.code != 0:
        raise errors.AuthenticationFailed(
            f"sudo refuses: {done.lines[-1] if done.lines else 'no reason given'}",
            where=connection.target.address,
            hint="may this user use sudo there? Nothing was changed",
        )
    return password


@contextlib.contextmanager
def uploaded(
    connection: Connection, script: bytes, wheels: Wheels, progress: Callable[[int, int], None]
) -> Iterator[str]:
    """A private folder there with the script and the wheels, removed at the end.

    Args:
        connection: to the device.
        script: setup_pi.sh.
        wheels: for it.
        progress: called with the bytes sent and to be sent.

    Raises:
        DeviceError: no folder can be made there.
        ConnectionLost: the connection ended.
    """
    made = shell.run(connection, f"{_SWEEP}; {_FOLDER}")
    if made.code != 0 or not made.lines[-1].startswith("/var/tmp/"):
        raise errors.DeviceError(
            f"no folder can be made in /var/tmp: {' '.join(made.lines)}",
            where=connection.target.address,
        )
    folder = made.lines[-1]
    try:
        with tempfile.TemporaryDirectory(prefix="tartlet-script-") as name:
            local = Path(name) / "setup_pi.sh"
            local.write_bytes(script)
            files = [local, *wheels.files]
            total, sent = sum(path.stat().st_size for path in files), 0
            for path in files:
                connection.put(path, f"{folder}/{path.name}")
                sent += path.stat().st_size
                progress(sent, total)
        yield folder
    finally:
        # On a dead connection there is no way; the next run sweeps.
        with contextlib.suppress(errors.TartletError):
            shell.run(connection, f"rm -rf {shlex.quote(folder)}")


def install(
    connection: Connection,
    facts: Facts,
    folder: str,
    choices: Choices,
    *,
    offline: bool,
    password: str | None,
    line: Line,
) -> None:
    """Run setup_pi.sh there; interrupted at any moment, it can be run again.

    Args:
        connection: to the device.
        facts: about it.
        folder: there, with the script and the wheels.
        choices: what the person wants.
        offline: all wheels are in the folder.
        password: for sudo; None where it needs none.
        line: called with each line that the script says.

    Raises:
        DeviceError: the script failed there.
        ConnectionLost: the connection ended.
    """
    options = ["--wheels", folder, *choices.options(), *(["--offline"] if offline else [])]
    _run_script(connection, facts, folder, options, password, line)


def uninstall(
    connection: Connection,
    facts: Facts,
    folder: str,
    *,
    keep_models: bool,
    password: str | None,
    line: Line,
) -> None:
    """Remove tartlet from a device; for the arguments and errors see `install`."""
    options = ["--uninstall", *(["--keep-models"] if keep_models else [])]
    _run_script(connection, facts, folder, options, password, line)


def _run_script(
    connection: Connection,
    facts: Facts,
    folder: str,
    options: list[str],
    password: str | None,
    line: Line,
) -> None:
    words = ["bash", f"{folder}/setup_pi.sh", *options]
    stdin = b""
    if not facts.root:
        words = ["sudo", *(["-n"] if password is None else ["-k", "-S", "-p", ""]), *words]
        stdin = b"" if password is None else password.encode() + b"\n"
    done = shell.run(connection, shlex.join(words), stdin=stdin, line=line)
    if done.code != 0:
        said = next((each for each in reversed(done.lines) if each.strip()), "it says nothing")
        raise errors.DeviceError(
            said.removeprefix("setup_pi.sh: "),
            where=connection.target.address,
            hint="once that is mended, run the same command again; it goes on from what is there",
        )
