"""A running virtual Pi: started, reached over SSH, rebooted, cut off, stopped."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import re
import shutil
import socket
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from tartlet_host.remote.inventory import Device
from tests import remote_shell
from tests.system.virtual_pi import stage
from tests.system.virtual_pi.build import CPU
from tests.system.virtual_pi.process import Process, child, spawn, wait_until

_HERE = Path(__file__).parent
_START_TIMEOUT_S = 30.0
_STOP_TIMEOUT_S = 20.0
_CGROUPS = (Path("/sys/fs/cgroup"), Path("/sys/fs/cgroup/unified"))
"""Where the unified hierarchy may be mounted."""


@dataclass(frozen=True)
class VirtualPi:
    """A running instance.

    Attributes:
        name: of the instance, and its host name.
        folder: everything that it wrote, and its keys.
        port: of its SSH server, on 127.0.0.1.
        layers: read-only folders that its file system consists of, the topmost first.
    """

    name: str
    folder: Path
    port: int
    layers: tuple[Path, ...]

    @property
    def root(self) -> Path:
        """Its file tree, as seen from this machine, while it runs."""
        supervisor, _ = _processes(self.folder)
        return Path(f"/proc/{child(supervisor.pid)}/root{self.folder}/root")

    @property
    def runs(self) -> bool:
        """Whether it has power."""
        return any(process.alive() for process in _processes(self.folder)[:1])

    @property
    def identity(self) -> Path:
        """Private key of the user pi."""
        return self.folder / "user_key"

    @property
    def host_key(self) -> str:
        """Its SSH host key, as in a known_hosts file, without the name."""
        text = (self.folder / "stage/etc/ssh/ssh_host_ed25519_key.pub").read_text()
        return " ".join(text.split()[:2])

    @property
    def device(self) -> Device:
        """What the laptop knows of it once it was added."""
        return Device(
            name=self.name,
            address="127.0.0.1",
            user="pi",
            port=self.port,
            host_key=self.host_key,
            identity=str(self.identity),
        )

    @property
    def ssh_words(self) -> list[str]:
        """The OpenSSH command that logs in."""
        return [
            "ssh",
            *("-F", "none"),
            *("-i", str(self.identity)),
            *("-p", str(self.port)),
            *("-o", f"UserKnownHostsFile={self.folder / 'known_hosts'}"),
            *("-o", "BatchMode=yes"),
            *("-o", "LogLevel=ERROR"),
            "pi@127.0.0.1",
        ]

    def run(
        self, command: str, *, check: bool = True, stdin: str = ""
    ) -> subprocess.CompletedProcess[str]:
        """Run a shell command over SSH, as the user pi; see `tests.remote_shell`."""
        return remote_shell.run(self.ssh_words, command, check=check, stdin=stdin)


def start(
    name: str,
    layers: Sequence[Path],
    base: Path,
    *,
    cpu: str = CPU,
    scene: Path | None = None,
    bound: bool = True,
) -> VirtualPi:
    """Start a new instance.

    Args:
        name: lower-case letters, digits and dashes.
        layers: an image, and what was frozen on top of it; the topmost first.
        base: folder of all instances.
        cpu: which processor the emulator shows, such as "cortex-a72" (a Pi 4).
        scene: folder of JPEGs (even width and height) that its camera sees; None for no camera.
        bound: it ends with this process, however that ends.

    Raises:
        RuntimeError: one of that name runs already, or it does not start.
    """
    if not re.fullmatch(r"[a-z0-9-]{1,40}", name):
        raise ValueError(f"{name!r}: lower-case letters, digits and dashes only")
    sweep(base)
    folder = base / name
    if (folder / "state.json").exists():
        raise RuntimeError(f"a virtual Pi named {name!r} runs already")
    stage.write(folder, name, cpu, scene)
    pi = VirtualPi(name=name, folder=folder, port=_free_port(), layers=tuple(layers))
    (folder / "known_hosts").write_text(f"[127.0.0.1]:{pi.port} {pi.host_key}\n")
    power_on(pi, bound=bound)
    return pi


def power_on(pi: VirtualPi, *, bound: bool = True) -> None:
    """Boot an instance: a new one, or one whose power was cut, with what it wrote.

    Raises:
        RuntimeError: it does not start; the end of its console is in the text.
    """
    folder = pi.folder
    bind = ["setpriv", "--pdeathsig", "KILL"] if bound else []
    with (folder / "console.log").open("ab") as console:
        supervisor = spawn(
            [
                *bind,
                *("unshare", "--mount", "--net", "--pid", "--fork", "--kill-child=KILL"),
                *("--mount-proc", "sh", str(_HERE / "boot.sh"), str(folder), pi.name),
                *(_cgroup(pi), ":".join(str(layer) for layer in pi.layers)),
            ],
            console,
        )
        wait_until(lambda: child(supervisor.pid) > 0, "its namespaces were not made")
        (folder / "network").touch()
        network = spawn(
            [
                *bind,
                *("unshare", "--mount", "sh", str(_HERE / "network.sh")),
                *(str(child(supervisor.pid)), str(folder / "network"), str(pi.port)),
            ],
            console,
        )
    state = {
        "pi": asdict(pi),
        "supervisor": asdict(supervisor),
        "network": asdict(network),
    }
    (folder / "state.json").write_text(json.dumps(state, default=str))
    try:
        wait_for_ssh(pi)
    except BaseException:
        cut_power(pi)
        raise


def load(name: str, base: Path) -> VirtualPi:
    """The running instance of that name.

    Raises:
        RuntimeError: there is none.
    """
    sweep(base)
    try:
        state = json.loads((base / name / "state.json").read_text())
    except FileNotFoundError:
        raise RuntimeError(f"no virtual Pi named {name!r} runs") from None
    found = state["pi"]
    return VirtualPi(
        name=found["name"],
        folder=Path(found["folder"]),
        port=found["port"],
        layers=tuple(Path(layer) for layer in found["layers"]),
    )


def names(base: Path) -> list[str]:
    """Of all running instances."""
    sweep(base)
    return sorted(state.parent.name for state in base.glob("*/state.json"))


def wait_for_ssh(pi: VirtualPi) -> None:
    """Until it lets users in.

    Raises:
        RuntimeError: it ended, or takes too long; the end of its console is in the text.
    """

    def ready() -> bool:
        if not pi.runs:
            raise RuntimeError(f"{pi.name} ended while it started:\n{_console(pi)}")
        return _greets(pi.port) and pi.run("true", check=False).returncode == 0

    try:
        wait_until(ready, f"{pi.name} does not answer", _START_TIMEOUT_S)
    except TimeoutError as error:
        raise RuntimeError(f"{error}:\n{_console(pi)}") from None


def cut_power(pi: VirtualPi) -> None:
    """End it at once, as if its plug were pulled. What it wrote stays, to be started again."""
    for process in _processes(pi.folder):
        process.kill()
    (pi.folder / "state.json").unlink(missing_ok=True)
    _remove_cgroup(_cgroup(pi))


def shut_down(pi: VirtualPi) -> None:
    """Let its services end in order. What it wrote stays, to be started again."""
    pi.run("sudo systemctl poweroff", check=False)
    with contextlib.suppress(TimeoutError):
        wait_until(lambda: not pi.runs, "", _STOP_TIMEOUT_S)
    cut_power(pi)


def reboot(pi: VirtualPi) -> None:
    """Restart its system in order, and wait until it lets users in."""
    before = pi.run("cat /run/boot-mark 2>/dev/null; sudo touch /run/boot-mark").stdout
    assert before == ""
    pi.run("sudo systemctl reboot", check=False)

    def new() -> bool:
        found = pi.run("test ! -e /run/boot-mark", check=False)
        return found.returncode == 0

    wait_until(new, f"{pi.name} did not restart", _START_TIMEOUT_S)


def remove(pi: VirtualPi) -> None:
    """Cut its power and delete what it wrote."""
    cut_power(pi)
    shutil.rmtree(pi.folder)


def freeze(pi: VirtualPi, layer: Path) -> tuple[Path, ...]:
    """Shut it down and keep what it wrote as a layer; the layers to start others from."""
    shut_down(pi)
    (pi.folder / "upper").rename(layer)
    shutil.rmtree(pi.folder)
    return (layer, *pi.layers)


@contextlib.contextmanager
def running(
    name: str, layers: Sequence[Path], base: Path, *, cpu: str = CPU, scene: Path | None = None
) -> Iterator[VirtualPi]:
    """An instance for as long as the context lasts; nothing stays behind."""
    pi = start(name, layers, base, cpu=cpu, scene=scene)
    try:
        yield pi
    finally:
        remove(pi)


def sweep(base: Path) -> None:
    """Remove what instances left whose starter was killed."""
    for state in base.glob("*/state.json"):
        supervisor, network = _processes(state.parent)
        if not supervisor.alive():
            network.kill()
            shutil.rmtree(state.parent)
    for hierarchy in _CGROUPS:
        for events in hierarchy.glob("virtual-pi-*/cgroup.events"):
            if "populated 0" in events.read_text():
                _remove_cgroup(events.parent.name)


def _processes(folder: Path) -> list[Process]:
    """The one that ends everything of the instance when it ends, and the one of its network."""
    try:
        state = json.loads((folder / "state.json").read_text())
    except FileNotFoundError:
        return []
    return [Process(**state[name]) for name in ("supervisor", "network")]


def _greets(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
            return connection.recv(4) == b"SSH-"
    except OSError:
        return False


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _cgroup(pi: VirtualPi) -> str:
    return f"virtual-pi-{pi.name}-{pi.port}"


def _remove_cgroup(name: str) -> None:
    for top in (hierarchy / name for hierarchy in _CGROUPS):
        # Not rglob, which fails when a folder goes by itself meanwhile.
        for folder, _, _ in list(os.walk(top, topdown=False)):
            wait_until(functools.partial(_rmdir, Path(folder)), f"{folder} stays")


def _rmdir(folder: Path) -> bool:
    try:
        folder.rmdir()
    except FileNotFoundError:
        return True
    except OSError:  # a process of it is still ending
        return False
    return True


def _console(pi: VirtualPi) -> str:
    lines = (pi.folder / "console.log").read_text(errors="replace").splitlines()
    return "\n".join(lines[-30:])
