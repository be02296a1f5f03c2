"""What a run measured: one struct, printed as a table and written as JSON."""

from __future__ import annotations

import msgspec
from rich.console import Group
from rich.table import Table


class Candidate(msgspec.Struct, frozen=True, kw_only=True):
    """One form of the detector.

    Attributes:
        name: such as "int8 TFLite".
        map50, map50_95: on the test pictures, in ``[0, 1]``.
        file_bytes: size of the model file.
        latency_p50_ms, latency_p95_ms: of inference alone, one thread, on this machine.
        speedup: fp32 latency (p50) over this one's, taken in turns in the same run.
        validation_map50: on the validation pictures, by which the gate judges.
        packaged: whether it is the one in the bundle.
        refusal: why the gate stopped it; "" where it did not.
    """

    name: str
    map50: float
    map50_95: float
    validation_map50: float
    file_bytes: int
    latency_p50_ms: float
    latency_p95_ms: float
    speedup: float
    packaged: bool = False
    refusal: str = ""


class Transfer(msgspec.Struct, frozen=True, kw_only=True):
    """A command over SSH: wall-clock seconds and bytes on the socket."""

    name: str
    seconds: float
    bytes_sent: int
    bytes_received: int


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """A whole run.

    Attributes:
        name: of the recipe.
        truth: what the accuracy was measured against.
        test_pictures, test_boxes: how many.
        candidates: fp32 first.
        transfers: over SSH: push, the same push again, predict; empty where nothing was pushed.
        steps: wall-clock seconds of each step, in order.
        seconds: of the whole run.
        machine: processor and versions.
        bundle: digest of the bundle that serves.
    """

    name: str
    truth: str
    test_pictures: int
    test_boxes: int
    candidates: tuple[Candidate, ...]
    steps: dict[str, float]
    seconds: float
    machine: dict[str, str]
    bundle: str
    transfers: tuple[Transfer, ...] = ()


def to_json(summary: Summary) -> bytes:
    """The summary as ``summary.json``."""
    return msgspec.json.format(msgspec.json.encode(summary), indent=1) + b"\n"


def tables(summary: Summary) -> Group:
    """The closing tables."""
    boxes = f"{summary.test_boxes} boxes ({summary.truth})"
    models = Table(
        title=f"{summary.test_pictures} test pictures, {boxes}",
        caption="* in the bundle; speed is against the first, one thread on this machine",
    )
    models.add_column("model")
    for heading in ("mAP50", "mAP50-95", "file", "p50", "p95", "speed"):
        models.add_column(heading, justify="right")
    for candidate in summary.candidates:
        models.add_row(
            candidate.name + (" *" if candidate.packaged else ""),
            f"{candidate.map50:.3f}",
            f"{candidate.map50_95:.3f}",
            f"{candidate.file_bytes / 1e6:.2f} MB",
            f"{candidate.latency_p50_ms:.2f} ms",
            f"{candidate.latency_p95_ms:.2f} ms",
            f"{candidate.speedup:.2f}x",
            style="bold" if candidate.packaged else "",
        )
    if not summary.transfers:
        return Group(models)
    transfers = Table(title="over one SSH connection")
    transfers.add_column("command")
    for heading in ("seconds", "sent", "received"):
        transfers.add_column(heading, justify="right")
    for transfer in summary.transfers:
        transfers.add_row(
            transfer.name,
            f"{transfer.seconds:.3f}",
            f"{transfer.bytes_sent / 1e3:.1f} KB",
            f"{transfer.bytes_received / 1e3:.1f} KB",
        )
    return Group(models, transfers)
