"""Plots of models against each other and of a run, as SVG for a page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import markupsafe
import numpy as np

from tartlet_host.evaluate.curves import Curve, operating_point
from tartlet_host.plotting import COLOURS, DASHES, drawing, plot_svg

MUTED = "#9fb8c9"
"""Of what is not chosen."""
LEAST_SPAN = 0.06
"""mAP50 that the axis of `front` shows at least."""


def front(
    points: Mapping[str, tuple[float, float]],
    chosen: str = "",
    *,
    least: float | None = None,
) -> markupsafe.Markup:
    """Accuracy against latency: each model a point, those that no other beats joined by a line.

    These have their names beside them, and so has the chosen one.

    Args:
        points: name -> median latency in ms, mAP50.
        chosen: the model to mark.
        least: mAP50 that the gate asks for.
    """
    with drawing(7.2, 3.9) as (figure, axes):
        axis = axes[0]
        order = sorted(points, key=lambda name: (points[name][0], -points[name][1]))
        best: list[tuple[float, float]] = []
        for name in order:
            if not best or points[name][1] > best[-1][1]:
                best.append(points[name])
        if best:
            axis.step(*zip(*best, strict=True), where="post", color=COLOURS[0], linewidth=1.2)
        if least is not None:
            axis.axhline(least, color=COLOURS[1], linestyle="--", linewidth=1.2)
            axis.annotate(
                f"the gate: {least:.3f}",
                (1.0, least),
                xycoords=("axes fraction", "data"),
                xytext=(0, -4),
                textcoords="offset points",
                ha="right",
                va="top",
                color=COLOURS[1],
            )
        written = [name for name in order if points[name] in best or name == chosen]
        for name in order:
            is_best, is_chosen = points[name] in best, name == chosen
            axis.plot(
                *points[name],
                marker="*" if is_chosen else "o",
                markersize=15 if is_chosen else 7,
                color=COLOURS[2] if is_chosen else COLOURS[0] if is_best else MUTED,
            )
            if name not in written:
                continue
            place = written.index(name)
            # Alternately above and below: neighbours on the front are close to each other.
            axis.annotate(
                name,
                points[name],
                xytext=(0, 9 if place % 2 else -9),
                textcoords="offset points",
                ha="center",
                va="bottom" if place % 2 else "top",
                fontsize=9,
                fontweight="bold" if is_chosen else "normal",
            )
        axis.set(xlabel="latency (ms, median), less is better", ylabel="mAP50")
        axis.set_xlim(left=0)
        axis.margins(0.12, 0.18)
        # Differences that are chance must not look like a cliff.
        low, high = axis.get_ylim()
        spare = max(0.0, LEAST_SPAN - (high - low)) / 2
        axis.set_ylim(low - spare, high + spare)
        return plot_svg(figure, "Points: accuracy of each model against its latency")


def precision_recall(curves: Mapping[str, Curve]) -> markupsafe.Markup:
    """Precision against recall at IoU 0.5."""
    with drawing(7.2, 3.7) as (figure, axes):
        axis = axes[0]
        for place, (name, curve) in enumerate(curves.items()):
            keep = _thinned(len(curve.score))
            axis.plot(
                curve.recall[keep],
                curve.precision[keep],
                label=name,
                color=COLOURS[place % len(COLOURS)],
                linestyle=DASHES[place % len(DASHES)],
                linewidth=1.8,
            )
        axis.set(xlim=(0, 1.01), ylim=(0, 1.02), xlabel="recall", ylabel="precision")
        axis.legend(loc="lower left", frameon=False)
        return plot_svg(figure, "Curves of precision against recall, one for each model")


def by_threshold(curve: Curve, marks: Mapping[str, float]) -> markupsafe.Markup:
    """Precision, recall and F1 against the score threshold.

    Args:
        curve: all classes together.
        marks: name -> threshold to mark.
    """
    thresholds = np.linspace(0.01, 0.99, 99)
    points = [operating_point(curve, float(each)) for each in thresholds]
    with drawing(7.2, 3.3) as (figure, axes):
        axis = axes[0]
        for place, (name, values) in enumerate(
            (
                ("precision", [each.precision for each in points]),
                ("recall", [each.recall for each in points]),
                ("F1", [each.f1 for each in points]),
            )
        ):
            # Nothing scores so high: precision has no value there, and 0 would be a false one.
            some = np.array([(curve.score >= each).any() for each in thresholds])
            axis.plot(
                thresholds[some],
                np.array(values)[some],
                label=name,
                color=COLOURS[place],
                linestyle=DASHES[place],
                linewidth=1.8,
            )
        for place, (name, threshold) in enumerate(marks.items()):
            axis.axvline(threshold, color=COLOURS[3 + place], linewidth=1.2)
            axis.annotate(
                f"{name} {threshold:.2f}",
                (threshold, 0.03 + 0.08 * place),
                xytext=(4, 0),
                textcoords="offset points",
                color=COLOURS[3 + place],
                fontsize=9,
            )
        axis.set(xlim=(0, 1), ylim=(0, 1.02), xlabel="score threshold")
        axis.legend(frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5))
        return plot_svg(figure, "Curves: precision, recall and F1 against the score threshold")


def by_size(bands: Mapping[str, tuple[float, int]]) -> markupsafe.Markup:
    """Average precision of each size of objects, and how many there are.

    Args:
        bands: name -> AP50 (NaN without boxes), boxes; small to large.
    """
    names = list(bands)
    with drawing(7.2, 2.8) as (figure, axes):
        axis = axes[0]
        values = [0.0 if np.isnan(bands[name][0]) else bands[name][0] for name in names]
        bars = axis.bar(range(len(names)), values, width=0.62, color=COLOURS[0])
        words = [
            "none" if np.isnan(bands[name][0]) else f"{bands[name][0]:.2f}\n{bands[name][1]} boxes"
            for name in names
        ]
        axis.bar_label(bars, words, padding=3, fontsize=9)
        axis.set_xticks(range(len(names)), names)
        axis.set(ylim=(0, 1.25), ylabel="AP50")
        axis.set_yticks([0, 0.25, 0.5, 0.75, 1.0])
        axis.grid(visible=False, axis="x")
        axis.tick_params(length=0)
        return plot_svg(figure, "Bars: average precision by the size of the objects")


def losses(runs: Mapping[str, Sequence[float]]) -> markupsafe.Markup:
    """Training loss against steps, smoothed, with the single steps faint behind."""
    with drawing(7.2, 2.9) as (figure, axes):
        axis = axes[0]
        for place, (name, values) in enumerate(runs.items()):
            if not values:
                continue
            colour = COLOURS[place % len(COLOURS)]
            steps = np.arange(1, len(values) + 1)
            axis.plot(steps, values, color=colour, alpha=0.25, linewidth=0.8)
            axis.plot(
                steps,
                _smooth(values),
                label=name,
                color=colour,
                linestyle=DASHES[place % len(DASHES)],
                linewidth=1.8,
            )
        axis.set(xlabel="step", ylabel="loss")
        axis.set_ylim(bottom=0)
        axis.legend(frameon=False)
        return plot_svg(figure, "Curves of the training loss over the steps")


def looks(runs: Mapping[str, Sequence[tuple[int, float]]]) -> markupsafe.Markup:
    """mAP50 on the validation pictures against steps; the best look of each run is marked.

    Args:
        runs: by name, (step, mAP50) in order.
    """
    with drawing(7.2, 2.4) as (figure, axes):
        axis = axes[0]
        for place, (name, values) in enumerate(runs.items()):
            if not values:
                continue
            colour = COLOURS[place % len(COLOURS)]
            steps, scores = zip(*values, strict=True)
            axis.plot(steps, scores, color=colour, marker=".", label=name, linewidth=1.4)
            best = max(values, key=lambda look: look[1])
            axis.plot(*best, marker="o", markersize=8, color=colour)
            axis.annotate(
                f"{best[1]:.3f}", best, xytext=(6, 4), textcoords="offset points", color=colour
            )
        axis.set(xlabel="step", ylabel="mAP50")
        axis.set_xlim(left=0)
        axis.margins(0.05, 0.2)
        axis.legend(frameon=False)
        return plot_svg(figure, "Curves: mAP50 on the validation pictures over the steps")


def timeline(seconds: Mapping[str, float]) -> markupsafe.Markup:
    """The steps of a run one after the other."""
    names = list(seconds)
    rows = np.arange(len(names))[::-1]
    lengths = np.array([seconds[name] for name in names])
    starts = np.concatenate([[0.0], np.cumsum(lengths)[:-1]])
    with drawing(7.2, 0.7 + 0.32 * len(names)) as (figure, axes):
        axis = axes[0]
        axis.barh(rows, lengths, left=starts, height=0.6, color=COLOURS[0])
        for row, start, length in zip(rows, starts, lengths, strict=True):
            axis.annotate(
                f"{length:.0f} s" if length >= 10 else f"{length:.1f} s",
                (start + length, row),
                xytext=(4, 0),
                textcoords="offset points",
                va="center",
            )
        axis.set_yticks(rows, names)
        axis.set_xlim(0, max(float(lengths.sum()), 1e-9) * 1.1)
        axis.set_xlabel("seconds")
        axis.grid(visible=False, axis="y")
        axis.tick_params(length=0)
        return plot_svg(figure, "Bars: when each step of the run started and how long it took")


def _smooth(values: Sequence[float]) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Mean over a window that shrinks at both ends."""
    width = max(1, len(values) // 25)
    sums = np.concatenate([[0.0], np.cumsum(values)])
    places = np.arange(len(values))
    low, high = np.maximum(places - width, 0), np.minimum(places + width + 1, len(values))
    mean: np.ndarray[tuple[int], np.dtype[np.float64]] = (sums[high] - sums[low]) / (high - low)
    return mean


def _thinned(count: int, most: int = 400) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    return np.unique(np.linspace(0, max(count - 1, 0), min(count, most)).astype(np.int64))
