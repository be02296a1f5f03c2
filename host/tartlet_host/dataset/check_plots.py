"""Plots of a data set: boxes of each class, their sizes on the canvas, shapes of the pictures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import markupsafe
import numpy as np

from tartlet_host.plotting import COLOURS, INK, drawing, plot_svg
from tartlet_host.recipe import InputRecipe
from tartlet_shared.detections import FloatArray

_MOST_CLASSES = 30
_MOST_POINTS = 4000
_MARKERS = "os^D"


def class_histogram(boxes: Mapping[str, Mapping[str, int]]) -> markupsafe.Markup:
    """Boxes of each class in each data set, the most frequent first.

    Args:
        boxes: name of the data set -> label -> boxes.
    """
    totals: Counter[str] = Counter()
    for each in boxes.values():
        totals.update(each)
    labels = sorted(totals, key=lambda label: (-totals[label], label))
    left_out = len(labels) - _MOST_CLASSES
    labels = labels[:_MOST_CLASSES]
    rows = np.arange(len(labels))[::-1]
    height = 0.8 / len(boxes)
    with drawing(8, 0.8 + (0.16 + 0.16 * len(boxes)) * len(labels)) as (figure, (axis,)):
        for number, (name, each) in enumerate(boxes.items()):
            values = [each.get(label, 0) for label in labels]
            middle = rows + 0.4 - height * (number + 0.5)
            bars = axis.barh(middle, values, height * 0.9, color=COLOURS[number], label=name)
            axis.bar_label(bars, [f"{value:,}" for value in values], padding=4, fontsize=9)
        axis.set_yticks(rows, labels)
        axis.set_xlim(0, max([*totals.values(), 1]) * 1.12)
        axis.set_xlabel("boxes" + (f"; {left_out} rarer classes are left out" * (left_out > 0)))
        axis.grid(visible=False, axis="y")
        axis.tick_params(length=0)
        if len(boxes) > 1:
            axis.legend(frameon=False, loc="lower right")
        return plot_svg(figure, "Bars: how many boxes each class has")


def box_sizes(
    sizes: Mapping[str, FloatArray], canvas: InputRecipe, strides: Sequence[int]
) -> markupsafe.Markup:
    """Width against height of the boxes on the canvas, in pixels, with the network's cells.

    Args:
        sizes: name of the data set -> ``(n, 2)``.
        canvas: its edges are drawn.
        strides: a square of each is drawn: a box inside the smallest one is lost.
    """
    low, high = 1.5, max(canvas.width, canvas.height) * 1.3
    with drawing(5.2, 4.6) as (figure, (axis,)):
        for number, (name, each) in enumerate(sizes.items()):
            chosen = np.linspace(0, len(each) - 1, min(_MOST_POINTS, len(each))).astype(int)
            widths, heights = np.clip(each[chosen].T, low, high)
            axis.scatter(
                widths,
                heights,
                s=9,
                alpha=0.45,
                linewidths=0,
                marker=_MARKERS[number % len(_MARKERS)],
                color=COLOURS[number],
                label=f"{name}: {len(each):,} boxes",
                rasterized=True,
            )
        for stride in strides:
            axis.plot([low, stride, stride], [stride, stride, low], color=INK, linewidth=0.9)
            axis.annotate(
                f"cell of {stride}",
                (low, stride),
                xytext=(3, 3),
                textcoords="offset points",
                fontsize=8.5,
            )
        edges = ([low, canvas.width, canvas.width], [canvas.height, canvas.height, low])
        axis.plot(*edges, color=INK, linewidth=0.9, linestyle="--")
        axis.annotate(
            f"canvas {canvas.width}×{canvas.height}",
            (low, canvas.height),
            xytext=(3, 3),
            textcoords="offset points",
            fontsize=8.5,
        )
        ticks = [2**power for power in range(1, 12) if 2**power <= high]
        axis.set(xscale="log", yscale="log", xlim=(low, high), ylim=(low, high), aspect="equal")
        axis.set_xticks(ticks, [str(tick) for tick in ticks], minor=False)
        axis.set_yticks(ticks, [str(tick) for tick in ticks], minor=False)
        axis.minorticks_off()
        axis.set(xlabel="width on the canvas, pixels", ylabel="height on the canvas, pixels")
        figure.legend(frameon=False, loc="outside upper left", ncols=2, markerscale=2)
        return plot_svg(figure, "Points: width and height of each box on the canvas")


def picture_shapes(
    shapes: Mapping[str, Sequence[tuple[int, int]]], canvas: InputRecipe
) -> markupsafe.Markup:
    """Widths and heights of the pictures, with the canvas's aspect as a line.

    Args:
        shapes: name of the data set -> width and height of each picture.
        canvas: of the network.
    """
    high = max([max(shape) for each in shapes.values() for shape in each] or [1]) * 1.15
    with drawing(5.2, 4.4) as (figure, (axis,)):
        for number, (name, each) in enumerate(shapes.items()):
            counted = Counter(each).most_common(200)
            axis.scatter(
                [width for (width, _), _ in counted],
                [height for (_, height), _ in counted],
                s=[20 + 500 * times / max(len(each), 1) for _, times in counted],
                alpha=0.5,
                marker=_MARKERS[number % len(_MARKERS)],
                color=COLOURS[number],
                linewidths=0,
                label=name,
            )
            for (width, height), times in counted[:3] if number == 0 else ():
                axis.annotate(
                    f"{width}×{height}: {times:,}",
                    (width, height),
                    xytext=(10, 8),
                    textcoords="offset points",
                    fontsize=8.5,
                )
        end = high / max(canvas.width, canvas.height)
        axis.plot(
            [0, canvas.width * end],
            [0, canvas.height * end],
            color=INK,
            linewidth=0.9,
            linestyle="--",
        )
        axis.annotate(
            "shape of the canvas",
            (canvas.width * end * 0.3, canvas.height * end * 0.3),
            xytext=(6, -10),
            textcoords="offset points",
            fontsize=8.5,
        )
        axis.set(xlim=(0, high), ylim=(0, high), aspect="equal")
        axis.set(xlabel="width, pixels", ylabel="height, pixels")
        return plot_svg(figure, "Points: width and height of the pictures")
