"""Sending a bundle against OpenSSH's own ``scp`` of the same bytes, over lines of any length."""

from __future__ import annotations

import contextlib
import hashlib
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from benchmarks.row import Row
from tartlet_device.config import ReplaySettings
from tartlet_host.remote import inventory, probe, rollout
from tartlet_host.remote.embedded import EmbeddedDevice
from tartlet_host.remote.inventory import CONFIG_DIR_VARIABLE
from tartlet_host.remote.session import open_session
from tartlet_shared.bundle import Bundle

GOAL_TRANSFER = 1.0
GOAL_PUSH = 2.0
_LARGE = 20_000_000  # bytes
_SMALL = 3_000_000
_RTT_MS = (0, 3, 20, 100)
_ROUNDS = 5


def run() -> list[Row]:
    """A row for each round trip, and one for a whole push; ``ratio`` is our time over theirs.

    Both are taken in turns over the same relay, a process of its own; a row has the medians, and
    the ratio is the median of the ratios of neighbours.
    """
    import cv2

    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "footage").mkdir()
        cv2.imwrite(str(folder / "footage" / "1.png"), probe.spots_picture())
        with EmbeddedDevice(ReplaySettings(path=str(folder / "footage"), rate=0)) as embedded:
            for rtt_ms in _RTT_MS:
                with _relay(embedded.ssh.port, rtt_ms) as port:
                    pairs = [
                        _transfer(embedded, port, folder / f"{rtt_ms}-{each}")
                        for each in range(_ROUNDS)
                    ]
                title = f"transfer of 20 MB at a round trip of {rtt_ms} ms, against scp"
                rows.append(_row(title, pairs, GOAL_TRANSFER))
            with _relay(embedded.ssh.port, 3) as port:
                pairs = [_push(embedded, port, folder / f"p-{each}") for each in range(_ROUNDS)]
            title = "push of 3 MB, from command to active, at 3 ms, against scp and sha256sum"
            rows.append(_row(title, pairs, GOAL_PUSH))
    return rows


def _row(name: str, pairs: list[tuple[float, float]], goal: float) -> Row:
    ratio = statistics.median(ours / theirs for ours, theirs in pairs)
    ours, theirs = (statistics.median(each) for each in zip(*pairs, strict=True))
    return Row(
        name=name,
        ours=ours,
        rival=theirs,
        ratio=ratio,
        goal=goal,
        holds=ratio <= goal,
        unit="s",
    )


def _transfer(embedded: EmbeddedDevice, port: int, folder: Path) -> tuple[float, float]:
    """Seconds from no connection to all files there: ours, with the questions before; theirs."""
    bundle = _fresh_bundle(folder, _LARGE)
    device = replace(embedded.device, port=port)
    started = time.perf_counter()
    with open_session(device) as session:
        plan = rollout.plan(bundle, *rollout.facts(session.client, bundle))
        rollout.send(plan.uploads, session.client, session.connection)
        ours = time.perf_counter() - started
        _forget(embedded)
    return ours, _scp(embedded, port, bundle, folder.with_name(f"{folder.name}-there"))


def _push(embedded: EmbeddedDevice, port: int, folder: Path) -> tuple[float, float]:
    """Seconds of the whole command, Python's start included; of scp, then sha256sum over SSH."""
    bundle = _fresh_bundle(folder, _SMALL)
    config = folder.with_name(f"{folder.name}-config")
    inventory.save(config / "devices.toml", {"demo": replace(embedded.device, port=port)})
    started = time.perf_counter()
    subprocess.run(
        [
            sys.executable,
            "-m",
            "tartlet_host.cli",
            "push",
            str(bundle.folder),
            "--confirm",
            "0",
            "--json",
        ],
        env={**os.environ, CONFIG_DIR_VARIABLE: str(config)},
        capture_output=True,
        check=True,
    )
    ours = time.perf_counter() - started
    there = folder.with_name(f"{folder.name}-there")
    theirs = _scp(embedded, port, bundle, there)
    started = time.perf_counter()
    names = " ".join(str(there / each.name) for each in bundle.manifest.files)
    done = subprocess.run(
        ["ssh", *_options(embedded, port, "-p"), "127.0.0.1", f"sha256sum {names}"],
        capture_output=True,
        check=True,
        text=True,
    )
    theirs += time.perf_counter() - started
    told = [line.split()[0] for line in done.stdout.splitlines()]
    if told != [each.sha256 for each in bundle.manifest.files]:
        raise RuntimeError("scp brought something else")
    return ours, theirs


def _scp(embedded: EmbeddedDevice, port: int, bundle: Bundle, there: Path) -> float:
    started = time.perf_counter()
    subprocess.run(
        ["scp", "-q", "-r", *_options(embedded, port, "-P"), bundle.folder, f"127.0.0.1:{there}"],
        check=True,
    )
    return time.perf_counter() - started


def _options(embedded: EmbeddedDevice, port: int, port_flag: str) -> tuple[str, ...]:
    """Whose line it is differs, the key does not."""
    known = embedded.known_hosts.with_name(f"known_hosts-{port}")
    known.write_text(f"[127.0.0.1]:{port} {embedded.ssh.host_key}\n")
    return (
        *(port_flag, str(port), "-F", "none", "-i", str(embedded.ssh.identity)),
        *("-o", "IdentitiesOnly=yes", "-o", f"UserKnownHostsFile={known}"),
    )


def _fresh_bundle(folder: Path, size: int) -> Bundle:
    """One with a large file that no other has."""
    distinct = int.from_bytes(hashlib.sha256(folder.name.encode()).digest()[:2], "big")
    return probe.write_bundle(folder, name=f"b-{folder.name}", filler_bytes=size + distinct)


def _forget(embedded: EmbeddedDevice) -> None:
    """As if nothing had been sent."""
    for upload in (embedded.store / "incoming").iterdir():
        upload.unlink()


@contextlib.contextmanager
def _relay(port: int, rtt_ms: int) -> Iterator[int]:
    """The port of a relay, a process of its own."""
    relay = subprocess.Popen(
        [sys.executable, "-m", "tests.faults.relay", str(port), "--rtt-ms", str(rtt_ms)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert relay.stdin is not None
    assert relay.stdout is not None
    try:
        yield int(relay.stdout.readline())
    finally:
        relay.stdin.close()
        relay.wait()
        relay.stdout.close()
