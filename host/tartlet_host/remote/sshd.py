"""A throw-away OpenSSH server on loopback, for the demo and the tests.

Real keys, a real ``sshd``, nothing of the machine's own SSH set-up touched. It runs as whoever
starts it and lets only that user in, by one key.
"""

from __future__ import annotations

import getpass
import os
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from tartlet_host.remote.hostkey import HostKey
from tartlet_shared import errors

_START_TIMEOUT_S = 15.0
_STOP_TIMEOUT_S = 5.0
_ATTEMPTS = 5
_PLACES = ("/usr/sbin", "/usr/local/sbin", "/sbin")  # not in every user's PATH


class Sshd:
    """A running server; `start` it.

    Attributes:
        port: on 127.0.0.1.
        host_key: what it shows.
        identity: private key file that it lets in.
    """

    def __init__(
        self, process: subprocess.Popen[bytes], port: int, host_key: HostKey, identity: Path
    ) -> None:
        self.port = port
        self.host_key = host_key
        self.identity = identity
        self._process = process

    @property
    def pid(self) -> int:
        """Of the listening process."""
        return self._process.pid

    def stop(self) -> None:
        """End the server; connections that are open end with their clients."""
        stop_process(self._process)


def start(folder: Path, *, options: Sequence[str] = (), environment: str = "") -> Sshd:
    """Start a server that keeps everything in ``folder``.

    Args:
        folder: exists, empty.
        options: further lines of its configuration; they win over ours.
        environment: ``NAME=value`` given to every command that it runs.

    Raises:
        ConfigError: OpenSSH's server is not installed, or does not start; says what it said.
    """
    program = _find_sshd()
    if os.geteuid() == 0:
        # Root's sshd separates privileges in this folder, which the system's service would make.
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    host_key = _make_key(folder / "host_key")
    _make_key(folder / "user_key")
    shutil.copyfile(folder / "user_key.pub", folder / "authorized_keys")
    for _ in range(_ATTEMPTS):
        port = _free_port()
        config = folder / "sshd_config"
        lines = [*options, *_configuration(folder, port, program)]
        if environment:
            lines.append(f"SetEnv {environment}")
        config.write_text("\n".join(lines) + "\n")
        log = folder / "sshd.log"
        with log.open("ab") as stream:
            process = subprocess.Popen(
                [program, "-D", "-e", "-f", str(config)],
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=stream,
                start_new_session=True,  # Ctrl-C is ours to handle: it is stopped in order
            )
        try:
            if _listening(process, port):
                return Sshd(process, port, host_key, folder / "user_key")
        except BaseException:
            stop_process(process)
            raise
        stop_process(process)
        said = log.read_text(errors="replace").strip()
        if "in use" not in said.rsplit("\n", maxsplit=1)[-1]:
            break  # not a port that somebody else took in the meantime
    raise errors.ConfigError(f"does not start: {said or 'no reason given'}", where=program)


def stop_process(process: subprocess.Popen[bytes]) -> None:
    """End a process that we started: politely, then not."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(_STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
    process.wait()


def _find_sshd() -> str:
    path = os.pathsep.join((os.environ.get("PATH", ""), *_PLACES))
    # sshd starts itself again for each connection and insists on its absolute path.
    found = shutil.which("sshd", path=path)
    if found is None:
        raise errors.ConfigError(
            "OpenSSH's server is not installed",
            where="sshd",
            hint="sudo apt-get install -y --no-install-recommends openssh-server",
        )
    return str(Path(found).resolve())


def _configuration(folder: Path, port: int, program: str) -> list[str]:
    lines = [
        "ListenAddress 127.0.0.1",
        f"Port {port}",
        f"HostKey {folder / 'host_key'}",
        f"AuthorizedKeysFile {folder / 'authorized_keys'}",
        "PidFile none",
        # The folder lies under a world-writable /tmp, which strict modes refuse.
        "StrictModes no",
        "PasswordAuthentication no",
        "KbdInteractiveAuthentication no",
        "PubkeyAuthentication yes",
        f"AllowUsers {getpass.getuser()}",
        "PermitRootLogin prohibit-password",
        f"UsePAM {'yes' if _locked() else 'no'}",
        "AllowTcpForwarding yes",
        "AllowStreamLocalForwarding yes",
        "PrintMotd no",
        "Subsystem sftp internal-sftp",
    ]
    if _version(program) >= (9, 8):
        # From 9.8 on, an address that failed to log in is refused for a while: ours is everyone's.
        lines.append("PerSourcePenalties no")
    return lines


def _locked() -> bool:
    """Whether our account has a locked password: sshd then wants PAM before it lets a key in."""
    try:
        lines = Path("/etc/shadow").read_text().splitlines()
    except OSError:  # only root can read it, and only root's sshd looks
        return False
    fields = next(
        (line.split(":") for line in lines if line.startswith(f"{getpass.getuser()}:")), None
    )
    return fields is not None and fields[1].startswith("!")


def _version(program: str) -> tuple[int, int]:
    answer = subprocess.run(
        [program, "-V"], capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL
    )
    found = re.search(r"OpenSSH_(\d+)\.(\d+)", answer.stderr + answer.stdout)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def _make_key(path: Path) -> HostKey:
    """A new ed25519 key pair in ``path`` and ``path.pub``."""
    from cryptography.hazmat.primitives import serialization  # comes with paramiko
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    key = Ed25519PrivateKey.generate()
    path.touch(mode=0o600)
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.OpenSSH,
            serialization.NoEncryption(),
        )
    )
    public = key.public_key().public_bytes(
        serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH
    )
    path.with_name(path.name + ".pub").write_bytes(public + b"\n")
    return HostKey.parse(public.decode())


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _listening(process: subprocess.Popen[bytes], port: int) -> bool:
    """Wait until the server accepts connections; False if it ended."""
    deadline = time.monotonic() + _START_TIMEOUT_S
    while process.poll() is None and time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.02)
        else:
            return process.poll() is None
    return False
