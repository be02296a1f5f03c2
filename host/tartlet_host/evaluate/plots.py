"""The report's plots, as SVG. Colours are Okabe and Ito's, which colour-blind people tell apart."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from tartlet_host.evaluate.mean_average_precision import Curve

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
DASHES = ("-", "--", "-.", ":")
INK, FAINT = "#333333", "#d9d9d9"
STYLE = {
    "font.size": 10,
    "svg.fonttype": "none",  # text stays text: sharp, selectable, small
    "font.family": "sans-serif",
    "axes.edgecolor": FAINT,
    "axes.labelcolor": INK,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": FAINT,
    "grid.linewidth": 0.6,
    "svg.hashsalt": "tartlet",  # same drawing, same bytes
}


def trade_off(points: Mapping[str, tuple[float, float, int]], chosen: str = "") -> str:
    """Accuracy and latency as bars side by side.

    Args:
        points: name -> median latency in ms, mAP50, bytes.
        chosen: the candidate to mark.
    """
    names = list(points)
    rows = np.arange(len(names))[::-1]
    with _drawing(7.2, 0.9 + 0.5 * len(names), columns=2) as (figure, axes):
        for axis, column, title, form in (
            (axes[0], 1, "accuracy (mAP50), more is better", "{:.3f}"),
            (axes[1], 0, "latency (ms, median), less is better", "{:.1f}"),
        ):
            values = [points[name][column] for name in names]
            bars = axis.barh(rows, values, height=0.62, color=_row_colours(names, chosen))
            axis.bar_label(bars, [form.format(value) for value in values], padding=4)
            axis.set_title(title, fontsize=10, loc="left")
            axis.set_xlim(0, max([*values, 1e-9]) * 1.22)
            axis.set_yticks(rows, names if column == 1 else [""] * len(names))
            axis.grid(visible=False, axis="y")
            axis.tick_params(length=0)
            axis.xaxis.set_major_locator(mpl.ticker.MaxNLocator(4))
        return _to_svg(figure, "Bars: accuracy and latency of each model")


def precision_recall(curves: Mapping[str, Curve]) -> str:
    """Precision against recall at IoU 0.5."""
    with _drawing(7.2, 3.7) as (figure, axes):
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
        return _to_svg(figure, "Curves of precision against recall, one for each model")


def losses(runs: Mapping[str, Sequence[float]]) -> str:
    """Training loss against steps, smoothed, with the single steps faint behind."""
    with _drawing(7.2, 2.9) as (figure, axes):
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
        return _to_svg(figure, "Curves of the training loss over the steps")


def timeline(seconds: Mapping[str, float]) -> str:
    """The steps of a run one after the other."""
    names = list(seconds)
    rows = np.arange(len(names))[::-1]
    lengths = np.array([seconds[name] for name in names])
    starts = np.concatenate([[0.0], np.cumsum(lengths)[:-1]])
    with _drawing(7.2, 0.7 + 0.32 * len(names)) as (figure, axes):
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
        return _to_svg(figure, "Bars: when each step of the run started and how long it took")


def _row_colours(names: Sequence[str], chosen: str) -> list[str]:
    return [COLOURS[0] if name == chosen or not chosen else "#9fb8c9" for name in names]


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


@contextmanager
def _drawing(width: float, height: float, columns: int = 1) -> Iterator[tuple[Figure, list[Axes]]]:
    """A figure of its own, outside pyplot's global state."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(width, height), layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.subplots(1, columns, squeeze=False)
        yield figure, list(axes[0])


def _to_svg(figure: Figure, description: str) -> str:
    """The figure as an ``svg`` element that scales with the page and can be read aloud."""
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None}, transparent=True)
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r'<svg([^>]*?) width="[^"]*"', r"<svg\1", text, count=1)
    text = re.sub(r'<svg([^>]*?) height="[^"]*"', r"<svg\1", text, count=1)
    return text.replace("<svg", f'<svg role="img" aria-label="{description}"', 1)
