"""What pruning and int8 cost in accuracy, from the newest demo run."""

from __future__ import annotations

import msgspec

from benchmarks.row import Row
from tartlet_host import runs
from tartlet_host.run.summary import Summary
from tartlet_shared import errors

MOST_LOST = 4.0  # mAP50 points


def run() -> list[Row]:
    """mAP50 of int8 TFLite against its fp32 parent; no row where no demo was run yet."""
    try:
        content = runs.latest("summary.json").read_bytes()
    except errors.UsageError:
        print("no demo run yet: `make demo` first for the accuracy figures")
        return []
    summary = msgspec.json.decode(content, type=Summary)
    by_name = {candidate.name: candidate for candidate in summary.candidates}
    parent, int8 = by_name["fp32"], by_name.get("int8 TFLite", by_name["int8 ONNX"])
    lost = 100 * (parent.map50 - int8.map50)
    return [
        Row(
            name=f"{int8.name} against fp32: mAP50 points lost ({summary.truth})",
            ours=100 * int8.map50,
            rival=100 * parent.map50,
            ratio=lost,
            goal=MOST_LOST,
            holds=lost <= MOST_LOST,
            unit="points",
        )
    ]
