"""Zones, lines and rules that were made on the live page, beside those of the configuration.

The configuration is root's; these are the daemon's own, in a file of its store. Where both have
one of the same name, the configuration's counts.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, TypeVar

import msgspec

from tartlet_device import files
from tartlet_device.tracking.settings import Line, Rule, TrackingSettings, Zone
from tartlet_shared import errors

_log = logging.getLogger(__name__)

FILE = "zones.json"
MOST = 64
"""Of each, together with those of the configuration."""
_Named = TypeVar("_Named", Zone, Line, Rule)


class Drawn(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What was drawn; the keys are those of ``[tracking]``."""

    zones: Annotated[tuple[Zone, ...], msgspec.Meta(max_length=MOST)] = ()
    lines: Annotated[tuple[Line, ...], msgspec.Meta(max_length=MOST)] = ()
    rules: Annotated[tuple[Rule, ...], msgspec.Meta(max_length=MOST)] = ()


class DrawnZones:
    """The file. Safe to use from several threads."""

    def __init__(self, folder: Path) -> None:
        """Read it; one that is missing is empty, and one that is broken is left as it is.

        Args:
            folder: the store.
        """
        self._path = folder / FILE
        self._lock = threading.Lock()
        self._now = Drawn()
        self._broken = self._shadowed = ""
        try:
            self._now = decode(self._path.read_bytes())
        except FileNotFoundError:
            pass
        except (OSError, errors.ConfigError) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error)
            self._broken = f"{self._path} is ignored: {reason}"
            _log.error("%s", self._broken)

    @property
    def now(self) -> Drawn:
        """What is drawn."""
        return self._now

    @property
    def fault(self) -> str:
        """What of it is not in effect, and why; empty where all is."""
        return self._broken or self._shadowed

    @property
    def revision(self) -> str:
        """Changes with what is drawn."""
        return hashlib.sha256(msgspec.json.encode(self._now)).hexdigest()[:16]

    def merged(self, configured: TrackingSettings) -> TrackingSettings:
        """Both together. Never raises: what does not fit is left out, and told by `fault`."""
        shown = Drawn(
            zones=_others(self._now.zones, configured.zones),
            lines=_others(self._now.lines, configured.lines),
            rules=_others(self._now.rules, configured.rules),
        )
        fault = ""
        if shown != self._now:
            fault = "the configuration has zones, lines or rules of the same name"
        merged = configured
        try:
            merged = _together(configured, shown)
        except errors.ConfigError as error:
            fault = f"zones drawn on the page are left out: {error}"
        if fault and fault != self._shadowed:
            _log.error("%s", fault)
        self._shadowed = fault
        return merged

    def save(self, drawn: Drawn, configured: TrackingSettings, *, revision: str | None) -> None:
        """Replace what is drawn; all of it or nothing. It survives a power cut.

        Args:
            revision: that it was made from; None for whatever there is.

        Raises:
            ConfigError: it does not fit together, or to the configuration; says why.
            Outdated: something else was drawn meanwhile.
            StorageFull, DeviceError: it cannot be written.
        """
        taken = {
            *(_names(drawn.zones) & _names(configured.zones)),
            *(_names(drawn.lines) & _names(configured.lines)),
            *(_names(drawn.rules) & _names(configured.rules)),
        }
        if taken:
            raise errors.ConfigError(
                f"the configuration has {', '.join(sorted(taken))} already",
                hint="choose another name",
            )
        _together(configured, drawn)
        with self._lock:
            if revision is not None and revision != self.revision:
                raise Outdated
            content = msgspec.json.format(msgspec.json.encode(drawn), indent=1) + b"\n"
            try:
                with files.disk_faults_named(self._path.parent, len(content)):
                    self._keep_broken()
                    files.write_atomically(self._path, content)
            except OSError as error:
                raise errors.DeviceError(
                    f"cannot be written: {error.strerror}", where=str(self._path)
                ) from error
            self._now, self._broken, self._shadowed = drawn, "", ""

    def _keep_broken(self) -> None:
        if self._broken:
            with contextlib.suppress(FileNotFoundError):
                self._path.replace(self._path.with_name(f"{FILE}.broken"))


class Outdated(Exception):
    """It was made from something that was drawn over."""


def decode(content: bytes) -> Drawn:
    """What was drawn, checked as the configuration is.

    Raises:
        ConfigError: it is not JSON, or has a key or value that makes no sense; the text names it.
    """
    try:
        drawn = msgspec.json.decode(content, type=Drawn)
        TrackingSettings(zones=drawn.zones, lines=drawn.lines)  # no name twice
    except (ValueError, RecursionError) as error:
        raise errors.ConfigError(str(error)) from error
    return drawn


def _together(configured: TrackingSettings, drawn: Drawn) -> TrackingSettings:
    zones = (*configured.zones, *drawn.zones)
    lines = (*configured.lines, *drawn.lines)
    rules = (*configured.rules, *drawn.rules)
    for key, items in (("zones", zones), ("lines", lines), ("rules", rules)):
        if len(items) > MOST:
            raise errors.ConfigError(f"{len(items)} {key}, at most {MOST} are possible")
    try:
        return TrackingSettings(
            tracker=configured.tracker,
            zones=zones,
            lines=lines,
            rules=rules,
            leave_s=configured.leave_s,
        )
    except ValueError as error:
        raise errors.ConfigError(str(error)) from error


def _others(mine: Sequence[_Named], theirs: Sequence[_Named]) -> tuple[_Named, ...]:
    """Those of mine whose names are not taken."""
    taken = _names(theirs)
    return tuple(each for each in mine if each.name not in taken)


def _names(named: Sequence[Zone | Line | Rule]) -> set[str]:
    return {each.name for each in named}
