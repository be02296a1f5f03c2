"""What has to go so that recordings stay within their limits: decided from figures alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

Kind = Literal["continuous", "clips", "pictures"]
ORDER: tuple[Kind, ...] = ("continuous", "clips", "pictures")
"""What goes first when the disk itself is short of room."""


@dataclass(frozen=True)
class Unit:
    """One recording: a file and what lies beside it under the same name.

    Attributes:
        name: of its files, without suffix. In alphabetical order recordings are from old to new.
        size: bytes on the disk.
        time_s: when it was written, Unix seconds.
    """

    kind: Kind
    name: str
    size: int
    time_s: float


@dataclass(frozen=True)
class Limit:
    """At most so many bytes, and none older than so many seconds."""

    size: int
    age_s: float


def removals(
    units: Iterable[Unit],
    limits: Mapping[Kind, Limit],
    *,
    now_s: float | None,
    missing_bytes: int,
) -> list[Unit]:
    """What to delete.

    In each kind, what is too old and the oldest beyond its limit. If the disk still lacks room:
    continuous footage, then clips, then pictures, each from the oldest on.

    Args:
        units: all there are.
        now_s: Unix seconds; None if the clock cannot be trusted, then nothing is too old.
        missing_bytes: how much less is free than should be; negative if more.
    """
    by_kind: dict[Kind, list[Unit]] = {kind: [] for kind in ORDER}
    for unit in sorted(units, key=lambda each: each.name):
        by_kind[unit.kind].append(unit)
    gone: list[Unit] = []
    for kind in ORDER:
        over = _over_limit(by_kind[kind], limits[kind], now_s)
        gone += over
        missing_bytes -= sum(each.size for each in over)
        by_kind[kind] = [each for each in by_kind[kind] if each not in over]
    for kind in ORDER:
        for unit in by_kind[kind]:
            if missing_bytes <= 0:
                return gone
            gone.append(unit)
            missing_bytes -= unit.size
    return gone


def _over_limit(units: Sequence[Unit], limit: Limit, now_s: float | None) -> list[Unit]:
    total = sum(each.size for each in units)
    over = []
    for unit in units:
        too_old = now_s is not None and unit.time_s < now_s - limit.age_s
        if too_old or total > limit.size:
            over.append(unit)
            total -= unit.size
    return over
