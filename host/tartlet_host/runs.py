"""Where results go: ``runs/<time>/``, and ``runs/latest`` that points to the newest."""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path

from tartlet_shared import errors

ROOT = Path("runs")


def new_run(root: Path = ROOT) -> Path:
    """Make a folder named after the local time; `mark_latest` makes it the latest when it is good.

    Raises:
        UsageError: the folder cannot be made here.
    """
    name = time.strftime("%Y-%m-%d_%H-%M-%S")
    for attempt in range(100):
        folder = root / (name if attempt == 0 else f"{name}-{attempt}")
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            continue
        except OSError as error:
            raise errors.UsageError(
                f"cannot make a folder for the results: {error.strerror}",
                where=str(folder),
                hint="run tartlet in a folder that you may write to",
            ) from error
        return folder
    raise errors.UsageError("a hundred runs in one second", where=str(root))


def mark_latest(folder: Path) -> None:
    """Point ``latest`` beside the run to it. Where links are not allowed, nothing happens."""
    link = folder.parent / "latest"
    temporary = folder.parent / f".latest-{os.getpid()}"
    with contextlib.suppress(OSError):
        temporary.unlink(missing_ok=True)
        temporary.symlink_to(folder.name, target_is_directory=True)
        temporary.replace(link)


def latest(name: str, root: Path = ROOT) -> Path:
    """A file or folder of the newest run that has it.

    Raises:
        UsageError: there is none.
    """
    candidates = (folder / name for folder in sorted(root.glob("[0-9]*"), reverse=True))
    for path in candidates:
        if path.exists():
            return path
    raise errors.UsageError(
        f"no run has a {name!r} yet",
        where=str(root),
        hint="name the file to use, or make one first; `tartlet demo` shows the whole path",
    )
