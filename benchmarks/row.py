"""One line of the benchmark table."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """A figure of ours beside the one it is measured against, both taken in one run.

    Attributes:
        name: what is measured.
        ours, rival: in ``unit``.
        ratio: the figure that the goal is about, such as ``rival / ours``.
        goal: limit for ``ratio``.
        holds: whether the goal is met.
        unit: of ``ours`` and ``rival``.
    """

    name: str
    ours: float
    rival: float
    ratio: float
    goal: float
    holds: bool
    unit: str = ""
