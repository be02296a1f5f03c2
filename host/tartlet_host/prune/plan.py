"""How wide each group stays, so that a goal is met: found before anything is cut."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import NamedTuple

from tartlet_host.prune.groups import Structure, Widths
from tartlet_host.recipe import PruneRecipe
from tartlet_shared.errors import ModelError

logger = logging.getLogger(__name__)

BISECTIONS = 20  # of the ratio; a plan costs microseconds
PROBES = 5  # timings in a search, each of which costs a conversion
SLACK = 0.06  # how far below the goal a time may be for the search to end


def widths_at(structure: Structure, ratio: float, recipe: PruneRecipe) -> Widths:
    """The same part of every group's channels taken away, rounded to what the recipe says.

    Channels inside a block keep the power `recipe.inside_power` of what the others keep: they are
    many, at high resolution they cost most of the time, and only their own block misses them.

    Args:
        structure: the network before any pruning.
        ratio: part that goes, at most `recipe.max_ratio`.
        recipe: gives the rounding and the most that may go.
    """
    inside = inside_ratio(ratio, recipe)
    return {
        name: _width(count, inside if name in structure.inside else ratio, recipe)
        for name, count in structure.widths.items()
    }


def inside_ratio(ratio: float, recipe: PruneRecipe) -> float:
    """What goes inside blocks, where ``ratio`` goes elsewhere."""
    return min(1 - float((1 - ratio) ** recipe.inside_power), recipe.max_ratio)


def ratio_for_multiplies(structure: Structure, goal: float, recipe: PruneRecipe) -> float:
    """The smallest ratio that leaves at most `goal` multiplies; 0 where they are few enough.

    Raises:
        ModelError: even the largest ratio leaves more.
    """
    ratio = _ratio_at_most(structure, goal, recipe)
    if structure.multiplies(widths_at(structure, ratio, recipe)) > goal:
        raise ModelError(
            f"pruning cannot keep only {recipe.keep_multiplies:.0%} of the multiplies",
            where="recipe: prune.keep_multiplies",
            hint="keep more, raise prune.max_ratio, or prune for a smaller prune.input",
        )
    return ratio


def ratio_for_latency(
    structure: Structure,
    start: float,
    time_share: Callable[[Widths], float],
    recipe: PruneRecipe,
) -> float:
    """A ratio from `start` on whose network keeps at most the part of the time asked for.

    Time goes roughly with the multiplies, so the next ratio to try is read off the straight line
    through what was measured. The search ends when the time is just below the goal, or after
    `PROBES` timings; its result was timed.

    Args:
        structure: the network before any pruning.
        start: ratio that other goals ask for already.
        time_share: time of a network so wide, as part of the parent's.
        recipe: gives the goal.

    Raises:
        ModelError: even the largest ratio takes longer.
    """
    goal = recipe.keep_latency

    def probe(ratio: float) -> _Probe:
        widths = widths_at(structure, ratio, recipe)
        share = time_share(widths)
        logger.info("without %.0f%% of the channels: %.0f%% of the time", 100 * ratio, 100 * share)
        return _Probe(ratio, structure.multiplies(widths), share)

    slow = probe(start)
    if slow.share <= goal:
        return start
    fast: _Probe | None = None
    for _ in range(PROBES - 1):
        ratio = _ratio_at_most(structure, _guess(slow, fast, goal), recipe)
        if ratio in (slow.ratio, None if fast is None else fast.ratio):
            break  # no network lies between
        found = probe(ratio)
        if found.share > goal:
            slow = found
        else:
            fast = found
            if found.share >= (1 - SLACK) * goal:
                break
        if ratio == recipe.max_ratio:
            break
    if fast is None and slow.ratio < recipe.max_ratio:
        found = probe(recipe.max_ratio)
        slow, fast = (found, None) if found.share > goal else (slow, found)
    if fast is None:
        raise ModelError(
            f"pruning cannot keep only {goal:.0%} of the time: the narrowest network allowed "
            f"takes {slow.share:.0%}",
            where="recipe: prune.keep_latency",
            hint="keep more, raise prune.max_ratio, or prune for a smaller prune.input",
        )
    return fast.ratio


class _Probe(NamedTuple):
    ratio: float
    multiplies: int
    share: float


def _guess(slow: _Probe, fast: _Probe | None, goal: float) -> float:
    """Multiplies at which the time should be a little below the goal."""
    aim = (1 - SLACK / 2) * goal
    if fast is None or fast.share >= slow.share:
        return slow.multiplies * aim / slow.share
    part = (aim - fast.share) / (slow.share - fast.share)
    return fast.multiplies + min(max(part, 0.1), 0.9) * (slow.multiplies - fast.multiplies)


def _ratio_at_most(structure: Structure, multiplies: float, recipe: PruneRecipe) -> float:
    """The smallest ratio that leaves at most so many multiplies, or the largest allowed."""

    def enough(ratio: float) -> bool:
        return structure.multiplies(widths_at(structure, ratio, recipe)) <= multiplies

    if enough(0.0):
        return 0.0
    low, high = 0.0, recipe.max_ratio
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high


def _width(count: int, ratio: float, recipe: PruneRecipe) -> int:
    multiple = recipe.round_to
    wanted = int(count * (1 - ratio) + 1e-9)
    least = -(-int(count * (1 - recipe.max_ratio) + 1e-9) // multiple) * multiple
    return min(count, max(wanted - wanted % multiple, least, multiple)) if ratio else count
