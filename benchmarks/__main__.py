"""Run every benchmark, print the table, write ``runs/bench.json``."""

from __future__ import annotations

import dataclasses
import importlib
import json
import pkgutil
import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table

import benchmarks
from benchmarks.row import Row
from tartlet_host.files import write_atomically

HELPERS = (
    *("__main__", "bare", "event_writer", "footage", "log_kills", "models", "newest", "row"),
    *("push_steps", "soak", "store_faults", "yolo_export"),
)
LONG = ("event_kills", "message_kills", "push_faults", "rubbish")
"""Minutes each, or they need root and strace; only run by name."""
OUTPUT = Path("runs/bench.json")


def main(names: list[str]) -> int:
    """Run the benchmarks named, or all; the exit code is 1 when a goal is missed."""
    found = [module.name for module in pkgutil.iter_modules(benchmarks.__path__)]
    chosen = names or [name for name in found if name not in (*HELPERS, *LONG)]
    rows: list[Row] = []
    for name in chosen:
        print(f"{name} ...", file=sys.stderr, flush=True)
        rows += importlib.import_module(f"benchmarks.{name}").run()
    write_atomically(OUTPUT, json.dumps([dataclasses.asdict(row) for row in rows], indent=1))
    Console().print(_table(rows))
    return 0 if all(row.holds for row in rows) else 1


def _table(rows: list[Row]) -> Table:
    table = Table(title="Measured in this run, on this machine")
    for heading in ("figure", "ours", "against", "ratio", "goal", "holds"):
        table.add_column(heading, justify="left" if heading == "figure" else "right")
    for row in rows:
        table.add_row(
            row.name,
            f"{row.ours:.4g} {row.unit}",
            f"{row.rival:.4g} {row.unit}",
            f"{row.ratio:.3g}",
            f"{row.goal:.3g}",
            "yes" if row.holds else "[red]no[/red]",
        )
    return table


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
