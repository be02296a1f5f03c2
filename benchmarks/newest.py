"""The newest run of a recipe."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import msgspec

from tartlet_host import runs
from tartlet_host.run.summary import Summary


@dataclass(frozen=True)
class Run:
    """A finished run: its folder and its figures."""

    folder: Path
    summary: Summary


def newest_run(name: str | None = None, root: Path = runs.ROOT) -> Run | None:
    """The newest run of the recipe with that name, or of any; None where there is none."""
    for folder in sorted(root.glob("[0-9]*"), reverse=True):
        try:
            content = (folder / "summary.json").read_bytes()
            summary = msgspec.json.decode(content, type=Summary)
        except (FileNotFoundError, msgspec.ValidationError):  # unfinished, or of another version
            continue
        if name in (None, summary.name):
            return Run(folder, summary)
    return None
