"""How wide each group stays, so that a goal is met: found before anything is cut."""

from __future__ import annotations

import logging
from collections.abc import Callable

from tartlet_host.prune.groups import Structure, Widths
from tartlet_host.recipe import PruneRecipe
from tartlet_shared.errors import ModelError

logger = logging.getLogger(__name__)

BISECTIONS = 20  # of the ratio; a plan costs microseconds
PROBES = 5  # timings in a search, each of which costs a conversion


def widths_at(original: Widths, ratio: float, recipe: PruneRecipe) -> Widths:
    """The same part of every group's channels taken away, rounded to what the recipe says.

    Args:
        original: channels before any pruning.
        ratio: part that goes, at most `recipe.max_ratio`.
        recipe: gives the rounding and the most that may go.
    """
    return {name: _width(count, ratio, recipe) for name, count in original.items()}


def ratio_for_multiplies(structure: Structure, goal: float, recipe: PruneRecipe) -> float:
    """The smallest ratio that leaves at most `goal` multiplies; 0 where they are few enough.

    Raises:
        ModelError: even the largest ratio leaves more.
    """

    def enough(ratio: float) -> bool:
        return structure.multiplies(widths_at(structure.widths, ratio, recipe)) <= goal

    if structure.multiplies(structure.widths) <= goal:
        return 0.0
    if not enough(recipe.max_ratio):
        raise ModelError(
            f"pruning cannot keep only {recipe.keep_multiplies:.0%} of the multiplies",
            where="recipe: prune.keep_multiplies",
            hint="keep more, raise prune.max_ratio, or prune for a smaller prune.input",
        )
    low, high = 0.0, recipe.max_ratio
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high


def ratio_for_latency(
    original: Widths, start: float, time_share: Callable[[Widths], float], recipe: PruneRecipe
) -> float:
    """A ratio from `start` on whose network keeps at most the part of the time asked for.

    Latency is a staircase with noise on it, so the search is short: it ends after `PROBES` halvings
    or when two ratios give the same network, and its result was timed.

    Args:
        original: channels before any pruning.
        start: ratio that other goals ask for already.
        time_share: time of a network so wide, as part of the parent's; asked once for each.
        recipe: gives the goal.

    Raises:
        ModelError: even the largest ratio takes longer.
    """
    goal = recipe.keep_latency
    if time_share(widths_at(original, start, recipe)) <= goal:
        return start
    low, high = start, recipe.max_ratio
    least = time_share(widths_at(original, high, recipe))
    if least > goal:
        raise ModelError(
            f"pruning cannot keep only {goal:.0%} of the time: the narrowest network allowed "
            f"takes {least:.0%}",
            where="recipe: prune.keep_latency",
            hint="keep more, raise prune.max_ratio, or prune for a smaller prune.input",
        )
    for _ in range(PROBES):
        middle = (low + high) / 2
        widths = widths_at(original, middle, recipe)
        if widths in (widths_at(original, low, recipe), widths_at(original, high, recipe)):
            break
        share = time_share(widths)
        logger.info("without %.0f%% of the channels: %.0f%% of the time", 100 * middle, 100 * share)
        low, high = (low, middle) if share <= goal else (middle, high)
    return high


def _width(count: int, ratio: float, recipe: PruneRecipe) -> int:
    multiple = recipe.round_to
    wanted = int(count * (1 - ratio) + 1e-9)
    least = -(-int(count * (1 - recipe.max_ratio) + 1e-9) // multiple) * multiple
    return min(count, max(wanted - wanted % multiple, least, multiple)) if ratio else count
