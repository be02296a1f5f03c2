"""How soon a started daemon answers, against the least that a program needs to load the model."""

from __future__ import annotations

import contextlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec

from benchmarks.continuous_rate import bare_command
from benchmarks.models import litert_bundle
from benchmarks.row import Row
from tartlet_device import __version__
from tartlet_device.connecting import connect
from tartlet_device.serving import Serving
from tartlet_shared import errors, messages, wire
from tartlet_shared.bundle import Bundle
from tartlet_shared.fingerprint import fingerprint

GOAL = 1.3
ROUNDS = 9
THREADS = 1
_PATIENCE_S = 120.0


def run() -> list[Row]:
    """One row; ``ratio`` is our time over the bare program's, ``goal`` its upper limit.

    Ours is from the start of ``tartlet-device serve`` with a committed model to its Hello; the
    other's from the start of `benchmarks.bare` to its first inference. They take turns.
    """
    # A Unix socket's address has room for about 100 bytes.
    with tempfile.TemporaryDirectory(prefix="tt") as name:
        folder = Path(name)
        bundle = litert_bundle(folder)
        config = _config(folder, bundle)
        ours, theirs = [], []
        for _ in range(ROUNDS + 1):
            theirs.append(_bare_s(bundle))
            ours.append(_daemon_s(config, folder / "d.sock"))
    # The first round fills the disk's cache.
    mine, other = statistics.median(ours[1:]), statistics.median(theirs[1:])
    ratio = statistics.median(ours[i] / theirs[i] for i in range(1, ROUNDS + 1))
    return [
        Row(
            name="start of the daemon to its first answer, against loading the model",
            ours=mine,
            rival=other,
            ratio=ratio,
            goal=GOAL,
            holds=ratio <= GOAL,
            unit="s",
        )
    ]


def _config(folder: Path, bundle: Bundle) -> Path:
    """A daemon's configuration, with a store in which the bundle is committed."""
    store, photos = folder / "store", folder / "photos"
    shutil.copytree(bundle.folder, store / "bundles" / bundle.digest)
    (store / "serving.json").write_bytes(msgspec.json.encode(Serving(current=bundle.digest)))
    photos.mkdir()
    golden = bundle.folder / bundle.manifest.golden[0].picture
    shutil.copy(golden, photos / golden.name)
    config = folder / "device.toml"
    config.write_text(
        f'socket = "{folder}/d.sock"\nstore = "{store}"\nthreads = {THREADS}\n'
        f'[camera]\nkind = "replay"\npath = "{photos}"\nrate = 0\n'
    )
    return config


def _bare_s(bundle: Bundle) -> float:
    began = time.perf_counter()
    with _process(bare_command(bundle, THREADS)) as process:
        assert process.stdout is not None
        if process.stdout.readline() != b"ready\n":
            raise RuntimeError("the bare interpreter does not start")
        return time.perf_counter() - began


def _daemon_s(config: Path, socket: Path) -> float:
    hello = wire.encode(
        messages.Hello(
            protocol=messages.PROTOCOL_VERSION, fingerprint=fingerprint(), software=__version__
        )
    )
    began = time.perf_counter()
    command = [sys.executable, "-m", "tartlet_device.cli", "serve", "--config", str(config)]
    with _process(command) as process:
        while True:
            with contextlib.suppress(errors.DaemonNotRunning), connect(socket) as connection:
                connection.settimeout(_PATIENCE_S)
                connection.sendall(hello)
                if connection.recv(1):
                    return time.perf_counter() - began
            if process.poll() is not None or time.perf_counter() - began > _PATIENCE_S:
                raise RuntimeError("the daemon does not start")
            time.sleep(0.002)


@contextlib.contextmanager
def _process(command: list[str]) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    with process:
        try:
            yield process
        finally:
            process.terminate()
