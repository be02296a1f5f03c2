"""The layer-by-layer error report as one HTML page."""

from __future__ import annotations

from collections.abc import Sequence

import markupsafe

from tartlet_host import page
from tartlet_host.plotting import COLOURS, drawing, plot_svg
from tartlet_host.quantize.conversion import ModelFile
from tartlet_host.quantize.layer_errors import LayerError

ROW = 0.17  # inches
WORST = 3
MOST = 60.0  # decibels; beyond, nothing is lost


def render(title: str, files: Sequence[ModelFile]) -> str:
    """A plot and a table for each file that has a report."""
    reported = [
        {"name": each.path.name, "file": each, "worst": worst(each), "plot": bars(each)}
        for each in files
        if each.layers
    ]
    return page.render("layers.html", title=title, files=reported)


def worst(made: ModelFile) -> tuple[LayerError, ...]:
    """The layers that add most noise."""
    left = [each for each in made.layers if each.name not in made.float_layers]
    return tuple(sorted(left, key=lambda each: each.own)[:WORST])


def bars(made: ModelFile) -> markupsafe.Markup:
    """Signal to noise of every layer from top to bottom, and beside it the layer's own."""
    layers = made.layers
    with drawing(7.2, max(2.0, ROW * len(layers) + 0.8)) as (figure, (axes,)):
        places = range(len(layers))
        colours = [COLOURS[2] if each.name in made.float_layers else COLOURS[0] for each in layers]
        shown = [min(each.signal_to_noise, MOST) for each in layers]
        adding = [each for each in layers if each.own < MOST]
        axes.barh(places, shown, color=colours, height=0.7, label="with what came in")
        axes.plot(
            [each.own for each in adding],
            [layers.index(each) for each in adding],
            linestyle="none",
            marker="|",
            markersize=7,
            color=COLOURS[1],
            label="the layer's own noise alone",
        )
        axes.set_yticks(places, [each.name for each in layers], fontsize=6.5)
        axes.set_ylim(len(layers) - 0.4, -0.6)
        axes.set_xlim(0, MOST)
        axes.set_xlabel("signal to noise, decibels (6 are one bit; more is better)")
        axes.grid(axis="y", visible=False)
        axes.legend(loc="upper right", fontsize=8, frameon=False)
        least = min(layers, key=lambda each: each.own, default=None)
        told = f"; {least.name} adds most noise" if least is not None else ""
        return plot_svg(figure, f"Signal to noise of {len(layers)} layers{told}")
