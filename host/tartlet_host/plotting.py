"""Plots for pages, as SVG that follows the page's colours by day and by night.

Colours are Okabe and Ito's ("Color Universal Design", 2008), which colour-blind people tell apart.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager

import markupsafe
import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

INK, FAINT = "#333333", "#d9d9d9"
"""Of text and of grid lines; on the page they become the page's own."""
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", INK)
DASHES = ("-", "--", "-.", ":")
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


@contextmanager
def drawing(width: float, height: float, columns: int = 1) -> Iterator[tuple[Figure, list[Axes]]]:
    """A figure of its own, outside pyplot's global state.

    Args:
        width, height: in inches; a page shows a figure about 7.2 wide at its natural size.
        columns: axes side by side.
    """
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(width, height), layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.subplots(1, columns, squeeze=False)
        yield figure, list(axes[0])


def plot_svg(figure: Figure, description: str) -> markupsafe.Markup:
    """The figure as an ``svg`` element for a template: it scales with the page, has no script.

    To be called inside `drawing`, whose style it needs.

    Args:
        figure: drawn with this module's colours.
        description: what a person who cannot see it should know.
    """
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None}, transparent=True)
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r'<svg([^>]*?) width="[^"]*"', r"<svg\1", text, count=1)
    text = re.sub(r'<svg([^>]*?) height="[^"]*"', r"<svg\1", text, count=1)
    # Ids that nothing refers to would only repeat on a page with several plots.
    used = set(re.findall(r"#([\w-]+)", text))
    text = re.sub(r' id="([^"]+)"', lambda hit: hit[0] if hit[1] in used else "", text)
    text = text.replace(INK, "currentColor").replace(FAINT, "var(--line)")
    label = markupsafe.escape(description)
    return markupsafe.Markup(text.replace("<svg", f'<svg role="img" aria-label="{label}"', 1))
