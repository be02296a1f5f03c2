"""One small JSON file for each event: what the log is rebuilt from if its database breaks."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

from tartlet_device import files
from tartlet_shared.event_record import EventRecord

_log = logging.getLogger(__name__)
_SUFFIX = ".json"
_NEW = ".new"
MAX_BYTES = 1 << 16
"""No side file is larger; one that is was not written here."""


def write(folder: Path, records: Iterable[EventRecord]) -> None:
    """Write each aside, fsync, rename; then fsync the folder once.

    Raises:
        OSError: the disk does not take them. Those written before are whole.
    """
    written = False
    try:
        for record in records:
            path = folder / (record.name + _SUFFIX)
            aside = path.with_name(f".{path.name}{_NEW}")
            aside.unlink(missing_ok=True)
            try:
                files.write_synced(aside, msgspec.json.encode(record))
                aside.replace(path)
            except BaseException:
                with contextlib.suppress(OSError):
                    aside.unlink(missing_ok=True)
                raise
            written = True
    finally:
        if written:
            files.sync_folder(folder)


def names(folder: Path) -> set[str]:
    """Names of the events that have a side file.

    Raises:
        OSError: the folder cannot be read.
    """
    return {path.stem for path in folder.iterdir() if path.suffix == _SUFFIX}


def read(folder: Path, wanted: Iterable[str]) -> Iterator[EventRecord]:
    """The events of these names; files that are no records are left out, and told."""
    for name in wanted:
        path = folder / (name + _SUFFIX)
        try:
            with path.open("rb") as stream:
                record = msgspec.json.decode(stream.read(MAX_BYTES), type=EventRecord)
        except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
            _log.warning("%s is left out: %s", path.name, error)
            continue
        if record.name == name:
            yield record


def remove(folder: Path, unwanted: Iterable[str]) -> None:
    """Delete these; what is gone already is no error.

    Raises:
        OSError: the disk does not let them be deleted.
    """
    for name in unwanted:
        (folder / (name + _SUFFIX)).unlink(missing_ok=True)


def sweep(folder: Path) -> None:
    """Delete what a killed process wrote by half.

    Raises:
        OSError: the disk does not let it be deleted.
    """
    for path in folder.glob(f".*{_NEW}"):
        path.unlink(missing_ok=True)
